//! The registry's answer does not say, or wrongly says, what became of a write: the record has what the registry has.

use std::time::Duration;

use super::{House, SLACK, TIMEOUT, unavailable};
use crate::support::http::{delete, error_of};
use crate::support::image::Image;
use crate::support::relay::Fault;

/// A house where `latest` is the first image, and the second one can be put.
async fn furnished() -> (House, Image, Image) {
    let house = House::open().await;
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&house.door.url(), "team/app", "latest").await;
    second.push_blobs(&house.door.url(), "team/app").await;
    (house, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_to_a_put_that_was_kept_reaches_the_client_and_the_put_is_recorded() {
    for status in [500, 502, 503, 504] {
        let (house, _, second) = furnished().await;
        house.fault_writes(Fault::AnswerAfter(status));
        let response = second.put(&house.door.url(), "team/app", "latest").await;
        assert_eq!(response.status(), status);
        let (code, message) = error_of(response).await;
        assert_eq!((code.as_str(), message.as_str()), ("UNKNOWN", "the relay was told to say so"));
        house.until_recorded("team/app", "latest", Some(&second.digest)).await;
        house.assert_in_step().await;
        house.until_settled().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_to_a_put_that_was_not_kept_reaches_the_client_and_the_record_stays() {
    for status in [500, 502, 503, 504] {
        let (house, first, second) = furnished().await;
        house.fault_writes(Fault::RefuseBefore(status));
        assert_eq!(second.put(&house.door.url(), "team/app", "latest").await.status(), status);
        house.until_settled().await;
        assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest));
        house.assert_in_step().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_by_digest_answered_with_a_server_error_is_recorded_if_it_was_kept() {
    let (house, _, second) = furnished().await;
    house.fault_writes(Fault::AnswerAfter(500));
    assert_eq!(second.put(&house.door.url(), "team/app", &second.digest).await.status(), 500);
    house.until_settled().await;
    let path = format!("/api/v1/manifests?repository=team/app&digest={}", second.digest);
    assert_eq!(house.door.get_json(&path).await["source"], "verified");
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_to_a_deletion_that_was_done_is_recorded_as_done() {
    let (house, first, _) = furnished().await;
    house.fault_writes(Fault::AnswerAfter(500));
    assert_eq!(delete(&house.door.url(), "team/app", &first.digest).await.status(), 500);
    house.until_recorded("team/app", "latest", None).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_error_to_a_deletion_that_was_not_done_changes_nothing() {
    let (house, first, _) = furnished().await;
    house.fault_writes(Fault::RefuseBefore(500));
    assert_eq!(delete(&house.door.url(), "team/app", &first.digest).await.status(), 500);
    house.until_settled().await;
    assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest));
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_answer_is_lost_is_recorded() {
    let (house, _, second) = furnished().await;
    house.fault_writes(Fault::ResetAfter);
    unavailable(second.put(&house.door.url(), "team/app", "latest").await, 502).await;
    house.until_recorded("team/app", "latest", Some(&second.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_is_never_answered_is_504_in_time_and_recorded() {
    let (house, _, second) = furnished().await;
    house.fault_writes(Fault::HangAfter);
    let begun = std::time::Instant::now();
    unavailable(second.put(&house.door.url(), "team/app", "latest").await, 504).await;
    assert!((TIMEOUT..TIMEOUT + SLACK).contains(&begun.elapsed()));
    house.until_recorded("team/app", "latest", Some(&second.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_the_registry_finishes_after_the_door_gave_up_waiting_is_recorded() {
    let (house, first, second) = furnished().await;
    house.fault_writes(Fault::Delay(TIMEOUT + Duration::from_millis(600)));
    unavailable(second.put(&house.door.url(), "team/app", "latest").await, 504).await;
    assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest), "the registry is still at it");
    house.until_recorded("team/app", "latest", Some(&second.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_the_registry_finishes_after_the_door_gave_up_waiting_is_recorded() {
    let (house, first, _) = furnished().await;
    house.fault_writes(Fault::Delay(TIMEOUT + Duration::from_millis(600)));
    unavailable(delete(&house.door.url(), "team/app", &first.digest).await, 504).await;
    house.until_recorded("team/app", "latest", None).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_refused_by_the_registry_changes_nothing_and_its_message_reaches_the_client() {
    let (house, first, _) = furnished().await;
    let body =
        br#"{"errors":[{"code":"UNSUPPORTED","message":"deletion is turned off here","detail":null}]}"#;
    house.fault_writes(Fault::Answer {
        status: 405,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_vec(),
    });
    let before = house.record().await;
    let nothing = "the registry cannot delete one tag: it deletes nothing";
    for (reference, message) in [(first.digest.as_str(), "deletion is turned off here"), ("latest", nothing)]
    {
        let response = delete(&house.door.url(), "team/app", reference).await;
        assert_eq!(response.status(), 405);
        let expected = ("UNSUPPORTED".to_owned(), message.to_owned());
        assert_eq!(error_of(response).await, expected);
        assert_eq!(house.open_intents().await, 0);
        assert_eq!(house.record().await, before);
    }
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_refused_by_the_registry_changes_nothing_and_its_message_reaches_the_client() {
    let (house, _, _) = furnished().await;
    let before = house.record().await;
    // Its blobs are not there.
    let response = Image::small(77).put(&house.door.url(), "team/app", "latest").await;
    assert_eq!(response.status(), 400);
    let (code, _) = error_of(response).await;
    assert_eq!(code, "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(house.open_intents().await, 0);
    assert_eq!(house.record().await, before);
    house.assert_in_step().await;
}
