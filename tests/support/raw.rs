//! Connections at which a test says byte by byte what the registry's side sends: broken framing, answers that stop in the
//! middle, silence. It knows nothing of manifests; it only answers the health probe as long as it lives. Answers that are correct
//! HTTP come from `scripted`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A connection whose request's head has been read.
pub struct Exchange {
    /// The request line.
    pub line: String,
    /// The rest of the head, in lower case.
    pub head: String,
    stream: BufReader<TcpStream>,
}

impl Exchange {
    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends these bytes; says whether the other side still takes any.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends this status with an empty body, and further headers, each ended by CR LF.
    pub async fn answer(&mut self, status: &str, lines: &str) {
        self.send(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{lines}\r\n")).await;
    }

    /// Reads the body that `Content-Length` announces.
    pub async fn body(&mut self) -> Vec<u8> {
        let length = self.head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        self.stream.read_exact(&mut body).await.unwrap();
        body
    }

    /// Reads to the end of the connection; says how many bytes came, and whether it was a clean end.
    pub async fn rest(&mut self) -> (usize, bool) {
        let mut rest = Vec::new();
        let is_clean = self.stream.read_to_end(&mut rest).await.is_ok();
        (rest.len(), is_clean)
    }
}

type Play = Arc<dyn Fn(Exchange) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A running one. Dropping it closes its port and all connections.
pub struct RawRegistry {
    address: SocketAddr,
    lives: Arc<AtomicBool>,
    _stop: DropGuard,
}

impl RawRegistry {
    /// Starts one that plays this on each connection that brings a request other than a probe.
    pub async fn start<F>(play: impl Fn(Exchange) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lives = Arc::new(AtomicBool::new(true));
        let play: Play = Arc::new(move |exchange| Box::pin(play(exchange)));
        let stop = CancellationToken::new();
        let (accepting, living) = (stop.clone(), Arc::clone(&lives));
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let connection = connection(stream, Arc::clone(&play), Arc::clone(&living));
                tokio::spawn(accepting.clone().run_until_cancelled_owned(connection));
            }
        }));
        Self { address, lives, _stop: stop.drop_guard() }
    }

    /// Starts one that hands each such connection over.
    pub async fn start_handing_over() -> (Self, mpsc::UnboundedReceiver<Exchange>) {
        let (hand_over, exchanges) = mpsc::unbounded_channel();
        let registry = Self::start(move |exchange| {
            // A test that waits for no more exchanges has seen what it wanted.
            let _ = hand_over.send(exchange);
            std::future::ready(())
        });
        (registry.await, exchanges)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it answers no probe: its connections stay open, as those of a stopped process do.
    pub fn die(&self) {
        self.lives.store(false, Ordering::Relaxed);
    }

    /// From now on it answers them again.
    pub fn live(&self) {
        self.lives.store(true, Ordering::Relaxed);
    }
}

async fn connection(stream: TcpStream, play: Play, lives: Arc<AtomicBool>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if !matches!(stream.read_line(&mut head).await, Ok(1..)) {
                return;
            }
        }
        let (line, rest) = head.split_once("\r\n").unwrap();
        if !line.starts_with("GET /v2/ ") {
            let (line, head) = (line.to_owned(), rest.to_lowercase());
            return play(Exchange { line, head, stream }).await;
        }
        if !lives.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").await.is_err() {
            return;
        }
    }
}
