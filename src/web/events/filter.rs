//! Which events are wanted: what the list and the stream take of the query.

use std::str::FromStr;

use utoipa::IntoParams;

use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{Epoch, Event, EventKind, EventOrder, EventRange, Sequence, TimeSpan, UnknownEventKind};
use crate::web::error::ApiError;
use crate::web::parameters::Parameters;

/// Which events are wanted, as the query says it.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read from the query; this describes it")]
pub(super) struct EventParameters {
    /// Of this repository.
    repository: Option<RepositoryName>,
    /// About this tag.
    tag: Option<Tag>,
    /// About this manifest, also as what a tag pointed to when it was deleted.
    digest: Option<Digest>,
    /// Of this user; for callers who have logged in.
    user: Option<String>,
    /// Of these kinds, with commas between them.
    kind: Option<String>,
    /// From this time on.
    since: Option<Timestamp>,
    /// Before this time.
    until: Option<Timestamp>,
    /// The epoch in which the position was read: one that is no part of this history is answered 409.
    epoch: Option<Epoch>,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct EventFilter {
    repository: Option<RepositoryName>,
    tag: Option<Tag>,
    digest: Option<Digest>,
    user: Option<String>,
    kinds: Option<Kinds>,
    times: TimeSpan,
}

/// Kinds of events, with commas between them.
#[derive(Clone, Debug)]
struct Kinds(Vec<EventKind>);

impl FromStr for Kinds {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownEventKind> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl EventFilter {
    /// Reads it. `may_see_actors` says whether the caller may know who did something: to ask for that is to know it.
    ///
    /// # Errors
    /// When a parameter is wrong, or the caller has to log in for it.
    pub(super) fn read(parameters: &Parameters<'_>, may_see_actors: bool) -> Result<Self, ApiError> {
        let user = parameters.text("user").map(str::to_owned);
        if user.is_some() && !may_see_actors {
            return Err(ApiError::LoginRequired { what: "the parameter `user`" });
        }
        let (since, until) =
            (parameters.optional::<Timestamp>("since")?, parameters.optional::<Timestamp>("until")?);
        Ok(Self {
            repository: parameters.optional("repository")?,
            tag: parameters.optional("tag")?,
            digest: parameters.optional("digest")?,
            user,
            kinds: parameters.optional("kind")?,
            times: TimeSpan { since, until },
        })
    }

    /// Whether every event of the range is wanted.
    pub(super) const fn takes_all(&self) -> bool {
        self.tag.is_none() && self.digest.is_none() && self.user.is_none() && self.kinds.is_none()
    }

    /// Whether every event there is is wanted.
    pub(super) const fn is_empty(&self) -> bool {
        self.takes_all() && self.repository.is_none() && self.times.is_unbounded()
    }

    /// The part of the history that has them.
    pub(super) fn range(&self, order: EventOrder, after: Option<Sequence>, rows: usize) -> EventRange {
        EventRange { repository: self.repository.clone(), order, after, times: self.times, rows }
    }

    /// Whether this event is wanted.
    pub(super) fn takes(&self, event: &Event) -> bool {
        self.repository.as_ref().is_none_or(|name| event.repository == *name)
            && self.tag.as_ref().is_none_or(|tag| event.tag.as_ref() == Some(tag))
            && self.digest.as_ref().is_none_or(|digest| event.digest.as_ref() == Some(digest))
            && self.user.as_ref().is_none_or(|user| event.actor.user.as_ref() == Some(user))
            && self.kinds.as_ref().is_none_or(|Kinds(kinds)| kinds.contains(&event.kind))
            && self.times.contains(event.time)
    }
}
