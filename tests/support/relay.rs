//! A relay between the door and a real registry that does to each request what a test tells it to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::{Position, Url};

use super::http::http_client;

/// What a script sees of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
}

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is forwarded.
    None,
    /// It is answered with this status and not forwarded.
    RefuseBefore(u16),
    /// It is forwarded, and then answered with this status.
    AnswerAfter(u16),
    /// The connection is reset; nothing is forwarded.
    ResetBefore,
    /// It is forwarded, and then the connection is reset.
    ResetAfter,
    /// Nothing happens any more.
    HangBefore,
    /// It is forwarded, and never answered.
    HangAfter,
    /// It is forwarded after this time, even when nobody waits for the answer any more.
    Delay(Duration),
    /// The connection is reset, and it is forwarded after this time.
    ResetThenDelay(Duration),
    /// It is answered with a 307 to this place.
    Redirect(String),
    /// It is answered with this.
    Answer {
        /// The status.
        status: u16,
        /// The headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
}

type Script = Arc<dyn Fn(&Request) -> Fault + Send + Sync>;

/// A running relay. Dropping it closes its port and all connections.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    upstream: Mutex<String>,
    client: reqwest::Client,
    script: Mutex<Script>,
    seen: Mutex<Vec<String>>,
}

impl Relay {
    /// Starts one that forwards everything to `upstream`, until a script says otherwise.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(upstream.trim_end_matches('/').to_owned()),
            client: http_client(),
            script: Mutex::new(Arc::new(|_| Fault::None)),
            seen: Mutex::default(),
        });
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(accept(
            listener,
            Arc::clone(&shared),
            stop.clone(),
        )));
        Self { address, shared, _stop: stop.drop_guard() }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this decides what becomes of each request.
    pub fn script(&self, decide: impl Fn(&Request) -> Fault + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(decide);
    }

    /// From now on it forwards there. A path in `upstream` is put before those of all requests that do not have it yet.
    pub fn lead_to(&self, upstream: &str) {
        *self.shared.upstream.lock().unwrap() = upstream.trim_end_matches('/').to_owned();
    }

    /// Everything that has arrived, as `METHOD path?query`.
    pub fn seen(&self) -> Vec<String> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(stop.clone().run_until_cancelled_owned(connection(stream, Arc::clone(&shared))));
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    // A second handle on the socket, to say how it is closed; closing it takes both.
    let stream = stream.into_std().unwrap();
    let handle = Arc::new(TcpStream::from_std(stream.try_clone().unwrap()).unwrap());
    let stream = TcpStream::from_std(stream).unwrap();
    let service = service_fn(move |request| {
        let (shared, handle) = (Arc::clone(&shared), Arc::clone(&handle));
        async move {
            // In a task of its own: a registry goes on when its client has left.
            let answer = tokio::spawn(shared.relay(request)).await.unwrap();
            answer.inspect_err(|Broken| handle.set_zero_linger().unwrap())
        }
    });
    // How it ends was the script's decision, or the client's.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection is to be reset.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("to be reset")
    }
}

impl std::error::Error for Broken {}

type Answer = hyper::Response<Full<Bytes>>;

impl Shared {
    async fn relay(self: Arc<Self>, request: hyper::Request<Incoming>) -> Result<Answer, Broken> {
        let (head, body) = request.into_parts();
        let target = head.uri.path_and_query().unwrap().as_str().to_owned();
        self.seen.lock().unwrap().push(format!("{} {target}", head.method));
        let request = Request {
            method: head.method,
            path: target.split('?').next().unwrap().to_owned(),
            headers: head.headers,
        };
        let script = Arc::clone(&self.script.lock().unwrap());
        // Read in any case: its connection may be gone when it is wanted.
        let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
        let forward = || self.forward(&request, &target, body.clone());
        match script(&request) {
            Fault::None => forward().await,
            Fault::RefuseBefore(status) => Ok(refusal(status)),
            Fault::AnswerAfter(status) => forward().await.map(|_| refusal(status)),
            Fault::ResetBefore => Err(Broken),
            Fault::ResetAfter => forward().await.and(Err(Broken)),
            Fault::HangBefore => std::future::pending().await,
            Fault::HangAfter => {
                let _answer = forward().await;
                std::future::pending().await
            }
            Fault::Delay(time) => {
                tokio::time::sleep(time).await;
                forward().await
            }
            Fault::ResetThenDelay(time) => {
                let later = Arc::clone(&self);
                let (request, target) = (request.clone(), target.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    later.forward(&request, &target, body).await
                });
                Err(Broken)
            }
            Fault::Redirect(location) => Ok(answer(307, &[(LOCATION.to_string(), location)], Vec::new())),
            Fault::Answer { status, headers, body } => Ok(answer(status, &headers, body)),
        }
    }

    /// Host and forwarding headers go along, so that the registry's `Location` leads back here.
    async fn forward(&self, request: &Request, target: &str, body: Bytes) -> Result<Answer, Broken> {
        let mut headers = request.headers.clone();
        for name in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH] {
            headers.remove(name);
        }
        let upstream = Url::parse(&self.upstream.lock().unwrap()).unwrap();
        let prefix = upstream.path().trim_end_matches('/');
        let prefix = if target.starts_with(prefix) { "" } else { prefix };
        let url = format!("{}{prefix}{target}", &upstream[..Position::BeforePath]);
        let sent = self.client.request(request.method.clone(), url).headers(headers).body(body).send().await;
        let response = sent.map_err(|_| Broken)?;
        let mut answer = hyper::Response::builder().status(response.status());
        for (name, value) in response.headers() {
            if ![CONNECTION, TRANSFER_ENCODING].contains(name) {
                answer = answer.header(name, value);
            }
        }
        let body = response.bytes().await.map_err(|_| Broken)?;
        Ok(answer.body(Full::new(body)).unwrap())
    }
}

/// An answer as the registry refuses.
fn refusal(status: u16) -> Answer {
    let body = br#"{"errors":[{"code":"UNKNOWN","message":"the relay was told to say so","detail":null}]}"#;
    answer(status, &[(CONTENT_TYPE.to_string(), "application/json".to_owned())], body.to_vec())
}

fn answer(status: u16, headers: &[(String, String)], body: Vec<u8>) -> Answer {
    let mut answer = hyper::Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    answer.body(Full::new(Bytes::from(body))).unwrap()
}
