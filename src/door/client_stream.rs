//! A client's connection that sends the head of an answer together with the first of its body, and does not wait without
//! end for a client that does not read.
//!
//! pingora writes the two one after the other, and flushes where something has to leave. A segment of its own for the
//! head costs a tenth of the time of a small exchange; TLS gathers by itself. pingora bounds most of its writes, but not its
//! flushes: the last bytes of an answer to a client that has stopped reading would be waited for without end. Used by
//! [`super::listen`] for HTTP/1.1 without TLS, and beneath TLS.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest,
    UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// The longest write that is held for company, in bytes: any usual head of an answer.
const HELD: usize = 4 * 1024;

/// See the module.
///
/// At most one write is held: the next write, a flush or the end sends it.
#[derive(Debug)]
pub(super) struct ClientStream {
    stream: TcpStream,
    socket: Arc<SocketDigest>,
    held: Vec<u8>,
    /// Whether short writes are held at all.
    gathers: bool,
    /// How long the client may take none of what is sent.
    client_timeout: Duration,
    /// Runs while it takes none.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl ClientStream {
    /// Holds short writes.
    pub fn gathering(stream: TcpStream, socket: SocketDigest, client_timeout: Duration) -> Self {
        Self { gathers: true, ..Self::direct(stream, socket, client_timeout) }
    }

    /// Sends each write as it comes.
    pub fn direct(stream: TcpStream, socket: SocketDigest, client_timeout: Duration) -> Self {
        Self {
            stream,
            socket: Arc::new(socket),
            held: Vec::new(),
            gathers: false,
            client_timeout,
            waiting: None,
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

impl AsyncRead for ClientStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, into)
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
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
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

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    type TestResult = Result<(), Box<dyn Error>>;

    async fn pair() -> Result<(ClientStream, TcpStream), Box<dyn Error>> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        let socket = SocketDigest::from_raw_fd(stream.as_raw_fd());
        Ok((ClientStream::gathering(stream, socket, Duration::from_secs(60)), client))
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
