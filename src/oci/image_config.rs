//! The configuration of an image (OCI image specification, config.md; Docker's is the same): what an image says of itself.
//!
//! Only what is worth showing is kept, cut to a bounded size. The values of its environment are not: they may be secrets,
//! also where a step of its history sets them.

use std::collections::BTreeMap;

use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{MediaType, Platform};

/// The longest text that is kept, in bytes.
const MAXIMUM_TEXT: usize = 1_024;
/// How many of each kind are kept: labels, steps of the history, arguments, ports.
const MAXIMUM_ITEMS: usize = 128;
/// How much is kept in all, in bytes.
const MAXIMUM_KEPT: usize = 32 * 1_024;
/// What stands in place of a value that is not kept.
const LEFT_OUT: char = '…';

/// What an image says of itself.
///
/// The store keeps it as JSON: a field that is added needs a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// The version of the operating system, where one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// When it was made, as it says: RFC 3339 as a rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// As whom it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// What it runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entry_point: Vec<String>,
    /// The arguments of that, or what it runs where there is no entry point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// The ports on which it listens, as `80/tcp`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed_ports: Vec<String>,
    /// How it was made, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<BuildStep>,
    /// Whether it says more than is kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_cut: bool,
}

/// One step of how an image was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStep {
    /// When, as the image says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command, without the values of build arguments and of the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// A remark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_empty_layer: bool,
}

/// Why bytes are no configuration of an image.
#[derive(Debug, thiserror::Error)]
#[error("it is no configuration of an image: {0}")]
pub struct InvalidImageConfig(#[from] serde_json::Error);

/// The fields that are read, whatever their types. All others are passed over unread.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    os: Value,
    #[serde(default)]
    architecture: Value,
    #[serde(default)]
    variant: Value,
    #[serde(default, rename = "os.version")]
    os_version: Value,
    #[serde(default)]
    created: Value,
    #[serde(default)]
    author: Value,
    #[serde(default)]
    config: Option<Execution>,
    #[serde(default)]
    history: Value,
}

/// How it is run. Its `Env` is among what is not read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    #[serde(default)]
    labels: Value,
    #[serde(default)]
    user: Value,
    #[serde(default)]
    working_dir: Value,
    #[serde(default)]
    entrypoint: Value,
    #[serde(default)]
    cmd: Value,
    #[serde(default)]
    exposed_ports: Value,
}

impl ImageConfig {
    /// The longest one that is read, in bytes.
    pub const MAXIMUM_BYTES: usize = 1024 * 1024;

    /// Whether a manifest's `config` of this type is one.
    pub fn is_of(media_type: &MediaType) -> bool {
        matches!(
            media_type.as_str(),
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
        )
    }

    /// Reads one. Fields of another shape than the specification gives them are left out.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidImageConfig> {
        // serde would fill the fields from an array as well.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(serde_json::Error::custom("it is an array").into());
        }
        let Fields { os, architecture, variant, os_version, created, author, config, history } =
            serde_json::from_slice(bytes)?;
        let mut keeping = Keeping { room: MAXIMUM_KEPT, is_cut: false };
        let mut read = Self {
            platform: keeping.platform(&os, &architecture, &variant),
            os_version: keeping.text(&os_version),
            created: keeping.text(&created),
            author: keeping.text(&author),
            ..Self::default()
        };
        if let Some(Execution { labels, user, working_dir, entrypoint, cmd, exposed_ports }) = config {
            read.user = keeping.text(&user);
            read.working_directory = keeping.text(&working_dir);
            read.entry_point = keeping.texts(&entrypoint);
            read.command = keeping.texts(&cmd);
            read.exposed_ports = keeping.names(&exposed_ports);
            read.labels = keeping.labels(&labels);
        }
        read.history = keeping.history(&history);
        read.is_cut = keeping.is_cut;
        Ok(read)
    }
}

/// Keeps texts while there is room.
struct Keeping {
    room: usize,
    is_cut: bool,
}

impl Keeping {
    /// A text, cut where it is too long.
    fn keep(&mut self, text: &str) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        let end = text.floor_char_boundary(MAXIMUM_TEXT.min(self.room));
        let kept = text.get(..end).unwrap_or_default();
        self.is_cut |= kept.len() < text.len();
        self.room -= kept.len();
        (!kept.is_empty()).then(|| kept.to_owned())
    }

    fn text(&mut self, value: &Value) -> Option<String> {
        self.keep(value.as_str()?)
    }

    fn platform(&mut self, os: &Value, architecture: &Value, variant: &Value) -> Option<Platform> {
        let (os, architecture) = (self.text(os), self.text(architecture));
        (os.is_some() || architecture.is_some()).then(|| Platform {
            os: os.unwrap_or_default(),
            architecture: architecture.unwrap_or_default(),
            variant: self.text(variant),
        })
    }

    /// Those of a list that there is room for.
    fn some<'v>(&mut self, items: &'v [Value]) -> impl Iterator<Item = &'v Value> + use<'v> {
        self.is_cut |= items.len() > MAXIMUM_ITEMS;
        items.iter().take(MAXIMUM_ITEMS)
    }

    /// A list of texts; Docker's early versions write a single one as it is.
    fn texts(&mut self, value: &Value) -> Vec<String> {
        match value {
            Value::Array(items) => {
                let some = self.some(items);
                some.filter_map(|item| self.text(item)).collect()
            }
            single => self.text(single).into_iter().collect(),
        }
    }

    /// The names of an object's members.
    fn names(&mut self, value: &Value) -> Vec<String> {
        let Some(members) = value.as_object() else { return Vec::new() };
        self.is_cut |= members.len() > MAXIMUM_ITEMS;
        members.keys().take(MAXIMUM_ITEMS).filter_map(|name| self.keep(name)).collect()
    }

    fn labels(&mut self, value: &Value) -> BTreeMap<String, String> {
        let none = Map::new();
        let members = value.as_object().unwrap_or(&none);
        self.is_cut |= members.len() > MAXIMUM_ITEMS;
        let mut labels = BTreeMap::new();
        for (name, value) in members.iter().take(MAXIMUM_ITEMS) {
            // A name that is cut would be another name.
            if name.len() > MAXIMUM_TEXT.min(self.room) {
                self.is_cut = true;
            } else if let (Some(name), Some(text)) = (self.keep(name), value.as_str()) {
                labels.insert(name, self.keep(text).unwrap_or_default());
            }
        }
        labels
    }

    fn history(&mut self, value: &Value) -> Vec<BuildStep> {
        let Some(steps) = value.as_array() else { return Vec::new() };
        let mut history = Vec::new();
        for step in self.some(steps) {
            if self.room == 0 {
                self.is_cut = true;
                break;
            }
            let field = |name| step.get(name).unwrap_or(&Value::Null);
            let command = field("created_by").as_str().map(without_values);
            history.push(BuildStep {
                created: self.text(field("created")),
                command: command.and_then(|command| self.keep(&command)),
                comment: self.text(field("comment")),
                is_empty_layer: field("empty_layer").as_bool().unwrap_or_default(),
            });
        }
        history
    }
}

/// A step's command without the values of build arguments, and of what it sets in the environment.
fn without_values(command: &str) -> String {
    let instruction = command.trim_start_matches("/bin/sh -c #(nop)").trim_start();
    if let Some((keyword @ ("ENV" | "ARG"), assignments)) = instruction.split_once(' ') {
        let names = assignments.split_whitespace().filter_map(|word| word.split_once('='));
        let names: Vec<String> = names.map(|(name, _)| format!("{name}={LEFT_OUT}")).collect();
        // `ENV NAME value` and `ARG NAME`.
        let alone = || assignments.split_whitespace().next().unwrap_or_default().to_owned();
        let named = if names.is_empty() { alone() } else { names.join(" ") };
        return format!("{keyword} {named}");
    }
    // `|2 NAME=value NAME=value /bin/sh -c …`: the build arguments, and behind them the command.
    let run = instruction.trim_start_matches("RUN").trim_start();
    if let Some(arguments) = run.strip_prefix('|') {
        let shell = arguments.find(" /bin/sh -c ").and_then(|place| arguments.get(place..));
        return format!("RUN |{LEFT_OUT}{}", shell.unwrap_or_default());
    }
    command.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(config: &Value) -> ImageConfig {
        ImageConfig::parse(config.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_an_image_says_of_itself_is_read_and_its_environment_is_not() {
        let read = parse(&json!({
            "architecture": "arm64", "os": "linux", "variant": "v8", "created": "2026-01-02T03:04:05Z",
            "author": "Dora", "rootfs": {"type": "layers", "diff_ids": ["sha256:x"]},
            "config": {
                "Env": ["TOKEN=hunter2"], "Labels": {"a": "b"}, "User": "1000", "WorkingDir": "/srv",
                "Entrypoint": ["/bin/run"], "Cmd": "serve", "ExposedPorts": {"80/tcp": {}},
            },
            "history": [
                {"created": "2026-01-01T00:00:00Z", "created_by": "COPY /a /b", "comment": "buildkit"},
                {"created_by": "ENV TOKEN=hunter2", "empty_layer": true},
            ],
        }));
        let platform =
            Platform { os: "linux".into(), architecture: "arm64".into(), variant: Some("v8".into()) };
        let step = |created: Option<&str>, command: &str, comment: Option<&str>, is_empty_layer| BuildStep {
            created: created.map(Into::into),
            command: Some(command.into()),
            comment: comment.map(Into::into),
            is_empty_layer,
        };
        let expected = ImageConfig {
            platform: Some(platform),
            os_version: None,
            created: Some("2026-01-02T03:04:05Z".into()),
            author: Some("Dora".into()),
            labels: [("a".into(), "b".into())].into(),
            user: Some("1000".into()),
            working_directory: Some("/srv".into()),
            entry_point: vec!["/bin/run".into()],
            command: vec!["serve".into()],
            exposed_ports: vec!["80/tcp".into()],
            history: vec![
                step(Some("2026-01-01T00:00:00Z"), "COPY /a /b", Some("buildkit"), false),
                step(None, "ENV TOKEN=…", None, true),
            ],
            is_cut: false,
        };
        assert_eq!(read, expected);
        let kept = serde_json::to_vec(&read).unwrap();
        assert_eq!(serde_json::from_slice::<ImageConfig>(&kept).unwrap(), expected);
    }

    #[test]
    fn no_step_of_the_history_tells_a_value_of_the_environment_or_of_a_build_argument() {
        for (command, kept) in [
            ("/bin/sh -c #(nop)  ENV TOKEN=hunter2", "ENV TOKEN=…"),
            ("ENV A=hunter2 B=hunter2 hunter2", "ENV A=… B=…"),
            ("ENV TOKEN hunter2", "ENV TOKEN"),
            ("ARG TOKEN=hunter2", "ARG TOKEN=…"),
            ("ARG TOKEN", "ARG TOKEN"),
            ("|2 A=hunter2 B=x hunter2 /bin/sh -c make", "RUN |… /bin/sh -c make"),
            ("RUN |1 A=hunter2 /bin/sh -c make # buildkit", "RUN |… /bin/sh -c make # buildkit"),
            ("RUN |1 A=hunter2 /usr/bin/fish make", "RUN |…"),
            ("/bin/sh -c make all", "/bin/sh -c make all"),
            ("RUN /bin/sh -c make # buildkit", "RUN /bin/sh -c make # buildkit"),
        ] {
            assert_eq!(without_values(command), kept, "{command}");
        }
    }

    #[test]
    fn much_is_cut_to_what_there_is_room_for() {
        let long = "é".repeat(MAXIMUM_KEPT);
        let labels: Map<String, Value> =
            (0..1_000).map(|number| (number.to_string(), Value::from(long.clone()))).collect();
        let steps: Vec<Value> = (0..1_000).map(|_| json!({"created_by": long})).collect();
        let read = parse(&json!({"author": long, "config": {"Labels": labels}, "history": steps}));
        assert!(read.is_cut);
        assert!(serde_json::to_vec(&read).unwrap().len() < 2 * MAXIMUM_KEPT);
        let read = parse(&json!({"config": {"Labels": {"x".repeat(MAXIMUM_TEXT + 1): "a"}}}));
        assert!(read.is_cut && read.labels.is_empty());
    }

    #[test]
    fn fields_of_another_shape_are_left_out_and_what_is_no_object_is_no_configuration() {
        let odd = json!({"os": 1, "architecture": null, "config": null, "history": {"a": 1}, "created": []});
        assert_eq!(parse(&odd), ImageConfig::default());
        for bytes in [&b""[..], b"null", b"[]", b"\"x\"", b"{"] {
            assert!(ImageConfig::parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "\\{\"(os|config|history)\":[\\[\\]{}\",:a0]{0,9}\\}") {
            let _ = ImageConfig::parse(&bytes);
            let _ = ImageConfig::parse(text.as_bytes());
        }
    }
}
