//! Connections to the door, and one request over and over on many of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::Fault;

/// How many connections the requests come over.
pub const CONNECTIONS: usize = 32;

/// A kept connection.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    authority: String,
}

impl Connection {
    /// Opens one from this address of the loopback interface: the door limits how many come from one.
    pub async fn open(from: Ipv4Addr, door: SocketAddr) -> Result<Self, Fault> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        socket.set_nodelay(true)?;
        let stream = socket.connect(door).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, authority: door.to_string() })
    }

    /// One request; the answer's body is read by the caller.
    pub async fn send(
        &mut self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, Fault> {
        self.sender.ready().await?;
        let request = request.header("host", &self.authority).body(Full::new(body))?;
        Ok(self.sender.send_request(request).await?)
    }

    /// The body of what is at this path.
    pub async fn get(&mut self, path: &str) -> Result<Bytes, Fault> {
        let response = self.send(Request::get(path), Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(format!("{path} was answered with {}", response.status()).into());
        }
        Ok(response.into_body().collect().await?.to_bytes())
    }
}

/// What one turn came to.
pub struct Turn {
    pub per_second: f64,
    pub count: u64,
    /// From each request to the end of its answer, in microseconds.
    pub latency: Histogram<u64>,
}

/// Asks for this path over [`CONNECTIONS`] connections, on each again when the answer is there, for this time.
pub async fn turn(door: SocketAddr, path: &str, time: Duration) -> Result<Turn, Fault> {
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let path = path.to_owned();
        clients.spawn(async move {
            let mut connection = Connection::open(Ipv4Addr::LOCALHOST, door).await?;
            let mut latency = Histogram::<u64>::new(3)?;
            while begun.elapsed() < time {
                let asked = Instant::now();
                connection.get(&path).await?;
                latency.record(u64::try_from(asked.elapsed().as_micros())?)?;
            }
            Ok::<_, Fault>(latency)
        });
    }
    let mut latency = Histogram::<u64>::new(3)?;
    while let Some(client) = clients.join_next().await {
        latency.add(client??)?;
    }
    let count = latency.len();
    Ok(Turn { per_second: count as f64 / begun.elapsed().as_secs_f64(), count, latency })
}
