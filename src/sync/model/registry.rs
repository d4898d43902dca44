//! The registry of the model: what it holds, as distribution holds it, and what it answers when nothing fails.
//!
//! It is a simulation, not a script: what it answers wrongly or late is drawn by chance from a seed, it knows what it held when,
//! and every promise is checked against that. Tests that say themselves what goes wrong use `sync::scripted_registry`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;
use tokio::time::Instant;
use url::Url;

use super::nature::Nature;
use super::random::Random;
use super::registry_history::{RegistryHistory, Resource};
use crate::oci::{Digest, Reference};

/// Names of the model.
pub const REPOSITORIES: [&str; 3] = ["a", "a/b", "a-b"];

/// The registry. It outlives every door.
#[derive(Debug)]
pub struct Registry(Mutex<State>, Mutex<RegistryHistory>);

#[derive(Debug)]
pub(super) struct State {
    repositories: Repositories,
    /// What it held before each of its last changes, and when these were.
    before: VecDeque<(Instant, Repositories)>,
    /// What is not mounted at the version.
    lost: Option<Repositories>,
    pub random: Random,
    /// Whether it fails, one time in so many; never at zero.
    pub faults: u64,
    pub nature: Nature,
    /// It is down until then.
    pub outage: Option<(Instant, Outage)>,
    /// Requests that have arrived and not taken effect.
    pub pending: BTreeMap<u64, Heard>,
    pub arrived: u64,
}

type Repositories = BTreeMap<String, Repository>;

/// How old an answer of a replica may be, in milliseconds: with what a late write takes, less than the door watches for.
const LAG: u64 = 800;

/// How a registry is down.
#[derive(Clone, Copy, Debug)]
pub enum Outage {
    /// Nothing listens.
    Deaf,
    /// Something in front of it says so, with the seconds after which to come back.
    Unavailable(Option<u64>),
    /// It fails.
    Broken,
}

/// A request as it has arrived.
#[derive(Debug)]
pub(super) struct Heard {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Status, headers and body.
pub(super) type Answered = (StatusCode, HeaderMap, Bytes);

#[derive(Clone, Debug, Default)]
struct Repository {
    manifests: BTreeMap<Digest, Bytes>,
    tags: BTreeMap<String, Digest>,
}

impl Registry {
    pub fn new(seed: u64, nature: Nature) -> Arc<Self> {
        let state = State {
            repositories: BTreeMap::new(),
            before: VecDeque::new(),
            lost: None,
            random: Random::new(seed),
            faults: 0,
            nature,
            outage: None,
            pending: BTreeMap::new(),
            arrived: 0,
        };
        Arc::new(Self(Mutex::new(state), Mutex::default()))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether its answers may be old.
    pub fn lags(&self) -> bool {
        self.state().nature.lags
    }

    /// What was there when.
    pub fn history(&self) -> MutexGuard<'_, RegistryHistory> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it fails one time in so many; never, if that is zero. It is up in any case, and has its storage.
    pub fn fail_one_in(&self, times: u64) {
        self.regain_storage();
        let mut state = self.state();
        (state.faults, state.outage) = (times, None);
        // Each life has a clock of its own.
        state.before.clear();
    }

    /// Its storage is not there: it serves an empty one.
    pub fn lose_storage(&self) {
        self.remount(|state| {
            if state.lost.is_none() {
                state.lost = Some(std::mem::take(&mut state.repositories));
            }
        });
    }

    /// Its storage is there again; what was written meanwhile went elsewhere.
    pub fn regain_storage(&self) {
        self.remount(|state| {
            if let Some(lost) = state.lost.take() {
                state.repositories = lost;
            }
        });
    }

    fn remount(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        let before = state.resources();
        change(&mut state);
        let after = state.resources();
        if before == after {
            return;
        }
        let mut past = self.history();
        past.note(&before, &after);
        REPOSITORIES.iter().for_each(|repository| past.touch(repository));
    }

    /// It is down until then.
    pub fn go_down(&self, until: Instant, outage: Outage) {
        self.state().outage = Some((until, outage));
    }

    /// A manifest is pushed around the door.
    pub fn put(&self, repository: &str, reference: &Reference, bytes: &Bytes) {
        self.change(&mut self.state(), repository, |state| state.put(repository, reference, bytes));
    }

    /// A tag or manifest is deleted around the door.
    pub fn delete(&self, repository: &str, reference: &Reference) {
        self.change(&mut self.state(), repository, |state| {
            state.delete(repository, reference);
        });
    }

    /// A repository is removed from the registry's disk.
    pub fn forget(&self, repository: &str) {
        self.change(&mut self.state(), repository, |state| {
            state.repositories.remove(repository);
        });
    }

    /// Nobody waits for answers any more, since the door has crashed or the registry itself: of the requests that have
    /// arrived some still take effect.
    pub fn lose_connections(&self) {
        let mut state = self.state();
        for (_, heard) in std::mem::take(&mut state.pending) {
            if state.random.one_in(2) {
                self.answer(&mut state, &heard);
            }
        }
    }

    /// A request takes effect, and is answered; nothing if it has vanished meanwhile.
    pub(super) fn take_effect(&self, arrived: u64) -> Option<Answered> {
        let mut state = self.state();
        let heard = state.pending.remove(&arrived)?;
        Some(self.answer(&mut state, &heard))
    }

    /// Everything that is there.
    pub fn resources(&self) -> BTreeSet<Resource> {
        self.state().resources()
    }

    /// What the tags point to.
    pub fn tags(&self) -> BTreeMap<Resource, Digest> {
        let state = self.state();
        let mut tags = BTreeMap::new();
        for (repository, held) in &state.repositories {
            for (tag, digest) in held.tags.iter().filter(|(_, digest)| held.manifests.contains_key(*digest)) {
                tags.insert(Resource::new(repository, tag), digest.clone());
            }
        }
        tags
    }

    /// What its catalog names.
    pub fn repositories(&self) -> BTreeSet<String> {
        self.state().repositories.keys().cloned().collect()
    }

    /// Changes what is held, and notes what came and went.
    fn change(&self, state: &mut State, repository: &str, change: impl FnOnce(&mut State)) {
        let before = state.resources();
        if state.nature.lags {
            let now = Instant::now();
            state.before.push_back((now, state.repositories.clone()));
            let is_old = |(at, _): &(Instant, _)| now.duration_since(*at) > Duration::from_millis(LAG);
            while state.before.front().is_some_and(is_old) {
                state.before.pop_front();
            }
        }
        change(state);
        let mut past = self.history();
        past.note(&before, &state.resources());
        past.touch(repository);
    }

    fn answer(&self, state: &mut State, heard: &Heard) -> Answered {
        let Heard { method, url, headers, body } = heard;
        let path = url.path().trim_start_matches("/v2/");
        if path == "_catalog" {
            if let Some(status) = state.nature.no_catalog {
                let code = if status == 404 { "NAME_UNKNOWN" } else { "UNSUPPORTED" };
                return refusal(status, code);
            }
            let names = state.repositories.keys().cloned().collect();
            return state.listing("_catalog", "repositories", names, url);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return match state.repositories.get(repository) {
                Some(held) if !held.tags.is_empty() => {
                    let names = held.tags.keys().cloned().collect();
                    state.listing(path, "tags", names, url)
                }
                Some(_) if state.nature.null_tags => {
                    let body = json!({"name": repository, "tags": null});
                    (StatusCode::OK, HeaderMap::new(), body.to_string().into())
                }
                _ => refusal(404, "NAME_UNKNOWN"),
            };
        }
        let Some((repository, reference)) = path.split_once("/manifests/") else {
            return (StatusCode::OK, HeaderMap::new(), Bytes::from_static(b"{}"));
        };
        let reference = Reference::parse(reference).unwrap();
        match *method {
            Method::PUT => {
                self.change(state, repository, |state| state.put(repository, &reference, body));
                (StatusCode::CREATED, state.named(&Digest::sha256(body)), Bytes::new())
            }
            Method::DELETE => {
                let mut was_there = false;
                self.change(state, repository, |state| was_there = state.delete(repository, &reference));
                match was_there {
                    true => (StatusCode::ACCEPTED, HeaderMap::new(), Bytes::new()),
                    false => refusal(404, "MANIFEST_UNKNOWN"),
                }
            }
            _ => state.manifest(repository, &reference, headers),
        }
    }
}

impl State {
    fn resources(&self) -> BTreeSet<Resource> {
        let mut resources = BTreeSet::new();
        for (repository, held) in &self.repositories {
            resources.extend(held.manifests.keys().map(|digest| Resource::new(repository, digest.as_str())));
            for (tag, digest) in held.tags.iter().filter(|(_, digest)| held.manifests.contains_key(*digest)) {
                resources.insert(Resource::new(repository, tag));
                resources.insert(Resource::pointing(repository, tag, digest.as_str()));
            }
            // Of a repository without tags the registry itself says that it is not there, as distribution does.
            if self.nature.null_tags || !held.tags.is_empty() {
                resources.insert(Resource::new(repository, ""));
            }
        }
        resources
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
                // Where it stops half way, as distribution may, the tags stay, point nowhere, and are there again when
                // somebody pushes the manifest anew.
                if !(self.nature.stops_half_way && self.faults > 0 && self.random.one_in(8)) {
                    held.tags.retain(|_, pointed| pointed != digest);
                }
                was_there
            }
        }
    }

    /// What it answers from: what it holds, or held a version ago.
    fn answering(&mut self) -> Repositories {
        if self.nature.lags && self.random.one_in(2) {
            let lag = self.random.milliseconds(LAG);
            let now = Instant::now();
            let after = self.before.iter().find(|(changed, _)| now.duration_since(*changed) < lag);
            if let Some((_, before)) = after {
                return before.clone();
            }
        }
        self.repositories.clone()
    }

    fn manifest(&mut self, repository: &str, reference: &Reference, headers: &HeaderMap) -> Answered {
        let repositories = self.answering();
        let held = repositories.get(repository);
        let digest = held.and_then(|held| match reference {
            Reference::Tag(tag) => held.tags.get(tag.as_str()).cloned(),
            Reference::Digest(digest) => Some(digest.clone()),
        });
        let found = digest.and_then(|digest| Some((held?.manifests.get(&digest)?.clone(), digest)));
        let Some((bytes, digest)) = found else { return refusal(404, "MANIFEST_UNKNOWN") };
        let media_type = media_type(&bytes);
        // As distribution does, it denies what has another type than was asked for.
        let accepted = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        if !accepted.split(',').any(|accepted| accepted.trim() == media_type) {
            return refusal(404, "MANIFEST_UNKNOWN");
        }
        let mut headers = self.named(&digest);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        (StatusCode::OK, headers, bytes)
    }

    fn named(&self, digest: &Digest) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.nature.unnamed_digests {
            headers.insert("docker-content-digest", HeaderValue::from_str(digest.as_str()).unwrap());
        }
        headers
    }
}

fn media_type(manifest: &[u8]) -> &'static str {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let is_index = manifest.windows(INDEX.len()).any(|window| window == INDEX.as_bytes());
    if is_index { INDEX } else { "application/vnd.oci.image.manifest.v1+json" }
}

/// An answer of the registry's own that is none to what was asked.
pub(super) fn refusal(status: u16, code: &str) -> Answered {
    let body = json!({"errors": [{"code": code, "message": "", "detail": {}}]});
    (StatusCode::from_u16(status).unwrap(), HeaderMap::new(), body.to_string().into())
}
