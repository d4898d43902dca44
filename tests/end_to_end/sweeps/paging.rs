//! S13: many repositories and many tags, whatever the registry thinks of pages.

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::scripted::{PageSize, Quirks, Scripted};
use crate::support::state::{record, truth};
use crate::support::sweep::{sweep, sweep_through};

const MANY: usize = 102;

#[tokio::test(flavor = "multi_thread")]
async fn s13_102_repositories_and_102_tags_of_a_real_registry_are_found() {
    // It gives at most so many names on a page, and 2.8 refuses more; so the catalog has two pages.
    let registry = Registry::start_with("catalog: {maxentries: 100}\n").await;
    let image = Image::heavy(1, 10);
    for number in 0..MANY {
        image.push(&registry.url(), &format!("team-{}/app-{number}", number % 7), "latest").await;
    }
    image.push_blobs(&registry.url(), "tags").await;
    for number in 0..MANY {
        assert_eq!(image.put(&registry.url(), "tags", &format!("v{number}")).await.status(), 201);
    }
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let last = sweep(&door, false).await;
    let pages =
        relay.seen().iter().filter(|seen| seen.contains("/v2/_catalog?") && seen.contains("last=")).count();
    assert!(pages > 0, "it did not page: {:?}", relay.seen());
    assert_eq!(last["outcome"], "complete", "{last:#}");
    assert_eq!((last["repositories"].as_u64(), last["tags"].as_u64()), (Some(103), Some(204)));
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    assert_eq!(sweep_through(&door, false).await, 0);
}

/// Sweeps 102 repositories and 102 tags with these quirks: all are found, and nothing is found the second time.
async fn finds_all(quirks: Quirks) {
    let registry = Scripted::start().await;
    let image = Image::small(1);
    for number in 0..MANY {
        registry.hold(&format!("team-{}/app-{number}", number % 7), "latest", &image);
        registry.hold("team-1", &format!("v{number}"), &image);
    }
    registry.quirks(|held| *held = quirks);
    let door = Door::builder(registry.url()).start().await;
    sweep_through(&door, false).await;
    assert_eq!(record(&door.url()).await, registry.truth());
    assert_eq!(sweep_through(&door, false).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_registry_that_ignores_n() {
    finds_all(Quirks { page_size: PageSize::Ignored, ..Quirks::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_registry_that_clamps_n_with_relative_links() {
    finds_all(Quirks { page_size: PageSize::Clamped(10), ..Quirks::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_registry_that_refuses_n() {
    finds_all(Quirks { page_size: PageSize::Refused(100), ..Quirks::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_a_registry_that_refuses_any_n_but_small_ones() {
    finds_all(Quirks { page_size: PageSize::Refused(7), ..Quirks::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_an_absolute_link_with_another_host_goes_on_at_this_registry() {
    let elsewhere = Scripted::start().await;
    let quirks = Quirks { page_size: PageSize::Clamped(10), link_to: elsewhere.url(), ..Quirks::default() };
    finds_all(quirks).await;
    assert_eq!(elsewhere.asked().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s13_pages_out_of_order_that_repeat_names() {
    let quirks =
        Quirks { page_size: PageSize::Clamped(10), backwards: true, repeated: 3, ..Quirks::default() };
    finds_all(quirks).await;
}
