//! A registry whose uploads go on wherever a test says, instead of at the usual URLs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{Request, Response};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::image::digest;

/// The most that a blob of a test may have.
const LIMIT: usize = 8 * 1024 * 1024;

/// A request about an upload, as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its target, byte for byte.
    pub target: String,
    /// The session that it is about.
    pub session: String,
}

#[derive(Default)]
struct Held {
    location: String,
    sessions: BTreeMap<String, Vec<u8>>,
    blobs: BTreeMap<String, Bytes>,
    asked: Vec<Asked>,
}

/// A running one. It ends when this is dropped.
pub struct OddUploads {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    _stop: DropGuard,
}

impl OddUploads {
    /// Starts one whose uploads go on at the usual place.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let held = Held { location: "/v2/team/app/blobs/uploads/{id}".to_owned(), ..Held::default() };
        let held = Arc::new(Mutex::new(held));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&held));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = async { axum::serve(listener, router).await } => served.unwrap(),
                () = stopped.cancelled() => {}
            }
        });
        Self { address, held, _stop: stop.drop_guard() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is the `Location` of an upload that goes on, with the session's name in place of `{id}`.
    pub fn name_targets(&self, location: impl Into<String>) {
        self.held().location = location.into();
    }

    /// A blob that it was sent.
    pub fn blob(&self, digest: &str) -> Option<Bytes> {
        self.held().blobs.get(digest).cloned()
    }

    /// The requests about uploads since this was asked last.
    pub fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.held().asked)
    }
}

/// The name of a session somewhere in a target.
fn session_in(target: &str) -> Option<String> {
    target.match_indices('u').find_map(|(at, _)| {
        let digits = target[at + 1..].split_once('x')?.0;
        let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| format!("u{digits}x"))
    })
}

async fn answer(Extract(held): Extract<Arc<Mutex<Held>>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap_or_default();
    let target = head.uri.path_and_query().unwrap().as_str().to_owned();
    let method = head.method.as_str().to_owned();
    let mut held = held.lock().unwrap();
    let status = |status: u16| Response::builder().status(status);
    if method == "POST" {
        let session = format!("u{}x", held.sessions.len());
        held.sessions.insert(session.clone(), Vec::new());
        let location = held.location.replace("{id}", &session);
        held.asked.push(Asked { method, target, session });
        return status(202).header("location", location).body(Body::empty()).unwrap();
    }
    // Also one that another backend has begun.
    let Some(session) = session_in(&target) else {
        return status(if target == "/v2/" { 200 } else { 404 }).body(Body::empty()).unwrap();
    };
    held.asked.push(Asked { method: method.clone(), target: target.clone(), session: session.clone() });
    let location = held.location.replace("{id}", &session);
    held.sessions.entry(session.clone()).or_default().extend_from_slice(&body);
    match method.as_str() {
        "PATCH" => status(202).header("location", location).body(Body::empty()).unwrap(),
        "GET" | "HEAD" => status(204).header("location", location).body(Body::empty()).unwrap(),
        "OPTIONS" => status(200).header("access-control-allow-origin", "*").body(Body::empty()).unwrap(),
        "PUT" => {
            let blob = Bytes::from(held.sessions.remove(&session).unwrap_or_default());
            let named = target.rsplit_once("digest=").map(|(_, named)| named.to_owned());
            if named != Some(digest(&blob)) {
                return status(400).body(Body::empty()).unwrap();
            }
            held.blobs.insert(digest(&blob), blob);
            status(201).body(Body::empty()).unwrap()
        }
        _ => status(405).body(Body::empty()).unwrap(),
    }
}
