//! Storage that is lost, and comes back or does not.

use super::*;
use crate::clock::{Clock, RetentionClock, Timestamp};
use crate::store::{Missing, TagRecord};

const CAUTIOUS: JudgeSettings = JudgeSettings {
    settling: Duration::ZERO,
    removal_limit: RemovalLimit { percent: 10, always: 2 },
    removal_patience: Duration::from_hours(24),
};

/// A house with so many tags of one manifest, pushed through the door.
async fn with_tags(settings: JudgeSettings, count: usize) -> (House, Vec<Reference>) {
    let house = House::cautious(settings);
    let tags: Vec<String> = (0..count).map(|number| format!("v{number:03}")).collect();
    for name in &tags {
        house.carrier.carry(put(name, b"one")).await.unwrap();
    }
    (house, tags.iter().map(|name| Reference::Tag(tag(name))).collect())
}

/// Asks about all of them, as a sweep does.
async fn sweep(verifier: &Verifier, references: &[Reference]) -> usize {
    let manifest = Reference::Digest(Digest::sha256(b"one"));
    let mut held = 0;
    for reference in references.iter().chain([&manifest]) {
        held += usize::from(verifier.verify(&repository(), reference, Source::Swept).await.unwrap().is_held);
    }
    held
}

async fn tags(house: &House) -> Vec<TagRecord> {
    let page = PageRequest { after: None, limit: 1_000 };
    house.store.tags(&repository(), page).await.unwrap().items
}

#[tokio::test]
async fn what_vanishes_beyond_the_limit_stays_and_comes_back_as_it_was() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    let before = tags(&house).await;
    let kept = std::mem::take(&mut *house.registry.references());
    // A tenth of thirty goes; what held the manifest holds it still.
    assert_eq!(sweep(&house.verifier, &references).await, 27 + 1);
    assert_eq!(tags(&house).await.len(), 27);
    assert!(tags(&house).await.iter().all(|tag| tag.missing.is_some()));
    assert_eq!(house.store.missing(), Missing { tags: 27, manifests: 1 });
    assert_eq!(sweep(&house.verifier, &references).await, 28, "it goes on holding");
    *house.registry.references() = kept;
    assert_eq!(sweep(&house.verifier, &references).await, 0);
    assert_eq!(house.store.missing(), Missing::default());
    assert_eq!(tags(&house).await, before, "authors, times, sources");
}

#[tokio::test]
async fn what_is_accepted_or_stayed_away_for_long_is_gone() {
    let eager = JudgeSettings { removal_patience: Duration::ZERO, ..CAUTIOUS };
    for is_accepted in [true, false] {
        let (house, references) = with_tags(CAUTIOUS, 30).await;
        house.registry.references().clear();
        sweep(&house.verifier, &references).await;
        if is_accepted {
            house.store.accept_removals().await.unwrap();
            sweep(&house.verifier, &references).await;
        } else {
            sweep(&house.verifier(eager), &references).await;
        }
        assert!(tags(&house).await.is_empty());
        assert!(house.store.manifest(&repository(), &Digest::sha256(b"one")).await.unwrap().is_none());
        assert_eq!(house.store.missing(), Missing::default());
    }
}

#[tokio::test]
async fn a_clock_that_leaps_does_not_make_what_is_missing_gone() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    house.registry.references().clear();
    sweep(&house.verifier, &references).await;
    assert_eq!(tags(&house).await.len(), 27);
    let ahead = Clock::shifted(10 * 365 * 24 * 60 * 60 * 1000);
    let verifier = |last: Timestamp| {
        let judge = Judge::new(Arc::clone(&house.store), CAUTIOUS, ahead);
        let judge = judge.with_retention_clock(Arc::new(RetentionClock::new(ahead, Some(last))));
        Verifier::new(Arc::clone(&house.store), Arc::clone(&house.client), Arc::new(judge))
    };
    sweep(&verifier(Timestamp::now()), &references).await;
    assert_eq!(tags(&house).await.len(), 27, "that has not held");
    sweep(&verifier(ahead.now()), &references).await;
    assert!(tags(&house).await.is_empty(), "this has");
}

#[tokio::test]
async fn what_was_accepted_once_does_not_let_later_losses_pass() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    house.store.accept_removals().await.unwrap();
    house.registry.references().clear();
    sweep(&house.verifier, &references).await;
    assert_eq!(tags(&house).await.len(), 27);
}

#[tokio::test]
async fn a_few_removals_are_believed_and_a_restart_is_no_way_around_the_limit() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    for reference in &references[..3] {
        house.registry.references().remove(&reference.to_string());
    }
    assert_eq!(sweep(&house.verifier, &references).await, 0);
    assert_eq!(tags(&house).await.len(), 27);
    house.registry.references().clear();
    let restarted = house.verifier(CAUTIOUS);
    sweep(&restarted, &references[3..]).await;
    assert_eq!(tags(&house).await.len(), 27);
}

#[tokio::test]
async fn what_is_deleted_through_the_door_is_never_held() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    // The outcome of one is not known: it is asked for.
    house.registry.script(writes(Answer::DoneWith(500)));
    house.carrier.carry(delete(Reference::Digest(Digest::sha256(b"one")))).await.unwrap();
    let _settling = house.settle_unknown();
    for reference in &references {
        house.wait_for(&reference.to_string(), None).await;
    }
    assert_eq!(house.store.missing(), Missing::default());
}

#[tokio::test]
async fn a_push_through_the_door_ends_that_a_tag_is_missing() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    house.registry.references().clear();
    sweep(&house.verifier, &references).await;
    house.carrier.carry(put("v029", b"one")).await.unwrap();
    assert_eq!(house.store.missing(), Missing { tags: 26, manifests: 0 });
}

#[tokio::test]
async fn what_came_back_counts_no_more() {
    let (house, references) = with_tags(CAUTIOUS, 30).await;
    let kept = house.registry.references().clone();
    for _ in 0..5 {
        for reference in &references[..3] {
            house.registry.references().remove(&reference.to_string());
        }
        assert_eq!(sweep(&house.verifier, &references).await, 0);
        assert_eq!(tags(&house).await.len(), 27);
        *house.registry.references() = kept.clone();
        assert_eq!(sweep(&house.verifier, &references).await, 0);
        assert_eq!(tags(&house).await.len(), 30);
    }
}

#[tokio::test]
async fn what_went_by_the_operators_word_does_not_count_after_a_restart() {
    let (house, references) = with_tags(CAUTIOUS, 60).await;
    let kept = house.registry.references().clone();
    for reference in &references[..40] {
        house.registry.references().remove(&reference.to_string());
    }
    sweep(&house.verifier, &references).await;
    house.store.accept_removals().await.unwrap();
    sweep(&house.verifier, &references).await;
    assert_eq!((tags(&house).await.len(), house.store.missing()), (20, Missing::default()));
    // Another one of those that are left.
    *house.registry.references() = kept;
    for reference in &references[..41] {
        house.registry.references().remove(&reference.to_string());
    }
    assert_eq!(sweep(&house.verifier(CAUTIOUS), &references).await, 0);
    assert_eq!(tags(&house).await.len(), 19);
}
