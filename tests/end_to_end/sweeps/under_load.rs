//! Sweeps while clients push: neither gets into the other's way.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::scripted::{Listing, Scripted};
use crate::support::state::{assert_in_step, record};
use crate::support::sweep::{events, finished, in_short, request, status, sweep_through};
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn s10_a_push_that_lands_while_the_sweep_reads_wins() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (old, new) = (Image::small(1), Image::small(2));
    old.push(&door.url(), "team/app", "moved").await;
    for deep in [false, true] {
        let before = events(&door).await.len();
        registry.quirks(|quirks| drop(quirks.tags.insert("team/app".to_owned(), Listing::Held)));
        let asked = registry.count("/tags/list");
        let number = request(&door, deep).await;
        until("the sweep has asked for the tags", SOON, async || registry.count("/tags/list") > asked).await;
        // The list that the sweep is going to read knows nothing of these.
        let tag = format!("new-{deep}");
        new.push(&door.url(), "team/app", &tag).await;
        new.push(&door.url(), "team/app", "moved").await;
        registry.quirks(|quirks| quirks.tags.clear());
        let last = finished(&door, number).await;
        assert_eq!(
            (last["outcome"].as_str(), last["found"].as_u64()),
            (Some("complete"), Some(0)),
            "{last:#}"
        );
        assert_eq!(
            in_short(&events(&door).await[before..]),
            [
                format!("observed manifest_put team/app:{tag}"),
                "observed manifest_put team/app:moved".to_owned()
            ]
        );
        assert_eq!(record(&door.url()).await, registry.truth());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_constant_pushes_do_not_starve_the_sweep() {
    let registry = Registry::start().await;
    let (image, other) = (Image::heavy(1, 10), Image::heavy(2, 10));
    for number in 0..20 {
        image.push(&registry.url(), &format!("around-{number}"), "latest").await;
    }
    let door = Door::builder(registry.url()).start().await;
    for name in ["through-0", "through-1"] {
        image.push_blobs(&door.url(), name).await;
    }
    let stop = CancellationToken::new();
    let pushing = ["through-0", "through-1"].map(|name| {
        let (url, stop, images) = (door.url(), stop.clone(), [image.clone(), other.clone()]);
        tokio::spawn(async move {
            let mut pushes = 0;
            while !stop.is_cancelled() {
                let put = images[pushes % 2].put(&url, name, "latest").await;
                assert_eq!(put.status(), 201);
                pushes += 1;
            }
            pushes
        })
    });
    until("pushes are under way", SOON, async || events(&door).await.len() > 4).await;
    sweep_through(&door, true).await;
    stop.cancel();
    for pushes in pushing {
        assert!(pushes.await.unwrap() > 2);
    }
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    let history = events(&door).await;
    let swept = history.iter().filter(|event| event["source"] == "swept");
    let amiss: Vec<_> =
        swept.filter(|event| event["repository"].as_str().unwrap().starts_with("through")).collect();
    assert!(amiss.is_empty(), "what clients push is not for the sweep to correct: {amiss:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn s15_a_long_sweep_does_not_delay_a_push() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    for number in 0..20 {
        registry.hold(&format!("slow-{number}"), "latest", &Image::small(1));
    }
    registry.quirks(|quirks| {
        quirks.tags.extend((0..20).map(|number| (format!("slow-{number}"), Listing::Held)));
    });
    let number = request(&door, false).await;
    until("the sweep is in the middle", SOON, async || registry.count("/tags/list") > 0).await;
    let begun = Instant::now();
    Image::small(2).push(&door.url(), "team/app", "latest").await;
    // The questions of the sweep would be waited for much longer.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(status(&door).await["running"]["number"].as_u64(), Some(number));
    registry.quirks(|quirks| quirks.tags.clear());
    assert_eq!(finished(&door, number).await["outcome"], "complete");
    assert_eq!(record(&door.url()).await, registry.truth());
}
