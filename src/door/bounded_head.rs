//! A client's connection on which the head of each HTTP/1.1 request is of bounded length.
//!
//! pingora reads up to a megabyte of one before it gives up. So the end of the head is looked for beneath it, where the bytes
//! pass (RFC 9112 section 2.1: an empty line), and one that is longer is answered 431 (RFC 6585 section 5) and ends the
//! connection. Of HTTP/2, `listen.rs` bounds the list of headers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, IO, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::refused_connections::count_refused;
use super::request_id::{self, RequestId};
use crate::oci::{ErrorBody, ErrorCode};

/// The longest head, in bytes, with its request line and its last, empty line.
pub(super) const MAXIMUM_HEAD_BYTES: usize = 64 * 1024;
/// How much, and for how long, of what a refused client still sends is thrown away, so that it can read its answer.
const DISCARDED_BYTES: usize = 4 * 1024 * 1024;
const DISCARDING: Duration = Duration::from_secs(2);

/// Tells a connection that what comes next is the head of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct NextHead(Arc<AtomicBool>);

impl NextHead {
    /// The request before it is over.
    pub(super) fn begins(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct BoundedHead<S> {
    stream: S,
    next: NextHead,
    state: State,
}

#[derive(Debug)]
enum State {
    /// A head is read.
    Head(Head),
    /// The head has ended: what comes belongs to the body.
    Body,
    /// The head is too long: this is answered, and so much of that was sent.
    Refusing(Vec<u8>, usize),
    /// It was answered; so much has been thrown away since.
    Discarding(Pin<Box<Sleep>>, usize),
}

/// What is known of a head of which not all has come.
#[derive(Debug, Default)]
struct Head {
    bytes: usize,
    /// Whether the request line has begun: empty lines before it are skipped (RFC 9112 section 2.2).
    has_begun: bool,
    is_line_empty: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Unfinished,
    Ended,
    TooLong,
}

impl Head {
    /// Looks at the next bytes.
    fn advance(&mut self, bytes: &[u8]) -> Progress {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
            self.bytes += line.len();
            rest = after;
            if line.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
                (self.has_begun, self.is_line_empty) = (true, false);
            }
            if end.is_some() && self.has_begun {
                if self.is_line_empty {
                    return if self.bytes > MAXIMUM_HEAD_BYTES { Progress::TooLong } else { Progress::Ended };
                }
                self.is_line_empty = true;
            }
        }
        if self.bytes > MAXIMUM_HEAD_BYTES { Progress::TooLong } else { Progress::Unfinished }
    }
}

impl<S: IO> BoundedHead<S> {
    /// A connection that begins with a head; further ones are told of by `next`.
    pub(super) fn new(stream: S, next: NextHead) -> Self {
        Self { stream, next, state: State::Head(Head::default()) }
    }

    /// The connection beneath, between two requests.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Answers a head that is too long, and fails.
    fn poll_refuse(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            match &mut self.state {
                State::Refusing(answer, sent) if *sent < answer.len() => {
                    match ready!(Pin::new(&mut self.stream).poll_write(context, &answer[*sent..])) {
                        Ok(0) => return Poll::Ready(io::ErrorKind::WriteZero.into()),
                        Ok(more) => *sent += more,
                        Err(error) => return Poll::Ready(error),
                    }
                }
                State::Refusing(..) => {
                    // Of TLS this says goodbye, and lets the client send on for as long as it is listened to.
                    match ready!(Pin::new(&mut self.stream).poll_shutdown(context)) {
                        Ok(()) => {
                            self.state = State::Discarding(Box::pin(tokio::time::sleep(DISCARDING)), 0);
                        }
                        Err(error) => return Poll::Ready(error),
                    }
                }
                State::Discarding(until, discarded) => {
                    let mut bytes = [0; 4096];
                    let mut into = ReadBuf::new(&mut bytes);
                    let is_over = *discarded > DISCARDED_BYTES || until.as_mut().poll(context).is_ready();
                    if !is_over
                        && ready!(Pin::new(&mut self.stream).poll_read(context, &mut into)).is_ok()
                        && !into.filled().is_empty()
                    {
                        *discarded += into.filled().len();
                        continue;
                    }
                    return Poll::Ready(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("the head of the request is longer than {MAXIMUM_HEAD_BYTES} bytes"),
                    ));
                }
                State::Head(_) | State::Body => self.state = State::Refusing(refusal(), 0),
            }
        }
    }
}

/// The answer to a head that is too long.
fn refusal() -> Vec<u8> {
    let kibibytes = MAXIMUM_HEAD_BYTES / 1024;
    let message = format!("the head of the request is longer than the {kibibytes} KiB that are allowed");
    let body = ErrorBody::new(ErrorCode::Unsupported, message).to_json();
    let head = format!(
        "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         {}: {}\r\nConnection: close\r\n\r\n",
        body.len(),
        request_id::NAME,
        RequestId::new().as_str()
    );
    [head.as_bytes(), body.as_ref()].concat()
}

impl<S: IO> AsyncRead for BoundedHead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.next.0.swap(false, Ordering::Relaxed) {
            this.state = State::Head(Head::default());
        }
        let before = into.filled().len();
        match &mut this.state {
            State::Body => return Pin::new(&mut this.stream).poll_read(context, into),
            State::Head(head) => {
                ready!(Pin::new(&mut this.stream).poll_read(context, into))?;
                match head.advance(&into.filled()[before..]) {
                    Progress::Unfinished => return Poll::Ready(Ok(())),
                    Progress::Ended => {
                        this.state = State::Body;
                        return Poll::Ready(Ok(()));
                    }
                    Progress::TooLong => {
                        count_refused("head");
                        into.set_filled(before);
                        this.state = State::Refusing(refusal(), 0);
                    }
                }
            }
            State::Refusing(..) | State::Discarding(..) => {}
        }
        this.poll_refuse(context).map(Err)
    }
}

impl<S: IO> AsyncWrite for BoundedHead<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[async_trait]
impl<S: IO> Shutdown for BoundedHead<S> {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

impl<S: IO> UniqueID for BoundedHead<S> {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl<S: IO> Ssl for BoundedHead<S> {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

#[async_trait]
impl<S: IO> Peek for BoundedHead<S> {
    async fn try_peek(&mut self, into: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(into).await
    }
}

impl<S: IO> GetTimingDigest for BoundedHead<S> {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }
}

impl<S: IO> GetProxyDigest for BoundedHead<S> {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }
}

impl<S: IO> GetSocketDigest for BoundedHead<S> {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How far a head comes in pieces of this length: where it ends, or that it does not.
    fn read(head: &[u8], piece: usize) -> (Progress, usize) {
        let mut state = Head::default();
        for piece in head.chunks(piece) {
            let progress = state.advance(piece);
            if progress != Progress::Unfinished {
                return (progress, state.bytes);
            }
        }
        (Progress::Unfinished, state.bytes)
    }

    #[test]
    fn a_head_ends_with_its_first_empty_line_behind_the_request_line() {
        for (head, end) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\r\n\r\n", Some(27)),
            ("GET / HTTP/1.1\nHost: a\n\nbody", Some(24)),
            ("\r\n\n\r\nGET / HTTP/1.0\r\n\r\n", Some(23)),
            ("\r\n\r\n\r\n\r\n", None),
            ("GET / HTTP/1.1\r\nX: a\r\n b\r\n", None),
            ("GET / HTTP/1.1\r\nX: a\r\n \r\n", None),
        ] {
            for piece in [1, 2, 3, 1000] {
                let expected = end.map_or((Progress::Unfinished, head.len()), |end| (Progress::Ended, end));
                assert_eq!(read(head.as_bytes(), piece), expected, "{head:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_head_may_have_its_most_bytes_and_no_more() {
        for (length, expected) in
            [(MAXIMUM_HEAD_BYTES, Progress::Ended), (MAXIMUM_HEAD_BYTES + 1, Progress::TooLong)]
        {
            let mut head = vec![b'a'; length - 4];
            head.extend_from_slice(b"\r\n\r\n");
            for piece in [1000, 1 << 20] {
                assert_eq!(read(&head, piece).0, expected, "{length} bytes in pieces of {piece}");
            }
        }
        assert_eq!(read(&b"\r\n".repeat(MAXIMUM_HEAD_BYTES), 4096).0, Progress::TooLong);
    }
}
