//! Accepting connections, and stopping.
//!
//! pingora's own server sleeps its whole grace period at the end and then cuts what still runs. So the door accepts by
//! itself, hands each connection to pingora or to the direct way, and stops when the last exchange is done and its answer has left.

use std::any::Any;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::listeners::tls::Acceptor;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::H2Options;
use pingora_core::protocols::{ALPN, IO, Shutdown, SocketDigest, Ssl, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::bounded_head::{BoundedHead, NextHead};
use super::client_connection::{ClientConnection, ConnectionTimeouts};
use super::client_stream::ClientStream;
use super::connections::{Admission, Connections};
use super::direct::{DirectWay, Next};
use super::http2_windows::{Window, Windows};
use super::refused_connections::count_refused;
use super::{ConnectionLimits, Service};
use crate::telemetry::LogThrottle;

/// How long connections may take to end when the door stops and no exchange runs: what an HTTP/2 connection still holds
/// of an answer has to leave, and its client to agree to the end.
const LINGER: Duration = Duration::from_secs(5);
/// That a connection to a client may carry another request. pingora wants a time for it, but forgets that with the first
/// request: `limits.idle_timeout` is kept beneath it.
const KEEP_ALIVE: u64 = 0;
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

/// What the connections to the registry are made with.
pub struct UpstreamSettings {
    /// How many idle ones each worker keeps.
    pub kept_connections: usize,
    /// A PEM file with the authorities whose certificates the registry is believed by; the system's if absent. It was
    /// found to be right.
    pub authorities: Option<String>,
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
    service: Service,
    shared: Arc<Shared>,
}

struct Shared {
    acceptor: Option<Acceptor>,
    exchanges: TaskTracker,
    /// Every open connection.
    connections: TaskTracker,
    admission: Arc<Connections>,
    /// For the line that says that connections cannot be accepted.
    unaccepted: LogThrottle,
    /// Clients are told with each answer to go elsewhere.
    leaving: watch::Sender<bool>,
    /// Nothing is accepted any more.
    stopping: watch::Sender<bool>,
    /// `listen.client_timeout`.
    client_timeout: Duration,
    windows: Windows,
}

impl Door {
    /// A door with this logic, behind TLS if there is a configuration for it, for so many worker threads. `exchanges` is
    /// the tracker that the service counts in; each worker keeps at most `kept` idle connections to the registry.
    pub fn new(
        service: Service,
        threads: usize,
        tls: Option<ServerConfig>,
        exchanges: TaskTracker,
        limits: ConnectionLimits,
        upstream: UpstreamSettings,
    ) -> Self {
        let timeouts =
            ConnectionTimeouts { head: service.limits.head_timeout, idle: service.limits.idle_timeout };
        let shared = Arc::new(Shared {
            acceptor: tls.map(|tls| Acceptor::from_server_config(Arc::new(tls))),
            exchanges,
            connections: TaskTracker::new(),
            admission: Connections::new(limits, timeouts),
            unaccepted: LogThrottle::default(),
            leaving: watch::Sender::new(false),
            stopping: watch::Sender::new(false),
            client_timeout: service.limits.client_timeout,
            windows: Windows::new(service.memory.limit()),
        });
        let configuration = Arc::new(ServerConf {
            threads: 1,
            upstream_keepalive_pool_size: upstream.kept_connections,
            ca_file: upstream.authorities,
            ..ServerConf::default()
        });
        let workers = (0..threads)
            .map(|_| Worker {
                proxy: Arc::new(proxy(service.clone(), &configuration)),
                service: service.clone(),
                shared: Arc::clone(&shared),
            })
            .collect();
        Self { workers }
    }

    /// What each worker thread serves with.
    pub fn workers(&self) -> &[Worker] {
        &self.workers
    }

    /// From now on every connection is closed behind its next answer, and by HTTP/2 its client is told to go. New ones are still
    /// accepted, for one request each: whoever sends clients here may not know yet that the door is about to stop.
    pub fn leave(&self) {
        if let Some(Worker { shared, .. }) = self.workers.first() {
            shared.leaving.send_replace(true);
        }
    }

    /// Stops accepting.
    pub fn close(&self) {
        self.leave();
        if let Some(Worker { shared, .. }) = self.workers.first() {
            shared.stopping.send_replace(true);
        }
    }

    /// Closes idle connections, and lets running exchanges end. Returns when the last exchange is done and its answer has left.
    /// To be called once the door is [closed](Self::close).
    pub async fn drain(&self) {
        let Some(Worker { shared, .. }) = self.workers.first() else { return };
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
    // `limits.idle_timeout` is kept beneath it, where it is known whether the client still reads.
    options.h2_idle_timeout = None;
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
                // First, so that nothing is accepted any more though it waits already.
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let Some(admission) = self.shared.admission.admit(peer.ip()).await else { continue };
                    let worker = self.clone();
                    // Owned by the runtime of this worker thread, which ends when the door has drained.
                    self.shared
                        .connections
                        .spawn(async move { worker.connection(stream, peer, admission).await });
                }
                Err(error) => {
                    // The connection was gone before it was accepted, or there is no descriptor for it.
                    if let Some(times) = self.shared.unaccepted.count() {
                        tracing::warn!(%error, times, "connections could not be accepted");
                    }
                    count_refused("accept");
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            }
        }
    }

    async fn connection(&self, stream: TcpStream, peer: SocketAddr, admission: Admission) {
        // A client that has gone already is noticed at the first read.
        let _ = stream.set_nodelay(true);
        let digest = SocketDigest::from_raw_fd(stream.as_raw_fd());
        // The cell is new, so that it takes the value.
        let _ = digest.peer_addr.set(Some(peer.into()));
        let connection = admission.connection();
        let mut stream =
            ClientStream::new(stream, digest, Arc::clone(connection), self.shared.client_timeout);
        match &self.shared.acceptor {
            None => match self.beginning(stream.begins_with(HTTP2_PREFACE)).await {
                Some(Ok(true)) => {
                    connection.set_http2();
                    self.http2(Box::new(stream)).await;
                }
                Some(Ok(false)) => {
                    stream.coalesce_writes();
                    self.plain_http1(stream, connection, peer.ip()).await;
                }
                // It is gone, or was given up and counted; or the door stops.
                Some(Err(_)) | None => {}
            },
            // A large future, for which a connection without TLS would have room as long as it lasts.
            Some(acceptor) => match self.beginning(Box::pin(acceptor.tls_handshake(stream))).await {
                Some(Ok(stream)) if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) => {
                    connection.set_http2();
                    self.http2(Box::new(stream)).await;
                }
                Some(Ok(stream)) => self.http1(stream).await,
                Some(Err(error)) => {
                    tracing::debug!(%peer, %error, "a TLS handshake failed");
                    if !connection.is_ended() {
                        count_refused("tls");
                    }
                }
                None => {}
            },
        }
    }

    /// Waits for a client to begin, for as long as its stream does; nothing comes of it when the door stops.
    async fn beginning<T>(&self, begins: impl Future<Output = T>) -> Option<T> {
        let mut stopping = self.shared.stopping.subscribe();
        tokio::select! {
            biased;
            begun = begins => Some(begun),
            _ = stopping.wait_for(|stopping| *stopping) => None,
        }
    }

    /// HTTP/2, of which pingora is told by ALPN, or by the preface that is known to be there.
    async fn http2(&self, stream: Stream) {
        let mut leaving = self.shared.leaving.subscribe();
        if *leaving.borrow() {
            // pingora waits for a change, and a connection that began just now would miss the one that there was: its client
            // would never be told to go, and could ask for as long as it likes.
            leaving.mark_changed();
        }
        let app = Http2 { proxy: Arc::clone(&self.proxy), window: self.shared.windows.open() };
        // A stream that comes back could be used again; pingora's HTTP services keep theirs to themselves.
        let _ = Arc::new(app).process_new(stream, &leaving).await;
    }

    /// HTTP/1.1 without TLS: each request on the direct way, or by pingora.
    async fn plain_http1(&self, mut stream: ClientStream, connection: &Arc<ClientConnection>, peer: IpAddr) {
        let (leaving, stopping) = (self.shared.leaving.subscribe(), self.shared.stopping.subscribe());
        let mut way = DirectWay { service: &self.service, connection, peer, leaving, stopping };
        loop {
            let decided = match way.serve(&mut stream).await {
                Next::Pingora(decided) => decided,
                Next::Closed => return Shutdown::shutdown(&mut stream).await,
            };
            let stream_of = |stream: Stream| stream.into_any().downcast::<BoundedHead<ClientStream>>();
            let head = BoundedHead::new(stream, NextHead::default());
            let mut session = ServerSession::new_http1(Box::new(head));
            session.set_keepalive(Some(KEEP_ALIVE));
            session.set_connection_user_context(decided.map(|context| context as Box<dyn Any + Send + Sync>));
            let Some(reused) = self.proxy.process_new_http(session, &way.leaving).await else { return };
            match stream_of(reused.consume().0) {
                Ok(head) => stream = head.into_inner(),
                Err(_) => return,
            }
        }
    }

    /// HTTP/1.1, one request after the other. pingora would wait for as many bytes as an HTTP/2 preface has, which the shortest
    /// requests do not have, and would read any head to its end.
    async fn http1(&self, stream: impl IO + 'static) {
        let leaving = self.shared.leaving.subscribe();
        let next = NextHead::default();
        let mut session = ServerSession::new_http1(Box::new(BoundedHead::new(stream, next.clone())));
        session.set_keepalive((!*leaving.borrow()).then_some(KEEP_ALIVE));
        while let Some(reused) = self.proxy.process_new_http(session, &leaving).await {
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
