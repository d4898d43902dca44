//! Deletions by digest, and the tags that they take.

use futures_util::future::BoxFuture;

use super::*;
use crate::store::{Fate, MemoryMedium, Sequence, Steps};

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

/// A store whose writes fail when they are told to, each once.
#[derive(Default)]
struct FailingOnce(Mutex<Vec<Fate>>);

impl Steps for FailingOnce {
    fn fate(&self) -> Fate {
        self.0.lock().unwrap().pop().unwrap_or(Fate::Done)
    }

    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

#[tokio::test]
async fn a_deletion_leaves_a_tag_undecided_only_when_it_is_kept_that_it_has_to_be_asked_about() {
    let steps = Arc::new(FailingOnce::default());
    let store = MemoryStore::open_followed(&MemoryMedium::default(), Arc::clone(&steps) as _);
    let house = House::over(Arc::new(store), Duration::from_secs(10), JudgeSettings::CREDULOUS);
    house.record("t", b"one").await;
    house.registry.put("t", b"one");
    house.registry.lag();
    let digest = Digest::sha256(b"one");
    // Its beginning is noted, the hints are not.
    *steps.0.lock().unwrap() = vec![Fate::Failed, Fate::Done];
    let failure = house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap_err();
    let is_unknown = matches!(failure, CarryFailure::UnknownDeletion(UnknownDeletion::NotKept(_)));
    assert!(is_unknown, "{failure}");
    assert!(house.store.has_manifest(&repository(), &digest).await.unwrap());
    house.registry.catch_up();
    let _settling = house.settle_unknown();
    house.wait_for("t", None).await;
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
