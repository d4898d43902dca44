//! `GET /api/v1/events?repository=&n=&after=`

use std::net::IpAddr;

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;

use super::WebState;
use super::error::ApiError;
use super::list::List;
use super::parameters::Parameters;
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::store::{Actor, Event, EventKind, PageRequest, Sequence, Source};

/// An entry of the history.
#[derive(Debug, Serialize)]
pub(super) struct EventItem {
    sequence: Sequence,
    time: Timestamp,
    kind: EventKind,
    source: Source,
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<Digest>,
    /// The digest that the tag had before.
    previous: Option<Digest>,
    media_type: Option<MediaType>,
    actor: ActorItem,
}

/// Who did it.
#[derive(Debug, Serialize)]
struct ActorItem {
    user: Option<String>,
    address: Option<IpAddr>,
    agent: Option<String>,
}

impl From<Event> for EventItem {
    fn from(event: Event) -> Self {
        let Event { sequence, time, kind, source, repository, tag, digest, previous, media_type, actor } =
            event;
        let Actor { user, address, agent } = actor;
        let actor = ActorItem { user, address, agent };
        Self { sequence, time, kind, source, repository, tag, digest, previous, media_type, actor }
    }
}

/// Lists events, oldest first, of one repository or of all. A repository that is gone keeps its history, and one that
/// never was has none: neither is an error.
pub(super) async fn list(
    State(state): State<WebState>,
    RawQuery(query): RawQuery,
) -> Result<Json<List<EventItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["repository", "n", "after"])?;
    let repository: Option<RepositoryName> = parameters.optional("repository")?;
    let PageRequest { after, limit } = parameters.page::<u64>()?;
    let page = PageRequest { after: after.map(Sequence::new), limit };
    Ok(List::of(state.store.events(repository.as_ref(), page).await?))
}
