//! A sweep that was cut goes on where it was.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::scripted::{Listing, PageSize, Scripted};
use crate::support::state::record;
use crate::support::sweep::{finished, request, status, until_done, until_status};
use crate::support::wait::until;

const REPOSITORIES: usize = 100;
const PAGE: usize = 5;
const SOON: Duration = Duration::from_secs(10);
/// A checkpoint is kept when this has passed since the last one.
const CHECKPOINT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_a_crash_cut_goes_on_and_does_not_ask_again_for_pages_it_had_done() {
    let registry = Scripted::start().await;
    let name = |number: usize| format!("app-{number:03}");
    for number in 0..REPOSITORIES {
        registry.hold(&name(number), "latest", &Image::small(1));
    }
    let hold = |numbers: &[usize]| {
        registry.quirks(|quirks| {
            quirks.page_size = PageSize::Clamped(PAGE);
            quirks.tags = numbers.iter().map(|number| (name(*number), Listing::Held)).collect();
        });
    };
    let (next, last) = (REPOSITORIES - 2, REPOSITORIES - 1);
    hold(&[next, last]);
    let mut door = Door::builder(registry.url()).set("SYNC__INTERVAL", "1h").start().await;
    until_done(&door, next as u64).await;
    // The sweep is older than this.
    let begun = Instant::now();
    until("a checkpoint is due", SOON, async || begun.elapsed() > CHECKPOINT).await;
    // It is kept when the next repository is done. What is written later is durable later.
    hold(&[last]);
    until_done(&door, last as u64).await;
    Image::small(2).push(&door.url(), "another", "latest").await;
    door.restart().await;
    until_status(&door, "the sweep goes on", |status| status["running"]["resumed"] == true).await;
    hold(&[]);
    let finished = finished(&door, 1).await;
    assert_eq!(finished["outcome"], "complete", "{finished:#}");
    assert_eq!(record(&door.url()).await, registry.truth());
    let lists = |number: usize| registry.count(&format!("/v2/{}/tags/list", name(number)));
    let counts: Vec<_> = (0..REPOSITORIES).map(lists).collect();
    assert!(counts[..REPOSITORIES - PAGE].iter().all(|count| *count == 1), "{counts:?}");
    assert_eq!(counts[last], 2, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_waits_for_another_is_not_forgotten_in_a_crash_and_numbers_go_on() {
    let registry = Scripted::start().await;
    registry.hold("team/app", "v1", &Image::small(1));
    let hold = |held: bool| {
        registry.quirks(|quirks| {
            quirks.tags.clear();
            if held {
                quirks.tags.insert("team/app".to_owned(), Listing::Held);
            }
        });
    };
    hold(true);
    let mut door = Door::builder(registry.url()).start().await;
    assert_eq!(request(&door, false).await, 1);
    until("the first sweep has asked for the tags", SOON, async || registry.count("/tags/list") > 0).await;
    assert_eq!(request(&door, true).await, 2);
    let before = status(&door).await;
    door.restart().await;
    hold(false);
    let last = finished(&door, 2).await;
    assert_eq!(
        (&last["number"], &last["kind"], &last["outcome"]),
        (&json!(2), &json!("deep"), &json!("complete"))
    );
    assert_eq!(status(&door).await["numbered_since"], before["numbered_since"]);
    door.restart().await;
    assert_eq!(status(&door).await["last"], last, "that outlives a restart as well");
    assert_eq!(request(&door, false).await, 3);
    assert_eq!(record(&door.url()).await, registry.truth());
}
