//! A client's connection that sends the head of an answer together with the first of its body, and does not wait without
//! end for a client that does not read, or that does not come to a request.
//!
//! pingora writes the two one after the other, and flushes where something has to leave. A segment of its own for the
//! head costs a tenth of the time of a small exchange; TLS coalesces by itself. pingora bounds most of its writes, but not its
//! flushes: the last bytes of an answer to a client that has stopped reading would be waited for without end. How long the
//! client may be without a request, [`ClientConnection`] says. Used by [`super::listen`] for every connection, also beneath TLS.

mod pingora_stream;
#[cfg(test)]
mod tests;
mod timeouts;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pingora_core::protocols::SocketDigest;
use pingora_core::protocols::raw_connect::ProxyDigest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use self::timeouts::{ReadTimeout, WriteTimeout};
use super::ResponseHead;
use super::client_connection::ClientConnection;

/// The longest write that is held until more follows, in bytes: any usual head of an answer.
const MAXIMUM_HELD: usize = 4 * 1024;

/// See the module.
///
/// At most one write is held: the next write, a flush or the end sends it.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    socket: Arc<SocketDigest>,
    /// Leads from a request to its [`ClientConnection`].
    digest: Option<Arc<ProxyDigest>>,
    read_timeout: ReadTimeout,
    write_timeout: WriteTimeout,
    /// Bytes that were read to see how the connection begins, and are to be read again.
    ahead: Vec<u8>,
    held: Vec<u8>,
    /// Whether short writes are held at all.
    coalesces: bool,
}

impl ClientStream {
    /// Sends each write as it comes. The client may take nothing of one for as long as `client_timeout`.
    pub(super) fn new(
        stream: TcpStream,
        socket: SocketDigest,
        connection: Arc<ClientConnection>,
        client_timeout: Duration,
    ) -> Self {
        let head = ResponseHead::build(http::StatusCode::OK, Some(0)).ok();
        let digest = head.map(|head| {
            let connection: Box<dyn std::any::Any + Send + Sync> = Box::new(Arc::clone(&connection));
            Arc::new(ProxyDigest::new(Box::new(head), Some(connection)))
        });
        Self {
            stream,
            socket: Arc::new(socket),
            digest,
            read_timeout: ReadTimeout::new(connection),
            write_timeout: WriteTimeout::new(client_timeout),
            ahead: Vec::new(),
            held: Vec::new(),
            coalesces: false,
        }
    }

    /// From now on a short write is held until more follows.
    pub(super) fn coalesce_writes(&mut self) {
        self.coalesces = true;
    }

    /// Whether the connection begins with these bytes, decided on as few as it takes. They are read again afterwards.
    ///
    /// # Errors
    /// When the client is gone, or is not waited for any longer.
    pub(super) async fn begins_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let mut begin = Vec::with_capacity(bytes.len());
        while begin.len() < bytes.len() && bytes.starts_with(&begin) {
            let missing = (bytes.len() - begin.len()) as u64;
            if (&mut *self).take(missing).read_buf(&mut begin).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let is_so = begin == bytes;
        self.ahead = begin;
        Ok(is_so)
    }

    /// Has bytes that were read be read again, before what follows them.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.ahead.splice(..0, bytes.iter().copied());
    }

    fn poll_send_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = Pin::new(&mut self.stream).poll_write(context, &self.held);
            let sent = ready!(self.write_timeout.bound(sent, context))?;
            self.discard(sent)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Forgets so many of the held bytes, which were sent.
    fn discard(&mut self, sent: usize) -> io::Result<()> {
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.held.drain(..sent);
        Ok(())
    }
}

/// How reading fails on a connection that is to be closed.
fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the door closes the connection")
}

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.ahead.is_empty() {
            let length = this.ahead.len().min(into.remaining());
            into.put_slice(&this.ahead[..length]);
            this.ahead.drain(..length);
            return Poll::Ready(Ok(()));
        }
        if this.read_timeout.connection().is_ended() {
            return Poll::Ready(Err(ended()));
        }
        let owes_reading = this.write_timeout.is_running();
        this.read_timeout.note_read(owes_reading)?;
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        if read.is_pending() {
            let connection = this.read_timeout.connection();
            connection.wake_when_ended(context);
            if connection.is_ended() {
                return Poll::Ready(Err(ended()));
            }
            return this.read_timeout.poll_expired(owes_reading, context).map(Err);
        }
        if into.filled().len() > before {
            this.read_timeout.note_received();
        }
        read
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length: usize = parts.iter().map(|part| part.len()).sum();
        if this.coalesces && this.held.is_empty() && length <= MAXIMUM_HELD {
            parts.iter().for_each(|part| this.held.extend_from_slice(part));
            return Poll::Ready(Ok(length));
        }
        while !this.held.is_empty() {
            let together: Vec<IoSlice<'_>> =
                std::iter::once(IoSlice::new(&this.held)).chain(parts.iter().copied()).collect();
            let sent = Pin::new(&mut this.stream).poll_write_vectored(context, &together);
            let sent = ready!(this.write_timeout.bound(sent, context))?;
            let held = this.held.len().min(sent);
            this.discard(held)?;
            if sent > held {
                return Poll::Ready(Ok(sent - held));
            }
        }
        let sent = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.write_timeout.bound(sent, context)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_send_held(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send_held(context))?;
        Pin::new(&mut this.stream).poll_shutdown(context)
    }
}
