//! The scripted registry for whole doors: over HTTP, in the test's own process, correct by itself, and odd in just the way
//! that a test tells it to be.
//!
//! It speaks correct HTTP. What is wrong below that, byte by byte, is sent by `raw`; what only a real registry does is shown by
//! `registry`, with a `relay` in front of it that loses and delays.

mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State as Extract;
use axum::http::{HeaderMap, Method, Request, Response, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::uploads::{UploadRequest, Uploads};
use super::image::{Image, digest};
use super::state::State;

/// The most that a manifest or a blob of a test may have.
const LIMIT: usize = 8 * 1024 * 1024;

/// The status of an answer that is not given.
const NEVER: u16 = 999;

/// How a listing is answered.
#[derive(Clone, Debug, Default)]
pub enum Listing {
    /// As it should be.
    #[default]
    Honest,
    /// With this instead.
    Answer {
        /// The status.
        status: u16,
        /// A header and its value, if there is one to add.
        header: Option<(&'static str, String)>,
        /// The body.
        body: &'static str,
    },
    /// As it is when it is asked for, but not before a test makes this anything else.
    Held,
}

impl Listing {
    /// This status and body, and nothing else.
    pub fn answer(status: u16, body: &'static str) -> Self {
        Self::Answer { status, header: None, body }
    }
}

/// What becomes of the `n` of a request.
#[derive(Clone, Copy, Debug, Default)]
pub enum PageSize {
    /// Pages have as many names as are asked for.
    #[default]
    Obeyed,
    /// All names come at once.
    Ignored,
    /// At most so many.
    Clamped(usize),
    /// More than so many are refused.
    Refused(usize),
}

/// What becomes of a page with more names than a registry manages.
#[derive(Clone, Copy, Debug)]
pub enum TooBig {
    /// It is answered with this status.
    Status(u16),
    /// It never comes.
    Never,
    /// It ends in the middle.
    Cut,
    /// It is longer than anybody reads.
    Endless,
}

/// What is odd about a registry.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// The catalog.
    pub catalog: Listing,
    /// The lists of tags of these repositories.
    pub tags: BTreeMap<String, Listing>,
    /// How long pages are.
    pub page_size: PageSize,
    /// How many names it manages behind the first so many of a listing, and what becomes of pages with more.
    pub too_big: Option<(usize, usize, TooBig)>,
    /// What comes before the path of a `Link`: scheme and host, or nothing.
    pub link_to: String,
    /// Each page begins with so many names of the one before.
    pub repeated: usize,
    /// Names come last first.
    pub backwards: bool,
    /// Repositories that the catalog leaves out.
    pub unlisted: BTreeSet<String>,
    /// Names that the catalog lists besides.
    pub made_up: Vec<String>,
    /// Tags, by repository, that are listed though they are not there.
    pub ghosts: BTreeMap<String, Vec<String>>,
    /// Lists of tags are `null`.
    pub null_tags: bool,
    /// So many requests are answered with 429 and this `Retry-After`, in seconds.
    pub too_many: (usize, u64),
}

#[derive(Default)]
struct Repository {
    tags: BTreeMap<String, String>,
    manifests: BTreeMap<String, (String, Bytes)>,
}

#[derive(Default)]
struct Held {
    repositories: BTreeMap<String, Repository>,
    uploads: Uploads,
    quirks: Quirks,
    asked: Vec<String>,
}

struct Shared {
    held: Mutex<Held>,
    /// Wakes what is held when the quirks change.
    changed: watch::Sender<()>,
}

/// A running scripted registry. It ends when this is dropped.
pub struct Scripted {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Scripted {
    /// Starts an empty one without quirks.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { held: Mutex::default(), changed: watch::Sender::new(()) });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                served = async { axum::serve(listener, router).await } => served.unwrap(),
                () = stopped.cancelled() => {}
            }
        });
        Self { address, shared, _stop: stop.drop_guard() }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.shared.held.lock().unwrap()
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes it odd, or odd in another way.
    pub fn quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.held().quirks);
        self.shared.changed.send_replace(());
    }

    /// Has an image under a tag, without anybody's pushing it.
    pub fn hold(&self, repository: &str, tag: &str, image: &Image) {
        self.hold_manifest(repository, image);
        let mut held = self.held();
        let repository = held.repositories.get_mut(repository).unwrap();
        repository.tags.insert(tag.to_owned(), image.digest.clone());
    }

    /// Has a manifest without a tag.
    pub fn hold_manifest(&self, repository: &str, image: &Image) {
        let mut held = self.held();
        let repository = held.repositories.entry(repository.to_owned()).or_default();
        repository.manifests.insert(image.digest.clone(), (image.media_type.clone(), image.manifest.clone()));
    }

    /// Loses a whole repository.
    pub fn lose_repository(&self, repository: &str) {
        assert!(self.held().repositories.remove(repository).is_some(), "{repository}");
    }

    /// Loses a tag.
    pub fn lose_tag(&self, repository: &str, tag: &str) {
        let mut held = self.held();
        assert!(held.repositories.get_mut(repository).unwrap().tags.remove(tag).is_some(), "{tag}");
    }

    /// From now on uploads go on at this `Location`, with the session's name in place of `{id}`.
    pub fn name_upload_targets(&self, location: impl Into<String>) {
        self.held().uploads.location = Some(location.into());
    }

    /// A blob that it was sent.
    pub fn blob(&self, digest: &str) -> Option<Bytes> {
        self.held().uploads.blobs.get(digest).cloned()
    }

    /// The requests about uploads since this was asked last.
    pub fn take_upload_requests(&self) -> Vec<UploadRequest> {
        std::mem::take(&mut self.held().uploads.requests)
    }

    /// What it has, whatever it says.
    pub fn truth(&self) -> State {
        let held = self.held();
        let of = |(name, repository): (&String, &Repository)| {
            let name = name.clone();
            let tags = repository.tags.clone().into_iter();
            tags.map(move |(tag, digest)| ((name.clone(), tag), digest)).collect::<Vec<_>>()
        };
        held.repositories.iter().flat_map(of).collect()
    }

    /// Methods and paths with queries of all requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.held().asked.clone()
    }

    /// How many requests had this in their method and path.
    pub fn count(&self, part: &str) -> usize {
        self.held().asked.iter().filter(|line| line.contains(part)).count()
    }
}

async fn answer(Extract(shared): Extract<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LIMIT).await.unwrap_or_default();
    let path = head.uri.path();
    let honest = {
        let mut held = shared.held.lock().unwrap();
        held.asked.push(format!("{} {}", head.method, head.uri));
        if path != "/v2/"
            && let (left @ 1.., seconds) = held.quirks.too_many
        {
            held.quirks.too_many.0 = left - 1;
            let mut refused = error(429, "TOOMANYREQUESTS");
            refused.headers_mut().insert("retry-after", seconds.into());
            return refused;
        }
        match held.listing(path) {
            Listing::Honest | Listing::Held => held.answer(&head.method, &head.uri, &head.headers, body),
            Listing::Answer { status, header, body } => {
                let content = if body.starts_with('<') { "text/html" } else { "application/json" };
                let built = Response::builder().status(status).header("content-type", content);
                let built = header.into_iter().fold(built, |built, (name, value)| built.header(name, value));
                return built.body(Body::from(body)).unwrap();
            }
        }
    };
    if honest.status() == NEVER {
        std::future::pending::<()>().await;
    }
    let mut changed = shared.changed.subscribe();
    while matches!(shared.held.lock().unwrap().listing(path), Listing::Held) {
        // The sender outlives every request.
        changed.changed().await.unwrap();
    }
    honest
}

impl Held {
    /// How the listing at this path is to be answered.
    fn listing(&self, path: &str) -> Listing {
        if path == "/v2/_catalog" {
            return self.quirks.catalog.clone();
        }
        let repository = path.strip_prefix("/v2/").and_then(|path| path.strip_suffix("/tags/list"));
        repository.and_then(|repository| self.quirks.tags.get(repository)).cloned().unwrap_or_default()
    }

    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Response<Body> {
        if let Some(answer) = self.uploads.answer(method, uri, &body) {
            return answer;
        }
        let Some(path) = uri.path().strip_prefix("/v2/") else { return error(404, "NOT_FOUND") };
        if path.is_empty() {
            return Response::builder()
                .header("docker-distribution-api-version", "registry/2.0")
                .body(Body::from("{}"))
                .unwrap();
        }
        if path == "_catalog" {
            return self.catalog(uri);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return self.tags(repository, uri);
        }
        if let Some((repository, reference)) = path.split_once("/manifests/") {
            return match method.as_str() {
                "PUT" => self.put(repository, reference, headers, body),
                "DELETE" => self.delete(repository, reference),
                _ => self.manifest(repository, reference),
            };
        }
        match path.split_once("/blobs/") {
            Some((_, digest)) => match self.uploads.blobs.get(digest) {
                Some(bytes) => Response::new(Body::from(bytes.clone())),
                None => error(404, "BLOB_UNKNOWN"),
            },
            None => error(404, "NOT_FOUND"),
        }
    }

    fn catalog(&self, uri: &Uri) -> Response<Body> {
        let mut names: Vec<&String> = self.repositories.keys().collect();
        names.retain(|name| !self.quirks.unlisted.contains(*name));
        names.extend(&self.quirks.made_up);
        // As distribution does it: by path component.
        names.sort_by_key(|name| name.split('/').collect::<Vec<_>>());
        self.page(&names, uri, |names| json!({"repositories": names}))
    }

    fn tags(&self, name: &str, uri: &Uri) -> Response<Body> {
        let Some(repository) = self.repositories.get(name) else { return error(404, "NAME_UNKNOWN") };
        if self.quirks.null_tags {
            return document(&json!({"name": name, "tags": null}));
        }
        let ghosts = self.quirks.ghosts.get(name).into_iter().flatten();
        let tags: Vec<&String> = repository.tags.keys().chain(ghosts).collect();
        self.page(&tags, uri, |tags| json!({"name": name, "tags": tags}))
    }

    /// A page of these names, and where the next one is.
    fn page(&self, names: &[&String], uri: &Uri, write: impl Fn(&[&String]) -> Value) -> Response<Body> {
        let mut names = names.to_vec();
        if self.quirks.backwards {
            names.reverse();
        }
        let parameters = parameters(uri);
        let wanted = parameters.get("n").map(|n| n.parse::<usize>().unwrap());
        let size = match self.quirks.page_size {
            PageSize::Obeyed => wanted.unwrap_or(100),
            PageSize::Ignored => usize::MAX,
            PageSize::Clamped(most) => wanted.unwrap_or(most).min(most),
            PageSize::Refused(most) if wanted.is_some_and(|wanted| wanted > most) => {
                return error(400, "PAGINATION_NUMBER_INVALID");
            }
            PageSize::Refused(most) => wanted.unwrap_or(most),
        };
        let last = parameters.get("last");
        let begin = last.map_or(0, |last| names.iter().position(|name| *name == last).unwrap() + 1);
        let begin = begin.saturating_sub(self.quirks.repeated);
        let end = begin.saturating_add(size).min(names.len());
        if let Some((behind, most, becomes)) = self.quirks.too_big
            && begin >= behind
            && end - begin > most
        {
            let page = write(&names[begin..end]).to_string();
            let body = match becomes {
                TooBig::Status(status) => return error(status, "UNKNOWN"),
                TooBig::Never => return error(NEVER, "UNKNOWN"),
                TooBig::Cut => page[..page.len() / 2].to_owned(),
                TooBig::Endless => format!("{page}{}", " ".repeat(33 * 1024 * 1024)),
            };
            return Response::builder()
                .header("content-type", "application/json")
                .body(Body::from(body))
                .unwrap();
        }
        let mut response = document(&write(&names[begin..end]));
        if end < names.len() {
            let (to, path, last) = (&self.quirks.link_to, uri.path(), names[end - 1]);
            let link = format!("<{to}{path}?last={}&n={size}>; rel=\"next\"", last.replace('/', "%2F"));
            response.headers_mut().insert("link", link.parse().unwrap());
        }
        response
    }

    fn manifest(&self, repository: &str, reference: &str) -> Response<Body> {
        let found = self.repositories.get(repository).and_then(|repository| {
            let digest = repository.tags.get(reference).map_or(reference, String::as_str);
            repository.manifests.get_key_value(digest)
        });
        let Some((digest, (media_type, bytes))) = found else { return error(404, "MANIFEST_UNKNOWN") };
        Response::builder()
            .header("content-type", media_type)
            .header("docker-content-digest", digest)
            .body(Body::from(bytes.clone()))
            .unwrap()
    }

    fn put(&mut self, name: &str, reference: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
        let media_type = headers["content-type"].to_str().unwrap().to_owned();
        let digest = digest(&body);
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.manifests.insert(digest.clone(), (media_type, body));
        if !reference.contains(':') {
            repository.tags.insert(reference.to_owned(), digest.clone());
        }
        Response::builder()
            .status(201)
            .header("location", format!("/v2/{name}/manifests/{digest}"))
            .header("docker-content-digest", digest)
            .body(Body::empty())
            .unwrap()
    }

    fn delete(&mut self, name: &str, reference: &str) -> Response<Body> {
        let Some(repository) = self.repositories.get_mut(name) else { return error(404, "NAME_UNKNOWN") };
        if !reference.contains(':') {
            return error(400, "DIGEST_INVALID");
        }
        if repository.manifests.remove(reference).is_none() {
            return error(404, "MANIFEST_UNKNOWN");
        }
        repository.tags.retain(|_, digest| digest != reference);
        Response::builder().status(202).body(Body::empty()).unwrap()
    }
}

fn parameters(uri: &Uri) -> BTreeMap<String, String> {
    url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
}

fn document(value: &Value) -> Response<Body> {
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(value.to_string()))
        .unwrap()
}

fn error(status: u16, code: &str) -> Response<Body> {
    let mut response =
        document(&json!({"errors": [{"code": code, "message": "as it was told to", "detail": null}]}));
    *response.status_mut() = status.try_into().unwrap();
    response
}
