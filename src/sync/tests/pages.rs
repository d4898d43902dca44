//! A gateway, captive page or lax registry whose 200 may mean anything.

use super::*;

#[tokio::test]
async fn a_page_in_place_of_the_answer_to_a_put_is_no_success_and_nothing_is_recorded() {
    let house = House::new();
    house.registry.script(|_, _| Some(Answer::Page(200)));
    let failure = house.carrier.carry(put("latest", b"one")).await.unwrap_err();
    assert!(matches!(failure, CarryFailure::Unconfirmed(StatusCode::OK)), "{failure}");
    assert_eq!(house.recorded("latest").await, None);
    assert_eq!(house.store.open_intents().await.unwrap().len(), 1);
    let asked = house.verifier.verify(&repository(), &Reference::Tag(tag("latest")), Source::Verified).await;
    assert!(matches!(asked, Err(VerifyError::Registry(RegistryError::Malformed { .. }))), "{asked:?}");
    assert_eq!(house.recorded("latest").await, None);
}

#[tokio::test]
async fn a_page_in_place_of_the_answer_to_a_deletion_removes_nothing() {
    let house = House::new();
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.script(|_, _| Some(Answer::Page(200)));
    for reference in [Reference::Tag(tag("latest")), Reference::Digest(Digest::sha256(b"one"))] {
        let failure = house.carrier.carry(delete(reference)).await.unwrap_err();
        assert!(matches!(failure, CarryFailure::Unconfirmed(StatusCode::OK)), "{failure}");
    }
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
}

#[tokio::test]
async fn a_page_is_never_what_a_reference_points_to() {
    let house = House::new();
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.script(|_, _| Some(Answer::Page(200)));
    let references = [
        Reference::Tag(tag("latest")),
        Reference::Tag(tag("unknown")),
        Reference::Digest(Digest::sha256(b"one")),
        Reference::Digest(Digest::sha256(b"unknown")),
    ];
    for (reference, source) in
        references.iter().zip([Source::Swept, Source::Hinted, Source::Swept, Source::Verified])
    {
        let asked = house.verifier.verify(&repository(), reference, source).await;
        assert!(matches!(asked, Err(VerifyError::Registry(_))), "{reference}: {asked:?}");
    }
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
    assert_eq!(house.recorded("unknown").await, None);
}

#[tokio::test]
async fn a_registry_that_says_200_for_what_it_did_is_asked_and_its_answer_given() {
    let house = House::new();
    for status in [200, 202, 204] {
        house.registry.script(writes(Answer::DoneWith(status)));
        let answer = house.carrier.carry(put("latest", b"one")).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
        house.registry.script(writes(Answer::DoneWith(if status == 202 { 200 } else { status })));
        house.carrier.carry(delete(Reference::Tag(tag("latest")))).await.unwrap();
        assert_eq!(house.recorded("latest").await, None);
    }
    assert!(house.store.open_intents().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_registry_that_says_200_and_did_nothing_is_found_out() {
    let house = House::new();
    house.registry.script(writes(Answer::status(200)));
    let failure = house.carrier.carry(put("latest", b"one")).await.unwrap_err();
    assert!(matches!(failure, CarryFailure::Unconfirmed(StatusCode::OK)), "{failure}");
    assert_eq!(house.recorded("latest").await, None);
    house.registry.behave();
    house.carrier.carry(put("latest", b"one")).await.unwrap();
    house.registry.script(writes(Answer::status(204)));
    let failure = house.carrier.carry(delete(Reference::Tag(tag("latest")))).await.unwrap_err();
    assert!(matches!(failure, CarryFailure::Unconfirmed(StatusCode::NO_CONTENT)), "{failure}");
    assert_eq!(house.recorded("latest").await, Some(Digest::sha256(b"one")));
}
