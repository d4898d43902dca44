//! Carrying, verifying and settling against a scripted registry and a real store.

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

mod pages;
mod removals;
mod settling;
mod several_doors;
mod taking_over;

use super::scripted_registry::{Answer, ScriptedRegistry, questions, writes};
use super::*;
use crate::clock::{Clock, Timestamp};
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::RegistryError;
use crate::registry::{Backends, OutgoingWrite, RegistryClient, RegistrySettings};
use crate::store::{Actor, Change, EventKind, Guard, MemoryStore, PageRequest, Recorded, Source, Store};

struct House {
    registry: Arc<ScriptedRegistry>,
    client: Arc<RegistryClient>,
    store: Arc<dyn Store>,
    verifier: Arc<Verifier>,
    carrier: Carrier,
    engine: SyncEngine,
}

impl House {
    fn new() -> Self {
        Self::with_timeout(Duration::from_secs(10))
    }

    fn with_timeout(timeout: Duration) -> Self {
        Self::with(timeout, JudgeSettings::CREDULOUS)
    }

    /// One that judges contradictions so.
    fn cautious(settings: JudgeSettings) -> Self {
        Self::with(Duration::from_secs(10), settings)
    }

    fn with(timeout: Duration, settings: JudgeSettings) -> Self {
        Self::over(Arc::new(MemoryStore::default()), timeout, settings)
    }

    fn over(store: Arc<dyn Store>, timeout: Duration, settings: JudgeSettings) -> Self {
        let registry = ScriptedRegistry::new(["team/app"]);
        let engine = engine(&registry, &store, timeout, settings, Clock::SYSTEM);
        Self {
            registry,
            client: Arc::clone(&engine.registry),
            store,
            verifier: Arc::clone(&engine.verifier),
            carrier: engine.carrier.clone(),
            engine,
        }
    }

    /// A verifier that judges otherwise.
    fn verifier(&self, settings: JudgeSettings) -> Verifier {
        let Recording { judge, .. } = Recording::judged(&self.store, settings);
        Verifier::new(Arc::clone(&self.store), Arc::clone(&self.client), judge)
    }

    /// Asks about unknown outcomes in the background until the token is dropped.
    fn settle_unknown(&self) -> tokio_util::sync::DropGuard {
        let stop = CancellationToken::new();
        tokio::spawn(self.engine.settle_unknown(stop.clone()));
        stop.drop_guard()
    }

    /// Follows hints in the background until the token is dropped.
    fn follow_hints(&self) -> tokio_util::sync::DropGuard {
        let stop = CancellationToken::new();
        tokio::spawn(self.engine.follow_hints(stop.clone()));
        stop.drop_guard()
    }

    async fn recorded(&self, name: &str) -> Option<Digest> {
        self.store.tag(&repository(), &tag(name)).await.unwrap().map(|record| record.digest)
    }

    async fn record(&self, name: &str, bytes: &'static [u8]) {
        let change = put_change(name, bytes);
        let since = self.store.sequence().await.unwrap();
        let guard = Guard { reference: Some(Reference::Tag(tag(name))), since, lease: None };
        let recorded =
            self.store.record(vec![change], Source::Verified, guard, Timestamp::now()).await.unwrap();
        assert!(matches!(recorded, Recorded::Changed(_)));
    }

    async fn wait_until<F: Future<Output = bool>>(&self, what: &str, condition: impl Fn() -> F) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while !condition().await {
            assert!(tokio::time::Instant::now() < deadline, "{what} did not come true");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn wait_for(&self, name: &str, digest: Option<Digest>) {
        self.wait_until("the record", || async { self.recorded(name).await == digest }).await;
    }
}

/// All parts over this registry and this store, of a door that has this clock.
fn engine(
    registry: &Arc<ScriptedRegistry>,
    store: &Arc<dyn Store>,
    timeout: Duration,
    judge: JudgeSettings,
    clock: Clock,
) -> SyncEngine {
    let backends = Arc::new(Backends::new([Url::parse("http://registry").unwrap()]));
    let settings = EngineSettings {
        registry: RegistrySettings { clock, ..RegistrySettings::new(backends, timeout) },
        judge,
        retention_clock: None,
        sweep: SweepSettings {
            interval: Duration::ZERO,
            deep_interval: Duration::ZERO,
            concurrency: NonZeroUsize::MIN,
            seed: 1,
        },
        last_pass: Duration::ZERO,
    };
    let transports = Transports { requests: registry.transport(), sweeps: registry.transport() };
    SyncEngine::new(Arc::clone(store), settings, transports)
}

fn repository() -> RepositoryName {
    RepositoryName::parse("team/app").unwrap()
}

fn tag(name: &str) -> Tag {
    Tag::parse(name).unwrap()
}

fn put_change(name: &str, bytes: &'static [u8]) -> Change {
    let manifest = Arc::new(Manifest::unread(Bytes::from_static(bytes), "text/plain".into()));
    Change::ManifestPut { repository: repository(), manifest, tags: vec![tag(name)] }
}

fn put(name: &str, bytes: &'static [u8]) -> WriteRequest {
    let manifest = Arc::new(Manifest::unread(Bytes::from_static(bytes), "text/plain".into()));
    let (repository, reference) = (repository(), Reference::Tag(tag(name)));
    WriteRequest {
        write: ManifestWrite::Put { repository, reference, tags: Vec::new(), manifest },
        actor: Actor::default(),
        outgoing: outgoing(Method::PUT, name, Bytes::from_static(bytes)),
    }
}

fn delete(reference: Reference) -> WriteRequest {
    let outgoing = outgoing(Method::DELETE, reference.as_str(), Bytes::new());
    WriteRequest {
        write: ManifestWrite::Delete { repository: repository(), reference },
        actor: Actor::default(),
        outgoing,
    }
}

fn outgoing(method: Method, reference: &str, body: Bytes) -> OutgoingWrite {
    let path_and_query = format!("/v2/team/app/manifests/{reference}");
    OutgoingWrite { method, path_and_query, headers: HeaderMap::new(), body, credentials: None }
}

#[tokio::test]
async fn the_registry_hears_of_a_write_only_after_its_intent_is_durable() {
    let house = House::new();
    let open = Arc::new(Mutex::new(None));
    let (store, seen) = (Arc::clone(&house.store), Arc::clone(&open));
    house.registry.before_write(move || {
        let (store, seen) = (Arc::clone(&store), Arc::clone(&seen));
        async move { *seen.lock().unwrap() = Some(store.open_intents().await.unwrap().len()) }
    });
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    assert_eq!(*open.lock().unwrap(), Some(1));
    assert!(house.store.open_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_write_is_recorded_before_its_answer_is_given() {
    let house = House::new();
    let answer = house.carrier.carry(put("latest", b"one")).await.unwrap();
    assert_eq!(answer.status, 201);
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
    let answer = house.carrier.carry(delete(Reference::Digest(Digest::sha256(b"one")))).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(house.recorded("latest").await, None);
}

#[tokio::test]
async fn a_write_whose_client_leaves_is_carried_to_its_end() {
    let house = House::new();
    let (started, mut has_started) = watch::channel(false);
    house.registry.before_write(move || {
        started.send_replace(true);
        tokio::time::sleep(Duration::from_millis(20))
    });
    {
        let carrying = house.carrier.carry(put("latest", b"one"));
        tokio::select! {
            _ = carrying => panic!("the answer came before the registry was reached"),
            _ = has_started.wait_for(|started| *started) => {}
        }
    }
    house.wait_for("latest", Some(Digest::sha256(b"one"))).await;
}

#[tokio::test]
async fn after_a_server_error_the_record_says_what_the_registry_really_has() {
    let house = House::new();
    let _settling = house.settle_unknown();
    house.registry.script(writes(Answer::DoneWith(500)));
    assert_eq!(house.carrier.carry(put("kept", b"one")).await.unwrap().status, 500);
    house.wait_for("kept", Some(Digest::sha256(b"one"))).await;
    house.registry.script(writes(Answer::status(503)));
    assert_eq!(house.carrier.carry(put("lost", b"two")).await.unwrap().status, 503);
    let events = house.store.events(None, PageRequest { after: None, limit: 100 }).await.unwrap();
    assert!(events.items.iter().all(|event| event.source == Source::Verified), "{events:?}");
    assert_eq!(house.recorded("lost").await, None);
}

#[tokio::test]
async fn a_registry_that_finishes_a_write_long_after_the_timeout_is_still_recorded() {
    let timeout = Duration::from_millis(300);
    let house = House::with_timeout(timeout);
    let _settling = house.settle_unknown();
    house.registry.script(writes(Answer::Held(timeout)));
    let failure = house.carrier.carry(put("latest", b"one")).await.unwrap_err();
    assert!(matches!(failure, CarryFailure::Registry(crate::registry::CarryError::TimedOut(_))), "{failure}");
    assert_eq!(house.recorded("latest").await, None);
    house.registry.release();
    house.wait_for("latest", Some(Digest::sha256(b"one"))).await;
    house
        .wait_until("no intent is left", || async { house.store.open_intents().await.unwrap().is_empty() })
        .await;
}

#[tokio::test]
async fn a_write_that_was_never_sent_leaves_nothing_open() {
    let house = House::new();
    house.registry.script(|_, _| Some(Answer::Unreachable));
    let failure = house.carrier.carry(put("latest", b"one")).await.unwrap_err();
    assert!(matches!(failure, CarryFailure::Registry(crate::registry::CarryError::NotSent(_))), "{failure}");
    assert!(house.store.open_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_breaks_off_in_its_body_has_told_the_outcome() {
    let house = House::new();
    house.registry.script(writes(Answer::DoneAndCut));
    assert_eq!(house.carrier.carry(put("latest", b"one")).await.unwrap().status, 201);
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
}

#[tokio::test]
async fn a_refused_write_changes_nothing() {
    let house = House::new();
    house.registry.script(writes(Answer::status(405)));
    house.record("latest", b"one").await;
    let digest = Digest::sha256(b"one");
    let answer = house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap();
    assert_eq!(answer.status, 405);
    assert_eq!(house.recorded("latest").await, Some(digest));
    assert!(house.store.open_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn only_the_registrys_own_not_there_removes_a_tag() {
    let house = House::new();
    house.record("latest", b"one").await;
    let reference = Reference::Tag(tag("latest"));
    for status in [404, 401, 403, 500, 502, 503, 301] {
        house.registry.script(questions(Answer::Page(status)));
        house.verifier.verify(&repository(), &reference, Source::Verified).await.unwrap_err();
        assert!(house.recorded("latest").await.is_some(), "{status}");
    }
    house.registry.behave();
    house.verifier.verify(&repository(), &reference, Source::Verified).await.unwrap();
    assert_eq!(house.recorded("latest").await, None);
}

#[tokio::test]
async fn a_manifest_that_is_gone_takes_each_tag_only_after_a_question_about_that_tag() {
    let house = House::new();
    house.record("old", b"one").await;
    house.record("moved", b"one").await;
    house.registry.put("moved", b"two");
    let digest = Digest::sha256(b"one");
    let reference = Reference::Digest(digest.clone());
    house.verifier.verify(&repository(), &reference, Source::Verified).await.unwrap();
    assert_eq!(house.recorded("old").await, None);
    assert_eq!(house.recorded("moved").await, Some(Digest::sha256(b"two")));
    assert!(house.store.manifest(&repository(), &digest).await.unwrap().is_none());
}

#[tokio::test]
async fn an_old_answer_never_overrides_a_newer_write() {
    let house = House::new();
    house.record("latest", b"one").await;
    // The registry says "not there"; before that arrives, a push of the same tag is recorded.
    let pushed = std::sync::atomic::AtomicBool::new(false);
    let (store, registry) = (Arc::clone(&house.store), Arc::downgrade(&house.registry));
    house.registry.before_answer(move || {
        let (store, registry) = (Arc::clone(&store), registry.upgrade().unwrap());
        let first = !pushed.swap(true, std::sync::atomic::Ordering::SeqCst);
        async move {
            if !first {
                return;
            }
            let write =
                crate::store::Write::Put { digest: Digest::sha256(b"two"), tags: vec![tag("latest")] };
            let intent = store.begin(repository(), write, Actor::default(), Timestamp::now()).await.unwrap();
            registry.put("latest", b"two");
            let outcome = crate::store::Outcome::Applied(vec![put_change("latest", b"two")]);
            store.settle(&intent, outcome, Timestamp::now()).await.unwrap();
        }
    });
    house.verifier.verify(&repository(), &Reference::Tag(tag("latest")), Source::Verified).await.unwrap();
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"two")));
    let events = house.store.events(None, PageRequest { after: None, limit: 100 }).await.unwrap();
    assert!(events.items.iter().all(|event| event.kind == EventKind::ManifestPut), "{events:?}");
}

#[tokio::test]
async fn two_pushes_of_one_tag_at_once_end_as_the_registry_says() {
    let house = House::new();
    for _ in 0..20 {
        let (one, two) = tokio::join!(
            house.carrier.carry(put("latest", b"one")),
            house.carrier.carry(put("latest", b"two"))
        );
        assert_eq!((one.unwrap().status.as_u16(), two.unwrap().status.as_u16()), (201, 201));
        let held = house.registry.references()["latest"].clone();
        assert_eq!(house.recorded("latest").await, Some(Digest::sha256(&held)));
    }
}

#[tokio::test]
async fn a_deletion_by_digest_without_an_outcome_is_asked_about_with_every_tag_that_it_may_have_taken() {
    let house = House::new();
    house.record("kept", b"one").await;
    house.record("taken", b"one").await;
    // It was done and answered with an error; then another client pushed the manifest again, under one of its tags.
    house.registry.put("kept", b"one");
    house.registry.script(writes(Answer::status(500)));
    let _settling = house.settle_unknown();
    let digest = Digest::sha256(b"one");
    house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap();
    house.wait_for("taken", None).await;
    assert_eq!(house.recorded("kept").await, Some(digest));
}

#[tokio::test]
async fn a_deletion_by_digest_never_records_the_removal_of_a_tag_that_was_moved_around_the_door() {
    let house = House::new();
    house.record("old", b"one").await;
    house.record("moved", b"one").await;
    house.registry.put("old", b"one");
    house.registry.put("moved", b"two");
    let digest = Digest::sha256(b"one");
    let answer = house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap();
    assert_eq!(answer.status, 202);
    assert_eq!(house.recorded("old").await, None);
    assert_eq!(house.recorded("moved").await, Some(Digest::sha256(b"two")));
    assert!(house.store.manifest(&repository(), &digest).await.unwrap().is_none());
    let events = house.store.events(None, PageRequest { after: None, limit: 100 }).await.unwrap().items;
    let removed: Vec<_> = events.iter().filter(|event| event.kind == EventKind::TagDeleted).collect();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!((&removed[0].tag, removed[0].source), (&Some(tag("old")), Source::Observed));
    let found = events.iter().find(|event| event.digest == Some(Digest::sha256(b"two"))).unwrap();
    assert_eq!((&found.tag, found.source), (&Some(tag("moved")), Source::Verified));
    assert!(house.store.open_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_deletion_by_digest_never_records_the_removal_of_a_tag_that_was_moved_away_and_back_around_the_door()
 {
    let house = House::new();
    house.record("old", b"one").await;
    house.record("moved", b"one").await;
    house.registry.put("old", b"one");
    house.registry.put("moved", b"two");
    let digest = Digest::sha256(b"one");
    // Another client pushes it again as soon as it is deleted.
    let registry = Arc::downgrade(&house.registry);
    house.registry.script(move |method, _| {
        if *method == Method::GET {
            registry.upgrade().unwrap().put("moved", b"one");
        }
        None
    });
    let answer = house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap();
    assert_eq!(answer.status, 202);
    let events = house.store.events(None, PageRequest { after: None, limit: 100 }).await.unwrap().items;
    let removed: Vec<_> = events.iter().filter(|event| event.kind == EventKind::TagDeleted).collect();
    assert_eq!(removed.len(), 1, "{removed:?}");
    assert_eq!(removed[0].tag, Some(tag("old")));
    assert!(events.iter().any(|event| event.kind == EventKind::ManifestDeleted));
    assert_eq!(house.recorded("moved").await, Some(digest.clone()));
    let _following = house.follow_hints();
    house
        .wait_until("the manifest is recorded again", || async {
            house.store.has_manifest(&repository(), &digest).await.unwrap()
        })
        .await;
    assert_eq!(house.recorded("moved").await, Some(digest));
}

#[tokio::test]
async fn a_registry_that_does_not_say_what_a_deletion_took_leaves_it_to_be_asked_about() {
    let house = House::new();
    house.record("old", b"one").await;
    house.record("moved", b"one").await;
    house.registry.put("old", b"one");
    house.registry.put("moved", b"two");
    house.registry.script(questions(Answer::Page(503)));
    let failure = house.carrier.carry(delete(Reference::Digest(Digest::sha256(b"one")))).await.unwrap_err();
    assert!(matches!(failure, CarryFailure::UnknownDeletion(_)), "{failure}");
    assert_eq!(house.store.open_intents().await.unwrap().len(), 1);
    assert!(house.recorded("old").await.is_some() && house.recorded("moved").await.is_some());
    let _settling = house.settle_unknown();
    house.registry.behave();
    house.wait_for("old", None).await;
    house.wait_for("moved", Some(Digest::sha256(b"two"))).await;
}
