//! The request's way through pingora's hooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HOST, LOCATION};
use pingora_core::protocols::Digest as ConnectionDigest;
use pingora_core::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::{
    Client, Exchange, Flow, Outcome, Pipeline, Refusal, Response, ResponseHead, Target, Write, body, bridge,
    failure, forward, location, respond, sticky,
};
use crate::oci::{ErrorCode, MAXIMUM_MANIFEST_BYTES, Manifest, MediaType, Reference, Route};
use crate::registry::{Backend, BackendKey, Backends};

/// How long an idle connection to the registry is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// The door's logic, as pingora calls it. Cheap to clone: each worker thread has one.
#[derive(Clone)]
pub struct Service {
    pipeline: Arc<Pipeline>,
    router: axum::Router,
    backends: Arc<Backends>,
    timeout: Duration,
    external: Option<Arc<str>>,
    exchanges: TaskTracker,
}

/// What the hooks of one request share.
pub struct Context {
    /// Boxed, since pingora moves the context about.
    exchange: Option<Box<Exchange>>,
    /// The backends that took no connection.
    tried: Vec<BackendKey>,
    /// The backend in use.
    backend: Option<Arc<Backend>>,
    /// For an upload session: the backend that has it, and the query without saying so.
    session: Option<UploadSession>,
    /// Why the exchange fails, if it was decided in the middle of forwarding.
    refusal: Option<Refusal>,
    /// For the log: why it failed.
    cause: Option<String>,
    /// Held until the exchange is over, so that stopping waits for it.
    _running: TaskTrackerToken,
}

struct UploadSession {
    backend: Option<Arc<Backend>>,
    path_and_query: String,
}

impl Service {
    /// Puts the door's logic together. `external` is scheme and authority by which clients know the door, when that is
    /// configured; `timeout` is `registry.timeout`; whoever stops the door waits for `exchanges`.
    pub fn new(
        pipeline: Pipeline,
        router: axum::Router,
        backends: Arc<Backends>,
        timeout: Duration,
        external: Option<String>,
        exchanges: TaskTracker,
    ) -> Self {
        Self {
            pipeline: Arc::new(pipeline),
            router,
            backends,
            timeout,
            external: external.map(Arc::from),
            exchanges,
        }
    }

    /// Reads the request line.
    fn exchange(&self, session: &mut Session) -> (Exchange, Result<(), Refusal>) {
        let has_body = !session.is_body_empty();
        let request = session.req_header().clone();
        let (target, readable) = match target(&request, has_body) {
            Ok(target) => (target, Ok(())),
            Err(refusal) => (Target::Unreadable, Err(refusal)),
        };
        let peer = session.client_addr().and_then(|address| address.as_inet()).map(std::net::SocketAddr::ip);
        let is_tls = session.digest().is_some_and(|digest| digest.ssl_digest.is_some());
        let host = match request.uri.authority() {
            Some(authority) => Some(authority.as_str().to_owned()),
            None => request.headers.get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned),
        };
        let client = Client::of_connection(peer, is_tls, host);
        (Exchange { started: Instant::now(), request, target, client, backend: None }, readable)
    }

    /// A request that the door answers itself, or `None` for one to stream.
    async fn answer(&self, session: &mut Session, exchange: &mut Exchange) -> Result<Option<Local>, Refusal> {
        if let Flow::Respond(response) = self.pipeline.on_request(exchange).await? {
            return Ok(Some(Local::Whole(*response)));
        }
        let write = match &exchange.target {
            Target::Own | Target::Unreadable => {
                return bridge::ask(&self.router, session).await.map(|answer| Some(Local::Streamed(answer)));
            }
            Target::Registry(Route::ManifestPut { repository, reference, tags }) => {
                let bytes = body::read(session, MAXIMUM_MANIFEST_BYTES).await?;
                let manifest = parse_manifest(exchange, reference, bytes)?;
                Write::Put {
                    repository: repository.clone(),
                    reference: reference.clone(),
                    tags: tags.clone(),
                    manifest: Arc::new(manifest),
                }
            }
            Target::Registry(Route::ManifestDelete { repository, reference }) => {
                Write::Delete { repository: repository.clone(), reference: reference.clone() }
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

    /// The last touches on a response, whether it was streamed or made here.
    async fn finish_head(&self, context: &mut Context, head: &mut ResponseHead) -> Result<(), Refusal> {
        let Some(exchange) = context.exchange.as_mut() else { return Ok(()) };
        if let Target::Registry(route) = &exchange.target {
            let backend = context.backend.as_ref().filter(|_| self.backends.are_several());
            let key = match route {
                Route::UploadStart { .. } | Route::Upload { .. } => backend.map(|backend| backend.key()),
                _ => None,
            };
            self.lead_back(&exchange.client, key, head)?;
        }
        self.pipeline.on_response(exchange, head).await
    }

    /// Makes `Location` lead back to the door, and an upload session's one to its backend.
    fn lead_back(
        &self,
        client: &Client,
        session_of: Option<&BackendKey>,
        head: &mut ResponseHead,
    ) -> Result<(), Refusal> {
        let Some(location) = head.headers.get(LOCATION).and_then(|location| location.to_str().ok()) else {
            return Ok(());
        };
        let door = match (&self.external, &client.host) {
            (Some(external), _) => external.to_string(),
            (None, Some(host)) => format!("{}://{host}", client.scheme),
            (None, None) => String::new(),
        };
        let authorities = self.backends.all().iter().map(|backend| backend.authority());
        let mut rewritten = location::rewritten(head.status, location, &door, authorities);
        if let Some(key) = session_of
            && head.status == StatusCode::ACCEPTED
        {
            rewritten = Some(sticky::mark(rewritten.as_deref().unwrap_or(location), key));
        }
        let Some(rewritten) = rewritten else { return Ok(()) };
        head.insert_header(LOCATION, rewritten).map_err(|error| {
            Refusal::new(ErrorCode::Unavailable, "the registry's answer makes no sense")
                .with_status(StatusCode::BAD_GATEWAY)
                .because(error)
        })
    }

    /// Sends an answer of the door's own.
    async fn respond(&self, session: &mut Session, context: &mut Context, local: Local) -> Result<()> {
        match local {
            Local::Whole(mut response) => match self.finish_head(context, &mut response.head).await {
                Ok(()) => respond::send(session, response).await,
                Err(refusal) => self.refuse(session, context, &refusal).await,
            },
            Local::Streamed(mut answer) => match self.finish_head(context, &mut answer.head).await {
                Ok(()) => bridge::send(session, answer).await,
                Err(refusal) => self.refuse(session, context, &refusal).await,
            },
        }
    }

    async fn refuse(&self, session: &mut Session, context: &mut Context, refusal: &Refusal) -> Result<()> {
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
enum Local {
    /// There as a whole.
    Whole(Response),
    /// From the router, to be sent as it comes.
    Streamed(bridge::Answer),
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
    for value in request.headers.get_all(CONTENT_TYPE).iter().filter(|_| has_body) {
        route.admits_body(&String::from_utf8_lossy(value.as_bytes()))?;
    }
    Ok(Target::Registry(route))
}

fn parse_manifest(exchange: &Exchange, reference: &Reference, bytes: Bytes) -> Result<Manifest, Refusal> {
    let media_type = exchange.header(&http::header::CONTENT_TYPE).map(MediaType::from_header);
    let manifest = Manifest::parse(bytes, media_type)
        .map_err(|error| Refusal::new(ErrorCode::ManifestInvalid, error.to_string()))?;
    let Reference::Digest(digest) = reference else { return Ok(manifest) };
    if digest.matches(&manifest.bytes) == Some(false) {
        let message = format!("the manifest does not have the digest {digest} that it was sent under");
        return Err(Refusal::new(ErrorCode::DigestInvalid, message));
    }
    Ok(manifest.with_digest(digest.clone()))
}

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context {
            exchange: None,
            tried: Vec::new(),
            backend: None,
            session: None,
            refusal: None,
            cause: None,
            _running: self.exchanges.token(),
        }
    }

    /// Nothing is compressed on the way, so pingora's compression module stays out.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let (mut exchange, readable) = self.exchange(session);
        let answer = match readable {
            Ok(()) => self.answer(session, &mut exchange).await,
            Err(refusal) => Err(refusal),
        };
        let upload = match exchange.route() {
            Some(Route::Upload { .. }) if self.backends.are_several() => {
                exchange.request.uri.query().map(|query| {
                    let (rest, key) = sticky::unmark(query);
                    let separator = if rest.is_empty() { "" } else { "?" };
                    UploadSession {
                        backend: key.and_then(|key| self.backends.with_key(key)).cloned(),
                        path_and_query: format!("{}{separator}{rest}", exchange.path()),
                    }
                })
            }
            _ => None,
        };
        context.session = upload;
        context.exchange = Some(Box::new(exchange));
        match answer {
            Ok(None) => Ok(false),
            Ok(Some(local)) => self.respond(session, context, local).await.map(|()| true),
            Err(refusal) => self.refuse(session, context, &refusal).await.map(|()| true),
        }
    }

    async fn upstream_peer(&self, _session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let bound = context.session.as_ref().and_then(|session| session.backend.clone());
        let chosen = bound.or_else(|| self.backends.choose(&context.tried));
        let Some((backend, address)) =
            chosen.and_then(|backend| backend.address().map(|address| (backend, address)))
        else {
            return Err(
                Error::explain(ErrorType::ConnectNoRoute, "no address of the registry is known").into_up()
            );
        };
        let mut peer = HttpPeer::new(address, backend.is_tls(), backend.host().to_owned());
        let limit = Some(self.timeout);
        peer.options.connection_timeout = limit;
        peer.options.total_connection_timeout = limit;
        // Both begin anew with each piece that moves, so they bound standstill and not transfers.
        peer.options.read_timeout = limit;
        peer.options.write_timeout = limit;
        peer.options.idle_timeout = Some(IDLE_CONNECTION);
        // An upgraded connection would be a way around everything that reads requests here.
        peer.options.http_upstream_request_policy.h1_upgrade = H1UpgradePolicy::Deny;
        if let Some(exchange) = context.exchange.as_mut() {
            exchange.backend = Some(backend.authority().to_owned());
        }
        context.backend = Some(backend);
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        context: &mut Context,
    ) -> Result<()> {
        let (Some(exchange), Some(backend)) = (&context.exchange, &context.backend) else { return Ok(()) };
        if let Some(session) = &context.session {
            request.set_raw_path(session.path_and_query.as_bytes())?;
        }
        forward::prepare_request(exchange, backend.authority(), request)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        _context: &mut Context,
    ) -> Result<()> {
        // pingora writes an empty last piece as a second end of a chunked body, which the registry reads as the start
        // of the next request on that connection (cloudflare/pingora#935).
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHead,
        context: &mut Context,
    ) -> Result<()> {
        // After an answer that came before the end of the body the connection is closed; asking for the body is none.
        let is_final = !head.status.is_informational();
        session.as_downstream_mut().set_close_on_response_before_downstream_finish(is_final);
        if !is_final {
            return Ok(());
        }
        forward::remove_hop_by_hop_from_response(head);
        self.finish_head(context, head).await.map_err(|refusal| {
            context.refusal = Some(refusal);
            Error::explain(ErrorType::InternalError, "a plugin refused the registry's response")
        })
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        _peer: &HttpPeer,
        context: &mut Context,
        mut error: Box<Error>,
    ) -> Box<Error> {
        if let Some(backend) = &context.backend {
            backend.note_health(false);
            context.tried.push(backend.key().clone());
        }
        // Nothing was sent, so another backend may be tried; an upload session has only the one that opened it.
        let is_bound = context.session.as_ref().is_some_and(|session| session.backend.is_some());
        let others = self.backends.all().iter().any(|backend| !context.tried.contains(backend.key()));
        error.set_retry(others && !is_bound);
        error
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        context: &mut Context,
        client_reused: bool,
    ) -> Box<Error> {
        // A kept connection that the registry has closed meanwhile: what may be sent twice is. Starting an upload twice
        // leaves an empty session behind, which the registry forgets by itself.
        let starts_upload = context
            .exchange
            .as_ref()
            .is_some_and(|exchange| matches!(exchange.route(), Some(Route::UploadStart { .. })))
            && session.is_body_empty();
        let may_repeat = session.req_header().method.is_idempotent() || starts_upload;
        if may_repeat && !session.as_ref().retry_buffer_truncated() {
            error.retry.decide_reuse(client_reused);
        } else {
            error.set_retry(false);
        }
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        context: &mut Context,
    ) -> FailToProxy {
        let refusal = context.refusal.take().or_else(|| failure::refusal(error));
        let status = match refusal {
            // The client is gone, or has part of an answer that can only be cut off.
            None => StatusCode::default(),
            Some(refusal)
                if session.response_written().is_some_and(|head| !head.status.is_informational()) =>
            {
                context.cause = Some(refusal.to_string());
                refusal.status
            }
            Some(refusal) => {
                // The connection is not used again, so the answer has to say so: a client that was told otherwise would
                // lose its next request with it.
                session.set_keepalive(None);
                if let Err(error) = self.refuse(session, context, &refusal).await {
                    tracing::debug!(%error, "an error could not be sent to the client");
                }
                refusal.status
            }
        };
        if context.cause.is_none() {
            context.cause = Some(match error.esource() {
                ErrorSource::Downstream => format!("the client left: {error}"),
                _ => error.to_string(),
            });
        }
        FailToProxy { error_code: status.as_u16(), can_reuse_downstream: false }
    }

    /// Failures stand in the access log, with their cause.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        _peer: &HttpPeer,
        _socket: std::os::unix::io::RawFd,
        _digest: Option<&ConnectionDigest>,
        context: &mut Context,
    ) -> Result<()> {
        if let Some(backend) = &context.backend {
            backend.note_health(true);
        }
        Ok(())
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let Some(exchange) = context.exchange.take() else { return };
        let duration = exchange.started.elapsed();
        let status = session.response_written().map(|head| head.status);
        let outcome = Outcome {
            status,
            received: session.body_bytes_read() as u64,
            sent: session.body_bytes_sent() as u64,
            duration,
            cause: context.cause.take().or_else(|| error.map(ToString::to_string)),
        };
        let (route, class) = (exchange.route_name(), status_class(status));
        metrics::counter!("portreeve_requests_total", "route" => route, "status" => class).increment(1);
        metrics::histogram!("portreeve_request_seconds", "route" => route).record(duration);
        self.pipeline.on_end(&exchange, &outcome).await;
    }
}

const fn status_class(status: Option<StatusCode>) -> &'static str {
    match status {
        None => "none",
        Some(status) => match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
    }
}
