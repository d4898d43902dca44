//! `GET /api/v1/events?repository=&n=&after=&epoch=`

use std::net::IpAddr;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use url::form_urlencoded;

use super::error::ApiError;
use super::list::List;
use super::parameters::Parameters;
use super::state::WebState;
use crate::auth::Viewer;
use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::store::{Actor, AuthEvent, Epoch, Event, EventKind, PageRequest, Sequence, Source};

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

/// Who did it. Told to callers who have logged in.
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

/// Something that happened at the gate.
#[derive(Debug, Serialize)]
pub(super) struct AuthEventItem {
    sequence: Sequence,
    #[serde(flatten)]
    event: AuthEvent,
}

impl From<(Sequence, AuthEvent)> for AuthEventItem {
    fn from((sequence, event): (Sequence, AuthEvent)) -> Self {
        Self { sequence, event }
    }
}

/// Events, with the epoch in which they were read: a reader that keeps a position keeps it too.
#[derive(Debug, Serialize)]
pub(super) struct Events {
    #[serde(flatten)]
    list: List<EventItem>,
    epoch: Epoch,
}

/// Lists what happened at the registry, or at the gate with `kind=auth`.
pub(super) async fn list_of_kind(
    state: State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let kind = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let kind = kind.into_iter().find(|(name, _)| name == "kind").map(|(_, value)| value.into_owned());
    match kind.as_deref() {
        None => Ok(list(state, &viewer, RawQuery(query)).await?.into_response()),
        Some("auth") => {
            let parameters = Parameters::parse(query.as_deref(), &["kind", "n", "after"])?;
            let PageRequest { after, limit } = parameters.page::<u64>()?;
            let page = PageRequest { after: after.map(Sequence::new), limit };
            let page = state.store.auth_events(page).await?;
            let list: Json<List<AuthEventItem>> = List::of(page);
            Ok(list.into_response())
        }
        Some(_) => {
            let wrong = "it can only be `auth`; without it the events are the registry's".to_owned();
            Err(ApiError::InvalidParameter { name: "kind", source: wrong.into() })
        }
    }
}

/// Lists events, oldest first, of one repository or of all. A repository that is gone keeps its history, and one that
/// never was has none: neither is an error. With `epoch`, a position is refused that is not part of this history.
async fn list(
    State(state): State<WebState>,
    viewer: &Viewer,
    RawQuery(query): RawQuery,
) -> Result<Json<Events>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["kind", "repository", "n", "after", "epoch"])?;
    let repository: Option<RepositoryName> = parameters.optional("repository")?;
    let PageRequest { after, limit } = parameters.page::<u64>()?;
    let page = PageRequest { after: after.map(Sequence::new), limit };
    if let Some(epoch) = parameters.optional::<Epoch>("epoch")? {
        let position = page.after.unwrap_or(Sequence::ZERO);
        if !state.store.continues(epoch, position).await? {
            return Err(ApiError::HistoryReplaced { position });
        }
    }
    let mut events = state.store.events(repository.as_ref(), page).await?;
    if !viewer.may_see_actors() {
        events.items.iter_mut().for_each(|event| event.actor = Actor::default());
    }
    let Json(list) = List::of(events);
    // Looked at after the events: an epoch that began meanwhile continues what they belong to.
    let epoch = state.store.history().await?.epoch;
    Ok(Json(Events { list, epoch }))
}
