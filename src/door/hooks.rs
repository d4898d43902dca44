//! The request's way through pingora's hooks, in the order in which pingora calls them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use pingora_core::protocols::Digest as ConnectionDigest;
use pingora_core::upstreams::peer::{H1UpgradePolicy, HttpPeer};
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::{FailToProxy, ProxyHttp, Session};

use super::context::Context;
use super::early_answer::EarlyAnswer;
use super::presence::Presence;
use super::repetition::{self, Repetition};
use super::service::Service;
use super::watch::{Owed, Stall, Watch};
use super::{OnwardAuthorization, Outcome, Refusal, ResponseHead, body, failure, forward, request_metrics};
use crate::auth::Network;
use crate::oci::route::UploadAction;
use crate::oci::{ErrorCode, Route};
use crate::registry::Awaited;

/// How long an idle connection to the registry is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);
/// The group of connections to the registry that carry watched exchanges; the others are in group 0.
const WATCHED: u64 = 1;

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.exchanges.token())
    }

    /// Nothing is compressed on the way, so pingora's compression module stays out.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        self.bound(session);
        context.running = session.digest().and_then(Presence::of).map(Presence::run);
        let (mut exchange, readable) = self.exchange(session);
        let mut answer = match readable {
            Ok(()) => self.answer(session, &mut exchange, &mut context.in_flight).await,
            Err(refusal) => match self.base_without_slash(&exchange) {
                Some(local) => Ok(Some(local)),
                None => Err(refusal),
            },
        };
        if let Ok(None) = &answer {
            match self.lead_on(&exchange) {
                Ok(session) => context.session = session,
                Err(refusal) => answer = Err(refusal),
            }
        }
        let exchange = &*context.exchange.insert(Box::new(exchange));
        match answer {
            Ok(None) => {
                let (network, started) = (Network::of(exchange.client.address), exchange.started);
                // What sends a body, or commits one, is at the registry for as long as that takes.
                if !is_watched(session, context) {
                    context.turn = Some(self.turns.take(network, started).await);
                }
                Ok(false)
            }
            Ok(Some(local)) => self.respond(session, context, local).await.map(|()| true),
            Err(refusal) => self.refuse(session, context, &refusal).await.map(|()| true),
        }
    }

    async fn upstream_peer(&self, session: &mut Session, context: &mut Context) -> Result<Box<HttpPeer>> {
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
        let limit = Some(self.limits.patience.timeout);
        peer.options.connection_timeout = limit;
        peer.options.total_connection_timeout = limit;
        if is_watched(session, context) {
            // Connections of their own, each with a handle for the watch to end it by; pingora's timers are off.
            peer.group_key = WATCHED;
            self.lines.follow(&mut peer.options);
        } else {
            // Both begin anew with each piece that moves, and do not run while the client is to read.
            peer.options.read_timeout = limit;
            peer.options.write_timeout = limit;
        }
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
        let (Some(exchange), Some(backend)) = (&mut context.exchange, &context.backend) else {
            return Ok(());
        };
        if let OnwardAuthorization::OfTheDoor(introduction) = &exchange.onward.authorization {
            let shown = introduction.show(backend).map_err(|error| {
                Error::because(ErrorType::InternalError, "the door cannot show itself to the registry", error)
            })?;
            context.shown = Some(shown);
        }
        exchange.onward.went = true;
        if let Some(session) = &context.session {
            request.set_raw_path(session.path_and_query.as_bytes())?;
        } else if let Some(path_and_query) = &exchange.onward.path_and_query {
            request.set_raw_path(path_and_query.as_bytes())?;
        }
        forward::prepare_request(exchange, backend.authority(), context.shown.as_ref(), request)
    }

    async fn request_body_filter(
        &self,
        _session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<()> {
        // What is only framing, such as an extension of a chunk, moves nothing.
        let moves = end_of_stream || body.as_ref().is_some_and(|piece| !piece.is_empty());
        if let Some(watch) = context.watch.as_ref().filter(|_| moves) {
            watch.client_sent(end_of_stream);
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
            context.turn = None;
        }
        match &context.watch {
            Some(watch) if head.status.is_informational() => watch.registry_lives(),
            Some(watch) => watch.registry_answers(),
            None => {}
        }
        repetition::judge(session, head, context)
    }

    fn upstream_response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        context: &mut Context,
    ) -> Result<Option<Duration>> {
        if let Some(watch) = &context.watch {
            watch.registry_answers();
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
        self.finish_head(context, head).await.map_err(|refusal| {
            context.refusal = Some(refusal);
            Error::explain(ErrorType::InternalError, "a plugin refused the registry's response")
        })?;
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
        if context.repetition == Repetition::Wanted {
            context.repetition = Repetition::Done;
            // It watches a connection that is gone.
            context.watch = None;
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
        if let Some(answer) = context.early_answer.take_if(|answer| answer.is_whole()) {
            // Nobody owes anything any more.
            context.watch = None;
            context.is_answered = true;
            if let Err(error) = answer.finish(session).await {
                let stall = failure::stall(&error, &self.limits).inspect(|stall| stall.count());
                context.cause = Some(
                    stall.map_or_else(|| format!("the client left: {error}"), |stall| stall.to_string()),
                );
            }
            let status = session.response_written().map_or(0, |head| head.status.as_u16());
            return FailToProxy { error_code: status, can_reuse_downstream: false };
        }
        let stall =
            context.stall().or_else(|| failure::stall(error, &self.limits).inspect(|stall| stall.count()));
        let refusal = match (context.refusal.take(), stall) {
            (Some(refusal), _) => Some(refusal),
            (None, Some(stall)) => {
                context.cause = Some(stall.to_string());
                // One that does not read cannot be told.
                (!matches!(stall, Stall::Reader(_))).then(|| stall.refusal())
            }
            (None, None) => failure::refusal(error),
        };
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
        session: &mut Session,
        _reused: bool,
        peer: &HttpPeer,
        socket: std::os::unix::io::RawFd,
        _digest: Option<&ConnectionDigest>,
        context: &mut Context,
    ) -> Result<()> {
        if let Some(backend) = &context.backend {
            backend.note_health(true);
            if peer.group_key == WATCHED {
                let owed = match session.as_mut().is_body_done() {
                    true => Owed::Nothing,
                    false if body::expects_continue(session) => Owed::Asked,
                    false => Owed::Body,
                };
                let (backend, line) = (Arc::clone(backend), self.lines.get(socket));
                context.watch = Some(Watch::begin(self.limits, awaited(context), owed, backend, line));
            }
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
            cause: context
                .cause
                .take()
                .or_else(|| error.filter(|_| !context.is_answered).map(ToString::to_string)),
        };
        request_metrics::count(exchange.route_name(), status, duration);
        self.pipeline.on_end(&exchange, &outcome).await;
    }
}

/// Whether an exchange is one for the watch: there is a body in which the client may stand still, or a commit at which the
/// registry may be for long.
fn is_watched(session: &mut Session, context: &Context) -> bool {
    !session.is_body_empty() || awaited(context) == Awaited::Commit
}

/// What the registry has to do: a commit is what makes a blob, at the end of an upload, in one request or by a mount (OCI
/// distribution spec, "Pushing blobs", "Mounting a blob from another repository").
fn awaited(context: &Context) -> Awaited {
    let Some(exchange) = &context.exchange else { return Awaited::Answer };
    let ends_upload = match exchange.route() {
        Some(Route::Upload { action, .. }) => *action == UploadAction::Finish,
        Some(Route::UploadStart { mount, .. }) => {
            let query = exchange.request.uri.query().unwrap_or_default();
            mount.is_some() || query.split('&').any(|pair| pair.starts_with("digest="))
        }
        _ => false,
    };
    if ends_upload { Awaited::Commit } else { Awaited::Answer }
}

impl Service {
    /// Bounds how long a client may read nothing. What reads a body bounds that by itself, and pingora only what it throws
    /// away of one at the end.
    fn bound(&self, session: &mut Session) {
        let client = session.as_downstream_mut();
        client.set_write_timeout(Some(self.limits.client_timeout));
        client.set_read_timeout(None);
        client.set_total_drain_timeout(Some(body::DRAIN_TIME));
    }
}
