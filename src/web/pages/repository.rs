//! `GET /ui/repository?name=&q=&sort=&order=&after=`: the tags of a repository, those side by side that point to the same; how to
//! pull it; and what moved.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::error::ApiError;
use super::super::manifest_reader::{ManifestReader, WholeSize};
use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::super::tags::{self, TagItem, TagOfRepository};
use super::super::{repositories, repositories::Repository as RepositoryItem};
use super::artifact_kind::ArtifactKind;
use super::deletion::may_delete;
use super::error::PageError;
use super::format::{Number, ShortDigest, Size, SizeOfParts, Time, shortened};
use super::history::{self, About, HistoryRow};
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::pager::Pager;
use super::pull_commands::{Command, pull_commands};
use super::sorted_list::{Declared, DeclaredList, SortedList};
use super::undo::{Undoing, may_undo};
use super::visit::{Visit, rendered};
use crate::oci::{Digest, MediaType, Reference, RepositoryName};

/// How many tags are shown at once.
const ROWS: &str = "50";
/// How many lines of the history.
const MOVES: usize = 8;
/// How many platforms of a tag are named.
const PLATFORMS: usize = 3;
/// How many more are named to those who point at them.
const HINTED: usize = 20;
/// So many characters of one are shown.
const NAME: usize = 60;

const LIST: DeclaredList =
    DeclaredList { path: links::REPOSITORY, columns: &COLUMNS, usual_sort: "pushed_at" };
const COLUMNS: [Declared; 4] = [
    Declared { title: "Tag", sort: "name", is_numeric: false, is_usually_descending: false },
    Declared { title: "Pushed", sort: "pushed_at", is_numeric: false, is_usually_descending: true },
    Declared { title: "Last pull", sort: "last_pull", is_numeric: false, is_usually_descending: true },
    Declared { title: "Size", sort: "size", is_numeric: true, is_usually_descending: true },
];

#[derive(Template)]
#[template(path = "repository.html", config = "src/web/pages/templates/askama.toml")]
struct Repository {
    layout: Layout,
    name: RepositoryName,
    /// The page without a filter.
    page: String,
    host: String,
    summary: Summary,
    list: SortedList,
    groups: Vec<TagGroup>,
    pager: Pager,
    commands: Vec<Command>,
    history: Vec<HistoryRow>,
    /// Where there is more of it.
    activity: String,
    /// Where all of it is deleted, for those who may.
    delete: Option<String>,
    /// Whether tags can be chosen, to be deleted.
    may_choose: bool,
}

/// What is known of the whole repository.
struct Summary {
    tags: Option<Number>,
    manifests: Option<Number>,
    bytes: Option<Size>,
    pulls: Option<Number>,
    last_push: Option<Time>,
    last_pull: Option<Time>,
    /// Whether the registry denies something of it.
    is_held: bool,
}

impl Summary {
    fn new(repository: RepositoryItem, visit: &Visit) -> Self {
        let RepositoryItem { name: _, tags, manifests, bytes, last_push, last_pull, pulls, missing } =
            repository;
        Self {
            tags: tags.map(Number),
            manifests: manifests.map(Number),
            bytes: bytes.map(Size),
            pulls: pulls.map(Number),
            last_push: last_push.map(|time| visit.time(time)),
            last_pull: last_pull.map(|time| visit.time(time)),
            is_held: missing.is_some_and(|missing| !missing.is_none()),
        }
    }
}

/// Tags in a part of the list that point to the same manifest.
struct TagGroup {
    of: Digest,
    /// Whether it has parts, whose bytes count.
    is_index: bool,
    digest: ShortDigest,
    bytes: SizeOfParts,
    platforms: Vec<String>,
    /// Those that are not named, in a few words.
    more_platforms: Option<MorePlatforms>,
    tags: Vec<TagOfGroup>,
}

/// Platforms that are not named.
struct MorePlatforms {
    count: usize,
    names: String,
}

impl MorePlatforms {
    fn new(platforms: &[String]) -> Option<Self> {
        let mut names: Vec<String> =
            platforms.iter().take(HINTED).map(|name| shortened(name, NAME)).collect();
        if platforms.len() > HINTED {
            names.push(format!("and {} more", platforms.len() - HINTED));
        }
        (!platforms.is_empty()).then(|| Self { count: platforms.len(), names: names.join(", ") })
    }
}

/// A tag of a group.
struct TagOfGroup {
    name: String,
    page: String,
    pushed: Option<Time>,
    /// When it was found, where the door did not carry the push.
    found: Option<Time>,
    pushed_by: Option<String>,
    pulls: Number,
    last_pull: Option<Time>,
    /// When somebody last looked what it points to, where that was after the last pull.
    last_seen: Option<Time>,
    is_held: bool,
}

impl TagGroup {
    /// Tags, each beside the first one that points to the same.
    fn group(tags: Vec<TagOfRepository>, repository: &RepositoryName, visit: &Visit) -> Vec<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for TagOfRepository { repository: _, tag } in tags {
            let row = TagOfGroup::new(&tag, repository, visit);
            if let Some(group) = groups.iter_mut().find(|group| group.of == tag.digest) {
                group.tags.push(row);
                continue;
            }
            let TagItem { digest, mut platforms, bytes, media_type, .. } = tag;
            let is_index = matches!(media_type.as_str(), MediaType::OCI_INDEX | MediaType::DOCKER_LIST);
            let more = platforms.split_off(platforms.len().min(PLATFORMS));
            groups.push(Self {
                is_index,
                digest: ShortDigest::of(repository, &digest),
                // What an index itself names is not what its parts do.
                bytes: WholeSize { bytes, is_least: is_index }.into(),
                platforms: platforms.iter().map(|name| shortened(name, NAME)).collect(),
                more_platforms: MorePlatforms::new(&more),
                tags: vec![row],
                of: digest,
            });
        }
        groups
    }
}

impl TagOfGroup {
    fn new(tag: &TagItem, repository: &RepositoryName, visit: &Visit) -> Self {
        Self {
            name: tag.tag.to_string(),
            page: links::tag(repository, &tag.tag),
            pushed: tag.pushed_at.map(|time| visit.time(time)),
            found: tag.found_at.map(|time| visit.time(time)),
            pushed_by: tag.pushed_by.clone(),
            pulls: Number(tag.pulls),
            last_pull: tag.last_pull.map(|time| visit.time(time)),
            last_seen: tag.seen_since_pull().map(|time| visit.time(time)),
            is_held: tag.missing_since.is_some(),
        }
    }
}

/// Shows a repository.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let known = &["name", "q", "sort", "order", "after"];
    let parameters = Parameters::parse(Some(&visit.query), known)?;
    let name: RepositoryName = parameters.required("name")?;
    let list = SortedList::read(&LIST, &parameters, &["name"]);
    let asked = list.asked(ROWS).or("sort", LIST.usual_sort);
    let summary = repositories::one(&state, &visit.viewer, &name).await?;
    let found = tags::sorted(&state, &visit.viewer, Some(name.clone()), &asked).await?;
    let newest = found.items.first().map(|TagOfRepository { tag, .. }| (tag.tag.clone(), tag.digest.clone()));
    let mut groups = TagGroup::group(found.items, &name, &visit);
    // Until the page is written: its history looks at manifests, too.
    let mut reader = ManifestReader::wait(&state).await?;
    for group in groups.iter_mut().filter(|group| group.is_index) {
        if let Some(size) = reader.size_of(&name, &group.of).await? {
            group.bytes = size.into();
        }
    }
    let mut commands = Vec::new();
    if let Some((tag, digest)) = newest {
        let item = ApiError::nothing_if_unknown(reader.one(&name, Reference::Digest(digest)).await)?;
        let kind = item.map_or(ArtifactKind::Image, |item| ArtifactKind::of(&item.record.document));
        commands = pull_commands(visit.host(), &name, &Reference::Tag(tag), kind);
    }
    let events = history::newest(&state, &visit, About::Repository(&name)).await?;
    let undoing = match may_undo(&visit, "name") {
        true => Undoing::Newest,
        false => Undoing::None,
    };
    let history = history::rows(&state, &visit, &events, MOVES, undoing).await?;
    rendered(&Repository {
        layout: visit.layout(Section::Repositories, name.as_str()),
        page: links::repository(&name),
        host: visit.host().to_owned(),
        summary: Summary::new(summary, &visit),
        groups,
        pager: list.pager(found.next),
        commands,
        history,
        activity: links::activity(&name),
        may_choose: may_delete(&visit, "/api/v1/tags", "name"),
        delete: may_delete(&visit, "/api/v1/repositories", "name").then(|| links::delete(&name, None)),
        list,
        name,
    })
}
