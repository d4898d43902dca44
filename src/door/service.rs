//! What the door does with a request: reading its first line, answering what it answers itself, and the last touches on
//! every response. `hooks.rs` calls it where pingora lets it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use pingora_core::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio_util::task::TaskTracker;

use super::body_memory::{BodyMemory, Held};
use super::context::Context;
use super::lead_back::Naming;
use super::line::Lines;
use super::own_paths::OwnPaths;
use super::requests::{InFlight, Requests};
use super::turns::Turns;
use super::upload_target::UploadTargets;
use super::{
    Client, Exchange, Flow, Limits, Pipeline, Refusal, Response, ResponseHead, Target, arrival, body, bridge,
    respond,
};
use crate::auth::{TargetSeal, Viewer};
use crate::oci::route::with_plain_colon;
use crate::oci::{ErrorCode, MAXIMUM_MANIFEST_BYTES, Manifest, MediaType, Reference, Route};
use crate::registry::Backends;
use crate::sync::ManifestWrite;

/// The door's logic, as pingora calls it. Cheap to clone: each worker thread has one.
#[derive(Clone)]
pub struct Service {
    pub(super) pipeline: Arc<Pipeline>,
    own: OwnPaths,
    pub(super) backends: Arc<Backends>,
    pub(super) limits: Limits,
    pub(super) requests: Requests,
    pub(super) turns: Arc<Turns>,
    pub(super) memory: BodyMemory,
    pub(super) lines: Lines,
    pub(super) naming: Arc<Naming>,
    pub(super) uploads: UploadTargets,
    pub(super) exchanges: TaskTracker,
}

impl Service {
    /// Puts the door's logic together. `naming` says by which names client, door and registry know each other, `seal`
    /// hides targets of the registry's own in URLs of the door; `limits` say who may let whom wait, and how many requests may
    /// be in flight, `memory` how much of bodies is held; whoever stops the door waits for `exchanges`.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own, named where it is put together"
    )]
    pub fn new(
        pipeline: Pipeline,
        own: OwnPaths,
        backends: Arc<Backends>,
        limits: Limits,
        memory: BodyMemory,
        naming: Naming,
        seal: Arc<TargetSeal>,
        exchanges: TaskTracker,
    ) -> Self {
        Self {
            pipeline: Arc::new(pipeline),
            own,
            uploads: UploadTargets::new(seal, Arc::clone(&backends)),
            backends,
            limits,
            requests: Requests::new(limits.requests),
            turns: Arc::default(),
            memory,
            lines: Lines::default(),
            naming: Arc::new(naming),
            exchanges,
        }
    }

    /// Reads the request line.
    pub(super) fn exchange(&self, session: &mut Session) -> (Exchange, Result<(), Refusal>) {
        let has_body = !session.is_body_empty();
        let has_fragment = match session.is_http2() {
            true => Ok(()),
            false => arrival::refuse_fragment(&session.as_downstream().to_h1_raw()),
        };
        let arrived = has_fragment
            .and_then(|()| arrival::refuse_many_headers(session.req_header()))
            .and_then(|()| arrival::normalize(session.req_header_mut()));
        let mut request = session.req_header().clone();
        let mut onward = super::exchange::Onward::default();
        // The registry reads the one as the other; it is given what rules and record speak of.
        if let Some(plain) = std::str::from_utf8(request.raw_path()).ok().and_then(with_plain_colon)
            && request.set_raw_path(plain.as_bytes()).is_ok()
        {
            onward.path_and_query = Some(plain);
        }
        let read = arrived.and_then(|host| Ok((host, target(&request, has_body)?)));
        let ((host, target), readable) = match read {
            Ok(read) => (read, Ok(())),
            Err(refusal) => ((None, Target::Unreadable), Err(refusal)),
        };
        let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        let is_tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let client = Client::of_connection(peer, is_tls, host);
        (
            Exchange {
                started: Instant::now(),
                request,
                target,
                client,
                backend: None,
                onward,
                viewer: Viewer::Anonymous,
            },
            readable,
        )
    }

    /// `/v2` is answered as distribution does it, before it asks who is there: with the way to `/v2/`.
    pub(super) fn base_without_slash(&self, exchange: &Exchange) -> Option<Local> {
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
        Some(Local::Whole(Response { head, body }))
    }

    /// A request that the door answers itself, or `None` for one to stream.
    pub(super) async fn answer(
        &self,
        session: &mut Session,
        exchange: &mut Exchange,
        in_flight: &mut InFlight,
    ) -> Result<Option<Local>, Refusal> {
        if exchange.target == Target::Own && self.own.is_probe(&exchange.request.uri) {
            return self.ask(session, exchange).await;
        }
        *in_flight = self.requests.admit().inspect_err(|_| hurry(session))?;
        let allowed = self.pipeline.on_request(exchange).await;
        // Known now: who the client is. Also a refusal is waited for until it is read, and counts as long.
        self.requests.admit_of(exchange.client.address, in_flight).inspect_err(|_| hurry(session))?;
        if let Flow::Respond(response) = allowed? {
            return Ok(Some(Local::Whole(*response)));
        }
        // Known now: who is trusted to say it has been heard.
        exchange.onward.host = self.naming.host_for_registry(&exchange.client);
        let write = match &exchange.target {
            Target::Own | Target::Unreadable => {
                return self.ask(session, exchange).await;
            }
            Target::Registry(Route::ManifestPut { repository, reference, tags }) => {
                let mut held = self.memory.hold(exchange.client.address);
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
            Flow::Respond(response) => Ok(Some(Local::Whole(*response))),
            Flow::Continue => {
                Err(Refusal::new(ErrorCode::Unknown, "the door failed on this request; its log says why")
                    .because("no plugin carried the write: the observer is missing from the table"))
            }
        }
    }

    /// Asks the router of pages and API.
    async fn ask(&self, session: &mut Session, exchange: &Exchange) -> Result<Option<Local>, Refusal> {
        let client = exchange.client.address;
        let (viewer, held) = (exchange.viewer.clone(), self.memory.hold(client));
        // Apart from the request's own future, which would be as large for each pull.
        let asking = bridge::ask(&self.own.router, session, client, viewer, &self.limits, held);
        let answer = Box::pin(asking).await?;
        Ok(Some(Local::Streamed(answer)))
    }

    /// The last touches on a response, whether it was streamed or made here.
    pub(super) async fn finish_head(
        &self,
        context: &mut Context,
        head: &mut ResponseHead,
    ) -> Result<(), Refusal> {
        self.lead_back(context, head)?;
        let Some(exchange) = context.exchange.as_mut() else { return Ok(()) };
        self.pipeline.on_response(exchange, head).await
    }

    /// Sends an answer of the door's own.
    pub(super) async fn respond(
        &self,
        session: &mut Session,
        context: &mut Context,
        local: Local,
    ) -> Result<()> {
        match local {
            Local::Whole(mut response) => match self.finish_head(context, &mut response.head).await {
                Ok(()) => respond::send(session, response).await,
                Err(refusal) => self.refuse(session, context, &refusal).await,
            },
            Local::Streamed(mut answer) => match self.finish_head(context, &mut answer.head).await {
                Ok(()) => Box::pin(bridge::send(session, answer)).await,
                Err(refusal) => self.refuse(session, context, &refusal).await,
            },
        }
    }

    pub(super) async fn refuse(
        &self,
        session: &mut Session,
        context: &mut Context,
        refusal: &Refusal,
    ) -> Result<()> {
        context.cause = Some(refusal.to_string());
        let mut response = respond::refusal(refusal)?;
        if let Some(exchange) =
            context.exchange.as_mut().filter(|exchange| exchange.target != Target::Unreadable)
            && let Err(error) = self.pipeline.on_response(exchange, &mut response.head).await
        {
            tracing::error!(%error, "a plugin refused a refusal; the first one is sent");
        }
        respond::send(session, response).await
    }
}

/// An answer of the door's own.
pub(super) enum Local {
    /// There as a whole.
    Whole(Response),
    /// From the router, to be sent as it comes.
    Streamed(bridge::Answer),
}

/// A request that is shed counts no more, so that its answer is not waited for as others are.
fn hurry(session: &mut Session) {
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

/// Reads a manifest. Its bytes and what they become are held until they are dropped.
fn parse_manifest(
    exchange: &Exchange,
    reference: &Reference,
    bytes: Bytes,
    mut held: Held,
) -> Result<Manifest, Refusal> {
    let media_type = exchange.header(&http::header::CONTENT_TYPE).map(MediaType::from_header);
    let mut manifest = Manifest::parse(bytes, media_type)
        .map_err(|error| Refusal::new(ErrorCode::ManifestInvalid, error.to_string()))?;
    held.grow_by(manifest.document.parsed_bytes() as u64)?;
    manifest.bytes = held.with(manifest.bytes);
    let Reference::Digest(digest) = reference else { return Ok(manifest) };
    if digest.matches(&manifest.bytes) == Some(false) {
        let message = format!("the manifest does not have the digest {digest} that it was sent under");
        return Err(Refusal::new(ErrorCode::DigestInvalid, message));
    }
    Ok(manifest.with_digest(digest.clone()))
}
