//! What the door does with a request: reading its first line, answering what it answers itself, and the last changes to
//! every response. `hooks.rs` calls it where pingora lets it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use ipnet::IpNet;
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio_util::task::TaskTracker;

use super::body_memory::{BodyMemory, Reservation};
use super::context::Context;
use super::fair_queue::FairQueue;
use super::own_paths::OwnPaths;
use super::public_address::PublicAddress;
use super::request_id::{self, RequestIds};
use super::request_limiter::{InFlight, RequestLimiter};
use super::request_metrics::RequestMetrics;
use super::upstream_connection::UpstreamConnections;
use super::url_rewriting::UrlRewriter;
use super::{
    AnswerOrigin, CatalogScope, Client, Exchange, Flow, Limits, Pipeline, Refusal, Response, ResponseHead,
    Target, body, bridge, normalization, respond,
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
        }
    }

    /// Reads the request line.
    pub(super) fn exchange(&self, session: &mut Session) -> (Exchange, Result<(), Refusal>) {
        let has_body = !session.is_body_empty();
        let has_fragment = match session.is_http2() {
            true => Ok(()),
            false => normalization::refuse_fragment(&session.as_downstream().to_h1_raw()),
        };
        let arrived = has_fragment
            .and_then(|()| normalization::refuse_many_headers(session.req_header()))
            .and_then(|()| normalization::normalize(session.req_header_mut()));
        let mut request = session.req_header().clone();
        let mut forwarding = super::exchange::Forwarding::default();
        // The registry reads the one as the other; it is given what rules and record speak of.
        if let Some(plain) = std::str::from_utf8(request.raw_path()).ok().and_then(with_plain_colon)
            && request.set_raw_path(plain.as_bytes()).is_ok()
        {
            forwarding.path_and_query = Some(plain);
        }
        let read = arrived.and_then(|host| Ok((host, target(&request, has_body)?)));
        let ((host, target), readable) = match read {
            Ok(read) => (read, Ok(())),
            Err(refusal) => ((None, Target::Unreadable), Err(refusal)),
        };
        let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        let is_tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let client = Client::of_connection(peer, is_tls, host);
        let request_id = self.request_ids.of(client.peer, &request.headers);
        (
            Exchange {
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
            },
            readable,
        )
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
        Some(LocalAnswer::Whole(Response { head, body: body.into(), origin: AnswerOrigin::Door }))
    }

    /// A request that the door answers itself, or `None` for one to stream.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        in_flight: &mut InFlight,
    ) -> Result<Option<LocalAnswer>, Refusal> {
        if exchange.target == Target::Own
            && self.own.is_probe(&exchange.request.method, &exchange.request.uri)
        {
            return self.call_router(session, exchange).await;
        }
        *in_flight = self.requests.admit().inspect_err(|_| shorten_write_timeout(session))?;
        let allowed = self.pipeline.on_request(exchange).await;
        // Known now: the client's address. A refusal counts as well, until the client has read it.
        self.requests
            .admit_of(exchange.client.address, in_flight)
            .inspect_err(|_| shorten_write_timeout(session))?;
        if let Flow::Respond(response) = allowed? {
            return Ok(Some(LocalAnswer::Whole(*response)));
        }
        if let CatalogScope::Visible(_) = exchange.catalog {
            let message = "the door cannot tell now which repositories you may see; try again soon";
            return Err(Refusal::new(ErrorCode::Unavailable, message));
        }
        // Known now: by which address the client knows the door, for which a trusted proxy was heard.
        exchange.forwarding.host = self.urls.address().host_for_registry(&exchange.client);
        let write = match &exchange.target {
            Target::Own | Target::Unreadable => {
                return self.call_router(session, exchange).await;
            }
            Target::Registry(Route::ManifestPut { repository, reference, tags }) => {
                let mut held = self.memory.reserve(exchange.client.address);
                let reading = body::read(session, MAXIMUM_MANIFEST_BYTES, &self.limits, &mut held);
                let bytes = Box::pin(reading).await?;
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
            Flow::Respond(response) => Ok(Some(LocalAnswer::Whole(*response))),
            Flow::Continue => {
                Err(Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why")
                    .because("no plugin carried the write: the observer is missing from the table"))
            }
        }
    }

    /// Has the router of pages and API answer.
    async fn call_router(
        &self,
        session: &mut Session,
        exchange: &Exchange,
    ) -> Result<Option<LocalAnswer>, Refusal> {
        let client = exchange.client.address;
        let (viewer, held) = (exchange.viewer.clone(), self.memory.reserve(client));
        // Apart from the request's own future, which would be as large for each pull.
        let origin = self.urls.address().door_origin(&exchange.client);
        let calling = bridge::call(&self.own.router, session, client, origin, viewer, &self.limits, held);
        let answer = Box::pin(calling).await?;
        Ok(Some(LocalAnswer::Streamed(answer)))
    }

    /// The last changes to a response, whether it is streamed or the door's own.
    pub(super) async fn finish_head(
        &self,
        context: &mut Context,
        head: &mut ResponseHead,
    ) -> Result<(), Refusal> {
        self.urls.rewrite(context, head)?;
        let Some(exchange) = context.exchange.as_mut() else { return Ok(()) };
        name_request(exchange, head)?;
        self.pipeline.on_response(exchange, head).await
    }

    /// Sends an answer of the door's own.
    pub(super) async fn respond(
        &self,
        session: &mut Session,
        context: &mut Context,
        local: LocalAnswer,
    ) -> Result<()> {
        match local {
            LocalAnswer::Whole(mut response) => match self.finish_head(context, &mut response.head).await {
                Ok(()) => {
                    context.origin = response.origin;
                    respond::send(session, response).await
                }
                Err(refusal) => self.refuse(session, context, &refusal).await,
            },
            LocalAnswer::Streamed(mut answer) => {
                take_note(context, answer.note.take());
                match self.finish_head(context, &mut answer.head).await {
                    Ok(()) => Box::pin(bridge::send(session, answer)).await,
                    Err(refusal) => self.refuse(session, context, &refusal).await,
                }
            }
        }
    }

    pub(super) async fn refuse(
        &self,
        session: &mut Session,
        context: &mut Context,
        refusal: &Refusal,
    ) -> Result<()> {
        context.cause = Some(refusal.to_string());
        context.origin = AnswerOrigin::Door;
        let own = context
            .exchange
            .as_ref()
            .and_then(|exchange| (self.own.refusal)(&exchange.request.uri, refusal.status, &refusal.message));
        let mut response = respond::refusal(refusal, own)?;
        if let Some(exchange) =
            context.exchange.as_mut().filter(|exchange| exchange.target != Target::Unreadable)
            && let Err(error) = self.pipeline.on_response(exchange, &mut response.head).await
        {
            tracing::error!(%error, "a plugin refused a refusal; the first one is sent");
        }
        if let Some(exchange) = &context.exchange
            && let Err(error) = name_request(exchange, &mut response.head)
        {
            tracing::error!(%error, "a refusal is sent without the request's identifier");
        }
        respond::send(session, response).await
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

/// An answer of the door's own.
pub(super) enum LocalAnswer {
    /// There as a whole.
    Whole(Response),
    /// From the router, to be sent as it comes.
    Streamed(bridge::RouterAnswer),
}

/// A request that is shed counts no more, so its client has less time to read the answer.
fn shorten_write_timeout(session: &mut Session) {
    session.as_downstream_mut().set_write_timeout(Some(body::DRAIN_TIME));
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
