//! Writes that meet what is there already: again, at once, twice, gone.

use serde_json::Value;

use super::House;
use crate::support::http::{delete, error_of, http_client};
use crate::support::image::Image;
use crate::support::state::all;

/// The events of a repository, each as kind, tag and digest.
async fn events(house: &House, repository: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    all(&house.door.url(), &format!("/api/v1/events?repository={repository}&n=1000"))
        .await
        .iter()
        .map(|event| (text(&event["kind"]).unwrap(), text(&event["tag"]), text(&event["digest"])))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clients_that_push_one_tag_at_once_both_succeed_and_the_record_names_what_the_registry_names() {
    let house = House::open().await;
    let door = house.door.url();
    let images = [Image::small(1), Image::docker(2)];
    for image in &images {
        image.push_blobs(&door, "team/app").await;
    }
    let (one, other) = (http_client(), http_client());
    for round in 0..50 {
        let (first, second) = tokio::join!(
            images[0].put_by(&one, &door, "team/app", "latest"),
            images[1].put_by(&other, &door, "team/app", "latest"),
        );
        for response in [first.unwrap(), second.unwrap()] {
            assert_eq!(response.status(), 201, "round {round}");
        }
        house.assert_in_step().await;
    }
    assert_eq!(
        events(&house, "team/app").await.iter().filter(|event| event.0 == "manifest_put").count(),
        100
    );
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_and_a_deletion_of_the_same_manifest_at_once_leave_the_record_in_step() {
    let house = House::open().await;
    let door = house.door.url();
    let image = Image::small(1);
    image.push(&door, "team/app", "latest").await;
    let client = http_client();
    for round in 0..30 {
        let (put, deleted) = tokio::join!(
            image.put_by(&client, &door, "team/app", "latest"),
            delete(&door, "team/app", &image.digest),
        );
        assert_eq!(put.unwrap().status(), 201, "round {round}");
        assert!([202, 404].contains(&deleted.status().as_u16()), "round {round}: {}", deleted.status());
        house.assert_in_step().await;
    }
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_pushed_again_keeps_one_entry_and_each_push_stands_in_the_history() {
    let house = House::open().await;
    let image = Image::small(1);
    for _ in 0..3 {
        image.push(&house.door.url(), "team/app", "latest").await;
    }
    assert_eq!(house.record().await.len(), 1);
    assert_eq!(house.recorded("team/app", "latest").await.as_ref(), Some(&image.digest));
    let push = ("manifest_put".to_owned(), Some("latest".to_owned()), Some(image.digest));
    assert_eq!(events(&house, "team/app").await, vec![push; 3]);
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_names_the_new_digest_and_the_old_manifest_stays() {
    let house = House::open().await;
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&house.door.url(), "team/app", "latest").await;
    second.push(&house.door.url(), "team/app", "latest").await;
    assert_eq!(house.recorded("team/app", "latest").await, Some(second.digest));
    let path = format!("/api/v1/manifests?repository=team/app&digest={}", first.digest);
    assert_eq!(house.door.get_json(&path).await["tags"], serde_json::json!([]));
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_in_two_repositories_that_is_deleted_in_one_stays_in_the_other() {
    let house = House::open().await;
    let door = house.door.url();
    let image = Image::small(1);
    image.push(&door, "team/app", "latest").await;
    image.push(&door, "team/copy", "latest").await;
    assert_eq!(delete(&door, "team/app", &image.digest).await.status(), 202);
    assert_eq!(house.recorded("team/app", "latest").await, None);
    assert_eq!(house.recorded("team/copy", "latest").await.as_ref(), Some(&image.digest));
    let path = format!("/api/v1/manifests?repository=team/copy&digest={}", image.digest);
    assert_eq!(house.door.get_json(&path).await["layers"].as_array().unwrap().len(), 1);
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_by_digest_takes_all_tags_of_that_manifest_and_no_other() {
    let house = House::open().await;
    let door = house.door.url();
    let (image, other) = (Image::small(1), Image::small(2));
    image.push(&door, "team/app", "one").await;
    image.push(&door, "team/app", "two").await;
    other.push(&door, "team/app", "three").await;
    assert_eq!(delete(&door, "team/app", &image.digest).await.status(), 202);
    // Before the client heard of it, so there is nothing to wait for.
    let record = house.record().await;
    assert_eq!(record.len(), 1, "{record:?}");
    assert_eq!(house.recorded("team/app", "three").await, Some(other.digest));
    let mut gone: Vec<_> = events(&house, "team/app").await.split_off(3);
    gone.sort();
    let event =
        |kind: &str, tag: Option<&str>| (kind.to_owned(), tag.map(str::to_owned), Some(image.digest.clone()));
    let expected = [
        event("manifest_deleted", None),
        event("tag_deleted", Some("one")),
        event("tag_deleted", Some("two")),
    ];
    assert_eq!(gone, expected);
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_of_what_is_not_there_is_the_registrys_404_and_changes_nothing() {
    let house = House::open().await;
    let door = house.door.url();
    Image::small(1).push(&door, "team/app", "latest").await;
    let before = (house.record().await, events(&house, "team/app").await);
    let response = delete(&door, "team/app", &Image::small(2).digest).await;
    assert_eq!(response.status(), 404);
    assert_eq!(error_of(response).await.0, "MANIFEST_UNKNOWN");
    house.until_settled().await;
    assert_eq!((house.record().await, events(&house, "team/app").await), before);
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_deleted_around_the_door_is_recorded_as_gone_when_its_deletion_is_404() {
    let house = House::open().await;
    let image = Image::small(1);
    image.push(&house.door.url(), "team/app", "latest").await;
    assert_eq!(delete(&house.registry.url(), "team/app", &image.digest).await.status(), 202);
    assert_eq!(delete(&house.door.url(), "team/app", &image.digest).await.status(), 404);
    house.until_recorded("team/app", "latest", None).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_told_apart_by_every_letter() {
    let house = House::open().await;
    let door = house.door.url();
    let (lower, upper) = (Image::small(1), Image::small(2));
    lower.push(&door, "team/app", "latest").await;
    upper.push(&door, "team/app", "Latest").await;
    assert_eq!(house.recorded("team/app", "latest").await, Some(lower.digest));
    assert_eq!(house.recorded("team/app", "Latest").await, Some(upper.digest));
    house.assert_in_step().await;
}
