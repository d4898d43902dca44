//! `GET /ui/manifest?repository=`, with `tag=` or `digest=`: what it is, how it is pulled, what it is made of, what refers to it,
//! and what became of its tag. What was deleted has its page, too: it says by whom, and brings back.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::deletions;
use super::super::error::ApiError;
use super::super::events::EventItem;
use super::super::manifest_item::ManifestItem;
use super::super::manifest_reader::ManifestReader;
use super::super::parameters::Parameters;
use super::super::repositories;
use super::super::state::WebState;
use super::super::tags::{self, TagItem};
use super::artifact_kind::ArtifactKind;
use super::deletion::may_delete;
use super::error::PageError;
use super::format::{Number, ShortDigest, Size, SizeOfParts, Time, shortened};
use super::history::{self, About, HistoryRow, Linked};
use super::icon::Icon;
use super::image::Image;
use super::layers::{Layers, Other};
use super::layout::{Layout, Section};
use super::links;
use super::parts::Part;
use super::pull_commands::{Command, pull_commands};
use super::raw_json::RawJson;
use super::referrers::{self, ReferrerRow};
use super::texts::Texts;
use super::undo::{Undo, Undoing, bring_back, may_undo};
use super::visit::{Visit, rendered};
use super::wrapping::Wrapping;
use crate::oci::{Descriptor, Digest, ManifestKind, Reference, RepositoryName, Tag};
use crate::store::EventKind;

/// So many lines of a tag's history.
const MOVES: usize = 15;
/// So many characters of a type are shown.
const TYPE: usize = 200;
/// So many tags, parts and referrers are shown.
const MOST: usize = 100;

#[derive(Template)]
#[template(path = "manifest.html", config = "src/web/pages/templates/askama.toml")]
struct Manifest {
    layout: Layout,
    repository: Linked,
    /// The tag, or nothing for a manifest by its digest.
    tag: Option<String>,
    digest: ShortDigest,
    kind: ArtifactKind,
    media_type: String,
    /// What it says it is, where that is more than its media type.
    artifact_type: Option<String>,
    /// Of the document itself.
    size: Size,
    /// With the blobs that it names.
    bytes: SizeOfParts,
    pushed: Option<Time>,
    pushed_by: Option<String>,
    found: Option<Time>,
    last_pull: Option<Time>,
    last_seen: Option<Time>,
    pulls: Option<Number>,
    is_held: bool,
    was_restored: bool,
    tags: Vec<Linked>,
    more_tags: Number,
    commands: Vec<Command>,
    subject: Option<ShortDigest>,
    parts: Vec<Part>,
    more_parts: Number,
    layers: Option<Layers>,
    image: Option<Image>,
    /// Whether an image's configuration is not read yet.
    is_unread: bool,
    annotations: Texts,
    referrers: Vec<ReferrerRow>,
    has_more_referrers: bool,
    history: Vec<HistoryRow>,
    activity: String,
    raw: Option<RawJson>,
    reference: String,
    host: String,
    /// The page that compares it with what was there before.
    compare: Option<Linked>,
    /// Whether the repository has no other manifest to compare it with.
    is_alone: bool,
    delete_tag: Option<String>,
    delete_manifest: Option<String>,
}

#[derive(Template)]
#[template(path = "deleted.html", config = "src/web/pages/templates/askama.toml")]
struct Deleted {
    layout: Layout,
    repository: Linked,
    name: String,
    /// What brings it back, where no line of the history does.
    undo: Option<Undo>,
    history: Vec<HistoryRow>,
    activity: String,
}

/// What the page is about.
struct Subject {
    repository: RepositoryName,
    reference: Reference,
    was_restored: bool,
}

impl Subject {
    fn read(query: &str) -> Result<Self, ApiError> {
        let parameters = Parameters::parse(Some(query), &["repository", "tag", "digest", "done"])?;
        let repository = parameters.required("repository")?;
        let reference = match (parameters.optional::<Tag>("tag")?, parameters.optional::<Digest>("digest")?) {
            (Some(tag), None) => Reference::Tag(tag),
            (None, Some(digest)) => Reference::Digest(digest),
            (None, None) => return Err(ApiError::MissingParameter { name: "digest" }),
            (Some(_), Some(_)) => {
                let wrong = "a manifest is named by its `digest` or by a `tag`, not by both".into();
                return Err(ApiError::InvalidParameter { name: "tag", source: wrong });
            }
        };
        Ok(Self { repository, reference, was_restored: parameters.text("done") == Some("restored") })
    }

    fn name(&self) -> String {
        match &self.reference {
            Reference::Tag(tag) => format!("{}:{tag}", self.repository),
            Reference::Digest(digest) => format!("{}@{digest}", self.repository),
        }
    }

    fn repository_link(&self) -> Linked {
        Linked { name: self.repository.to_string(), page: links::repository(&self.repository) }
    }
}

/// Shows a manifest.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let subject = Subject::read(&visit.query)?;
    let mut reader = ManifestReader::wait(&state).await?;
    let item = match reader.one(&subject.repository, subject.reference.clone()).await {
        Ok(item) => item,
        Err(
            error @ (ApiError::TagUnknown { .. }
            | ApiError::ManifestUnknown { .. }
            | ApiError::RepositoryUnknown(_)),
        ) => return deleted(&state, &visit, subject, error).await,
        Err(error) => return Err(error.into()),
    };
    rendered(&page(&state, &visit, &mut reader, subject, item).await?)
}

/// The page of what the history tells of, and what is not there.
async fn deleted(
    state: &WebState,
    visit: &Visit,
    subject: Subject,
    error: ApiError,
) -> Result<Response, PageError> {
    let repository = &subject.repository;
    let about = match &subject.reference {
        Reference::Tag(tag) => About::Tag(repository, tag),
        Reference::Digest(digest) => About::Manifest(repository, digest),
    };
    let events = history::newest(state, visit, about).await?;
    // What the tag pointed to, or the manifest itself: old events are not looked at, and what went with its repository is told of by
    // that alone.
    let last = match &subject.reference {
        Reference::Tag(_) => events.iter().find_map(|event| event.digest.clone()),
        Reference::Digest(digest) => Some(digest.clone()),
    };
    let is_known = match &last {
        Some(last) => deletions::is_known(state, repository, last).await?,
        None => false,
    };
    if events.is_empty() && !is_known {
        return Err(error.into());
    }
    let may_undo = may_undo(visit, "repository");
    let undoing = if may_undo { Undoing::Newest } else { Undoing::None };
    let history = history::rows(state, visit, &events, MOVES, undoing).await?;
    let is_offered = history.iter().any(|row| row.undo.is_some());
    let name = subject.name();
    rendered(&Deleted {
        layout: visit.layout(Section::Repositories, &format!("{name} is deleted")),
        undo: (may_undo && is_known && !is_offered).then(|| bring_back(repository, &subject.reference)),
        history,
        activity: links::activity(repository),
        repository: subject.repository_link(),
        name,
    })
}

async fn page(
    state: &WebState,
    visit: &Visit,
    reader: &mut ManifestReader<'_>,
    subject: Subject,
    item: ManifestItem,
) -> Result<Manifest, ApiError> {
    let Subject { repository, reference, was_restored } = &subject;
    let ManifestItem { record, referrers: referring } = item;
    let document = &record.document;
    let kind = ArtifactKind::of(document);
    // What has a name has a past; what has several is followed by the first.
    let followed = match reference {
        Reference::Tag(tag) => Some(tag.clone()),
        Reference::Digest(_) => record.tags.first().cloned(),
    };
    let events = match &followed {
        Some(tag) => history::newest(state, visit, About::Tag(repository, tag)).await?,
        None => Vec::new(),
    };
    let tag = match &followed {
        Some(tag) => ApiError::nothing_if_unknown(tags::one(state, &visit.viewer, repository, tag).await)?,
        None => None,
    };
    let before = before(state, visit, repository, &record.digest, tag.as_ref(), &events).await?;
    // It may be gone.
    let before = match before {
        Some((name, digest)) => {
            let found = reader.one(repository, Reference::Digest(digest)).await;
            ApiError::nothing_if_unknown(found)?.map(|found| (name, found.record))
        }
        None => None,
    };
    let compare = before.as_ref().map(|(name, record)| Linked {
        name: name.clone(),
        page: links::compare(repository, &Reference::Digest(record.digest.clone()), reference),
    });
    let other = before.filter(|_| kind == ArtifactKind::Image).map(|(name, record)| Other {
        name,
        page: links::digest(repository, &record.digest),
        layers: record.document.layers.into_iter().map(|layer| layer.digest).collect(),
    });
    let is_alone = repositories::one(state, &visit.viewer, repository).await?.manifests == Some(1);
    let layers = Layers::new(&document.layers, record.image.as_ref(), other.as_ref());
    let raw = reader.content(repository, &record.digest).await?;
    let mut rows = referrers::named_by_tags(state, visit, repository, &record.digest).await?;
    let has_more_referrers = referring.as_ref().is_some_and(|referring| referring.next.is_some());
    let referring = referring.map(|referring| referring.first).unwrap_or_default();
    rows.extend(referring.into_iter().map(|referrer| ReferrerRow::new(referrer, repository)));
    let sizes = reader.sizes(repository, document).await?;
    let part = |child: &Descriptor| Part::new(child, repository, sizes.parts.get(&child.digest).copied());
    let parts = document.children.iter().take(MOST).map(part).collect();
    let is_tag = matches!(reference, Reference::Tag(_));
    let own = tag.as_ref().filter(|_| is_tag);
    let undoing = match may_undo(visit, "repository") && is_tag {
        true => Undoing::All,
        false => Undoing::None,
    };
    let tags: Vec<&Tag> =
        record.tags.iter().filter(|tag| *reference != Reference::Tag((*tag).clone())).collect();
    let linked = |tag: &&Tag| Linked { name: tag.to_string(), page: links::tag(repository, tag) };
    let by_digest = Reference::Digest(record.digest.clone());
    let delete = |route, named: &Reference| {
        may_delete(visit, route, "repository").then(|| links::delete(repository, Some(named)))
    };
    Ok(Manifest {
        layout: visit.layout(Section::Repositories, &subject.name()),
        tag: match reference {
            Reference::Tag(tag) => Some(tag.to_string()),
            Reference::Digest(_) => None,
        },
        digest: ShortDigest::of(repository, &record.digest),
        kind,
        media_type: shortened(document.media_type.as_str(), TYPE),
        artifact_type: document
            .artifact_type
            .as_ref()
            .filter(|it| !kind.is_image() && **it != document.media_type)
            .map(|it| shortened(it.as_str(), TYPE)),
        size: Size(document.size),
        bytes: sizes.whole.into(),
        pushed: own.and_then(|tag| tag.pushed_at).or(record.pushed_at).map(|time| visit.time(time)),
        pushed_by: own.and_then(|tag| tag.pushed_by.clone()),
        found: own.and_then(|tag| tag.found_at).or(record.found_at).map(|time| visit.time(time)),
        last_pull: own.and_then(|tag| tag.last_pull).map(|time| visit.time(time)),
        last_seen: own.and_then(TagItem::seen_since_pull).map(|time| visit.time(time)),
        pulls: own.map(|tag| Number(tag.pulls)),
        is_held: record.missing.is_some() || own.is_some_and(|tag| tag.missing_since.is_some()),
        was_restored: *was_restored,
        more_tags: Number(u64::try_from(tags.len().saturating_sub(MOST)).unwrap_or(u64::MAX)),
        tags: tags.iter().take(MOST).map(linked).collect(),
        commands: pull_commands(visit.host(), repository, reference, kind),
        subject: document.subject.as_ref().map(|subject| ShortDigest::of(repository, &subject.digest)),
        more_parts: Number(document.children.len().saturating_sub(MOST) as u64),
        parts,
        is_unread: kind == ArtifactKind::Image
            && document.kind == ManifestKind::Image
            && record.image.is_none(),
        image: record.image.as_ref().map(|image| Image::new(image, visit)),
        annotations: Texts::from(&document.annotations),
        referrers: rows,
        has_more_referrers,
        history: history::rows(state, visit, &events, MOVES, undoing).await?,
        activity: links::activity(repository),
        raw: raw.map(|raw| RawJson::new(&raw.bytes)),
        reference: reference.to_string(),
        host: visit.host().to_owned(),
        compare,
        is_alone,
        delete_tag: if is_tag { delete("/api/v1/tags", reference) } else { None },
        delete_manifest: delete("/api/v1/manifests", &by_digest),
        layers,
        repository: subject.repository_link(),
    })
}

/// What was there before: what the tag pointed to, else what was pushed to the repository before this, with its name.
async fn before(
    state: &WebState,
    visit: &Visit,
    repository: &RepositoryName,
    digest: &Digest,
    tag: Option<&TagItem>,
    events: &[EventItem],
) -> Result<Option<(String, Digest)>, ApiError> {
    let moved = events.iter().find(|event| {
        event.kind == EventKind::ManifestPut
            && event.digest.as_ref() == Some(digest)
            && event.previous.is_some()
    });
    if let Some((event, previous)) = moved.and_then(|event| Some((event, event.previous.clone()?))) {
        let tag = event.tag.as_ref().map_or("it", Tag::as_str);
        return Ok(Some((format!("what {tag} was before"), previous)));
    }
    let Some(pushed_at) = tag.and_then(|tag| tag.pushed_at) else { return Ok(None) };
    let time = pushed_at.to_string();
    let asked = Parameters::default()
        .or("sort", "pushed_at")
        .or("order", "desc")
        .or("pushed_before", &time)
        .or("n", "10");
    let list = tags::sorted(state, &visit.viewer, Some(repository.clone()), &asked).await?;
    let media_type = tag.map(|tag| &tag.media_type);
    let found = list
        .items
        .into_iter()
        .find(|item| item.tag.digest != *digest && Some(&item.tag.media_type) == media_type);
    Ok(found.map(|item| (item.tag.tag.to_string(), item.tag.digest)))
}
