//! The request's way through pingora's hooks, in the order in which pingora calls them.

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
use super::service::Service;
use super::{Outcome, ResponseHead, failure, forward};
use crate::oci::Route;

/// How long an idle connection to the registry is kept.
const IDLE_CONNECTION: Duration = Duration::from_secs(60);

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Context;

    fn new_ctx(&self) -> Context {
        Context::new(self.exchanges.token())
    }

    /// Nothing is compressed on the way, so pingora's compression module stays out.
    fn init_downstream_modules(&self, _modules: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, context: &mut Context) -> Result<bool> {
        let (mut exchange, readable) = self.exchange(session);
        let mut answer = match readable {
            Ok(()) => self.answer(session, &mut exchange).await,
            Err(refusal) => Err(refusal),
        };
        if let Ok(None) = &answer {
            match self.lead_on(&exchange) {
                Ok(session) => context.session = session,
                Err(refusal) => answer = Err(refusal),
            }
        }
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
        let (Some(exchange), Some(backend)) = (&mut context.exchange, &context.backend) else {
            return Ok(());
        };
        exchange.onward.went = true;
        if let Some(session) = &context.session {
            request.set_raw_path(session.path_and_query.as_bytes())?;
        } else if let Some(path_and_query) = &exchange.onward.path_and_query {
            request.set_raw_path(path_and_query.as_bytes())?;
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
