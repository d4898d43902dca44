//! A registry in the model: what it holds, as distribution holds it, and how it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;
use url::Url;

use super::random::Random;
use crate::oci::{Digest, Reference};
use crate::registry::{Causes, Received, Request, Transport, TransportError};

/// How long the door waits for an answer.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// Names of the model.
pub const REPOSITORIES: [&str; 3] = ["a", "a/b", "a-b"];

/// The registry. It outlives every door.
#[derive(Debug)]
pub struct Registry(Mutex<State>);

#[derive(Debug)]
struct State {
    repositories: BTreeMap<String, Repository>,
    random: Random,
    /// Whether it fails, one time in so many; never at zero.
    faults: u64,
    /// How often each thing stopped being there.
    vanished: BTreeMap<Thing, usize>,
    /// Whether deletions may be left half done.
    stops_half_way: bool,
    /// Requests that have arrived and not taken effect.
    pending: BTreeMap<u64, (Method, Url, Bytes)>,
    arrived: u64,
}

/// The way to the registry.
#[derive(Debug)]
pub struct Way(pub Arc<Registry>);

#[derive(Clone, Debug, Default)]
struct Repository {
    manifests: BTreeMap<Digest, Bytes>,
    tags: BTreeMap<String, Digest>,
}

/// Something that is there or not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    pub repository: String,
    /// A tag, a digest; or empty for the repository itself, of which only denials are counted.
    pub name: String,
}

/// What the registry does with a request, apart from answering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// No connection comes about.
    Refuse,
    /// The connection breaks, before or after the request has taken effect.
    Lose {
        after: bool,
    },
    /// Nothing comes back in time; the effect comes before the door gives up, or never.
    Hang {
        after: bool,
    },
    /// A server error, before or after the effect.
    Fail {
        after: bool,
        status: u16,
    },
    /// A 404 that is not the registry's own.
    Stray,
    /// The body breaks off.
    Truncate,
    /// Somebody sends the door elsewhere.
    Redirect,
}

impl Registry {
    pub fn new(seed: u64, stops_half_way: bool) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State {
            repositories: BTreeMap::new(),
            random: Random::new(seed),
            faults: 0,
            vanished: BTreeMap::new(),
            stops_half_way,
            pending: BTreeMap::new(),
            arrived: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on it fails one time in so many; never, if that is zero.
    pub fn fail_one_in(&self, times: u64) {
        self.state().faults = times;
    }

    /// A manifest is pushed around the door.
    pub fn put(&self, repository: &str, reference: &Reference, bytes: &Bytes) {
        self.state().change(|state| state.put(repository, reference, bytes));
    }

    /// A tag or manifest is deleted around the door.
    pub fn delete(&self, repository: &str, reference: &Reference) {
        self.state().change(|state| {
            state.delete(repository, reference);
        });
    }

    /// A repository is removed from the registry's disk.
    pub fn forget(&self, repository: &str) {
        self.state().change(|state| {
            state.repositories.remove(repository);
        });
    }

    /// The door has crashed: of the requests that have arrived some still take effect.
    pub fn lose_the_door(&self) {
        let mut state = self.state();
        for (_, (method, url, body)) in std::mem::take(&mut state.pending) {
            if state.random.one_in(2) {
                state.answer(&method, &url, &body);
            }
        }
    }

    /// A request takes effect, and is answered; nothing if it has vanished meanwhile.
    fn take_effect(&self, arrived: u64) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let mut state = self.state();
        let (method, url, body) = state.pending.remove(&arrived)?;
        Some(state.answer(&method, &url, &body))
    }

    /// What a tag points to.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<Digest> {
        let state = self.state();
        let held = state.repositories.get(repository)?;
        held.tags.get(tag).filter(|digest| held.manifests.contains_key(*digest)).cloned()
    }

    /// Everything that is there.
    pub fn things(&self) -> BTreeSet<Thing> {
        self.state().things()
    }

    /// Everything that a tag points to, with the tags, and all repositories: what can be found from outside.
    pub fn findable(&self) -> (BTreeMap<Thing, Digest>, BTreeSet<String>) {
        let state = self.state();
        let mut tags = BTreeMap::new();
        for (repository, held) in &state.repositories {
            for (tag, digest) in held.tags.iter().filter(|(_, digest)| held.manifests.contains_key(*digest)) {
                tags.insert(Thing::new(repository, tag), digest.clone());
            }
        }
        (tags, state.repositories.keys().cloned().collect())
    }

    /// How often something stopped being there.
    pub fn vanished(&self, thing: &Thing) -> usize {
        self.state().vanished.get(thing).copied().unwrap_or_default()
    }
}

impl Thing {
    pub fn new(repository: &str, name: &str) -> Self {
        Self { repository: repository.to_owned(), name: name.to_owned() }
    }
}

impl State {
    /// Changes what is held, and counts what is not there any more.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let before = self.things();
        change(self);
        for gone in before.difference(&self.things()) {
            *self.vanished.entry(gone.clone()).or_default() += 1;
        }
        // Of a repository without tags the registry itself says that it is not there, as distribution does.
        for repository in REPOSITORIES {
            if self.repositories.get(repository).is_none_or(|held| held.tags.is_empty()) {
                *self.vanished.entry(Thing::new(repository, "")).or_default() += 1;
            }
        }
    }

    fn things(&self) -> BTreeSet<Thing> {
        let mut things = BTreeSet::new();
        for (repository, held) in &self.repositories {
            things.extend(held.manifests.keys().map(|digest| Thing::new(repository, digest.as_str())));
            let tags = held.tags.iter().filter(|(_, digest)| held.manifests.contains_key(*digest));
            things.extend(tags.map(|(tag, _)| Thing::new(repository, tag)));
        }
        things
    }

    fn put(&mut self, repository: &str, reference: &Reference, bytes: &Bytes) {
        let held = self.repositories.entry(repository.to_owned()).or_default();
        let digest = Digest::sha256(bytes);
        held.manifests.insert(digest.clone(), bytes.clone());
        if let Reference::Tag(tag) = reference {
            held.tags.insert(tag.to_string(), digest);
        }
    }

    /// Answers whether it was there.
    fn delete(&mut self, repository: &str, reference: &Reference) -> bool {
        let Some(held) = self.repositories.get_mut(repository) else { return false };
        match reference {
            Reference::Tag(tag) => held.tags.remove(tag.as_str()).is_some(),
            Reference::Digest(digest) => {
                let was_there = held.manifests.remove(digest).is_some();
                // Now and then it stops half way, as distribution may: the tags stay, point nowhere, and are there again
                // when somebody pushes the manifest anew.
                if !(self.stops_half_way && self.faults > 0 && self.random.one_in(8)) {
                    held.tags.retain(|_, pointed| pointed != digest);
                }
                was_there
            }
        }
    }

    fn fault(&mut self) -> Fault {
        if self.faults == 0 || !self.random.one_in(self.faults) {
            return Fault::None;
        }
        let after = self.random.one_in(2);
        match self.random.below(8) {
            0 => Fault::Refuse,
            1 => Fault::Lose { after },
            2 => Fault::Hang { after },
            // "Too many" is only said of what was not done.
            3 | 4 if after => Fault::Fail { after, status: *self.random.pick(&[500, 502, 503]) },
            3 | 4 => Fault::Fail { after, status: *self.random.pick(&[500, 502, 503, 429]) },
            5 => Fault::Stray,
            6 => Fault::Truncate,
            _ => Fault::Redirect,
        }
    }

    fn answer(&mut self, method: &Method, url: &Url, body: &Bytes) -> (StatusCode, HeaderMap, Bytes) {
        let path = url.path().trim_start_matches("/v2/");
        if path == "_catalog" {
            let names = self.repositories.keys().cloned().collect();
            return self.listing("_catalog", "repositories", names, url);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return match self.repositories.get(repository) {
                Some(held) if !held.tags.is_empty() => {
                    let names = held.tags.keys().cloned().collect();
                    self.listing(path, "tags", names, url)
                }
                _ => absent("NAME_UNKNOWN"),
            };
        }
        let Some((repository, reference)) = path.split_once("/manifests/") else {
            return (StatusCode::OK, HeaderMap::new(), Bytes::from_static(b"{}"));
        };
        let reference = Reference::parse(reference).unwrap();
        match *method {
            Method::PUT => {
                self.change(|state| state.put(repository, &reference, body));
                (StatusCode::CREATED, named(&Digest::sha256(body)), Bytes::new())
            }
            Method::DELETE => {
                let mut was_there = false;
                self.change(|state| was_there = state.delete(repository, &reference));
                match was_there {
                    true => (StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new()),
                    false => absent("MANIFEST_UNKNOWN"),
                }
            }
            _ => {
                let held = self.repositories.get(repository);
                let digest = held.and_then(|held| match &reference {
                    Reference::Tag(tag) => held.tags.get(tag.as_str()).cloned(),
                    Reference::Digest(digest) => Some(digest.clone()),
                });
                match digest.and_then(|digest| Some((held?.manifests.get(&digest)?.clone(), digest))) {
                    Some((bytes, digest)) => (StatusCode::OK, named(&digest), bytes),
                    None => absent("MANIFEST_UNKNOWN"),
                }
            }
        }
    }

    /// A page of a listing. With faults it lies: names are missing, or there twice, or in another order.
    fn listing(
        &mut self,
        path: &str,
        field: &str,
        mut names: Vec<String>,
        url: &Url,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let query: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        if self.faults > 0 && query.contains_key("n") && self.random.one_in(6) {
            let body = json!({"errors": [{"code": "PAGINATION_NUMBER_INVALID"}]});
            return (StatusCode::BAD_REQUEST, HeaderMap::new(), body.to_string().into());
        }
        if let Some(last) = query.get("last") {
            names.retain(|name| name > last);
        }
        let size = if self.random.one_in(2) { 2 } else { names.len() };
        let more = names.len() > size;
        names.truncate(size);
        let mut headers = HeaderMap::new();
        if let Some(last) = names.last().filter(|_| more) {
            let base = if self.random.one_in(2) { "https://elsewhere.test" } else { "" };
            let link = format!("<{base}/v2/{path}?last={last}&n=2>; rel=\"next\"");
            headers.insert("link", HeaderValue::from_str(&link).unwrap());
        }
        if self.faults > 0 && self.random.one_in(4) {
            let keep = self.random.below(2);
            names.retain(|_| keep == 0);
        }
        if self.faults > 0 && self.random.one_in(4) {
            names.reverse();
            names.extend(names.first().cloned());
        }
        (StatusCode::OK, headers, json!({ field: names }).to_string().into())
    }
}

fn named(digest: &Digest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("docker-content-digest", HeaderValue::from_str(digest.as_str()).unwrap());
    headers
}

fn absent(code: &str) -> (StatusCode, HeaderMap, Bytes) {
    let body = json!({"errors": [{"code": code, "message": "", "detail": {}}]});
    (StatusCode::NOT_FOUND, HeaderMap::new(), body.to_string().into())
}

#[async_trait]
impl Transport for Way {
    async fn send(&self, request: Request) -> Result<Received, TransportError> {
        let Request { method, url, body, .. } = request;
        let url = Url::parse(&url).unwrap();
        let (fault, there, back, arrived) = {
            let mut state = self.0.state();
            let slow = if state.faults > 0 { 40 } else { 3 };
            state.arrived += 1;
            let arrived = state.arrived;
            let fault = state.fault();
            let is_stray = method != Method::PUT && matches!(fault, Fault::Stray | Fault::Redirect);
            let is_cut = matches!(
                fault,
                Fault::Refuse | Fault::Lose { after: false } | Fault::Fail { after: false, .. }
            );
            let is_heard = !is_stray && !is_cut;
            if is_heard {
                state.pending.insert(arrived, (method.clone(), url, body));
            }
            (fault, state.random.milliseconds(slow), state.random.milliseconds(slow), arrived)
        };
        let lost = || TransportError::Lost(Causes::default());
        tokio::time::sleep(there).await;
        match fault {
            Fault::Refuse => return Err(TransportError::Connect(Causes::default())),
            Fault::Lose { after: false } => return Err(lost()),
            Fault::Hang { after: false } => {
                // It may still take effect after the door has given up waiting.
                let (registry, late) = (Arc::clone(&self.0), TIMEOUT + back * 100);
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    registry.take_effect(arrived)
                });
                tokio::time::sleep(TIMEOUT).await;
                return Err(TransportError::TimedOut(TIMEOUT));
            }
            Fault::Fail { after: false, status } => return Ok(failure(status)),
            Fault::Stray if method != Method::PUT => return Ok(failure(404)),
            // Without an effect, as far as anybody knows.
            Fault::Redirect if method != Method::PUT => return Ok(failure(302)),
            _ => {}
        }
        let Some((status, headers, bytes)) = self.0.take_effect(arrived) else { return Err(lost()) };
        tokio::time::sleep(back).await;
        match fault {
            Fault::Lose { after: true } => return Err(lost()),
            Fault::Hang { after: true } => {
                tokio::time::sleep(TIMEOUT).await;
                return Err(TransportError::TimedOut(TIMEOUT));
            }
            Fault::Fail { after: true, status } => return Ok(failure(status)),
            _ => {}
        }
        let cut = if fault == Fault::Truncate { bytes.len() / 2 } else { bytes.len() };
        let bytes = if method == Method::HEAD { Bytes::new() } else { bytes.slice(..cut) };
        Ok(Received { status, headers, body: Ok(bytes) })
    }
}

/// An answer that says nothing about what was asked.
fn failure(status: u16) -> Received {
    let status = StatusCode::from_u16(status).unwrap();
    Received { status, headers: HeaderMap::new(), body: Ok(Bytes::from_static(b"<html>")) }
}
