//! Nothing is removed by silence: not by listings that are short, empty or wrong, and not by a registry that is away.

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::scripted::{Listing, Scripted};
use crate::support::state::{record, truth};
use crate::support::sweep::{events, in_short, sweep, sweep_through};

#[tokio::test(flavor = "multi_thread")]
async fn s5_a_repository_that_the_catalog_leaves_out_is_kept_and_still_compared() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    for repository in ["team", "team/app"] {
        registry.hold(repository, "v1", &Image::small(1));
    }
    sweep_through(&door, false).await;
    let before = events(&door).await.len();
    registry.quirks(|quirks| quirks.unlisted.extend(["team".to_owned()]));
    assert_eq!(sweep_through(&door, false).await, 0);
    registry.hold("team", "v2", &Image::small(2));
    sweep_through(&door, true).await;
    assert_eq!(in_short(&events(&door).await[before..]), ["swept manifest_put team:v2"]);
    assert_eq!(record(&door.url()).await, registry.truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_list_of_tags_that_is_null_or_empty_has_each_tag_asked_for_directly() {
    for empty in [None, Some(Listing::answer(200, r#"{"name":"team/app","tags":[]}"#))] {
        let registry = Scripted::start().await;
        let door = Door::builder(registry.url()).start().await;
        for tag in ["one", "two", "three"] {
            registry.hold("team/app", tag, &Image::small(1));
        }
        sweep_through(&door, false).await;
        let before = events(&door).await.len();
        registry.quirks(|quirks| match empty {
            None => quirks.null_tags = true,
            Some(empty) => drop(quirks.tags.insert("team/app".to_owned(), empty)),
        });
        assert_eq!(sweep_through(&door, false).await, 0);
        registry.lose_tag("team/app", "two");
        sweep_through(&door, false).await;
        assert_eq!(in_short(&events(&door).await[before..]), ["swept tag_deleted team/app:two"]);
        assert_eq!(record(&door.url()).await, registry.truth());
        assert!(registry.count("/v2/team/app/manifests/one") >= 2, "{:?}", registry.asked());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s11_a_registry_that_was_down_and_came_back_leaves_no_event() {
    let mut registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for (seed, repository) in [(1, "redis"), (2, "team/app"), (3, "team/other")] {
        Image::small(seed).push(&door.url(), repository, "latest").await;
    }
    sweep_through(&door, true).await;
    let (recorded, before) = (record(&door.url()).await, events(&door).await);
    registry.stop().await;
    for deep in [false, true] {
        let last = sweep(&door, deep).await;
        assert_eq!(
            (last["outcome"].as_str(), last["catalog"].as_str()),
            (Some("failed"), Some("failed")),
            "{last:#}"
        );
        assert!(last["cause"].is_string(), "{last:#}");
        assert_eq!(record(&door.url()).await, recorded);
    }
    registry.restart().await;
    assert_eq!(sweep_through(&door, true).await, 0);
    assert_eq!(events(&door).await, before);
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn s12_an_empty_catalog_removes_none_of_a_thousand_known_repositories() {
    const KNOWN: usize = 1_000;
    let registry = Scripted::start().await;
    let image = Image::small(1);
    for number in 0..KNOWN {
        registry.hold(&format!("team/app-{number}"), "latest", &image);
    }
    let door = Door::builder(registry.url()).start().await;
    sweep_through(&door, false).await;
    let (recorded, before) = (record(&door.url()).await, events(&door).await.len());
    assert_eq!(recorded.len(), KNOWN);
    let asked = registry.count("/tags/list");

    registry.quirks(|quirks| quirks.catalog = Listing::answer(200, r#"{"repositories":[]}"#));
    registry.lose_repository("team/app-500");
    let last = sweep(&door, false).await;
    assert_eq!(last["outcome"], "complete", "{last:#}");
    assert!(registry.count("/tags/list") - asked >= KNOWN, "each was asked about directly");
    let gone = in_short(&events(&door).await[before..]);
    assert!(gone.iter().all(|event| event.contains("team/app-500")), "{gone:?}");
    assert!(gone.contains(&"swept repository_gone team/app-500".to_owned()), "{gone:?}");
    assert_eq!(record(&door.url()).await, registry.truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_is_listed_but_not_there_is_never_recorded_and_goes_when_it_was() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    registry.hold("team/app", "real", &Image::small(1));
    registry.hold("team/app", "fading", &Image::small(2));
    registry.quirks(|quirks| {
        quirks.ghosts.insert("team/app".to_owned(), vec!["ghost".to_owned()]);
    });
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, registry.truth());
    registry.lose_tag("team/app", "fading");
    registry.quirks(|quirks| {
        quirks.ghosts.insert("team/app".to_owned(), vec!["fading".to_owned()]);
    });
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, registry.truth());
    assert!(!in_short(&events(&door).await).iter().any(|event| event.ends_with(":ghost")));
}
