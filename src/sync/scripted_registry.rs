//! The scripted registry for the tests of `sync/`: without sockets, correct by itself, and wrong in just the way that a test
//! tells it to be. It takes the place of the connection ([`Transport`]); everything above that is the real code.
//!
//! Of the other two, `tests/support/scripted.rs` is one over HTTP for whole doors, and the model test has a simulation of its
//! own, which makes up its faults by chance and knows what it held when.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};
use url::Url;

use crate::oci::Digest;
use crate::registry::{BodyError, Causes, Received, Request, Transport, TransportError};

/// How many names a page of the catalog has.
pub const PAGE: usize = 10;

/// A header of an answer.
pub type Header = (&'static str, String);

/// What the registry does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Nothing, and this status with this header and no body.
    Status(u16, Option<Header>),
    /// Nothing, and this document with this header.
    Document(Value, Option<Header>),
    /// Nothing, and the specification's 404 with this code.
    Absent(&'static str),
    /// Nothing, and this status with a page for people: a gateway in place of the registry.
    Page(u16),
    /// Nothing, since no connection comes about.
    Unreachable,
    /// Nothing, and the connection breaks.
    Lost,
    /// Nothing, and no answer for so long, which is as long as the door waits.
    Silence(Duration),
    /// What it should, but not before so long.
    Late(Duration),
    /// What it should, and this status instead of its own.
    DoneWith(u16),
    /// What it should, and the answer breaks off in its body.
    DoneAndCut,
    /// What it should, but not before [`ScriptedRegistry::release`], and no answer for so long.
    Held(Duration),
    /// A mistake of the program.
    Panic,
}

impl Answer {
    /// This status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Status(status, None)
    }
}

/// Says what is done with a request of this method to this path with its query; what it says nothing of is done as it should.
type Script = Box<dyn Fn(&Method, &str) -> Option<Answer> + Send + Sync>;

/// What a test does at some point of a request.
type Hook = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// A script that gives all writes this answer.
pub fn writes(answer: Answer) -> impl Fn(&Method, &str) -> Option<Answer> + Send + Sync {
    move |method, _| is_write(method).then(|| answer.clone())
}

/// A script that gives all questions this answer.
pub fn questions(answer: Answer) -> impl Fn(&Method, &str) -> Option<Answer> + Send + Sync {
    move |method, _| (!is_write(method)).then(|| answer.clone())
}

fn is_write(method: &Method) -> bool {
    *method == Method::PUT || *method == Method::DELETE
}

/// What a registry's repositories hold, all of them the same: manifests by tag and by digest.
pub type References = BTreeMap<String, Bytes>;

/// The registry.
pub struct ScriptedRegistry {
    repositories: Vec<String>,
    references: Mutex<References>,
    /// What it answers questions from instead, while it lags.
    lagging: Mutex<Option<References>>,
    script: Mutex<Script>,
    before_write: Mutex<Option<Hook>>,
    before_answer: Mutex<Option<Hook>>,
    release: Notify,
    /// How many lists of tags may be answered.
    allowed_lists: Semaphore,
    /// Questions about the tags of a repository that were answered as they should be, by its name.
    lists: Mutex<BTreeMap<String, usize>>,
}

impl fmt::Debug for ScriptedRegistry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ScriptedRegistry")
    }
}

impl ScriptedRegistry {
    /// One with these repositories, which hold nothing.
    pub fn new(repositories: impl IntoIterator<Item = impl Into<String>>) -> Arc<Self> {
        Arc::new(Self {
            repositories: repositories.into_iter().map(Into::into).collect(),
            references: Mutex::default(),
            lagging: Mutex::default(),
            script: Mutex::new(Box::new(|_, _| None)),
            before_write: Mutex::default(),
            before_answer: Mutex::default(),
            release: Notify::new(),
            allowed_lists: Semaphore::new(Semaphore::MAX_PERMITS),
            lists: Mutex::default(),
        })
    }

    /// The way to it.
    pub fn transport(self: &Arc<Self>) -> Arc<dyn Transport> {
        Arc::new(Arc::clone(self))
    }

    /// From now on this script counts, and no other.
    pub fn script(&self, script: impl Fn(&Method, &str) -> Option<Answer> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// From now on everything is done as it should.
    pub fn behave(&self) {
        self.script(|_, _| None);
    }

    /// Has this done before each write.
    pub fn before_write<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) {
        *self.before_write.lock().unwrap() = Some(Box::new(move || Box::pin(hook())));
    }

    /// Has this done after each question about a manifest has been looked up, and before its answer.
    pub fn before_answer<F: Future<Output = ()> + Send + 'static>(
        &self,
        hook: impl Fn() -> F + Send + Sync + 'static,
    ) {
        *self.before_answer.lock().unwrap() = Some(Box::new(move || Box::pin(hook())));
    }

    /// Lets one write that is held be done.
    pub fn release(&self) {
        self.release.notify_one();
    }

    /// What it holds.
    pub fn references(&self) -> MutexGuard<'_, References> {
        self.references.lock().unwrap()
    }

    /// Holds a manifest under a reference and under its digest, without a write.
    pub fn put(&self, reference: &str, bytes: &'static [u8]) {
        let mut references = self.references();
        references.insert(reference.to_owned(), Bytes::from_static(bytes));
        references.insert(Digest::sha256(bytes).to_string(), Bytes::from_static(bytes));
    }

    /// From now on questions are answered as if nothing changed any more: a replica that lags.
    pub fn lag(&self) {
        let now = self.references().clone();
        *self.lagging.lock().unwrap() = Some(now);
    }

    /// It lags no more.
    pub fn catch_up(&self) {
        *self.lagging.lock().unwrap() = None;
    }

    /// From now on so many lists of tags are answered; those after them wait.
    pub fn allow_lists(&self, count: usize) {
        self.allowed_lists.forget_permits(usize::MAX);
        self.allowed_lists.add_permits(count);
    }

    /// How often the list of each repository was asked for and answered as it should be.
    pub fn lists(&self) -> BTreeMap<String, usize> {
        self.lists.lock().unwrap().clone()
    }

    fn answer(&self, method: &Method, path: &str) -> Option<Answer> {
        (self.script.lock().unwrap())(method, path)
    }

    fn write(&self, method: &Method, reference: &str, body: Bytes) -> u16 {
        let mut references = self.references();
        if *method == Method::PUT {
            references.insert(Digest::sha256(&body).to_string(), body.clone());
            references.insert(reference.to_owned(), body);
            return 201;
        }
        let Some(removed) = references.remove(reference) else { return 404 };
        if reference.starts_with("sha256:") {
            references.retain(|_, bytes| *bytes != removed);
        }
        202
    }

    fn manifest(&self, reference: &str) -> Received {
        let found = match &*self.lagging.lock().unwrap() {
            Some(before) => before.get(reference).cloned(),
            None => self.references().get(reference).cloned(),
        };
        let Some(bytes) = found else { return absent("MANIFEST_UNKNOWN") };
        let mut headers = HeaderMap::new();
        headers.insert("docker-content-digest", value(Digest::sha256(&bytes).as_str()));
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        Received { status: StatusCode::OK, headers, body: Ok(bytes) }
    }

    fn catalog(&self, query: Option<&str>) -> Received {
        let last = query.and_then(|query| query.strip_prefix("last="));
        let is_behind = |name: &&String| last.is_none_or(|last| name.as_str() > last);
        let names: Vec<&String> = self.repositories.iter().filter(is_behind).take(PAGE).collect();
        let is_last = names.last().copied() == self.repositories.last();
        let next = names.last().filter(|_| !is_last);
        let link = next.map(|name| ("link", format!("</v2/_catalog?last={name}>; rel=\"next\"")));
        received(200, link, json!({ "repositories": names }).to_string())
    }

    async fn tags(&self, repository: &str) -> Result<Received, TransportError> {
        let permit = self.allowed_lists.acquire().await.map_err(|_| lost())?;
        permit.forget();
        *self.lists.lock().unwrap().entry(repository.to_owned()).or_default() += 1;
        let references = self.references();
        let tags: Vec<&String> = references.keys().filter(|reference| !reference.contains(':')).collect();
        Ok(received(200, None, json!({ "name": repository, "tags": tags }).to_string()))
    }
}

#[async_trait]
impl Transport for Arc<ScriptedRegistry> {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let is_head = request.method == Method::HEAD;
        let mut received = self.carry_out(request).await?;
        if is_head {
            received.body = received.body.map(|_| Bytes::new());
        }
        Ok(received)
    }
}

impl ScriptedRegistry {
    async fn carry_out(self: &Arc<Self>, request: Request) -> Result<Received, TransportError> {
        let Request { method, url, body, .. } = request;
        let url = Url::parse(&url).unwrap();
        let line = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let answer = self.answer(&method, &line);
        match answer {
            None | Some(Answer::DoneWith(_) | Answer::DoneAndCut | Answer::Held(_)) => {}
            Some(Answer::Late(time)) => tokio::time::sleep(time).await,
            Some(Answer::Status(status, header)) => return Ok(received(status, header, "")),
            Some(Answer::Document(document, header)) => {
                return Ok(received(200, header, document.to_string()));
            }
            Some(Answer::Absent(code)) => return Ok(absent(code)),
            Some(Answer::Page(status)) => {
                let header = ("content-type", "text/html".to_owned());
                return Ok(received(status, Some(header), "<html>please log in</html>"));
            }
            Some(Answer::Unreachable) => return Err(TransportError::Connect(Causes::default())),
            Some(Answer::Lost) => return Err(lost()),
            Some(Answer::Silence(time)) => {
                tokio::time::sleep(time).await;
                return Err(TransportError::TimedOut(time));
            }
            Some(Answer::Panic) => panic!("as it was told to"),
        }
        let path = url.path().trim_start_matches("/v2/");
        if path == "_catalog" {
            return Ok(self.catalog(url.query()));
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return self.tags(repository).await;
        }
        let Some((_, reference)) = path.split_once("/manifests/") else {
            return Ok(received(200, None, "{}"));
        };
        if !is_write(&method) {
            let received = self.manifest(reference);
            let hook = self.before_answer.lock().unwrap().as_ref().map(|hook| hook());
            if let Some(hook) = hook {
                hook.await;
            }
            return Ok(received);
        }
        let hook = self.before_write.lock().unwrap().as_ref().map(|hook| hook());
        if let Some(hook) = hook {
            hook.await;
        }
        if let Some(Answer::Held(time)) = answer {
            let (registry, reference) = (Arc::clone(self), reference.to_owned());
            // The registry goes on though the door has given up waiting.
            tokio::spawn(async move {
                registry.release.notified().await;
                registry.write(&method, &reference, body);
            });
            tokio::time::sleep(time).await;
            return Err(TransportError::TimedOut(time));
        }
        let status = self.write(&method, reference, body);
        Ok(match answer {
            Some(Answer::DoneWith(other)) => received(other, None, ""),
            Some(Answer::DoneAndCut) => {
                Received { body: Err(BodyError::Broken(Causes::default())), ..received(status, None, "") }
            }
            _ => received(status, None, ""),
        })
    }
}

fn lost() -> TransportError {
    TransportError::Lost(Causes::default())
}

fn absent(code: &str) -> Received {
    received(404, None, json!({ "errors": [{ "code": code }] }).to_string())
}

fn received(status: u16, header: Option<Header>, body: impl Into<Bytes>) -> Received {
    let pair = |(name, text): Header| (HeaderName::from_static(name), value(&text));
    let (status, headers) = (StatusCode::from_u16(status).unwrap(), header.into_iter().map(pair).collect());
    Received { status, headers, body: Ok(body.into()) }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}
