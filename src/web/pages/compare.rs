//! `GET /ui/compare?repository=&from=&to=`: what changed between two manifests of a repository, each named by its tag or digest.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::error::ApiError;
use super::super::manifests;
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::error::PageError;
use super::format::{Number, ShortDigest, Size};
use super::history::linked_digest;
use super::icon::Icon;
use super::image::arguments;
use super::layout::{Layout, Section};
use super::links;
use super::visit::{Visit, rendered};
use crate::oci::{BuildStep, Descriptor, Digest, Document, ImageConfig, Reference, RepositoryName};
use crate::store::ManifestRecord;

/// So many rows of each kind are shown.
const MOST: usize = 300;

#[derive(Template)]
#[template(path = "compare.html", config = "src/web/pages/templates/askama.toml")]
struct Compare {
    layout: Layout,
    repository: String,
    repository_page: String,
    from: Side,
    towards: Side,
    /// The page the other way round.
    turned: String,
    /// Whether it is one and the same.
    is_same: bool,
    /// How the size changed, in words.
    size: String,
    layers: Vec<LayerRow>,
    /// How many layers came, went and stayed, in words.
    counts: String,
    parts: Vec<PartRow>,
    changes: Vec<Change>,
}

/// One of the two.
struct Side {
    name: String,
    page: String,
    digest: ShortDigest,
    bytes: Size,
}

/// How many layers are on which side, with their bytes.
#[derive(Default)]
struct Counts {
    added: u64,
    added_bytes: u64,
    removed: u64,
    removed_bytes: u64,
    kept: u64,
    kept_bytes: u64,
}

/// On which sides something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Removed,
    Added,
    Kept,
}

/// A layer of one of them, or of both.
struct LayerRow {
    standing: Standing,
    size: Size,
    digest: ShortDigest,
    command: Option<String>,
}

/// A platform of one of them, or of both.
struct PartRow {
    standing: Standing,
    platform: String,
    from: Option<ShortDigest>,
    towards: Option<ShortDigest>,
    /// Where the two are compared, if they differ.
    page: Option<String>,
}

/// Something that they say differently.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    name: String,
    from: Option<String>,
    towards: Option<String>,
}

impl Counts {
    fn in_words(&self) -> String {
        let part = |count, bytes, what| format!("{} {what} ({})", Number(count), Size(bytes).in_words());
        [
            part(self.added, self.added_bytes, "added"),
            part(self.removed, self.removed_bytes, "removed"),
            part(self.kept, self.kept_bytes, "kept"),
        ]
        .join(", ")
    }
}

impl Standing {
    const fn class(self) -> &'static str {
        match self {
            Self::Removed => "bad",
            Self::Added => "good",
            Self::Kept => "",
        }
    }

    const fn in_words(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Kept => "kept",
        }
    }
}

/// Shows what changed.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["repository", "from", "to"])?;
    let repository: RepositoryName = parameters.required("repository")?;
    let from = named(&parameters, "from")?;
    let towards = named(&parameters, "to")?;
    let old = manifests::one(&state, &repository, from.clone()).await?.record;
    let new = manifests::one(&state, &repository, towards.clone()).await?.record;
    let old_bytes = manifests::bytes_with_parts(&state, &repository, &old.document).await?;
    let new_bytes = manifests::bytes_with_parts(&state, &repository, &new.document).await?;
    let (layers, counts) = layers(&old, &new);
    let side = |reference: &Reference, record: &ManifestRecord, bytes: u64| Side {
        name: match reference {
            Reference::Tag(tag) => tag.to_string(),
            Reference::Digest(digest) => digest.encoded().chars().take(12).collect(),
        },
        page: links::reference(&repository, reference),
        digest: linked_digest(&repository, &record.digest),
        bytes: Size(bytes),
    };
    rendered(&Compare {
        layout: visit.layout(Section::Repositories, &format!("{repository}: what changed")),
        turned: links::compare(&repository, &towards, &from),
        is_same: old.digest == new.digest,
        size: difference(old_bytes, new_bytes),
        layers: layers.into_iter().take(MOST).collect(),
        counts: counts.in_words(),
        parts: parts(&repository, &old.document, &new.document),
        changes: changes(&old, &new).into_iter().take(MOST).collect(),
        from: side(&from, &old, old_bytes),
        towards: side(&towards, &new, new_bytes),
        repository_page: links::repository(&repository),
        repository: repository.to_string(),
    })
}

/// The tag or digest in this parameter.
fn named(parameters: &Parameters<'_>, name: &'static str) -> Result<Reference, ApiError> {
    let text = parameters.text(name).map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or(ApiError::MissingParameter { name })?;
    Reference::parse(text).map_err(|error| ApiError::InvalidParameter { name, source: error.into() })
}

/// How a size changed, in words.
fn difference(from: u64, towards: u64) -> String {
    match (towards.checked_sub(from), from.checked_sub(towards)) {
        (Some(0), _) => "as large as before".to_owned(),
        (Some(more), _) => format!("{} more", Size(more).in_words()),
        (None, less) => format!("{} less", Size(less.unwrap_or_default()).in_words()),
    }
}

/// The layers of both: in the order of the newer one, and before each of its own what stood there in the older one.
fn layers(old: &ManifestRecord, new: &ManifestRecord) -> (Vec<LayerRow>, Counts) {
    let digests = |record: &ManifestRecord| -> HashSet<Digest> {
        record.document.layers.iter().map(|layer| layer.digest.clone()).collect()
    };
    let (in_old, in_new) = (digests(old), digests(new));
    let (old_commands, new_commands) = (commands(old), commands(new));
    let mut counts = Counts::default();
    let mut rows = Vec::new();
    let mut add = |standing, layer: &Descriptor, commands: &HashMap<&Digest, &BuildStep>| {
        let (count, bytes) = match standing {
            Standing::Added => (&mut counts.added, &mut counts.added_bytes),
            Standing::Removed => (&mut counts.removed, &mut counts.removed_bytes),
            Standing::Kept => (&mut counts.kept, &mut counts.kept_bytes),
        };
        *count += 1;
        *bytes = bytes.saturating_add(layer.size);
        rows.push(LayerRow {
            standing,
            size: Size(layer.size),
            digest: ShortDigest::from(&layer.digest),
            command: commands.get(&layer.digest).and_then(|step| step.command.clone()),
        });
    };
    let mut left = old.document.layers.iter().peekable();
    for layer in &new.document.layers {
        while let Some(gone) = left.next_if(|older| !in_new.contains(&older.digest)) {
            add(Standing::Removed, gone, &old_commands);
        }
        if in_old.contains(&layer.digest) {
            add(Standing::Kept, layer, &new_commands);
            left.next_if(|older| older.digest == layer.digest);
        } else {
            add(Standing::Added, layer, &new_commands);
        }
    }
    for gone in left.filter(|older| !in_new.contains(&older.digest)) {
        add(Standing::Removed, gone, &old_commands);
    }
    (rows, counts)
}

/// What made each layer, where steps and layers fit together.
fn commands(record: &ManifestRecord) -> HashMap<&Digest, &BuildStep> {
    let history = record.image.as_ref().map(|image| image.history.as_slice()).unwrap_or_default();
    let steps: Vec<&BuildStep> = history.iter().filter(|step| !step.is_empty_layer).collect();
    if steps.len() != record.document.layers.len() {
        return HashMap::new();
    }
    record.document.layers.iter().map(|layer| &layer.digest).zip(steps).collect()
}

/// The platforms of both.
fn parts(repository: &RepositoryName, old: &Document, new: &Document) -> Vec<PartRow> {
    fn by_platform(document: &Document) -> BTreeMap<String, &Digest> {
        let named = |child: &Descriptor| child.platform.as_ref().map(ToString::to_string);
        let is_image = |name: &String| name != "unknown/unknown";
        let parts = document.children.iter();
        parts.filter_map(|child| Some((named(child).filter(is_image)?, &child.digest))).collect()
    }
    let (old, new) = (by_platform(old), by_platform(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let row = |name: &String| {
        let (from, towards) = (old.get(name).copied(), new.get(name).copied());
        let page = from.zip(towards).filter(|(from, towards)| from != towards).map(|(from, towards)| {
            let by_digest = |digest: &Digest| Reference::Digest(digest.clone());
            links::compare(repository, &by_digest(from), &by_digest(towards))
        });
        PartRow {
            standing: match (from, towards) {
                (Some(_), None) => Standing::Removed,
                (None, _) => Standing::Added,
                (Some(_), Some(_)) => Standing::Kept,
            },
            platform: name.clone(),
            from: from.map(|digest| linked_digest(repository, digest)),
            towards: towards.map(|digest| linked_digest(repository, digest)),
            page,
        }
    };
    names.into_iter().take(MOST).map(row).collect()
}

/// What they say differently of themselves.
fn changes(old: &ManifestRecord, new: &ManifestRecord) -> Vec<Change> {
    let (before, after) = (said(old), said(new));
    let names: BTreeSet<&(u8, String)> = before.keys().chain(after.keys()).collect();
    let change = |key: &(u8, String)| {
        let (from, towards) = (before.get(key), after.get(key));
        (from != towards).then(|| Change {
            name: key.1.clone(),
            from: from.cloned(),
            towards: towards.cloned(),
        })
    };
    names.into_iter().filter_map(change).collect()
}

/// What a manifest and its configuration say, by name, in the order in which it is shown.
fn said(record: &ManifestRecord) -> BTreeMap<(u8, String), String> {
    let mut said = BTreeMap::new();
    let Document { media_type, artifact_type, annotations, .. } = &record.document;
    let mut say = |place: u8, name: &str, value: Option<String>| {
        if let Some(value) = value {
            said.insert((place, name.to_owned()), value);
        }
    };
    say(0, "Type", Some(media_type.to_string()));
    say(1, "Artifact type", artifact_type.as_ref().map(ToString::to_string));
    if let Some(image) = &record.image {
        let ImageConfig { platform, author, user, working_directory, .. } = image;
        say(2, "Platform", platform.as_ref().map(ToString::to_string));
        say(3, "Author", author.clone());
        say(4, "Entry point", arguments(&image.entry_point));
        say(5, "Command", arguments(&image.command));
        say(6, "User", user.clone());
        say(7, "Directory", working_directory.clone());
        say(8, "Ports", (!image.exposed_ports.is_empty()).then(|| image.exposed_ports.join(", ")));
        for (name, value) in &image.labels {
            say(9, &format!("Label {name}"), Some(value.clone()));
        }
    }
    for (name, value) in annotations {
        say(10, &format!("Annotation {name}"), Some(value.clone()));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{ManifestKind, MediaType};
    use crate::store::Source;

    fn record(layers: &[&str], labels: &[(&str, &str)]) -> ManifestRecord {
        let mut document = Document::unread(MediaType::OCI_MANIFEST.into(), 7);
        document.kind = ManifestKind::Image;
        let layer = |text: &&str| Descriptor {
            media_type: "application/x".into(),
            digest: Digest::sha256(text.as_bytes()),
            size: text.len() as u64,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        };
        document.layers = layers.iter().map(layer).collect();
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ManifestRecord {
            digest: Digest::sha256(layers.concat().as_bytes()),
            document,
            tags: Vec::new(),
            pushed_at: None,
            found_at: None,
            source: Source::Observed,
            missing: None,
            image: Some(ImageConfig { labels: labels.collect(), ..ImageConfig::default() }),
        }
    }

    #[test]
    fn layers_stand_in_their_order_each_with_whether_it_came_went_or_stayed() {
        let (old, new) =
            (record(&["base", "deps1", "app1"], &[]), record(&["base", "deps2", "app1", "x"], &[]));
        let (rows, counts) = layers(&old, &new);
        let digest = |text: &str| Digest::sha256(text.as_bytes()).encoded()[..12].to_owned();
        let shown: Vec<_> = rows.iter().map(|row| (row.standing, row.digest.short().to_owned())).collect();
        assert_eq!(
            shown,
            [
                (Standing::Kept, digest("base")),
                (Standing::Removed, digest("deps1")),
                (Standing::Added, digest("deps2")),
                (Standing::Kept, digest("app1")),
                (Standing::Added, digest("x")),
            ]
        );
        assert_eq!((counts.added, counts.removed, counts.kept), (2, 1, 2));
        assert_eq!((counts.added_bytes, counts.removed_bytes, counts.kept_bytes), (6, 5, 8));
    }

    #[test]
    fn what_is_said_differently_is_told_and_nothing_else() {
        let old = record(&[], &[("same", "1"), ("version", "1"), ("gone", "x")]);
        let new = record(&[], &[("same", "1"), ("version", "2"), ("new", "y")]);
        let change = |name: &str, from: Option<&str>, towards: Option<&str>| Change {
            name: name.to_owned(),
            from: from.map(str::to_owned),
            towards: towards.map(str::to_owned),
        };
        assert_eq!(
            changes(&old, &new),
            [
                change("Label gone", Some("x"), None),
                change("Label new", None, Some("y")),
                change("Label version", Some("1"), Some("2")),
            ]
        );
        assert_eq!(difference(1024, 2048), "1.00 KiB more");
        assert_eq!(difference(2048, 1024), "1.00 KiB less");
        assert_eq!(difference(1, 1), "as large as before");
    }
}
