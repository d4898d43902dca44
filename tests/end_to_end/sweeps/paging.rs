//! S13: many repositories and many tags, whatever the registry thinks of pages.

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::scripted::{PageSize, Quirks, Scripted, TooBig};
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
    let (registry, _door) = found_all(quirks).await;
    drop(registry);
}

/// The same; answers the registry, and the door that has swept it twice.
async fn found_all(quirks: Quirks) -> (Scripted, Door) {
    let registry = Scripted::start().await;
    let image = Image::small(1);
    for number in 0..MANY {
        registry.hold(&format!("team-{}/app-{number}", number % 7), "latest", &image);
        registry.hold("team-1", &format!("v{number}"), &image);
    }
    registry.quirks(|held| *held = quirks);
    let door = Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "2s").start().await;
    sweep_through(&door, false).await;
    assert_eq!(record(&door.url()).await, registry.truth());
    assert_eq!(sweep_through(&door, false).await, 0);
    (registry, door)
}

/// Every way in which a page can be too much for a registry, or for the door.
const TOO_BIG: [TooBig; 5] =
    [TooBig::Status(500), TooBig::Status(504), TooBig::Never, TooBig::Cut, TooBig::Endless];

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_too_big_is_asked_for_smaller_and_what_worked_is_remembered() {
    for becomes in TOO_BIG {
        let quirks = Quirks { too_big: Some((0, 10, becomes)), ..Quirks::default() };
        let (registry, _door) = found_all(quirks).await;
        // The catalog, and the long list of tags; lists of one tag are no trouble, however many are asked for.
        for listing in ["/v2/_catalog?", "/v2/team-1/tags/list?"] {
            let asked: Vec<_> = registry.asked().into_iter().filter(|line| line.contains(listing)).collect();
            let too_big = asked.iter().filter(|line| line.ends_with("n=1000") || line.ends_with("n=100"));
            assert!(too_big.count() <= 3, "it is not remembered: {becomes:?}: {asked:#?}");
            assert!(asked.iter().any(|line| line.ends_with("n=10")), "{becomes:?}: {asked:#?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_the_middle_that_is_too_big_is_asked_for_smaller_from_the_same_place() {
    for becomes in TOO_BIG {
        // Pages of 50, but none of more than 10 behind the first.
        let quirks = Quirks {
            page_size: PageSize::Clamped(50),
            too_big: Some((50, 10, becomes)),
            ..Quirks::default()
        };
        let (registry, _door) = found_all(quirks).await;
        let firsts = registry.asked().iter().filter(|line| line.ends_with("/v2/_catalog?n=1000")).count();
        assert!(firsts <= 1, "{becomes:?}: {:#?}", registry.asked());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_ignores_n_is_not_asked_for_ever_for_what_it_does_not_manage() {
    for becomes in TOO_BIG {
        let registry = Scripted::start().await;
        for number in 0..20 {
            registry.hold("team/many", &format!("v{number}"), &Image::small(1));
        }
        registry.hold("team/few", "v1", &Image::small(2));
        registry.quirks(|quirks| {
            quirks.page_size = PageSize::Ignored;
            quirks.too_big = Some((0, 10, becomes));
        });
        let door = Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "2s").start().await;
        let last = sweep(&door, true).await;
        assert_eq!(
            (last["outcome"].as_str(), last["problem_count"].as_u64(), last["tags"].as_u64()),
            (Some("partial"), Some(1), Some(1)),
            "{becomes:?}: {last:#}"
        );
        assert_eq!(last["problems"][0]["repository"], "team/many", "{becomes:?}: {last:#}");
        let asked = registry.count("/v2/team/many/tags/list");
        assert!(asked <= 3, "{becomes:?}: {asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_compares_by_smaller_pages_too() {
    let registry = Scripted::start().await;
    for number in 0..30 {
        registry.hold("team/many", &format!("v{number}"), &Image::small(1));
    }
    let door = Door::builder(registry.url()).start().await;
    sweep_through(&door, false).await;
    registry.quirks(|quirks| quirks.too_big = Some((0, 10, TooBig::Status(504))));
    let (_, said) = door.check().await;
    assert!(said.contains("Store and registry agree by name: 30 tags in 1 repositories."), "{said}");
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
