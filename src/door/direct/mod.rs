//! The direct way: requests that the door may answer by itself are read and answered without pingora, on connections without
//! TLS by HTTP/1.1.
//!
//! Only an entirely ordinary head of a request without a body is read here ([`head`]); pingora reads any other. What a request
//! means is decided in one place for both, [`Service::decide`]; what is to be streamed goes on to pingora with that decision
//! made.

mod answer;
mod head;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;

use self::answer::Sending;
use super::client_connection::ClientConnection;
use super::client_stream::ClientStream;
use super::context::Context;
use super::inbound::{Arrival, Inbound};
use super::normalization;
use super::service::Service;

/// How much is read at once: any ordinary head.
const READ_BYTES: usize = 4 * 1024;

/// What becomes of a connection.
pub(super) enum Next {
    /// pingora is to serve the request that comes next, whose bytes are yet to be read. If the request was read, this is what
    /// was decided: it is to be streamed.
    Pingora(Option<Box<Context>>),
    /// It is over.
    Closed,
}

/// The direct way of one connection.
pub(super) struct DirectWay<'a> {
    pub service: &'a Service,
    pub connection: &'a Arc<ClientConnection>,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// Whether each answer is the last one of its connection.
    pub leaving: watch::Receiver<bool>,
    /// Whether the door stops.
    pub stopping: watch::Receiver<bool>,
}

/// The bytes with which a request begins.
enum Beginning {
    /// A whole head, perhaps an ordinary one, and nothing else.
    Head(Bytes),
    /// Anything else.
    Other(Bytes),
    /// The client is gone, or was given up; or the door stops.
    Gone,
}

impl DirectWay<'_> {
    /// Serves requests until one comes that is not for the direct way.
    pub(super) async fn serve(&mut self, stream: &mut ClientStream) -> Next {
        loop {
            match self.begin(stream).await {
                Beginning::Gone => return Next::Closed,
                Beginning::Other(bytes) => {
                    stream.unread(&bytes);
                    return Next::Pingora(None);
                }
                // Apart from this future, which a connection has as long as it is open.
                Beginning::Head(bytes) => match Box::pin(self.exchange(stream, bytes)).await {
                    None => {}
                    Some(next) => return next,
                },
            }
        }
    }

    /// Reads the beginning of a request.
    async fn begin(&mut self, stream: &mut ClientStream) -> Beginning {
        let mut bytes = BytesMut::new();
        loop {
            bytes.reserve(READ_BYTES);
            let read = tokio::select! {
                biased;
                read = stream.read_buf(&mut bytes) => read,
                _ = self.stopping.wait_for(|stopping| *stopping) => return Beginning::Gone,
            };
            match read {
                Ok(0) | Err(_) if bytes.is_empty() => return Beginning::Gone,
                // pingora says what there is to say of it.
                Ok(0) | Err(_) => return Beginning::Other(bytes.freeze()),
                Ok(_) => {}
            }
            match head::progress(&bytes) {
                head::Progress::Unfinished => {}
                head::Progress::Whole if !head::is_of_the_registry(&bytes, self.service.answers_tags) => {
                    return Beginning::Head(bytes.freeze());
                }
                head::Progress::Whole | head::Progress::Other => return Beginning::Other(bytes.freeze()),
            }
        }
    }

    /// Serves one request; answers what comes next, if that is not another request.
    async fn exchange(&self, stream: &mut ClientStream, bytes: Bytes) -> Option<Next> {
        let Some(mut request) = head::parse(&bytes) else {
            stream.unread(&bytes);
            return Some(Next::Pingora(None));
        };
        let mut context = Context::new(self.service.exchanges.token());
        context.running_request = Some(self.connection.begin_request());
        let normalized = normalization::normalize(&mut request);
        let arrival = Arrival { has_body: false, is_tls: false, peer: Some(self.peer) };
        let read = self.service.read(request, normalized, arrival);
        let mut write_timeout = self.service.limits.client_timeout;
        let inbound = Inbound::WithoutBody(&mut write_timeout);
        let Some(decided) = self.service.decide(inbound, read, &mut context).await.transpose() else {
            stream.unread(&bytes);
            return Some(Next::Pingora(Some(Box::new(context))));
        };
        drop(bytes);
        let is_last = *self.leaving.borrow();
        let mut sending = Sending::new(stream, is_last, write_timeout);
        let sent = match self.service.finish(&mut context, decided) {
            Ok(answer) => sending.send(&context, answer).await,
            Err(error) => Err(error),
        };
        let error = sent.err();
        if let Some(error) = &error {
            sending.note_failure(self.service, &mut context, error);
        }
        let (status, length, is_reusable) = (sending.status(), sending.body_bytes(), sending.is_reusable());
        self.service.end(&mut context, status, (0, length), error.as_deref());
        (error.is_some() || !is_reusable).then_some(Next::Closed)
    }
}
