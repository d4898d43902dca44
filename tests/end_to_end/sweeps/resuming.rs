//! A sweep that was cut goes on where it was.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::scripted::{Listing, PageSize, Scripted};
use crate::support::state::record;
use crate::support::sweep::{finished, status};
use crate::support::wait::until;

const REPOSITORIES: usize = 80;
/// So many repositories are gone through at once: what lies further back is done.
const UNDER_WAY: usize = 32;
const SOON: Duration = Duration::from_secs(10);
/// A checkpoint is kept when this has passed since the last one.
const CHECKPOINT: Duration = Duration::from_millis(5_500);

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_a_crash_cut_goes_on_and_does_not_ask_again_for_pages_it_had_done() {
    let registry = Scripted::start().await;
    let name = |number: usize| format!("app-{number:02}");
    for number in 0..REPOSITORIES {
        registry.hold(&name(number), "latest", &Image::small(number as u64));
    }
    let hold = |number: usize| {
        registry.quirks(|quirks| {
            quirks.page_size = PageSize::Clamped(5);
            quirks.tags = BTreeMap::from([(name(number), Listing::Held)]);
        });
    };
    let lists_of = |number: usize| registry.count(&format!("/v2/{}/tags/list", name(number)));
    hold(60);
    let begun = Instant::now();
    // One question at a time, and so about one repository after the other.
    let door = Door::builder(registry.url()).set("SYNC__INTERVAL", "1h").set("SYNC__CONCURRENCY", "1");
    let mut door = door.start().await;
    until("the sweep is in the middle", SOON, async || lists_of(60) == 1).await;
    until("a checkpoint is due", SOON, async || begun.elapsed() > CHECKPOINT).await;
    // It is kept when the next repository is done, long before one of the last page is asked about.
    hold(78);
    until("the sweep is in the last page", SOON, async || lists_of(78) == 1).await;
    door.restart().await;
    until("the sweep goes on", SOON, async || status(&door).await["running"]["resumed"] == true).await;
    hold(REPOSITORIES);
    let last = finished(&door, 1).await;
    assert_eq!(last["outcome"], "complete", "{last:#}");
    assert!(last["repositories"].as_u64() >= Some(REPOSITORIES as u64), "{last:#}");
    assert_eq!(record(&door.url()).await, registry.truth());
    let counts: Vec<_> = (0..REPOSITORIES).map(lists_of).collect();
    let done = 60 - UNDER_WAY - 5;
    assert!(counts[..done].iter().all(|count| *count == 1), "{counts:?}");
    assert!(counts[78] > 1, "{counts:?}");
}
