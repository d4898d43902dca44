//! The load, and the registry behind the door.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::Fault;
use crate::door::Door;

/// One kind of request.
#[derive(Clone)]
pub struct Load {
    path: &'static str,
    authorization: Option<String>,
}

/// What was measured.
pub struct Measured {
    /// Per second.
    pub rate: f64,
    /// In milliseconds.
    pub median: f64,
    /// One of a hundred took longer, in milliseconds.
    pub slow: f64,
    /// The door's processor seconds for 10,000.
    pub processor: f64,
}

const TOKEN: &str = "/token?service=portreeve&scope=repository:team/app:pull,push";

impl Load {
    /// A token for somebody.
    pub fn token(user: &str, password: &str) -> Self {
        let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self { path: TOKEN, authorization: Some(authorization) }
    }

    /// A manifest that is read.
    pub fn read(token: Option<&str>) -> Self {
        Self {
            path: "/v2/team/app/manifests/latest",
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// A token itself.
    pub async fn fetch_token(door: &Door, user: &str, password: &str) -> Result<String, Fault> {
        let mut connection = Connection::open(door.address()).await?;
        let (_, body) = connection.ask(&Self::token(user, password)).await?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        Ok(answer["token"].as_str().ok_or("no token")?.to_owned())
    }

    /// Sends it over so many connections for so long, after a second of warming up.
    pub async fn run(self, door: &Door, connections: usize, time: Duration) -> Result<Measured, Fault> {
        let address = door.address();
        self.clone().clients(address, connections, Duration::from_secs(1)).await?;
        let processor = door.processor()?;
        let begun = Instant::now();
        let times = self.clients(address, connections, time).await?;
        let elapsed = begun.elapsed().as_secs_f64();
        let processor = door.processor()? - processor;
        let count = times.len() as f64;
        let milliseconds = |quantile: f64| times.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(Measured {
            rate: count / elapsed,
            median: milliseconds(0.5),
            slow: milliseconds(0.99),
            processor: processor * 10_000.0 / count,
        })
    }

    async fn clients(
        self,
        address: SocketAddr,
        connections: usize,
        time: Duration,
    ) -> Result<Histogram<u64>, Fault> {
        let end = Instant::now() + time;
        let clients = (0..connections).map(|_| tokio::spawn(self.clone().client(address, end)));
        let mut all = Histogram::new(3)?;
        for client in clients.collect::<Vec<_>>() {
            all.add(client.await??)?;
        }
        Ok(all)
    }

    async fn client(self, address: SocketAddr, end: Instant) -> Result<Histogram<u64>, Fault> {
        let mut connection = Connection::open(address).await?;
        let mut times = Histogram::new(3)?;
        while Instant::now() < end {
            let begun = Instant::now();
            let (status, _) = connection.ask(&self).await?;
            if status != StatusCode::OK {
                return Err(format!("{} was answered with {status}", self.path).into());
            }
            times.record(u64::try_from(begun.elapsed().as_micros())?)?;
        }
        Ok(times)
    }
}

struct Connection(http1::SendRequest<Empty<Bytes>>);

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    async fn ask(&mut self, load: &Load) -> Result<(StatusCode, Bytes), Fault> {
        let mut request = Request::get(load.path).header("host", "door.test");
        if let Some(authorization) = &load.authorization {
            request = request.header("authorization", authorization);
        }
        self.0.ready().await?;
        let response = self.0.send_request(request.body(Empty::new())?).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// Guesses passwords of ever other users, so many times in a second, from many connections; never the same one twice, which
/// would cost no hash.
pub async fn flood(address: SocketAddr, per_second: u32) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    for number in 0_u64.. {
        ticks.tick().await;
        tokio::spawn(async move {
            let user = format!("user{}", number % 1_000);
            let mut connection = Connection::open(address).await?;
            connection.ask(&Load::token(&user, &format!("a-wrong-password-{number}"))).await
        });
    }
}

/// A registry that answers everything at once with a small body. Answers its URL.
pub async fn backend() -> Result<String, Fault> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|_: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"{}"))))
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Ok(url)
}
