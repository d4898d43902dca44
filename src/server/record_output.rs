//! What the record says, in tables for readers. Text of clients (annotations, agents) is shown without control characters: a
//! terminal would obey them.

mod cells;

use std::collections::BTreeMap;
use std::io::{self, Write};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Deserialize;

use self::cells::{number, plain, right, short, size, table, time, trimmed};
use crate::clock::Timestamp;
use crate::oci::{Descriptor, Digest, MediaType, RepositoryName, Tag};
use crate::store::{EventKind, Source};

#[derive(Deserialize)]
pub(super) struct RepositoryShown {
    name: RepositoryName,
    tags: Option<u64>,
    manifests: Option<u64>,
    bytes: Option<u64>,
    last_push: Option<Timestamp>,
    last_pull: Option<Timestamp>,
    pulls: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct NamespaceShown {
    namespace: String,
    repositories: u64,
    tags: u64,
    manifests: u64,
    bytes: u64,
    last_push: Option<Timestamp>,
    last_pull: Option<Timestamp>,
    pulls: u64,
}

#[derive(Deserialize)]
pub(super) struct TagShown {
    tag: Tag,
    digest: Digest,
    bytes: u64,
    #[serde(default)]
    platforms: Vec<String>,
    pushed_at: Option<Timestamp>,
    pushed_by: Option<String>,
    last_pull: Option<Timestamp>,
    pulls: u64,
}

#[derive(Deserialize)]
pub(super) struct EventShown {
    time: Timestamp,
    repository: RepositoryName,
    kind: EventKind,
    source: Source,
    tag: Option<Tag>,
    digest: Option<Digest>,
    previous: Option<Digest>,
    actor: ActorShown,
}

/// What a search finds.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum FoundShown {
    Repository(RepositoryShown),
    Tag {
        repository: RepositoryName,
        #[serde(flatten)]
        tag: TagShown,
    },
}

#[derive(Deserialize)]
pub(super) struct StatisticsShown {
    totals: TotalsShown,
    days: Vec<DayShown>,
    largest_blobs: Vec<BlobShown>,
    health: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct TotalsShown {
    repositories: u64,
    tags: u64,
    manifests: u64,
    bytes: u64,
}

#[derive(Deserialize)]
struct DayShown {
    day: String,
    pushes: u64,
    pulls: u64,
    deletions: u64,
    #[serde(flatten)]
    totals: TotalsShown,
}

#[derive(Deserialize)]
struct BlobShown {
    digest: Digest,
    size: u64,
    repository: RepositoryName,
    manifests: u64,
}

#[derive(Deserialize)]
struct ActorShown {
    user: Option<String>,
    address: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct ManifestShown {
    digest: Digest,
    media_type: MediaType,
    size: u64,
    artifact_type: Option<MediaType>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    #[serde(default)]
    children: Vec<Descriptor>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    tags: Vec<Tag>,
    #[serde(default)]
    referrers: Vec<ReferrerShown>,
    pushed_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ReferrerShown {
    digest: Digest,
    artifact_type: Option<MediaType>,
    size: u64,
}

/// The repositories.
pub(super) fn repositories(items: &[RepositoryShown], is_terminal: bool) -> String {
    let mut table = table(&["REPOSITORY", "TAGS", "MANIFESTS", "SIZE", "PUSHED", "PULLED", "PULLS"]);
    for item in items {
        table.add_row([
            item.name.to_string(),
            number(item.tags),
            number(item.manifests),
            item.bytes.map_or_else(String::new, size),
            time(item.last_push, is_terminal),
            time(item.last_pull, is_terminal),
            number(item.pulls),
        ]);
    }
    right(table, &[1, 2, 3, 6])
}

/// What namespaces hold. That of the names of one part alone has no name.
pub(super) fn namespaces(items: &[NamespaceShown], is_terminal: bool) -> String {
    let mut table =
        table(&["NAMESPACE", "REPOSITORIES", "TAGS", "MANIFESTS", "SIZE", "PUSHED", "PULLED", "PULLS"]);
    for item in items {
        table.add_row([
            if item.namespace.is_empty() { "-".to_owned() } else { plain(&item.namespace) },
            item.repositories.to_string(),
            item.tags.to_string(),
            item.manifests.to_string(),
            size(item.bytes),
            time(item.last_push, is_terminal),
            time(item.last_pull, is_terminal),
            item.pulls.to_string(),
        ]);
    }
    right(table, &[1, 2, 3, 4, 7])
}

/// The tags of a repository.
pub(super) fn tags(items: &[TagShown], is_terminal: bool) -> String {
    let mut table = table(&["TAG", "DIGEST", "SIZE", "PLATFORMS", "PUSHED", "BY", "PULLED", "PULLS"]);
    for item in items {
        table.add_row([
            item.tag.to_string(),
            short(&item.digest),
            size(item.bytes),
            plain(&item.platforms.join(", ")),
            time(item.pushed_at, is_terminal),
            plain(item.pushed_by.as_deref().unwrap_or_default()),
            time(item.last_pull, is_terminal),
            item.pulls.to_string(),
        ]);
    }
    right(table, &[2, 7])
}

/// What happened.
pub(super) fn events(items: &[EventShown], is_terminal: bool) -> String {
    let mut table = table(&["TIME", "WHAT", "TAG", "DIGEST", "BEFORE", "BY", "FROM", "LEARNT"]);
    for item in items {
        let digest = |digest: &Option<Digest>| digest.as_ref().map_or_else(String::new, short);
        table.add_row([
            time(Some(item.time), is_terminal),
            kind(item.kind).to_owned(),
            item.tag.as_ref().map_or_else(String::new, ToString::to_string),
            digest(&item.digest),
            digest(&item.previous),
            plain(item.actor.user.as_deref().unwrap_or_default()),
            plain(item.actor.address.as_deref().unwrap_or_default()),
            item.source.as_str().to_owned(),
        ]);
    }
    right(table, &[])
}

/// One event, with its repository, as a line of its own.
pub(super) fn event_line(event: &EventShown) -> String {
    let EventShown { time, repository, kind: what, source, tag, digest, previous: _, actor } = event;
    let tag = tag.as_ref().map_or_else(String::new, |tag| format!(":{tag}"));
    let digest = digest.as_ref().map_or_else(String::new, short);
    let by = actor.user.as_deref().or(actor.address.as_deref()).unwrap_or("-");
    format!("{time}  {:<16} {repository}{tag}  {digest}  {}  {}", kind(*what), plain(by), source.as_str())
}

/// What was found: repositories and tags.
pub(super) fn found(items: &[FoundShown], is_terminal: bool) -> String {
    let mut table = table(&["NAME", "DIGEST", "SIZE", "PUSHED", "BY", "PULLED"]);
    for item in items {
        table.add_row(match item {
            FoundShown::Repository(found) => [
                found.name.to_string(),
                String::new(),
                found.bytes.map_or_else(String::new, size),
                time(found.last_push, is_terminal),
                String::new(),
                time(found.last_pull, is_terminal),
            ],
            FoundShown::Tag { repository, tag } => [
                format!("{repository}:{}", tag.tag),
                short(&tag.digest),
                size(tag.bytes),
                time(tag.pushed_at, is_terminal),
                plain(tag.pushed_by.as_deref().unwrap_or_default()),
                time(tag.last_pull, is_terminal),
            ],
        });
    }
    right(table, &[2])
}

/// How much there is, what happened on each day, what takes the most room, and what is wrong.
pub(super) fn statistics(shown: &StatisticsShown, out: &mut dyn Write) -> io::Result<()> {
    let mut days =
        table(&["DAY", "PUSHES", "PULLS", "DELETIONS", "REPOSITORIES", "TAGS", "MANIFESTS", "SIZE"]);
    let totals = |totals: &TotalsShown| {
        [
            totals.repositories.to_string(),
            totals.tags.to_string(),
            totals.manifests.to_string(),
            size(totals.bytes),
        ]
    };
    let [repositories, tags, manifests, bytes] = totals(&shown.totals);
    days.add_row(["now", "", "", ""].map(str::to_owned).into_iter().chain([
        repositories,
        tags,
        manifests,
        bytes,
    ]));
    for day in &shown.days {
        let counts = [day.pushes, day.pulls, day.deletions].map(|count| count.to_string());
        days.add_row([day.day.clone()].into_iter().chain(counts).chain(totals(&day.totals)));
    }
    writeln!(out, "{}", right(days, &[1, 2, 3, 4, 5, 6, 7]))?;
    if !shown.largest_blobs.is_empty() {
        let mut blobs = table(&["LARGEST BLOB", "SIZE", "REPOSITORY", "MANIFESTS"]);
        for BlobShown { digest, size: bytes, repository, manifests } in &shown.largest_blobs {
            blobs.add_row([digest.to_string(), size(*bytes), repository.to_string(), manifests.to_string()]);
        }
        writeln!(out, "\n{}", right(blobs, &[1, 3]))?;
    }
    let wrong: Vec<String> = shown
        .health
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{kind}: {count}"))
        .collect();
    if !wrong.is_empty() {
        writeln!(out, "\nWhat is wrong, or may be: {}", wrong.join(", "))?;
    }
    Ok(())
}

/// A manifest.
pub(super) fn manifest(shown: &ManifestShown, is_terminal: bool, out: &mut dyn Write) -> io::Result<()> {
    let mut facts = Table::new();
    facts.load_style(NOTHING);
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            facts.add_row([name.to_owned(), value]);
        }
    };
    let names: Vec<&str> = shown.tags.iter().map(Tag::as_str).collect();
    fact("Digest", shown.digest.to_string());
    fact("Type", plain(shown.media_type.as_str()));
    fact("Artifact", plain(shown.artifact_type.as_ref().map_or("", MediaType::as_str)));
    fact("Tags", names.join(", "));
    fact("Pushed", time(shown.pushed_at, is_terminal));
    fact("Size", size(shown.size + shown.layers.iter().map(|layer| layer.size).sum::<u64>()));
    fact("Subject", shown.subject.as_ref().map_or_else(String::new, |subject| subject.digest.to_string()));
    for (name, value) in &shown.annotations {
        fact("Annotation", plain(&format!("{name}={value}")));
    }
    writeln!(out, "{}", trimmed(&facts))?;
    let parts = |descriptors: &[Descriptor], heading: &str| {
        let mut table = table(&[heading, "SIZE", "TYPE", "PLATFORM"]);
        for part in descriptors {
            let platform = part.platform.as_ref();
            table.add_row([
                part.digest.to_string(),
                size(part.size),
                plain(part.media_type.as_str()),
                platform.map_or_else(String::new, |platform| {
                    plain(&format!("{}/{}", platform.os, platform.architecture))
                }),
            ]);
        }
        right(table, &[1])
    };
    if !shown.layers.is_empty() {
        writeln!(out, "\n{}", parts(&shown.layers, "LAYER"))?;
    }
    if !shown.children.is_empty() {
        writeln!(out, "\n{}", parts(&shown.children, "MANIFEST"))?;
    }
    if !shown.referrers.is_empty() {
        let mut table = table(&["REFERRER", "SIZE", "ARTIFACT"]);
        for referrer in &shown.referrers {
            let artifact = referrer.artifact_type.as_ref().map_or("", MediaType::as_str);
            table.add_row([referrer.digest.to_string(), size(referrer.size), plain(artifact)]);
        }
        writeln!(out, "\n{}", right(table, &[1]))?;
    }
    Ok(())
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::ManifestPut => "pushed",
        EventKind::TagRestored => "tag is back",
        EventKind::TagDeleted => "tag deleted",
        EventKind::ManifestDeleted => "deleted",
        EventKind::RepositoryFound => "repository found",
        EventKind::RepositoryGone => "repository gone",
    }
}
