//! A listener with few connections, for the admin listener and the socket for commands: the oldest connection makes room for
//! a new one, so that clients that are slow, or do nothing, shut out no other client.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::telemetry::CounterFamily;

static DISPLACED: CounterFamily = CounterFamily {
    name: "portreeve_side_connections_displaced_total",
    help: "Connections to the admin listener and the socket for commands that made room for newer ones",
    labels: &[("listener", &["admin", "socket"])],
};

/// Describes the metrics of these listeners.
pub(super) fn describe_metrics() {
    DISPLACED.describe();
}

/// A listener of which only so many connections live.
pub(super) struct LimitedListener<L> {
    listener: L,
    name: &'static str,
    most: usize,
    lifetime: Option<Duration>,
    /// The connections that may still be open, the oldest first; at most `most`.
    open: VecDeque<Arc<Closing>>,
}

impl<L> LimitedListener<L> {
    /// So many connections, each for at most a lifetime. `name` is the listener's in the metrics.
    pub(super) fn new(listener: L, name: &'static str, most: usize, lifetime: Option<Duration>) -> Self {
        Self { listener, name, most, lifetime, open: VecDeque::new() }
    }
}

impl<L: Listener> Listener for LimitedListener<L>
where
    L::Addr: Send,
{
    type Io = LimitedConnection<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (io, address) = self.listener.accept().await;
        self.open.retain(|closing| !closing.is_closed.load(Ordering::Acquire));
        if self.open.len() >= self.most
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.displace();
            DISPLACED.with([self.name]).increment(1);
            // Its descriptor goes before the next one comes.
            oldest.closed().await;
        }
        let closing = Arc::new(Closing::default());
        self.open.push_back(Arc::clone(&closing));
        let lifetime = self.lifetime.map(|lifetime| Box::pin(tokio::time::sleep(lifetime)));
        metrics::gauge!("portreeve_connections", "listener" => self.name).increment(1.0);
        (LimitedConnection { io, closing, lifetime, name: self.name }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// How the listener tells a connection to end, and how the connection tells that it is closed.
#[derive(Debug, Default)]
struct Closing {
    is_displaced: AtomicBool,
    is_closed: AtomicBool,
    connection: AtomicWaker,
    listener: AtomicWaker,
}

impl Closing {
    fn displace(&self) {
        self.is_displaced.store(true, Ordering::Release);
        self.connection.wake();
    }

    /// Waits until the connection is closed; not for long, since the listener waits with it.
    async fn closed(&self) {
        const PROMPTLY: Duration = Duration::from_millis(100);
        let closed = poll_fn(|context| {
            self.listener.register(context.waker());
            if self.is_closed.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        });
        // One whose answer is being made closes a little later.
        let _ = tokio::time::timeout(PROMPTLY, closed).await;
    }
}

/// One connection.
pub(super) struct LimitedConnection<I> {
    io: I,
    closing: Arc<Closing>,
    lifetime: Option<Pin<Box<Sleep>>>,
    name: &'static str,
}

impl<I> LimitedConnection<I> {
    /// Whether it is over; wakes the task when it becomes so.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.closing.connection.register(context.waker());
        self.closing.is_displaced.load(Ordering::Acquire)
            || self.lifetime.as_mut().is_some_and(|lifetime| lifetime.as_mut().poll(context).is_ready())
    }

    /// What waits for the client does so no longer than the connection lives.
    fn unless_over<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_pending() && self.is_over(context) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<I> Drop for LimitedConnection<I> {
    fn drop(&mut self) {
        metrics::gauge!("portreeve_connections", "listener" => self.name).decrement(1.0);
        self.closing.is_closed.store(true, Ordering::Release);
        self.closing.listener.wake();
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for LimitedConnection<I> {
    /// One that is over reads as one that the client has closed: what was asked before is still answered.
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_over(context) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.io).poll_read(context, into)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for LimitedConnection<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.unless_over(written, context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, parts);
        this.unless_over(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.io).poll_flush(context);
        this.unless_over(flushed, context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.io).poll_shutdown(context);
        this.unless_over(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn serve(most: usize, lifetime: Option<Duration>) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Longer than what the system holds between the two.
        let router = axum::Router::new()
            .route("/", axum::routing::get(async || "here"))
            .route("/much", axum::routing::get(async || "x".repeat(32 * 1024 * 1024)));
        let listener = LimitedListener::new(listener, "admin", most, lifetime);
        tokio::spawn(axum::serve(listener, router).into_future());
        address
    }

    async fn ask(address: std::net::SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_new_client_is_answered_however_many_are_silent() {
        let address = serve(4, None).await;
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        assert!(ask(address).await.ends_with("here"));
        let mut rest = Vec::new();
        tokio::time::timeout(SOON, silent[0].read_to_end(&mut rest)).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_or_reads_nothing_is_closed_after_its_lifetime() {
        let address = serve(4, Some(Duration::from_millis(300))).await;
        for request in ["", "GET / HTTP/1.1\r\nHost", "GET /much HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let deadline = tokio::time::Instant::now() + SOON;
            // Seen from here without reading: the other end has gone.
            while stream.write_all(b"x").await.is_ok() {
                assert!(tokio::time::Instant::now() < deadline, "{request}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
