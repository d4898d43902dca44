//! pingora's hooks, in the order in which pingora calls them for a request.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::Digest as ConnectionDigest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use super::client_connection::ClientConnection;
use super::clock_retry::{self, ClockRetry, Verdict};
use super::context::Context;
use super::early_answer::EarlyAnswer;
use super::inbound::Inbound;
use super::service::Service;
use super::watchdog::{BodyState, Watchdog};
use super::{
    AnswerOrigin, ForwardedAuthorization, Refusal, ResponseHead, body, failed_exchange, forward, respond,
    upstream_peer,
};
use crate::auth::Network;
use crate::oci::{ErrorCode, Route};
use crate::registry::Awaited;

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.exchanges.token())
    }

    /// Nothing is compressed on the way, so pingora's compression module stays out.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        self.set_client_timeouts(session);
        let decided = match context.exchange {
            // Decided before pingora heard of it: it is to be streamed.
            Some(_) => Ok(None),
            None => {
                let connection = session.digest().and_then(ClientConnection::of);
                context.running_request = connection.map(ClientConnection::begin_request);
                let read = self.exchange(session);
                self.decide(Inbound::Session(session), read, context).await
            }
        };
        let Some(decided) = decided.transpose() else {
            // What sends a body, or commits one, is at the registry for as long as that takes.
            if !is_watched(session, context)
                && let Some(exchange) = &context.exchange
            {
                let (network, started) = (Network::of(exchange.client.address), exchange.started);
                context.permit = Some(self.queue.acquire(network, started).await);
            }
            return Ok(false);
        };
        let answer = self.finish(context, decided)?;
        respond::send(session, answer).await.map(|()| true)
    }

    /// A request that was decided before pingora heard of it.
    fn on_connection_reuse(
        &self,
        _session: &mut Session,
        context: &mut Context,
        decided: Box<dyn Any + Send + Sync>,
    ) {
        if let Ok(decided) = decided.downcast::<Context>() {
            *context = *decided;
        }
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
        let bound = context.target.as_ref().and_then(|target| target.backend.clone());
        let chosen = bound.or_else(|| self.backends.choose(&context.tried));
        let Some((backend, address)) =
            chosen.and_then(|backend| backend.address().map(|address| (backend, address)))
        else {
            return Err(
                Error::explain(ErrorType::ConnectNoRoute, "no address of the registry is known").into_up()
            );
        };
        context.asked = Some(Instant::now());
        let watched = is_watched(session, context).then_some(&self.connections);
        let peer = upstream_peer::build(&backend, address, self.limits.registry.timeout, watched);
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
        let (Some(exchange), Some(backend)) = (&mut context.exchange, &context.backend) else {
            return Ok(());
        };
        if let ForwardedAuthorization::OfTheDoor(credentials) = &exchange.forwarding.authorization {
            let sent = credentials.issue(backend).map_err(|error| {
                Error::because(ErrorType::InternalError, "the door cannot show itself to the registry", error)
            })?;
            context.sent_credentials = Some(sent);
        }
        exchange.forwarding.is_forwarded = true;
        if let Some(target) = &context.target {
            request.set_raw_path(target.path_and_query.as_bytes())?;
        } else if let Some(path_and_query) = &exchange.forwarding.path_and_query {
            request.set_raw_path(path_and_query.as_bytes())?;
        }
        forward::prepare_request(exchange, backend.authority(), context.sent_credentials.as_ref(), request)
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<()> {
        // Until then the registry waits for the client.
        if end_of_stream && context.asked.is_some() && !session.is_body_empty() {
            context.asked = Some(Instant::now());
        }
        // What is only framing, such as an extension of a chunk, moves nothing.
        let moves = end_of_stream || body.as_ref().is_some_and(|piece| !piece.is_empty());
        if let Some(watchdog) = context.watchdog.as_ref().filter(|_| moves) {
            watchdog.note_client_sent(end_of_stream);
        }
        // pingora writes an empty last piece as a second end of a chunked body, which the registry reads as the start
        // of the next request on that connection (cloudflare/pingora#935).
        if end_of_stream && body.as_ref().is_some_and(Bytes::is_empty) {
            *body = None;
        }
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHead,
        context: &mut Context,
    ) -> Result<()> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // The door asks no registry for another protocol.
            let message = "the registry answered with another protocol, for which it was not asked";
            let refusal = Refusal::new(ErrorCode::Unavailable, message).with_status(StatusCode::BAD_GATEWAY);
            context.refusal = Some(refusal);
            return Err(Error::explain(ErrorType::InvalidHTTPHeader, "101 without `Upgrade`").into_up());
        }
        if !head.status.is_informational() {
            context.permit = None;
            if let (Some(asked), Some(exchange)) = (context.asked.take(), &context.exchange) {
                self.metrics.note_first_byte(exchange.route_name(), asked.elapsed());
            }
        }
        match &context.watchdog {
            Some(watchdog) if head.status.is_informational() => watchdog.note_interim_answer(),
            Some(watchdog) => watchdog.note_answer(),
            None => {}
        }
        match clock_retry::judge(session, head, context.presented()) {
            Verdict::Pass => return Ok(()),
            Verdict::Repeat => context.clock_retry = ClockRetry::Wanted,
            Verdict::Refuse(refusal) => context.refusal = Some(refusal),
        }
        Err(clock_retry::error(head))
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        if let Some(watchdog) = &context.watchdog {
            watchdog.note_answer();
        }
        let Some(answer) = &mut context.early_answer else { return Ok(None) };
        answer.piece(body.as_ref(), session.body_bytes_sent());
        if end_of_stream && !session.is_body_done() {
            answer.end();
            return EarlyAnswer::error();
        }
        Ok(None)
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
        self.finish_head(context, head).map_err(|refusal| {
            context.refusal = Some(refusal);
            Error::explain(ErrorType::InternalError, "a plugin refused the registry's response")
        })?;
        context.origin = AnswerOrigin::Registry;
        if !session.is_body_done() {
            let answer = EarlyAnswer::new(head, &session.req_header().method);
            let is_whole = answer.is_whole();
            context.early_answer = Some(answer);
            if is_whole {
                return EarlyAnswer::error();
            }
        }
        Ok(())
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
        let is_bound = context.target.as_ref().is_some_and(|target| target.backend.is_some());
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
        if context.clock_retry == ClockRetry::Wanted {
            context.clock_retry = ClockRetry::Done;
            // It watches a connection that is gone.
            context.watchdog = None;
            error.set_retry(true);
            return error;
        }
        // A kept connection that the registry has closed meanwhile: what may be sent twice is. Starting an upload twice
        // leaves an empty session behind, which the registry forgets by itself.
        let starts_upload = context
            .exchange
            .as_ref()
            .is_some_and(|exchange| matches!(exchange.route(), Some(Route::UploadStart { .. })))
            && session.is_body_empty();
        let may_repeat = session.req_header().method.is_idempotent() || starts_upload;
        let is_answered = context.early_answer.as_ref().is_some_and(EarlyAnswer::is_whole);
        if !is_answered
            && context.stall().is_none()
            && may_repeat
            && !session.as_ref().retry_buffer_truncated()
        {
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
        failed_exchange::answer(self, session, error, context).await
    }

    /// Failures stand in the access log, with their cause.
    fn suppress_error_log(&self, _session: &Session, _context: &Context, _error: &Error) -> bool {
        true
    }

    async fn connected_to_upstream(
        &self,
        session: &mut Session,
        _reused: bool,
        peer: &HttpPeer,
        socket: std::os::unix::io::RawFd,
        _digest: Option<&ConnectionDigest>,
        context: &mut Context,
    ) -> Result<()> {
        if let Some(backend) = &context.backend {
            backend.note_health(true);
            if upstream_peer::is_watched(peer) {
                let body = match session.as_mut().is_body_done() {
                    true => BodyState::Complete,
                    false if body::expects_continue(session) => BodyState::AwaitsContinue,
                    false => BodyState::Unfinished,
                };
                let (backend, connection) = (Arc::clone(backend), self.connections.get(socket));
                let watchdog = Watchdog::start(self.limits, awaited(context), body, backend, connection);
                context.watchdog = Some(watchdog);
            }
        }
        Ok(())
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, context: &mut Context) {
        let status = session.response_written().map(|head| head.status);
        let moved = (session.body_bytes_read() as u64, session.body_bytes_sent() as u64);
        self.end(context, status, moved, error);
    }
}

/// Whether an exchange is watched: there is a body in which the client may stall, or a commit that may keep the registry busy
/// for long.
fn is_watched(session: &mut Session, context: &Context) -> bool {
    !session.is_body_empty() || awaited(context) == Awaited::Commit
}

/// What the registry has to do.
fn awaited(context: &Context) -> Awaited {
    context.exchange.as_ref().map_or(Awaited::Answer, |exchange| exchange.awaited())
}

impl Service {
    /// Bounds how long a client may read nothing. What reads a body bounds that by itself, and pingora only what it throws
    /// away of one at the end.
    fn set_client_timeouts(&self, session: &mut Session) {
        let client = session.as_downstream_mut();
        client.set_write_timeout(Some(self.limits.client_timeout));
        client.set_read_timeout(None);
        client.set_total_drain_timeout(Some(body::DRAIN_TIME));
    }
}
