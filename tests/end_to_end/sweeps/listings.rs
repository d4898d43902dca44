//! Listings that cannot be had, or not as they should be: nothing changes, it is told why, and the next sweep tries again.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::scripted::{Listing, Scripted};
use crate::support::state::record;
use crate::support::sweep::{events, in_short, sweep, sweep_through};
use crate::support::wait::until;

const REFUSED: &str = r#"{"errors":[{"code":"UNAUTHORIZED","message":"no"}]}"#;
const HTML: &str = "<html><body>It works!</body></html>";
const CUT_OFF: &str = r#"{"repositories":["team/app","#;

fn redirect(status: u16) -> Listing {
    Listing::Answer {
        status,
        header: Some(("location", "http://127.0.0.1:1/v2/_catalog".to_owned())),
        body: "",
    }
}

/// Longer than anything takes on a busy machine.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_catalog_that_cannot_be_had_changes_nothing_and_the_next_sweep_tries_again() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "2s").start().await;
    for repository in ["redis", "team/app"] {
        registry.hold(repository, "v1", &Image::small(1));
    }
    sweep_through(&door, true).await;
    let before = events(&door).await;
    for (listing, outcome, catalog) in [
        (Listing::answer(404, REFUSED), "partial", "disabled"),
        (Listing::answer(404, HTML), "partial", "disabled"),
        (Listing::answer(401, REFUSED), "partial", "disabled"),
        (Listing::answer(405, REFUSED), "partial", "disabled"),
        (redirect(301), "partial", "failed"),
        (redirect(302), "partial", "failed"),
        (Listing::answer(500, "{}"), "partial", "failed"),
        (Listing::answer(200, HTML), "partial", "failed"),
        (Listing::answer(200, CUT_OFF), "partial", "failed"),
        (Listing::answer(200, ""), "partial", "failed"),
        (Listing::Held, "partial", "failed"),
    ] {
        let told = door.log().len();
        registry.quirks(|quirks| quirks.catalog = listing.clone());
        let last = sweep(&door, false).await;
        assert_eq!(
            (last["outcome"].as_str(), last["catalog"].as_str()),
            (Some(outcome), Some(catalog)),
            "{listing:?}: {last:#}"
        );
        let cause = last["cause"].as_str().unwrap_or_else(|| panic!("no cause: {last:#}"));
        assert!(cause.contains("catalog"), "{cause}");
        assert_eq!(last["repositories"], 2, "the known ones are swept: {last:#}");
        // The log has a thread of its own.
        let mut warning = None;
        until("the log warns of the catalog", LIMIT, async || {
            let log = door.log();
            let mut lines = log[told..].lines();
            warning = lines
                .find(|line| line.contains("\"WARN\"") && line.contains("catalog cannot"))
                .and_then(|line| serde_json::from_str::<Value>(line).ok());
            warning.is_some()
        })
        .await;
        let warning = warning.unwrap();
        assert!(warning.to_string().contains(&Value::from(cause).to_string()[1..40]), "{warning}: {cause}");
        assert_eq!(events(&door).await, before, "{listing:?}");
    }
    registry.quirks(|quirks| quirks.catalog = Listing::Honest);
    registry.hold("new", "v1", &Image::small(2));
    sweep_through(&door, false).await;
    assert_eq!(record(&door.url()).await, registry.truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_without_a_catalog_the_known_repositories_are_swept() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    Image::small(1).push(&door.url(), "known", "v1").await;
    registry.hold("known", "v2", &Image::small(2));
    registry.hold("unknown", "v1", &Image::small(3));
    registry.quirks(|quirks| quirks.catalog = Listing::answer(401, REFUSED));
    let last = sweep(&door, false).await;
    assert_eq!(
        (last["outcome"].as_str(), last["repositories"].as_u64()),
        (Some("partial"), Some(1)),
        "{last:#}"
    );
    assert_eq!(
        in_short(&events(&door).await),
        ["observed manifest_put known:v1", "swept manifest_put known:v2"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_catalog_that_fails_keeps_nobody_from_finding_what_changed_in_known_repositories() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    registry.hold("known", "goes", &Image::small(1));
    registry.hold("known", "stays", &Image::small(2));
    sweep_through(&door, true).await;
    registry.quirks(|quirks| quirks.catalog = Listing::answer(500, "{}"));
    registry.lose_tag("known", "goes");
    registry.hold("known", "comes", &Image::small(3));
    let last = sweep(&door, false).await;
    assert_eq!(
        (last["outcome"].as_str(), last["catalog"].as_str(), last["found"].as_u64()),
        (Some("partial"), Some("failed"), Some(2)),
        "{last:#}"
    );
    assert_eq!(record(&door.url()).await, registry.truth());
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_a_repository_whose_tags_cannot_be_had_is_left_as_it_was_and_the_others_are_swept() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "2s").start().await;
    for repository in ["a", "broken", "z"] {
        registry.hold(repository, "v0", &Image::small(1));
    }
    sweep_through(&door, true).await;
    for (number, listing) in [
        Listing::answer(401, REFUSED),
        Listing::answer(404, HTML),
        Listing::answer(500, REFUSED),
        Listing::answer(200, HTML),
        Listing::answer(200, r#"{"name":"broken","tags":["v0""#),
        Listing::Held,
    ]
    .into_iter()
    .enumerate()
    {
        let tag = format!("v{}", number + 1);
        let before = events(&door).await.len();
        for repository in ["a", "z"] {
            registry.hold(repository, &tag, &Image::small(2));
        }
        registry.quirks(|quirks| drop(quirks.tags.insert("broken".to_owned(), listing.clone())));
        let last = sweep(&door, true).await;
        assert_eq!(
            (last["outcome"].as_str(), last["problem_count"].as_u64()),
            (Some("partial"), Some(1)),
            "{listing:?}: {last:#}"
        );
        assert_eq!(last["problems"][0]["repository"], "broken");
        assert_eq!(record(&door.url()).await, registry.truth(), "{listing:?}");
        let mut found = in_short(&events(&door).await[before..]);
        found.retain(|event| !event.ends_with(&tag));
        found.retain(|event| event.contains("broken"));
        assert!(found.is_empty(), "{found:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s7_a_repository_that_the_registry_denies_keeps_the_tags_that_it_answers_for() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    registry.hold("denied", "v1", &Image::small(1));
    registry.hold("denied", "v2", &Image::small(2));
    sweep_through(&door, true).await;
    let before = events(&door).await;
    // With and without the catalog's naming it.
    for unlisted in [false, true] {
        registry.quirks(|quirks| {
            let denial = Listing::answer(404, r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#);
            quirks.tags.insert("denied".to_owned(), denial);
            quirks.unlisted.extend(unlisted.then(|| "denied".to_owned()));
        });
        sweep_through(&door, true).await;
        assert_eq!(events(&door).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_none_are_told_and_the_rest_of_the_catalog_is_swept() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    registry.hold("team/app", "v1", &Image::small(1));
    registry.quirks(|quirks| {
        quirks.made_up = ["UPPER", "a//b", "../etc/passwd", "team/app"].map(str::to_owned).to_vec()
    });
    let last = sweep(&door, false).await;
    assert_eq!(
        (last["outcome"].as_str(), last["problem_count"].as_u64()),
        (Some("partial"), Some(3)),
        "{last:#}"
    );
    assert_eq!(in_short(&events(&door).await), ["swept manifest_put team/app:v1"]);
    assert!(registry.asked().iter().all(|line| !line.contains("UPPER") && !line.contains("etc")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_asks_for_time_is_left_alone_for_as_long() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    registry.hold("team/app", "v1", &Image::small(1));
    registry.quirks(|quirks| quirks.too_many = (1, 2));
    let begun = Instant::now();
    sweep_through(&door, false).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(record(&door.url()).await, registry.truth());
}
