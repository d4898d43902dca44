//! A client's connection that sends the head of an answer together with the first of its body, and does not wait without
//! end for a client that does not read, or that does not come to a request.
//!
//! pingora writes the two one after the other, and flushes where something has to leave. A segment of its own for the
//! head costs a tenth of the time of a small exchange; TLS gathers by itself. pingora bounds most of its writes, but not its
//! flushes: the last bytes of an answer to a client that has stopped reading would be waited for without end. How long the
//! client may be without a request, [`Presence`] says. Used by [`super::listen`] for every connection, also beneath TLS.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::ResponseHead;
use super::presence::Presence;

/// The longest write that is held for company, in bytes: any usual head of an answer.
const HELD: usize = 4 * 1024;
/// After how many reads the clock is looked at where each brings something: looking costs as much as a small read.
const READS_BETWEEN_LOOKS: u8 = 32;

/// See the module.
///
/// At most one write is held: the next write, a flush or the end sends it.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    socket: Arc<SocketDigest>,
    /// Leads from a request to its connection's presence.
    marks: Option<Arc<ProxyDigest>>,
    presence: Arc<Presence>,
    /// When to ask the presence again whether the client is still to be waited for.
    look: Instant,
    /// How often was read.
    reads: u8,
    /// Wakes who waits for the client, at that time or before.
    looking: Option<Pin<Box<Sleep>>>,
    /// Bytes that were read to see how the connection begins, and are to be read again.
    ahead: Vec<u8>,
    held: Vec<u8>,
    /// Whether short writes are held at all.
    gathers: bool,
    /// How long the client may take none of what is sent.
    client_timeout: Duration,
    /// Runs while it takes none.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// Sends each write as it comes.
    pub fn new(
        stream: TcpStream,
        socket: SocketDigest,
        presence: Arc<Presence>,
        client_timeout: Duration,
    ) -> Self {
        let mark = ResponseHead::build(http::StatusCode::OK, Some(0)).ok();
        let marks = mark.map(|head| {
            let presence: Box<dyn std::any::Any + Send + Sync> = Box::new(Arc::clone(&presence));
            Arc::new(ProxyDigest::new(Box::new(head), Some(presence)))
        });
        Self {
            stream,
            socket: Arc::new(socket),
            marks,
            presence,
            look: Instant::now(),
            reads: 0,
            looking: None,
            ahead: Vec::new(),
            held: Vec::new(),
            gathers: false,
            client_timeout,
            waiting: None,
        }
    }

    /// From now on it holds short writes.
    pub fn gather(&mut self) {
        self.gathers = true;
    }

    /// Whether the connection begins with these bytes, decided on as few as it takes. They are read again afterwards.
    ///
    /// # Errors
    /// When the client is gone, or is not waited for any longer.
    pub async fn begins_with(&mut self, bytes: &[u8]) -> io::Result<bool> {
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

    /// Whether the client is still to be waited for.
    fn judge(&mut self, now: Instant) -> io::Result<()> {
        match self.presence.judge(self.waiting.is_some(), now) {
            Ok(look) => {
                self.look = look;
                Ok(())
            }
            Err(overdue) => {
                super::listen::refused(overdue.cause());
                // One is enough to be counted; whoever asks once more is answered at once.
                self.presence.displace();
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not come to a request in time"))
            }
        }
    }

    /// Waits for the client, for as long as that is done.
    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let look = tokio::time::Instant::from_std(self.look);
            let looking = self.looking.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(look)));
            if looking.deadline() > look {
                looking.as_mut().reset(look);
            }
            ready!(looking.as_mut().poll(context));
            if let Err(error) = self.judge(Instant::now()) {
                return Poll::Ready(error);
            }
            if let Some(looking) = &mut self.looking {
                looking.as_mut().reset(self.look.into());
            }
        }
    }

    /// Lets what is sent through; what has to wait may do so for the client's time.
    fn bounded<T>(&mut self, sent: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.waiting = None;
            return sent;
        }
        let limit = self.client_timeout;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }

    fn poll_send_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let sent = Pin::new(&mut self.stream).poll_write(context, &self.held);
            let sent = ready!(self.bounded(sent, context))?;
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

/// What whoever waits for the client is told when the connection makes room for another one.
fn displaced() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the connection makes room")
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
        if this.presence.has_ended() {
            return Poll::Ready(Err(displaced()));
        }
        // Also while something always comes.
        this.reads = this.reads.wrapping_add(1);
        if this.reads.is_multiple_of(READS_BETWEEN_LOOKS) {
            let now = Instant::now();
            if now >= this.look {
                this.judge(now)?;
            }
        }
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        if read.is_pending() {
            this.presence.wake_when_displaced(context);
            if this.presence.has_ended() {
                return Poll::Ready(Err(displaced()));
            }
            return this.poll_patience(context).map(Err);
        }
        if into.filled().len() > before
            && let Some(look) = this.presence.received()
        {
            this.look = this.look.min(look);
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
        if this.gathers && this.held.is_empty() && length <= HELD {
            parts.iter().for_each(|part| this.held.extend_from_slice(part));
            return Poll::Ready(Ok(length));
        }
        while !this.held.is_empty() {
            let together: Vec<IoSlice<'_>> =
                std::iter::once(IoSlice::new(&this.held)).chain(parts.iter().copied()).collect();
            let sent = Pin::new(&mut this.stream).poll_write_vectored(context, &together);
            let sent = ready!(this.bounded(sent, context))?;
            let held = this.held.len().min(sent);
            this.discard(held)?;
            if sent > held {
                return Poll::Ready(Ok(sent - held));
            }
        }
        let sent = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.bounded(sent, context)
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

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!(%error, "a connection could not be closed");
        }
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.stream.as_raw_fd()
    }
}

impl Ssl for ClientStream {}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    /// What pingora keeps for those that come through another proxy leads to the presence.
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.marks.clone()
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.socket))
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::net::IpAddr;

    use tokio::net::TcpListener;

    use super::*;
    use crate::door::connections::{ConnectionLimits, Connections};
    use crate::door::presence::Patience;

    type TestResult = Result<(), Box<dyn Error>>;

    const FOREVER: Duration = Duration::from_secs(3_600);

    async fn pair() -> Result<(ClientStream, TcpStream), Box<dyn Error>> {
        let (mut door, client) = pair_within(FOREVER).await?;
        door.gather();
        Ok((door, client))
    }

    /// Where the client has so long for a head.
    async fn pair_within(head: Duration) -> Result<(ClientStream, TcpStream), Box<dyn Error>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        let socket = SocketDigest::from_raw_fd(stream.as_raw_fd());
        let limits = ConnectionLimits { all: 1, per_address: 1, trusted_proxies: Vec::new() };
        let connections = Connections::new(limits, Patience { head, idle: FOREVER });
        let presence = connections.admit(IpAddr::from([127, 0, 0, 1])).ok_or("no place")?;
        Ok((ClientStream::new(stream, socket, presence, Duration::from_secs(60)), client))
    }

    #[tokio::test]
    async fn what_was_read_to_see_the_beginning_is_read_again() -> TestResult {
        for (sent, begins) in [("PRI * body", true), ("PUT /", false), ("P", false)] {
            let (mut door, mut client) = pair_within(FOREVER).await?;
            client.write_all(sent.as_bytes()).await?;
            client.shutdown().await?;
            let begun = door.begins_with(b"PRI *").await;
            assert_eq!(begun.ok(), (sent.len() > 1).then_some(begins), "{sent}");
            if sent.len() > 1 {
                let mut received = String::new();
                door.read_to_string(&mut received).await?;
                assert_eq!(received, sent);
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_client_that_always_sends_and_never_comes_to_a_request_is_given_up() -> TestResult {
        let (mut door, mut client) = pair_within(Duration::from_millis(50)).await?;
        let sending = tokio::spawn(async move { while client.write_all(&[7; 64]).await.is_ok() {} });
        let mut piece = [0; 64];
        let error = loop {
            if let Err(error) = door.read(&mut piece).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(door);
        sending.await?;
        Ok(())
    }

    #[tokio::test]
    async fn a_short_write_leaves_together_with_the_next_one() -> TestResult {
        let (mut door, mut client) = pair().await?;
        door.write_all(b"head").await?;
        assert_eq!(
            client.try_read(&mut [0; 8]).map_err(|error| error.kind()),
            Err(io::ErrorKind::WouldBlock)
        );
        door.write_all(b" body").await?;
        let mut received = [0; 9];
        assert_eq!(client.read(&mut received).await?, 9);
        assert_eq!(&received, b"head body");
        Ok(())
    }

    #[tokio::test]
    async fn a_flush_and_an_end_send_what_is_held() -> TestResult {
        let (mut door, mut client) = pair().await?;
        door.write_all(b"100 ").await?;
        door.flush().await?;
        let mut received = [0; 4];
        client.read_exact(&mut received).await?;
        door.write_all(b"rest").await?;
        AsyncWriteExt::shutdown(&mut door).await?;
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await?;
        assert_eq!((&received, rest.as_slice()), (b"100 ", b"rest".as_slice()));
        Ok(())
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_however_slowly_they_are_read() -> TestResult {
        let (mut door, mut client) = pair().await?;
        let sizes = [1, HELD, HELD + 1, 3, 5_000_000, 2, HELD - 1, 1_000_000, 7];
        let sent: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|index| (index % 251) as u8).collect();
        let expected = sent.clone();
        let writing = tokio::spawn(async move {
            let mut rest = sent.as_slice();
            for size in sizes {
                let (now, later) = rest.split_at(size);
                door.write_all(now).await?;
                rest = later;
            }
            AsyncWriteExt::shutdown(&mut door).await
        });
        let mut received = Vec::new();
        let mut piece = vec![0; 10_000];
        loop {
            let length = client.read(&mut piece).await?;
            if length == 0 {
                break;
            }
            received.extend_from_slice(&piece[..length]);
            tokio::task::yield_now().await;
        }
        writing.await??;
        assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
        Ok(())
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_waited_for_no_longer_than_its_time() -> TestResult {
        let (mut door, client) = pair().await?;
        door.client_timeout = Duration::from_millis(50);
        let piece = vec![7; 1_000_000];
        let written = loop {
            if let Err(error) = door.write_all(&piece).await {
                break error;
            }
        };
        assert_eq!(written.kind(), io::ErrorKind::TimedOut);
        assert_eq!(door.write_all(b"held").await.map_err(|error| error.kind()), Ok(()));
        assert_eq!(door.flush().await.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        drop(client);
        Ok(())
    }
}
