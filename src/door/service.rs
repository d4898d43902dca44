//! What the door does with a request: reading its first line, answering what it answers itself, and the last changes to
//! every response. `hooks.rs` calls it where pingora lets it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use ipnet::IpNet;
use pingora_core::{Error, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio_util::task::TaskTracker;

use super::body_memory::{BodyMemory, Reservation};
use super::context::Context;
use super::fair_queue::FairQueue;
use super::inbound::{Arrival, Inbound};
use super::own_paths::OwnPaths;
use super::public_address::PublicAddress;
use super::request_id::{self, RequestIds};
use super::request_limiter::{InFlight, RequestLimiter};
use super::request_metrics::{FinishedRequest, RequestMetrics};
use super::respond::LocalAnswer;
use super::upstream_connection::UpstreamConnections;
use super::url_rewriting::UrlRewriter;
use super::{
    AnswerOrigin, CatalogScope, Client, Exchange, ExchangeOutcome, Flow, Limits, Pipeline, Refusal, Response,
    ResponseHead, Target, body, bridge, normalization, respond,
};
use crate::auth::{TargetSeal, Viewer};
use crate::oci::route::with_plain_colon;
use crate::oci::{ErrorCode, MAXIMUM_MANIFEST_BYTES, Manifest, MediaType, Reference, Route};
use crate::registry::Backends;
use crate::sync::ManifestWrite;
use crate::telemetry::AccessNote;

/// The door's logic, as pingora calls it. Cheap to clone: each worker thread has one.
#[derive(Clone)]
pub struct Service {
    pub(super) pipeline: Arc<Pipeline>,
    own: OwnPaths,
    pub(super) backends: Arc<Backends>,
    pub(super) limits: Limits,
    requests: RequestLimiter,
    pub(super) queue: Arc<FairQueue>,
    pub(super) memory: BodyMemory,
    /// Connections to the registry that the watchdog may close.
    pub(super) connections: UpstreamConnections,
    pub(super) urls: Arc<UrlRewriter>,
    request_ids: RequestIds,
    pub(super) exchanges: TaskTracker,
    pub(super) metrics: Arc<RequestMetrics>,
    /// Whether the door knows by itself to what a tag points.
    pub(super) answers_tags: bool,
}

/// What the door's logic is put together from.
pub struct ServiceParts {
    /// The plugins.
    pub pipeline: Pipeline,
    /// The paths that the door answers itself.
    pub own: OwnPaths,
    /// Where requests are forwarded to.
    pub backends: Arc<Backends>,
    /// How long client and registry may let each other wait, and how many requests may be in flight.
    pub limits: Limits,
    /// How much of bodies is held.
    pub memory: BodyMemory,
    /// By which address clients know the door.
    pub address: PublicAddress,
    /// Hides targets of the registry's own in URLs of the door.
    pub seal: Arc<TargetSeal>,
    /// Networks of proxies whose `X-Request-Id` is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Counts the exchanges that run.
    pub exchanges: TaskTracker,
    /// Whether the door knows by itself to what a tag points.
    pub answers_tags: bool,
}

impl Service {
    /// Puts the door's logic together.
    pub fn new(parts: ServiceParts) -> Self {
        let ServiceParts {
            pipeline,
            own,
            backends,
            limits,
            memory,
            address,
            seal,
            trusted_proxies,
            exchanges,
            answers_tags,
        } = parts;
        Self {
            pipeline: Arc::new(pipeline),
            own,
            urls: Arc::new(UrlRewriter::new(address, Arc::clone(&backends), seal)),
            backends,
            limits,
            requests: RequestLimiter::new(limits.requests),
            queue: Arc::default(),
            memory,
            connections: UpstreamConnections::default(),
            request_ids: RequestIds::new(&trusted_proxies),
            exchanges,
            metrics: Arc::new(RequestMetrics::new()),
            answers_tags,
        }
    }

    /// Reads the request line that pingora has read.
    pub(super) fn exchange(&self, session: &mut Session) -> (Box<Exchange>, Result<(), Refusal>) {
        let has_fragment = match session.is_http2() {
            true => Ok(()),
            false => normalization::refuse_fragment(&session.as_downstream().to_h1_raw()),
        };
        let normalized = has_fragment
            .and_then(|()| normalization::refuse_many_headers(session.req_header()))
            .and_then(|()| normalization::normalize(session.req_header_mut()));
        let arrival = Arrival {
            has_body: !session.is_body_empty(),
            is_tls: session.digest().is_some_and(|digest| digest.ssl_digest.is_some()),
            peer: session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip),
        };
        self.read(session.req_header().clone(), normalized, arrival)
    }

    /// Reads a request that was normalized, or could not be, with the authority that its client asks for.
    pub(super) fn read(
        &self,
        mut request: RequestHeader,
        normalized: Result<Option<String>, Refusal>,
        arrival: Arrival,
    ) -> (Box<Exchange>, Result<(), Refusal>) {
        let Arrival { has_body, is_tls, peer } = arrival;
        let mut forwarding = super::exchange::Forwarding::default();
        // The registry reads the one as the other; it is given what rules and record speak of.
        if let Some(plain) = std::str::from_utf8(request.raw_path()).ok().and_then(with_plain_colon)
            && request.set_raw_path(plain.as_bytes()).is_ok()
        {
            forwarding.path_and_query = Some(plain);
        }
        let read = normalized.and_then(|host| Ok((host, target(&request, has_body)?)));
        let ((host, target), readable) = match read {
            Ok(read) => (read, Ok(())),
            Err(refusal) => ((None, Target::Unreadable), Err(refusal)),
        };
        let client = Client::of_connection(peer, is_tls, host);
        let request_id = self.request_ids.of(client.peer, &request.headers);
        let exchange = Box::new(Exchange {
            request_id,
            started: Instant::now(),
            request,
            target,
            client,
            backend: None,
            forwarding,
            viewer: Viewer::Anonymous,
            catalog: CatalogScope::Whole,
            note: None,
        });
        (exchange, readable)
    }

    /// Decides about a request that was read: what the door answers itself, or `None` for one to stream, whose target is
    /// known then. The context has the exchange afterwards.
    pub(super) async fn decide(
        &self,
        inbound: Inbound<'_>,
        (mut exchange, readable): (Box<Exchange>, Result<(), Refusal>),
        context: &mut Context,
    ) -> Result<Option<LocalAnswer>, Refusal> {
        let mut answer = match readable {
            Ok(()) => self.answer(inbound, &mut exchange, &mut context.in_flight).await,
            Err(refusal) => match self.base_without_slash(&exchange) {
                Some(local) => Ok(Some(local)),
                None => Err(refusal),
            },
        };
        if let Ok(None) = &answer {
            match self.urls.target(&exchange) {
                Ok(target) => context.target = target,
                Err(refusal) => answer = Err(refusal),
            }
        }
        context.exchange = Some(exchange);
        answer
    }

    /// `/v2` is answered as distribution does it, before any authentication: with a redirect to `/v2/`.
    pub(super) fn base_without_slash(&self, exchange: &Exchange) -> Option<LocalAnswer> {
        let path_and_query = exchange.request.uri.path_and_query()?;
        if path_and_query.path() != "/v2" {
            return None;
        }
        let query = path_and_query.query().map_or_else(String::new, |query| format!("?{query}"));
        let mut head = ResponseHead::build(StatusCode::MOVED_PERMANENTLY, Some(4)).ok()?;
        head.insert_header("Location", format!("/v2/{query}")).ok()?;
        head.insert_header(CONTENT_TYPE, "text/html; charset=utf-8").ok()?;
        head.insert_header("Docker-Distribution-Api-Version", "registry/2.0").ok()?;
        let body = Bytes::from_static(b"<a href=\"/v2/\">Moved Permanently</a>.\n\n");
        Some(Response { head, body: body.into(), origin: AnswerOrigin::Door }.into())
    }

    /// A request that the door answers itself, or `None` for one to stream.
    async fn answer(
        &self,
        mut inbound: Inbound<'_>,
        exchange: &mut Exchange,
        in_flight: &mut InFlight,
    ) -> Result<Option<LocalAnswer>, Refusal> {
        if exchange.target == Target::Own
            && self.own.is_probe(&exchange.request.method, &exchange.request.uri)
        {
            return self.call_router(inbound, exchange).await;
        }
        *in_flight = self.requests.admit().inspect_err(|_| inbound.shorten_write_timeout())?;
        let allowed = self.pipeline.on_request(exchange).await;
        // Known now: the client's address. A refusal counts as well, until the client has read it.
        self.requests
            .admit_of(exchange.client.address, in_flight)
            .inspect_err(|_| inbound.shorten_write_timeout())?;
        if let Flow::Respond(response) = allowed? {
            return Ok(Some((*response).into()));
        }
        if let CatalogScope::Visible(_) = exchange.catalog {
            let message = "the door cannot tell now which repositories you may see; try again soon";
            return Err(Refusal::new(ErrorCode::Unavailable, message));
        }
        // Known now: by which address the client knows the door, for which a trusted proxy was heard.
        exchange.forwarding.host = self.urls.address().host_for_registry(&exchange.client);
        let write = match &exchange.target {
            Target::Own | Target::Unreadable => {
                return self.call_router(inbound, exchange).await;
            }
            Target::Registry(Route::ManifestPut { repository, reference, tags }) => {
                let mut held = self.memory.reserve(exchange.client.address);
                let bytes = match inbound {
                    Inbound::Session(session) => {
                        let reading = body::read(session, MAXIMUM_MANIFEST_BYTES, &self.limits, &mut held);
                        Box::pin(reading).await?
                    }
                    Inbound::WithoutBody(_) => Bytes::new(),
                };
                let manifest = parse_manifest(exchange, reference, bytes, held)?;
                ManifestWrite::Put {
                    repository: repository.clone(),
                    reference: reference.clone(),
                    tags: tags.clone(),
                    manifest: Arc::new(manifest),
                }
            }
            Target::Registry(Route::ManifestDelete { repository, reference }) => {
                ManifestWrite::Delete { repository: repository.clone(), reference: reference.clone() }
            }
            Target::Registry(_) => return Ok(None),
        };
        match self.pipeline.on_write(exchange, &write).await? {
            Flow::Respond(response) => Ok(Some((*response).into())),
            Flow::Continue => {
                Err(Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why")
                    .because("no plugin carried the write: the observer is missing from the table"))
            }
        }
    }

    /// Has the router of pages and API answer.
    async fn call_router(
        &self,
        inbound: Inbound<'_>,
        exchange: &Exchange,
    ) -> Result<Option<LocalAnswer>, Refusal> {
        let held = self.memory.reserve(exchange.client.address);
        // Apart from the request's own future, which would be as large for each pull.
        let origin = self.urls.address().door_origin(&exchange.client);
        let calling = bridge::call(&self.own.router, inbound, exchange, origin, &self.limits, held);
        Box::pin(calling).await.map(Some)
    }

    /// The last changes to a response, whether it is streamed or the door's own.
    pub(super) fn finish_head(&self, context: &mut Context, head: &mut ResponseHead) -> Result<(), Refusal> {
        self.urls.rewrite(context, head)?;
        let Some(exchange) = context.exchange.as_mut() else { return Ok(()) };
        name_request(exchange, head)?;
        self.pipeline.on_response(exchange, head)
    }

    /// Makes an answer of the door's own ready to be sent, whatever was decided.
    pub(super) fn finish(
        &self,
        context: &mut Context,
        decided: Result<LocalAnswer, Refusal>,
    ) -> Result<LocalAnswer> {
        let refusal = match decided {
            Ok(mut local) => {
                take_note(context, local.note.take());
                match self.finish_head(context, &mut local.head) {
                    Ok(()) => {
                        context.origin = local.origin;
                        return Ok(local);
                    }
                    Err(refusal) => refusal,
                }
            }
            Err(refusal) => refusal,
        };
        self.refusal(context, &refusal)
    }

    /// Sends a refusal.
    pub(super) async fn refuse(
        &self,
        session: &mut Session,
        context: &mut Context,
        refusal: &Refusal,
    ) -> Result<()> {
        let answer = self.refusal(context, refusal)?;
        respond::send(session, answer).await
    }

    /// The answer that a refusal becomes, ready to be sent.
    fn refusal(&self, context: &mut Context, refusal: &Refusal) -> Result<LocalAnswer> {
        context.cause = Some(refusal.to_string());
        context.origin = AnswerOrigin::Door;
        let own = context
            .exchange
            .as_ref()
            .and_then(|exchange| (self.own.refusal)(&exchange.request.uri, refusal.status, &refusal.message));
        let mut response = respond::refusal(refusal, own)?;
        if let Some(exchange) =
            context.exchange.as_mut().filter(|exchange| exchange.target != Target::Unreadable)
            && let Err(error) = self.pipeline.on_response(exchange, &mut response.head)
        {
            tracing::error!(%error, "a plugin refused a refusal; the first one is sent");
        }
        if let Some(exchange) = &context.exchange
            && let Err(error) = name_request(exchange, &mut response.head)
        {
            tracing::error!(%error, "a refusal is sent without the request's identifier");
        }
        Ok(response.into())
    }

    /// A request is over, with this status for its client if there was an answer: it is counted, and the plugins hear of it.
    pub(super) fn end(
        &self,
        context: &mut Context,
        status: Option<StatusCode>,
        (received, sent): (u64, u64),
        error: Option<&Error>,
    ) {
        let Some(exchange) = context.exchange.take() else { return };
        let duration = exchange.started.elapsed();
        let failure = error.filter(|_| !context.is_answered).map(ToString::to_string);
        let cause = context.cause.take().or(failure);
        let outcome = ExchangeOutcome { status, received, sent, duration, cause };
        self.metrics.count(FinishedRequest {
            route: exchange.route_name(),
            status,
            origin: context.origin,
            received,
            sent,
            duration,
        });
        self.pipeline.on_end(&exchange, &outcome);
    }
}

/// Puts the request's identifier into its answer, in place of any that the registry has put there.
fn name_request(exchange: &Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
    head.insert_header(request_id::NAME, exchange.request_id.value()).map_err(|error| {
        Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why").because(error)
    })
}

/// Keeps for the access log what the maker of an answer knows of it.
fn take_note(context: &mut Context, note: Option<AccessNote>) {
    let (Some(exchange), Some(note)) = (context.exchange.as_mut(), note) else { return };
    context.cause.clone_from(&note.cause);
    exchange.note = Some(Box::new(note));
}

/// What a request line asks for.
fn target(request: &RequestHeader, has_body: bool) -> Result<Target, Refusal> {
    let line = std::str::from_utf8(request.raw_path()).ok().filter(|line| line.starts_with('/'));
    let Some(line) = line else {
        let message = "the request target must be a path in ASCII, beginning with a slash";
        return Err(Refusal::new(ErrorCode::NameInvalid, message));
    };
    let (path, query) = match line.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (line, None),
    };
    if path != "/v2" && !path.starts_with("/v2/") {
        return Ok(Target::Own);
    }
    let route = Route::parse(&request.method, path, query)?;
    if let Route::Preflight { .. } = route
        && has_body
    {
        return Err(Refusal::new(ErrorCode::Unsupported, "an `OPTIONS` request has no body here")
            .with_status(http::StatusCode::BAD_REQUEST));
    }
    for value in request.headers.get_all(CONTENT_TYPE).iter().filter(|_| has_body) {
        route.admits_body(&String::from_utf8_lossy(value.as_bytes()))?;
    }
    Ok(Target::Registry(route))
}

/// Reads a manifest. The memory for it is held until its bytes are dropped.
fn parse_manifest(
    exchange: &Exchange,
    reference: &Reference,
    bytes: Bytes,
    mut held: Reservation,
) -> Result<Manifest, Refusal> {
    let media_type = exchange.header(&http::header::CONTENT_TYPE).map(MediaType::from_header);
    let mut manifest =
        Manifest::parse(bytes, media_type).map_err(|error| Refusal::of(ErrorCode::ManifestInvalid, error))?;
    held.grow_by(manifest.document.parsed_bytes() as u64)?;
    manifest.bytes = held.attach_to(manifest.bytes);
    let Reference::Digest(digest) = reference else { return Ok(manifest) };
    if manifest.has_digest(digest) == Some(false) {
        let message = format!("the manifest does not have the digest {digest} that it was sent under");
        return Err(Refusal::new(ErrorCode::DigestInvalid, message));
    }
    Ok(manifest.with_digest(digest.clone()))
}
