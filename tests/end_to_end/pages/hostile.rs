//! A registry whose every text wants to run something in the browser of whoever looks at it.

use serde_json::json;

use super::artifact::{Recipe, artifact};
use super::past::{Act, HOUR, Moment, Past};
use crate::support::door::Door;
use crate::support::guard::Guard;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::sweep::sweep_through;

/// Each would mark an element or call the sentinel, if it became anything but text.
const TEXTS: [&str; 24] = [
    "<script data-hostile>hostileRan('script')</script>",
    "<img data-hostile src=x onerror=hostileRan('img')>",
    "<svg data-hostile onload=hostileRan('svg')>",
    "<iframe data-hostile srcdoc='<script>parent.hostileRan(1)</script>'></iframe>",
    "<base data-hostile href=//127.0.0.1:9/>",
    "<meta data-hostile http-equiv=refresh content=0;url=javascript:hostileRan('meta')>",
    "\" data-hostile autofocus onfocus=hostileRan('double') x=\"",
    "' data-hostile autofocus onfocus=hostileRan('single') x='",
    "x data-hostile autofocus onfocus=hostileRan('bare')",
    "</title><b data-hostile>title",
    "</textarea><b data-hostile>textarea",
    "</template><b data-hostile>template",
    "</script><script data-hostile>hostileRan('script end')</script>",
    "</style><b data-hostile>style",
    "--><b data-hostile>comment",
    "]]><b data-hostile>section",
    "javascript:hostileRan('url')",
    "data:text/html,<script>hostileRan('data')</script>",
    "&lt;b data-hostile&gt;twice",
    "&#60;b data-hostile&#62;numbers",
    "\\u003cb data-hostile\\u003eescapes",
    "{{constructor.constructor('hostileRan(1)')()}}${hostileRan('template')}",
    "%3Cb%20data-hostile%3Epercent",
    "<b data-hostile hx-get=/ hx-trigger=load hx-on::load=hostileRan('hx')>",
];

/// One for each way out of where a text can be.
pub(super) const ASKED: [&str; 7] = [TEXTS[0], TEXTS[1], TEXTS[6], TEXTS[7], TEXTS[8], TEXTS[12], TEXTS[16]];

/// Who administers it. No hostile name: it stands in a rule.
const ADMINISTRATOR: &str = "administrator";

/// Names of users have no spaces and no colons.
const USERS: [&str; 4] = [
    "<img/data-hostile/src=x/onerror=hostileRan('user')>",
    "\"data-hostile=\"x\"onfocus=\"hostileRan('quoted')\"autofocus=\"",
    "'data-hostile='x'onfocus='hostileRan(1)",
    "</script><script/data-hostile>hostileRan('user')</script>",
];

/// Tags have letters, digits, `_`, `.` and `-`: they can but be long, or mean something to a script.
const TAGS: [&str; 4] = ["__proto__", "constructor", "hasOwnProperty", "_.-"];

/// Where they are.
pub(super) const REPOSITORY: &str = "hostile/box";

/// The registry, and the record of a door before it.
pub(super) struct Hostile {
    registry: Registry,
    guard: Guard,
}

impl Hostile {
    /// Makes it: each text wherever a text can be, by users and clients with such names.
    pub(super) async fn fill() -> Self {
        let (guard, registry) = (Guard::new(), Registry::start().await);
        guard.write_users(&USERS);
        let image = image();
        let door = guard.door(registry.url()).store(guard.path("store.redb"));
        let door = door.set("AUTH__RULES", "[{ who = \"*\", repositories = \"**\", actions = \"*\" }]");
        let past = Past::before(door, guard.path("clock"), registry.url()).await;
        past.play(story(&image)).await;
        past.end().await;
        Self { registry, guard }
    }

    /// A door before it that asks who its callers are, with users whose names want the same, and the name of who administers it.
    pub(super) async fn guarded_door(&self) -> (Door, &'static str) {
        let users: Vec<&str> = USERS.into_iter().chain([ADMINISTRATOR]).collect();
        self.guard.write_users(&users);
        let rules = format!(
            "[{{ who = \"{ADMINISTRATOR}\", repositories = \"**\", actions = [\"*\", \"catalog\", \"admin\"] }}]"
        );
        let door = self.guard.door(self.registry.url()).store(self.guard.path("store.redb"));
        (door.set("AUTH__RULES", rules).start().await, ADMINISTRATOR)
    }

    /// A door before it that lets everybody in, whose pages change what they are asked to.
    pub(super) async fn open_door(&self) -> Door {
        let door = Door::builder(self.registry.url()).store(self.guard.path("store.redb"));
        let door = door.set("PAGES__OPEN_WRITES", "true").start().await;
        sweep_through(&door, true).await;
        door
    }
}

fn story(image: &Image) -> Vec<Moment> {
    let mut story = Vec::new();
    let mut push = |user: &'static str, agent: &'static str, tags: &[&str], image: &Image| {
        let tags = tags.iter().map(ToString::to_string).collect();
        let act = Act::Push { user, agent, repository: REPOSITORY, tags, image: image.clone() };
        // One after the other.
        let ago = HOUR - 10 * story.len() as u64;
        story.push(Moment { ago, act });
    };
    let users = USERS.into_iter().cycle();
    let long = "t".repeat(128);
    push(USERS[0], TEXTS[1], &[&long], image);
    for (tag, user) in TAGS.into_iter().zip(users.clone()) {
        push(user, TEXTS[0], &[tag], image);
    }
    for (number, (text, user)) in TEXTS.into_iter().zip(users).enumerate() {
        let about = artifact(
            Some(image),
            text,
            text,
            text,
            &[(text, text), ("org.opencontainers.image.title", text)],
        );
        push(user, text, &[&about.digest], &about);
        let alone = artifact(
            None,
            text,
            text,
            &format!("alone {text}"),
            &[("org.opencontainers.image.version", text)],
        );
        push(user, text, &[&format!("file-{number}")], &alone);
    }
    push(USERS[1], TEXTS[2], &["index"], &index(image));
    for user in USERS {
        let act = Act::Pull { user, agent: TEXTS[1], repository: REPOSITORY, tag: "constructor" };
        story.push(Moment { ago: 60, act });
    }
    let act = Act::Delete { user: USERS[2], repository: REPOSITORY, tag: "hasOwnProperty" };
    story.push(Moment { ago: 50, act });
    story
}

/// An image of which every text is one of these, and one is very long.
fn image() -> Image {
    let all: Vec<String> = TEXTS.iter().map(ToString::to_string).collect();
    let pairs: Vec<(String, String)> = all.iter().map(|text| (text.clone(), text.clone())).collect();
    let known = [
        "title",
        "description",
        "url",
        "source",
        "documentation",
        "vendor",
        "licenses",
        "version",
        "created",
    ];
    let mut labels: Vec<(String, String)> = known
        .into_iter()
        .zip(TEXTS.into_iter().skip(15))
        .map(|(name, text)| (format!("org.opencontainers.image.{name}"), text.to_owned()))
        .collect();
    labels.push(("long".to_owned(), "W".repeat(900)));
    labels.push(("turned".to_owned(), "\u{202e}<b data-hostile>\u{0}\u{7}\u{1b}[31m\r\n".to_owned()));
    Recipe {
        steps: all.iter().map(|text| (text.clone(), Some(1_000))).collect(),
        architecture: TEXTS[1],
        created: TEXTS[0].to_owned(),
        author: Some(TEXTS[1].to_owned()),
        user: Some(TEXTS[6].to_owned()),
        working_directory: Some(TEXTS[7].to_owned()),
        entry_point: all.clone(),
        command: all.clone(),
        environment: all.iter().map(|text| format!("{text}={text}")).collect(),
        ports: all.clone(),
        labels: labels.iter().cloned().chain(pairs.clone()).collect(),
        annotations: labels.into_iter().chain(pairs).collect(),
    }
    .image()
}

/// An index that has the image for platforms that there are not.
fn index(image: &Image) -> Image {
    let child = |text: &&str| {
        json!({
            "mediaType": image.media_type, "digest": image.digest, "size": image.manifest.len(),
            "platform": {"os": text, "architecture": text, "variant": text, "os.version": text},
            "annotations": {*text: text},
        })
    };
    let media_type = "application/vnd.oci.image.index.v1+json";
    let manifests: Vec<_> = TEXTS.iter().map(child).collect();
    Image::of(
        &json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}),
        media_type,
        Vec::new(),
    )
}
