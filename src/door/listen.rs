//! Accepting connections, and ending.
//!
//! pingora's own server sleeps its whole grace period at the end and then cuts what still runs. So the door accepts by
//! itself, hands each connection to pingora, and stops when the last exchange is done and its answer has left.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::protocols::l4::stream::Stream as TransportStream;
use pingora_core::protocols::{ALPN, GetSocketDigest, IO, SocketDigest, Ssl, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::Service;
use super::bounded_head::{BoundedHead, NextHead};
use super::client_stream::ClientStream;
use super::windows::{Window, Windows};

/// How long a client may take to say whether it speaks HTTP/1.1, HTTP/2 or TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long connections may take to end when the door stops and no exchange runs: what an HTTP/2 connection still holds
/// of an answer has to leave, and its client to agree to the end.
const LINGER: Duration = Duration::from_secs(5);
/// How long an idle connection to a client is kept, in seconds.
const KEEP_ALIVE: u64 = 60;
/// How long accepting pauses when the process has no file descriptor left.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);
/// With what an HTTP/2 connection without TLS begins (RFC 9113 section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A bound socket, not yet accepting. Each worker thread accepts from its own copy of it.
#[derive(Debug)]
pub struct Listener(std::net::TcpListener);

impl Listener {
    /// Binds.
    ///
    /// # Errors
    /// When the address is taken, or not this machine's.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self(listener))
    }

    /// Where it is bound.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// The socket, for a listener that is not the door's.
    pub fn into_std(self) -> std::net::TcpListener {
        self.0
    }

    /// Another handle on the same socket.
    ///
    /// # Errors
    /// When there are no file descriptors left.
    pub fn share(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

/// The door: accepts connections and has pingora serve them.
pub struct Door {
    /// One for each worker thread: its kept connections to the registry are woken by that thread's runtime, and two
    /// threads that share them get in each other's way.
    workers: Vec<Worker>,
}

/// What one worker thread serves with.
#[derive(Clone)]
pub struct Worker {
    proxy: Arc<HttpProxy<Service>>,
    shared: Arc<Shared>,
}

struct Shared {
    acceptor: Option<Acceptor>,
    exchanges: TaskTracker,
    /// Every open connection.
    connections: TaskTracker,
    stopping: watch::Sender<bool>,
    /// `listen.client_timeout`.
    client_timeout: Duration,
    windows: Windows,
}

impl Door {
    /// A door with this logic, behind TLS if there is a configuration for it, for so many worker threads. `exchanges` is
    /// the tracker that the service counts in.
    pub fn new(service: Service, threads: usize, tls: Option<ServerConfig>, exchanges: TaskTracker) -> Self {
        let shared = Arc::new(Shared {
            acceptor: tls.map(|tls| Acceptor::from_server_config(Arc::new(tls))),
            exchanges,
            connections: TaskTracker::new(),
            stopping: watch::Sender::new(false),
            client_timeout: service.limits.client_timeout,
            windows: Windows::new(service.memory.limit()),
        });
        let configuration = Arc::new(ServerConf { threads: 1, ..ServerConf::default() });
        let workers = (0..threads)
            .map(|_| Worker {
                proxy: Arc::new(proxy(service.clone(), &configuration)),
                shared: Arc::clone(&shared),
            })
            .collect();
        Self { workers }
    }

    /// What each worker thread serves with.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// Stops accepting, closes idle connections, and lets running exchanges end. Returns when the last exchange is done
    /// and its answer has left.
    pub async fn drain(&self) {
        let Some(Worker { shared, .. }) = self.workers.first() else { return };
        shared.stopping.send_replace(true);
        for worker in &self.workers {
            worker.proxy.http_cleanup().await;
        }
        shared.exchanges.close();
        shared.connections.close();
        loop {
            shared.exchanges.wait().await;
            let ended = tokio::time::timeout(LINGER, shared.connections.wait()).await.is_ok();
            // A request that had arrived may have been read only now.
            if ended || shared.exchanges.is_empty() {
                return;
            }
        }
    }
}

/// pingora's side of the door.
fn proxy(service: Service, configuration: &Arc<ServerConf>) -> HttpProxy<Service> {
    let mut proxy = HttpProxy::new(service, Arc::clone(configuration));
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    options.h2_idle_timeout = Some(Duration::from_secs(KEEP_ALIVE));
    proxy.server_options = Some(options);
    proxy.handle_init_modules();
    proxy
}

impl Worker {
    /// Accepts connections until the door stops. To be called on the worker's own thread, within its own runtime:
    /// connections stay on the thread that accepted them.
    ///
    /// # Errors
    /// When the socket cannot be used with this thread's runtime.
    pub async fn serve(self, listener: Listener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener.0)?;
        let mut stopping = self.shared.stopping.subscribe();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            };
            match accepted {
                Ok((stream, peer)) => {
                    let worker = self.clone();
                    // Owned by the runtime of this worker thread, which ends when the door has drained.
                    self.shared.connections.spawn(async move { worker.connection(stream, peer).await });
                }
                Err(error) => {
                    // The connection was gone before it was accepted, or there is no descriptor for it.
                    tracing::warn!(%error, "a connection could not be accepted");
                    metrics::counter!("portreeve_connections_refused_total", "cause" => "accept")
                        .increment(1);
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr) {
        // A client that has gone already is noticed at the first read.
        let _ = stream.set_nodelay(true);
        let is_http2 = if self.shared.acceptor.is_some() {
            false
        } else {
            match self.beginning(begins_with_preface(&stream)).await {
                Some(Ok(is_http2)) => is_http2,
                Some(Err(_)) | None => return refused("silent"),
            }
        };
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // The cell is new, so that it takes the value.
        let _ = digest.peer_addr.set(Some(peer.into()));
        if self.shared.acceptor.is_none() && !is_http2 {
            let stream = ClientStream::gathering(stream, digest, self.shared.client_timeout);
            return self.http1(stream).await;
        }
        match &self.shared.acceptor {
            None => {
                let mut stream = TransportStream::from(stream);
                stream.set_socket_digest(digest);
                self.http2(Box::new(stream)).await;
            }
            Some(acceptor) => {
                let stream = ClientStream::direct(stream, digest, self.shared.client_timeout);
                match self.beginning(acceptor.tls_handshake(stream)).await {
                    Some(Ok(stream)) if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) => {
                        self.http2(Box::new(stream)).await;
                    }
                    Some(Ok(stream)) => self.http1(stream).await,
                    Some(Err(error)) => {
                        tracing::debug!(%peer, %error, "a TLS handshake failed");
                        refused("tls");
                    }
                    None => refused("silent"),
                }
            }
        }
    }

    /// Waits for a client to begin; nothing comes of it when that takes too long, or the door stops.
    async fn beginning<T>(&self, begins: impl Future<Output = T>) -> Option<T> {
        let mut stopping = self.shared.stopping.subscribe();
        tokio::select! {
            biased;
            begun = begins => Some(begun),
            _ = stopping.wait_for(|stopping| *stopping) => None,
            () = tokio::time::sleep(HANDSHAKE) => None,
        }
    }

    /// HTTP/2, of which pingora is told by ALPN, or by the preface that is known to be there.
    async fn http2(&self, stream: Stream) {
        let stopping = self.shared.stopping.subscribe();
        let app = Http2 { proxy: Arc::clone(&self.proxy), window: self.shared.windows.open() };
        // A stream that comes back could be used again; pingora's HTTP services keep theirs to themselves.
        let _ = Arc::new(app).process_new(stream, &stopping).await;
    }

    /// HTTP/1.1, one request after the other. pingora would wait for as many bytes as an HTTP/2 preface has, which the shortest
    /// requests do not have, and would read any head to its end.
    async fn http1(&self, stream: impl IO + 'static) {
        let stopping = self.shared.stopping.subscribe();
        let next = NextHead::default();
        let mut session = ServerSession::new_http1(Box::new(BoundedHead::new(stream, next.clone())));
        session.set_keepalive((!*stopping.borrow()).then_some(KEEP_ALIVE));
        while let Some(reused) = self.proxy.process_new_http(session, &stopping).await {
            let (stream, settings) = reused.consume();
            next.begins();
            session = ServerSession::new_http1(stream);
            if let Some(settings) = settings {
                settings.apply_to_session(&mut session);
            }
        }
    }
}

/// pingora's side of one HTTP/2 connection, with windows of its own.
struct Http2 {
    proxy: Arc<HttpProxy<Service>>,
    window: Window,
}

#[async_trait]
impl HttpServerApp for Http2 {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        stopping: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.proxy.process_new_http(session, stopping).await
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.window.options())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }
}

/// Whether a connection begins as HTTP/2 does, decided on as few bytes as it takes.
async fn begins_with_preface(stream: &TcpStream) -> io::Result<bool> {
    let mut begin = [0; HTTP2_PREFACE.len()];
    loop {
        let length = stream.peek(&mut begin).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if begin[..length] != HTTP2_PREFACE[..length] {
            return Ok(false);
        }
        if length == HTTP2_PREFACE.len() {
            return Ok(true);
        }
        // Part of a preface: what was peeked at stays readable, so readiness cannot tell when there is more.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn refused(cause: &'static str) {
    metrics::counter!("portreeve_connections_refused_total", "cause" => cause).increment(1);
}
