//! `GET /api/v1/events`: the history, filtered; and `GET /api/v1/events/stream`: the same as it happens.
//!
//! `filter` is what is asked for, `sight` what the caller may see. The list is made by `reading`. Each stream has a `follower`,
//! and all of them have one `feed`.

pub(super) mod feed;
mod filter;
mod follower;
mod item;
mod reading;
mod sight;

use std::str::FromStr;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::de::IntoDeserializer as _;
use serde::{Deserialize as _, Serialize};
use url::form_urlencoded;
use utoipa::ToSchema;

use self::feed::NoPlace;
use self::filter::{EventFilter, EventParameters};
use self::follower::Follower;
pub(super) use self::item::{AuthEventItem, EventItem};
use self::sight::Sight;
use super::access::GATE;
use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::{Continuation, Viewer};
use crate::oci::Access;
use crate::store::{Actor, AuthEventKind, Epoch, EventOrder, PageRequest, Sequence, Store};

/// By which a client says what it has read of a stream that broke off.
const LAST_EVENT_ID: &str = "last-event-id";

/// Describes what is counted here to the exporter.
pub(super) fn describe_metrics() {
    feed::describe_metrics();
}

/// Events, with the epoch in which they were read: a reader that keeps a position keeps it too.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Events {
    #[serde(flatten)]
    pub(super) list: List<EventItem>,
    pub(super) epoch: Epoch,
}

/// Events of the registry, or of the gate.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it describes what two functions answer")]
pub(super) enum EventsAnswer {
    Registry(Events),
    Gate(List<AuthEventItem>),
}

/// `order`.
struct Order(EventOrder);

#[derive(Debug, thiserror::Error)]
#[error("it is `asc` for the oldest first, or `desc` for the newest")]
struct UnknownOrder;

impl FromStr for Order {
    type Err = UnknownOrder;

    fn from_str(text: &str) -> Result<Self, UnknownOrder> {
        match text {
            "asc" => Ok(Self(EventOrder::OldestFirst)),
            "desc" => Ok(Self(EventOrder::NewestFirst)),
            _ => Err(UnknownOrder),
        }
    }
}

/// Lists what happened at the registry, or at the gate with `kind=auth`.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "history",
    params(
        EventParameters,
        ("order" = Option<String>, Query, description = "`asc`, the oldest first, or `desc`."),
        ("what" = Option<AuthEventKind>, Query, description = "With `kind=auth`: those of this kind, the newest first."),
        Paging
    ),
    responses((
        status = 200,
        description = "Events; fewer than asked for, even none, where `next` is not null.",
        body = inline(EventsAnswer)
    ))
)]
pub(super) async fn list_of_kind(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.as_deref();
    let is_of_gate = |(name, value): (_, std::borrow::Cow<'_, str>)| name == "kind" && value == GATE;
    if form_urlencoded::parse(query.unwrap_or_default().as_bytes()).any(is_of_gate) {
        return Ok(list_of_gate(&state, &viewer, query).await?.into_response());
    }
    const KNOWN: [&str; 12] = [
        "repository",
        "tag",
        "digest",
        "user",
        "kind",
        "since",
        "until",
        "order",
        "n",
        "after",
        "epoch",
        "what",
    ];
    let parameters = Parameters::parse(query, &KNOWN)?;
    if parameters.text("what").is_some() {
        let wrong = "it is for `kind=auth` alone";
        return Err(ApiError::InvalidParameter { name: "what", source: wrong.into() });
    }
    Ok(Json(listed(&state, viewer, &parameters).await?).into_response())
}

/// Lists what happened at the gate.
async fn list_of_gate(
    state: &WebState,
    viewer: &Viewer,
    query: Option<&str>,
) -> Result<Json<List<AuthEventItem>>, ApiError> {
    let parameters = Parameters::parse(query, &["kind", "what", "n", "after"])?;
    let WantedOfGate(what) = parameters.optional("what")?.unwrap_or_default();
    Ok(Json(listed_of_gate(state, viewer, &parameters, what).await?))
}

/// What happened at the gate, as the API and the pages show it: of one kind the newest first, of all the oldest.
pub(super) async fn listed_of_gate(
    state: &WebState,
    viewer: &Viewer,
    parameters: &Parameters<'_>,
    what: Option<AuthEventKind>,
) -> Result<List<AuthEventItem>, ApiError> {
    // The door looks at it before; this is what would be told by a mistake there.
    if !viewer.may(&Access::Admin) {
        return Err(ApiError::LoginRequired { what: "the history of the gate" });
    }
    let PageRequest { after, limit } = parameters.page::<u64>()?;
    let page = PageRequest { after: after.map(Sequence::new), limit };
    Ok(List::of(match what {
        Some(kind) => state.store.latest_auth_events(kind, page).await?,
        None => state.store.auth_events(page).await?,
    }))
}

/// `what`, of the history of the gate.
#[derive(Default)]
struct WantedOfGate(Option<AuthEventKind>);

impl FromStr for WantedOfGate {
    type Err = serde::de::value::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        AuthEventKind::deserialize(text.into_deserializer()).map(|kind| Self(Some(kind)))
    }
}

/// The last event that there is: a stream that begins behind it goes on from what is listed afterwards.
pub(super) fn last(state: &WebState) -> Sequence {
    *state.store.last_event().borrow()
}

/// Events of one repository or of all that the caller may pull, as the API and the pages show them. A repository that is gone
/// keeps its history, and one that never was has none: neither is an error. With `epoch`, a position is refused that is not part
/// of this history.
pub(super) async fn listed(
    state: &WebState,
    viewer: Viewer,
    parameters: &Parameters<'_>,
) -> Result<Events, ApiError> {
    let filter = EventFilter::read(parameters, viewer.may_see_actors())?;
    let Order(order) = parameters.optional("order")?.unwrap_or(Order(EventOrder::OldestFirst));
    let PageRequest { after, limit } = parameters.page::<u64>()?;
    let page = PageRequest { after: after.map(Sequence::new), limit };
    check_epoch(&*state.store, parameters, page.after).await?;
    let mut sight = Sight::of(viewer);
    let mut events = reading::read(&*state.store, &filter, &mut sight, order, page).await?;
    if !sight.shows_actors() {
        events.items.iter_mut().for_each(|event| event.actor = Actor::default());
    }
    let list = List::of(events);
    // Looked at after the events: an epoch that began meanwhile continues what they belong to.
    let epoch = state.store.history().await?.epoch;
    Ok(Events { list, epoch })
}

/// Refuses a position that is not part of this history, where it is said from which one it is.
async fn check_epoch(
    store: &dyn Store,
    parameters: &Parameters<'_>,
    after: Option<Sequence>,
) -> Result<(), ApiError> {
    let Some(epoch) = parameters.optional::<Epoch>("epoch")? else { return Ok(()) };
    let position = after.unwrap_or(Sequence::ZERO);
    match store.continues(epoch, position).await? {
        true => Ok(()),
        false => Err(ApiError::HistoryReplaced { position }),
    }
}

/// What a stream begins with.
#[derive(Debug, Serialize)]
struct Greeting {
    /// The epoch that the events belong to.
    epoch: Epoch,
    /// The stream begins behind this event.
    after: Sequence,
}

/// An event of a stream, by its fields (server-sent events).
#[derive(ToSchema)]
#[expect(dead_code, reason = "the follower writes this; this describes it")]
pub(super) struct ServerSentEvent {
    /// The kind of the event; `history` for what a stream begins with.
    event: Option<String>,
    /// Its sequence.
    id: Option<String>,
    /// JSON.
    data: Option<String>,
}

/// Sends events as they are recorded.
#[utoipa::path(
    get, path = "/api/v1/events/stream", tag = "history",
    params(
        EventParameters,
        ("after" = Option<Sequence>, Query, description = "Goes on behind this event."),
        ("Last-Event-ID" = Option<Sequence>, Header, description = "The same, and counts more.")
    ),
    responses((
        status = 200,
        description = "Server-sent events: `id` is an event's `sequence`, `data` the event as the list shows it.",
        content_type = "text/event-stream", body = inline(ServerSentEvent)
    ))
)]
pub(super) async fn stream(
    State(state): State<WebState>,
    viewer: Viewer,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    const KNOWN: [&str; 9] =
        ["repository", "tag", "digest", "user", "kind", "since", "until", "after", "epoch"];
    let parameters = Parameters::parse(query.as_deref(), &KNOWN)?;
    let filter = EventFilter::read(&parameters, viewer.may_see_actors())?;
    let asked = parameters.optional::<u64>("after")?;
    // A browser that comes again asks for the same URL, and says in the header what it has read since.
    let read = headers.get(LAST_EVENT_ID).map(last_event_id).transpose()?;
    let after = read.or(asked).map(Sequence::new);
    check_epoch(&*state.store, &parameters, after).await?;
    let last = *state.store.last_event().borrow();
    let after = match after {
        // Nobody has read what is not there yet.
        Some(position) if position > state.store.sequence().await? => {
            return Err(ApiError::HistoryReplaced { position });
        }
        Some(position) => position,
        // What happened since a time that is given is sent before what happens.
        None if parameters.text("since").is_some() => Sequence::ZERO,
        None => last,
    };
    let caller = Continuation::begin(state.gate.as_ref(), viewer, &headers).await?;
    let place = state.feed.place().map_err(|none| match none {
        NoPlace::Full => ApiError::TooManyStreams,
        NoPlace::Closed => ApiError::Stopping,
    })?;
    let greeting = Greeting { epoch: state.store.history().await?.epoch, after };
    let greeting = serde_json::to_string(&greeting).unwrap_or_default();
    let greeting = Bytes::from(format!("event: history\ndata: {greeting}\n\n"));
    let follower = Follower::new(Arc::clone(&state.feed), place, filter, caller, after, greeting);
    let pieces = stream::unfold(follower, |mut follower| async move {
        let piece = follower.next().await?;
        Some((Ok::<_, std::convert::Infallible>(piece), follower))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // A proxy of nginx would keep it back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// What a client has read.
fn last_event_id(value: &HeaderValue) -> Result<u64, ApiError> {
    let wrong = "it is the `id` of an event";
    let invalid = ApiError::InvalidHeader { name: "Last-Event-ID", wrong };
    value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or(invalid)
}
