//! What ends an upload and what writes a manifest may take the registry longer than any question.

use std::time::{Duration, Instant};

use super::{House, PAUSE, SOON, begin, end_of, location};
use crate::support::door::Door;
use crate::support::http::error_of;
use crate::support::image::{Image, digest};
use crate::support::raw::RawRegistry;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{assert_in_step, record};
use crate::support::wait::until;

const BLOB: &[u8] = b"a layer";

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_may_take_longer_than_its_timeout_for_a_commit() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    for house in House::both(|| Door::builder(relay.url()).set("REGISTRY__TIMEOUT", "1s")).await {
        relay.script(|request| match request.method.as_str() {
            "PUT" => Fault::Delay(PAUSE),
            _ => Fault::None,
        });
        let tries = house.clients.iter().map(async |(what, client)| {
            // As docker does it: the layer, and then the end without a body. And as others do: all at the end.
            let whole = begin(client, &house.door).await;
            let whole = client.put(end_of(&whole, &digest(BLOB))).body(BLOB);
            let session = begin(client, &house.door).await;
            let appended = client.patch(&session).body(BLOB).send().await.unwrap();
            let ended = client.put(end_of(&location(&appended), &digest(BLOB))).header("content-length", "0");
            for request in [whole, ended] {
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 201, "{what}");
            }
            let image = Image::small(what.len() as u64);
            image.push_blobs(&registry.url(), "a").await;
            let tag = what.to_lowercase().replace(['/', ' '], "-");
            let answer = image.put_by(client, &house.door.url(), "a", &tag).await.unwrap();
            assert_eq!(answer.status(), 201, "{what}");
            let recorded = record(&house.door.url()).await;
            assert_eq!(recorded.get(&("a".to_owned(), tag)), Some(&image.digest), "{what}");
        });
        futures_util::future::join_all(tries).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_the_registry_does_not_finish_ends_after_the_commit_timeout_with_its_name() {
    let registry = RawRegistry::start(async |_exchange| std::future::pending().await).await;
    let settings =
        || Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s").set("REGISTRY__COMMIT_TIMEOUT", "3s");
    for house in House::both(settings).await {
        for (what, client) in &house.clients {
            let begun = Instant::now();
            let url = format!("{}/v2/a/blobs/uploads/1?digest={}", house.door.url(), digest(BLOB));
            let answer = client.put(url).body(BLOB).send().await.unwrap();
            let (took, status) = (begun.elapsed(), answer.status().as_u16());
            let (code, message) = error_of(answer).await;
            assert_eq!((status, code.as_str()), (504, "UNAVAILABLE"), "{what}");
            assert!(
                message.contains("the registry") && message.contains("did not finish"),
                "{what}: {message}"
            );
            assert!((Duration::from_secs(3)..SOON).contains(&took), "{what}: {took:?}");
        }
        house.until_logged(&["registry.commit_timeout"]).await;
        assert_eq!((house.stalls("registry").await, house.stalls("client").await), (2, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_at_a_registry_that_has_died_ends_soon() {
    let registry = RawRegistry::start(async |_exchange| std::future::pending().await).await;
    for house in House::both(|| Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await {
        registry.die();
        for (what, client) in &house.clients {
            let url = format!("{}/v2/a/blobs/uploads/1?digest={}", house.door.url(), digest(BLOB));
            let answer = client.put(url).body(BLOB).timeout(SOON).send().await.unwrap();
            let status = answer.status().as_u16();
            let (code, message) = error_of(answer).await;
            assert_eq!((status, code.as_str()), (504, "UNAVAILABLE"), "{what}");
            assert!(message.contains("no sign of life"), "{what}: {message}");
            // The same for what the door carries itself.
            let image = Image::small(1);
            let answer = image.put_by(client, &house.door.url(), "a", "tag").await.unwrap();
            assert_eq!(answer.status(), 504, "{what}");
        }
        registry.live();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_keep_a_commit_alive() {
    let registry = RawRegistry::start(async |mut exchange| {
        exchange.body().await;
        for _ in 0..5 {
            exchange.send("HTTP/1.1 102 Processing\r\n\r\n").await;
            tokio::time::sleep(PAUSE / 5).await;
        }
        exchange.answer("201 Created", "").await;
    })
    .await;
    let house = House::plain(Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s")).await;
    registry.die();
    for (what, client) in &house.clients {
        let url = format!("{}/v2/a/blobs/uploads/1?digest={}", house.door.url(), digest(BLOB));
        let answer = client.put(url).body(BLOB).send().await.unwrap();
        assert_eq!(answer.status(), 201, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_waits_for_the_one_before_it_as_long_as_that_may_take() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let house = House::plain(Door::builder(relay.url()).set("REGISTRY__TIMEOUT", "1s")).await;
    let url = house.door.url();
    let images = [Image::small(1), Image::small(2)];
    for image in &images {
        image.push_blobs(&registry.url(), "a").await;
    }
    relay.script(|request| match request.method.as_str() {
        "PUT" => Fault::Delay(PAUSE),
        _ => Fault::None,
    });
    let [first, second] = &images;
    let pushes = [first.put(&url, "a", "tag"), second.put(&url, "a", "tag")];
    for answer in futures_util::future::join_all(pushes).await {
        assert_eq!(answer.status(), 201);
    }
    assert_in_step(&url, &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_registry_finishes_after_the_door_has_given_up_is_recorded() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let settings =
        Door::builder(relay.url()).set("REGISTRY__TIMEOUT", "500ms").set("REGISTRY__COMMIT_TIMEOUT", "4s");
    let house = House::plain(settings).await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    // Later than an outcome that nobody heard is settled, sooner than a registry may be at it.
    relay.script(|request| match request.method.as_str() {
        "PUT" => Fault::ResetThenDelay(PAUSE),
        _ => Fault::None,
    });
    assert_eq!(image.put(&house.door.url(), "a", "tag").await.status(), 502);
    until("the tag is recorded", SOON, async || {
        record(&house.door.url()).await.contains_key(&("a".to_owned(), "tag".to_owned()))
    })
    .await;
    assert_in_step(&house.door.url(), &registry.url(), SOON).await;
}
