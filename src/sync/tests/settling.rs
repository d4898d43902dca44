//! An answer right after a write that the door carried may be older than that.

use super::*;

/// Nothing settles as long as a test takes.
const SETTLING: JudgeSettings =
    JudgeSettings { settling: Duration::from_hours(1), ..JudgeSettings::CREDULOUS };

async fn verify(verifier: &Verifier, reference: &Reference, source: Source) -> Result<Verified, VerifyError> {
    verifier.verify(&repository(), reference, source).await
}

#[tokio::test]
async fn a_404_right_after_a_push_removes_nothing_and_one_that_lasts_does() {
    let house = House::cautious(SETTLING);
    house.registry.lag();
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    let digest = Digest::sha256(b"one");
    for reference in [Reference::Tag(tag("latest")), Reference::Digest(digest.clone())] {
        for source in [Source::Swept, Source::Hinted, Source::Verified] {
            let answer = verify(&house.verifier, &reference, source).await;
            assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{reference}: {answer:?}");
        }
    }
    assert_eq!(house.recorded("latest").await, Some(digest));
    let later = house.verifier(JudgeSettings::CREDULOUS);
    verify(&later, &Reference::Tag(tag("latest")), Source::Hinted).await.unwrap();
    assert_eq!(house.recorded("latest").await, None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_judged_by_when_it_was_asked_for_however_long_the_door_stood_still_since() {
    let settling = Duration::from_mins(1);
    let house = House::cautious(JudgeSettings { settling, ..JudgeSettings::CREDULOUS });
    house.registry.lag();
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.before_answer(move || tokio::time::advance(settling * 2));
    let latest = Reference::Tag(tag("latest"));
    let answer = verify(&house.verifier, &latest, Source::Swept).await;
    assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{answer:?}");
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
}

#[tokio::test]
async fn the_old_digest_right_after_a_push_turns_nothing_back() {
    let house = House::cautious(SETTLING);
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.lag();
    house.carrier.carry(put("latest", b"two")).await.unwrap();
    let answer = verify(&house.verifier, &Reference::Tag(tag("latest")), Source::Swept).await;
    assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{answer:?}");
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"two")));
    house.registry.catch_up();
    assert_eq!(
        verify(&house.verifier, &Reference::Tag(tag("latest")), Source::Swept).await.unwrap().events,
        0
    );
}

#[tokio::test]
async fn what_the_registry_still_answers_after_it_was_deleted_is_decided_by_what_it_answers_lastingly() {
    let digest = Digest::sha256(b"one");
    let old = Reference::Tag(tag("old"));
    for is_pushed_again in [false, true] {
        let house = House::cautious(SETTLING);
        house.carrier.carry(put("old", b"one")).await.unwrap();
        house.registry.lag();
        house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap();
        let page = || PageRequest { after: None, limit: 100 };
        let kinds = async || {
            let events = house.store.events(None, page()).await.unwrap().items;
            events.iter().skip(1).map(|event| (event.kind, event.source)).collect::<Vec<_>>()
        };
        let deleted = (EventKind::ManifestDeleted, Source::Observed);
        assert_eq!(kinds().await, [deleted], "nothing is said of the tag");
        let hints = house.store.hints(PageRequest { after: None, limit: 10 }).await.unwrap().items;
        let hinted: Vec<_> = hints.into_iter().map(|hint| hint.about.reference).collect();
        assert_eq!(hinted, [old.clone(), Reference::Digest(digest.clone())]);
        // As long as the registry may only lag, what it names is not believed.
        for reference in &hinted {
            let answer = verify(&house.verifier, reference, Source::Hinted).await;
            assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{reference}: {answer:?}");
        }
        assert!(!house.store.has_manifest(&repository(), &digest).await.unwrap());
        if is_pushed_again {
            let later = house.verifier(JudgeSettings::CREDULOUS);
            verify(&later, &old, Source::Hinted).await.unwrap();
            assert_eq!(kinds().await, [deleted, (EventKind::ManifestPut, Source::Hinted)]);
            assert_eq!(house.recorded("old").await.as_ref(), Some(&digest));
        } else {
            // Its denial is what the deletion explains: it is believed at once.
            house.registry.catch_up();
            verify(&house.verifier, &old, Source::Hinted).await.unwrap();
            assert_eq!(kinds().await, [deleted, (EventKind::TagDeleted, Source::Hinted)]);
            assert_eq!(house.recorded("old").await, None);
        }
        assert_eq!(house.store.has_manifest(&repository(), &digest).await.unwrap(), is_pushed_again);
    }
}

#[tokio::test]
async fn a_tag_that_was_undecided_and_is_denied_does_not_come_back_by_an_answer_of_before_the_deletion() {
    let house = House::cautious(SETTLING);
    let (old, digest) = (Reference::Tag(tag("old")), Digest::sha256(b"one"));
    // No write through the door has the tag itself settle.
    house.registry.put("old", b"one");
    verify(&house.verifier, &old, Source::Swept).await.unwrap();
    house.registry.lag();
    house.carrier.carry(delete(Reference::Digest(digest.clone()))).await.unwrap();
    house.registry.catch_up();
    verify(&house.verifier, &old, Source::Hinted).await.unwrap();
    assert_eq!(house.recorded("old").await, None);
    // Another replica answers, which lags still.
    house.registry.put("old", b"one");
    let answer = verify(&house.verifier, &old, Source::Hinted).await;
    assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{answer:?}");
    assert_eq!(house.recorded("old").await, None);
}

#[tokio::test]
async fn deleting_a_manifest_once_more_takes_the_tags_that_were_undecided() {
    let house = House::cautious(SETTLING);
    let digest = Reference::Digest(Digest::sha256(b"one"));
    house.carrier.carry(put("old", b"one")).await.unwrap();
    house.registry.lag();
    house.carrier.carry(delete(digest.clone())).await.unwrap();
    assert!(house.recorded("old").await.is_some());
    house.registry.catch_up();
    house.registry.put("other", b"one");
    house.carrier.carry(delete(digest)).await.unwrap();
    assert_eq!(house.recorded("old").await, None);
}

#[tokio::test]
async fn a_tag_that_was_deleted_and_is_still_answered_does_not_come_back() {
    let house = House::cautious(SETTLING);
    house.carrier.carry(put("old", b"one")).await.unwrap();
    house.registry.lag();
    house.carrier.carry(delete(Reference::Tag(tag("old")))).await.unwrap();
    let answer = verify(&house.verifier, &Reference::Tag(tag("old")), Source::Swept).await;
    assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{answer:?}");
    assert_eq!(house.recorded("old").await, None);
}

#[tokio::test]
async fn a_push_is_not_confirmed_by_an_answer_of_before_the_last_deletion() {
    for deleted in [Reference::Tag(tag("old")), Reference::Digest(Digest::sha256(b"one"))] {
        let house = House::cautious(SETTLING);
        house.carrier.carry(put("old", b"one")).await.unwrap();
        house.registry.lag();
        house.carrier.carry(delete(deleted)).await.unwrap();
        house.registry.script(writes(Answer::status(200)));
        let failure = house.carrier.carry(put("old", b"one")).await.unwrap_err();
        assert!(matches!(failure, CarryFailure::Unconfirmed(StatusCode::OK)), "{failure}");
        let events = house.store.events(None, PageRequest { after: None, limit: 100 }).await.unwrap().items;
        assert_eq!(events.iter().filter(|event| event.kind == EventKind::ManifestPut).count(), 1);
    }
}

#[tokio::test]
async fn a_push_is_not_confirmed_by_an_answer_of_before_a_write_without_a_known_outcome() {
    let digest = Reference::Digest(Digest::sha256(b"one"));
    for unknown in [delete(Reference::Tag(tag("old"))), delete(digest), put("old", b"two")] {
        let house = House::cautious(JudgeSettings { settling: Duration::from_nanos(1), ..SETTLING });
        house.carrier.carry(put("old", b"one")).await.unwrap();
        house.registry.lag();
        house.registry.script(writes(Answer::DoneWith(500)));
        assert_eq!(house.carrier.carry(unknown).await.unwrap().status, 500);
        house.registry.script(writes(Answer::status(200)));
        let failure = house.carrier.carry(put("old", b"one")).await.unwrap_err();
        assert!(matches!(failure, CarryFailure::Unconfirmed(StatusCode::OK)), "{failure}");
    }
}

#[tokio::test]
async fn a_lax_registry_confirms_a_push_that_is_tried_again_and_beside_others_without_a_known_outcome() {
    let house = House::cautious(SETTLING);
    house.carrier.carry(put("old", b"one")).await.unwrap();
    house.carrier.carry(put("old", b"two")).await.unwrap();
    for lost in [put("other", b"six"), put("old", b"ten")] {
        house.registry.script(writes(Answer::status(500)));
        assert_eq!(house.carrier.carry(lost).await.unwrap().status, 500);
    }
    house.registry.script(writes(Answer::DoneWith(200)));
    house.carrier.carry(put("old", b"ten")).await.unwrap();
    assert_eq!(house.recorded("old").await, Some(Digest::sha256(b"ten")));
    house.carrier.carry(put("old", b"ten")).await.unwrap();
}

#[tokio::test]
async fn a_lax_registry_confirms_one_push_right_after_another() {
    let house = House::cautious(SETTLING);
    house.registry.script(writes(Answer::DoneWith(200)));
    for content in [b"one", b"one", b"two"] {
        house.carrier.carry(put("old", content)).await.unwrap();
        assert_eq!(house.recorded("old").await, Some(Digest::sha256(content)));
    }
}

#[tokio::test]
async fn what_a_write_without_a_known_outcome_may_have_done_is_believed_at_once() {
    let house = House::cautious(SETTLING);
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.script(writes(Answer::DoneWith(500)));
    house.carrier.carry(put("latest", b"two")).await.unwrap();
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
    let _settling = house.settle_unknown();
    house.wait_for("latest", Some(Digest::sha256(b"two"))).await;
}

#[tokio::test]
async fn what_a_write_without_a_known_outcome_did_is_said_by_its_verification_and_by_no_sweep_or_hint() {
    let house = House::cautious(SETTLING);
    let latest = Reference::Tag(tag("latest"));
    house.registry.lag();
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.script(writes(Answer::status(500)));
    house.carrier.carry(delete(latest.clone())).await.unwrap();
    for source in [Source::Swept, Source::Hinted] {
        let answer = verify(&house.verifier, &latest, source).await;
        assert!(matches!(answer, Err(VerifyError::Unsettled { .. })), "{answer:?}");
    }
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
    verify(&house.verifier, &latest, Source::Verified).await.unwrap();
    assert_eq!(house.recorded("latest").await, None);
}

#[tokio::test]
async fn what_nobody_wrote_through_the_door_of_late_is_believed_at_once() {
    let house = House::cautious(SETTLING);
    house.carrier.carry(put("other", b"one")).await.unwrap();
    house.registry.put("behind", b"two");
    let behind = Reference::Tag(tag("behind"));
    verify(&house.verifier, &behind, Source::Swept).await.unwrap();
    assert_eq!(house.recorded("behind").await, Some(Digest::sha256(b"two")));
    house.registry.references().remove("behind");
    verify(&house.verifier, &behind, Source::Swept).await.unwrap();
    assert_eq!(house.recorded("behind").await, None);
}
