//! A sweep that was cut goes on where it was.

use std::time::{Duration, Instant};

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::scripted::{Listing, Scripted};
use crate::support::state::record;
use crate::support::sweep::{finished, status};
use crate::support::wait::until;

const REPOSITORIES: usize = 20;
const SOON: Duration = Duration::from_secs(10);
/// A checkpoint is kept when this has passed since the last one.
const CHECKPOINT: Duration = Duration::from_millis(5_500);

async fn wait_done(door: &Door, count: usize) {
    until("so many repositories are done", SOON, async || {
        status(door).await["running"]["repositories_done"].as_u64() == Some(count as u64)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_a_crash_cut_goes_on_and_does_not_ask_again_for_what_it_had_done() {
    let registry = Scripted::start().await;
    let name = |number: usize| format!("app-{number:02}");
    for number in 0..REPOSITORIES {
        registry.hold(&name(number), "latest", &Image::small(number as u64));
    }
    // Two that let the sweep on when they are wanted to, and one in which the crash finds it.
    registry.quirks(|quirks| {
        quirks.tags.extend([3, 4, 5].map(|number| (name(number), Listing::Held)));
    });
    let begun = Instant::now();
    let mut door = Door::builder(registry.url()).set("SYNC__INTERVAL", "1h").start().await;
    wait_done(&door, REPOSITORIES - 3).await;
    until("a checkpoint is due", SOON, async || begun.elapsed() > CHECKPOINT).await;
    // The checkpoint is kept when the next repository is done, and before the one after that is.
    for (number, done) in [(3, REPOSITORIES - 2), (4, REPOSITORIES - 1)] {
        registry.quirks(|quirks| drop(quirks.tags.remove(&name(number))));
        wait_done(&door, done).await;
    }
    let asked = registry.asked().len();
    door.restart().await;
    until("the sweep goes on", SOON, async || status(&door).await["running"]["resumed"] == true).await;
    registry.quirks(|quirks| quirks.tags.clear());
    let last = finished(&door, 1).await;
    assert_eq!(last["outcome"], "complete", "{last:#}");
    assert!(last["repositories"].as_u64() >= Some(REPOSITORIES as u64 - 1), "{last:#}");
    assert_eq!(record(&door.url()).await, registry.truth());
    let again = &registry.asked()[asked..];
    for number in (0..REPOSITORIES).filter(|number| ![4, 5].contains(number)) {
        let list = format!("/v2/{}/tags/list", name(number));
        assert!(!again.iter().any(|line| line.contains(&list)), "{list} was asked for again: {again:?}");
    }
}
