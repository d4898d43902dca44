//! Events as the API shows them.

use std::net::IpAddr;

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::oci::{Digest, MediaType, RepositoryName, Tag};
use crate::store::{Actor, AuthEvent, Event, EventKind, Sequence, Source};

/// An entry of the history.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct EventItem {
    pub(in crate::web) sequence: Sequence,
    pub(in crate::web) time: Timestamp,
    pub(in crate::web) kind: EventKind,
    pub(in crate::web) source: Source,
    pub(in crate::web) repository: RepositoryName,
    pub(in crate::web) tag: Option<Tag>,
    pub(in crate::web) digest: Option<Digest>,
    /// The digest that the tag had before.
    pub(in crate::web) previous: Option<Digest>,
    pub(in crate::web) media_type: Option<MediaType>,
    pub(in crate::web) actor: ActorItem,
}

/// Who did it. Told to callers who have logged in.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct ActorItem {
    pub(in crate::web) user: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(in crate::web) address: Option<IpAddr>,
    pub(in crate::web) agent: Option<String>,
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
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::web) struct AuthEventItem {
    sequence: Sequence,
    #[serde(flatten)]
    pub(in crate::web) event: AuthEvent,
}

impl From<(Sequence, AuthEvent)> for AuthEventItem {
    fn from((sequence, event): (Sequence, AuthEvent)) -> Self {
        Self { sequence, event }
    }
}
