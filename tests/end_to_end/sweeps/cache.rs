//! In front of a pull-through cache: what came through the door is known and swept, and the cache is made to fetch nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::header::ACCEPT;

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{ACCEPT_ALL, State, catalog, differences, record};
use crate::support::sweep::{events, in_short, sweep, sweep_through};
use crate::support::wait::PAUSE;

const SOON: Duration = Duration::from_secs(60);

/// A registry, a cache of it, and what the cache asks it.
struct Cached {
    origin: Registry,
    way: Relay,
    cache: Registry,
}

impl Cached {
    async fn start() -> Self {
        let origin = Registry::start().await;
        let way = Relay::start(&origin.url()).await;
        let cache = Registry::start_with(&format!("proxy: {{remoteurl: \"{}\"}}\n", way.url())).await;
        Self { origin, way, cache }
    }

    async fn door(&self) -> Door {
        Door::builder(self.cache.url()).set("REGISTRY__KIND", "proxy").start().await
    }

    /// What of manifests has reached the origin so far.
    fn fetched(&self) -> Vec<String> {
        self.way.seen().into_iter().filter(|line| line.contains("/manifests/")).collect()
    }
}

/// Asks the door for a manifest: GET as docker does, HEAD as containerd does first.
async fn ask(door: &Door, method: &str, repository: &str, reference: &str) {
    let url = format!("{}/v2/{repository}/manifests/{reference}", door.url());
    let request = http_client().request(method.parse().unwrap(), url).header(ACCEPT, ACCEPT_ALL);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200, "{method} {repository}:{reference}");
    answer.bytes().await.unwrap();
}

async fn until_recorded(door: &Door, expected: &[(&str, &str, &Image)]) {
    let expected: State = expected
        .iter()
        .map(|(repository, tag, image)| (((*repository).to_owned(), (*tag).to_owned()), image.digest.clone()))
        .collect();
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let recorded = record(&door.url()).await;
        if recorded == expected {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{}", differences(&recorded, &expected));
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until no hint is left, each of which is looked at twice.
async fn until_quiet(door: &Door) {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let metrics = http_client().get(format!("{}/metrics", door.admin())).send().await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let waiting = metrics.lines().find(|line| line.starts_with("portreeve_hints_waiting "));
        if waiting == Some("portreeve_hints_waiting 0") {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{waiting:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_pulled_through_the_door_is_known_and_a_sweep_makes_the_cache_fetch_nothing() {
    let cached = Cached::start().await;
    for (number, repository) in ["team/app", "team/other", "library/redis"].iter().enumerate() {
        for tag in 0..3 {
            let image = Image::small((number * 10 + tag) as u64);
            image.push(&cached.origin.url(), repository, &format!("v{tag}")).await;
        }
    }
    let door = cached.door().await;
    // Nothing is known, and so nothing is asked for.
    let last = sweep(&door, true).await;
    assert_eq!(
        (last["outcome"].as_str(), last["catalog"].as_str(), last["repositories"].as_u64()),
        (Some("complete"), Some("not_read"), Some(0)),
        "{last:#}"
    );
    assert!(cached.fetched().is_empty(), "{:#?}", cached.fetched());

    ask(&door, "GET", "team/app", "v1").await;
    until_recorded(&door, &[("team/app", "v1", &Image::small(1))]).await;
    until_quiet(&door).await;
    let before = cached.fetched();
    assert!(before.iter().all(|line| line.ends_with("/v2/team/app/manifests/v1")), "{before:#?}");
    // Nor does it matter whether the cache still holds it.
    assert!(cached.cache.try_lose_manifests("team/app"));
    for deep in [true, false, true] {
        let last = sweep(&door, deep).await;
        assert_eq!(
            (last["outcome"].as_str(), last["repositories"].as_u64(), last["tags"].as_u64()),
            (Some("complete"), Some(1), Some(1)),
            "{last:#}"
        );
        assert_eq!(last["found"].as_u64(), Some(0), "{last:#}");
    }
    assert_eq!(cached.fetched(), before, "sweeps fetch nothing");
    assert_eq!(in_short(&events(&door).await), ["hinted manifest_put team/app:v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_index_only_those_children_are_known_and_fetched_that_somebody_pulls() {
    let cached = Cached::start().await;
    let children = [Image::small(1), Image::small(2), Image::small(3)];
    for child in &children {
        child.push(&cached.origin.url(), "team/app", &child.digest).await;
    }
    let index = Image::index(&[&children[0], &children[1], &children[2]]);
    index.push(&cached.origin.url(), "team/app", "latest").await;
    let door = cached.door().await;
    // As containerd pulls.
    ask(&door, "HEAD", "team/app", "latest").await;
    ask(&door, "GET", "team/app", &index.digest).await;
    ask(&door, "GET", "team/app", &children[1].digest).await;
    until_recorded(&door, &[("team/app", "latest", &index)]).await;
    until_quiet(&door).await;
    let events = events(&door).await;
    let digests: BTreeSet<_> = events.iter().map(|event| event["digest"].as_str().unwrap()).collect();
    assert_eq!(digests, BTreeSet::from([index.digest.as_str(), children[1].digest.as_str()]), "{events:#?}");
    sweep_through(&door, true).await;
    let fetched = cached.fetched();
    for child in [&children[0], &children[2]] {
        assert!(!fetched.iter().any(|line| line.contains(&child.digest)), "{fetched:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_moves_at_the_origin_is_recorded_when_it_is_pulled_the_next_time() {
    let cached = Cached::start().await;
    let (old, new) = (Image::small(1), Image::small(2));
    old.push(&cached.origin.url(), "team/app", "latest").await;
    let door = cached.door().await;
    ask(&door, "GET", "team/app", "latest").await;
    until_recorded(&door, &[("team/app", "latest", &old)]).await;
    new.push(&cached.origin.url(), "team/app", "latest").await;
    sweep_through(&door, true).await;
    until_recorded(&door, &[("team/app", "latest", &old)]).await;
    let fetched = cached.fetched();
    assert!(!fetched.iter().any(|line| line.contains(&new.digest)), "{fetched:#?}");
    ask(&door, "HEAD", "team/app", "latest").await;
    until_recorded(&door, &[("team/app", "latest", &new)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_neither_the_cache_nor_its_origin_has_any_more_goes_and_nothing_goes_by_a_listing() {
    let cached = Cached::start().await;
    let images = [Image::small(1), Image::small(2), Image::small(3)];
    for (image, tag) in images.iter().zip(["gone", "kept", "cached"]) {
        image.push(&cached.origin.url(), "team/app", tag).await;
    }
    let door = cached.door().await;
    for tag in ["gone", "kept", "cached"] {
        ask(&door, "GET", "team/app", tag).await;
    }
    let all = [
        ("team/app", "gone", &images[0]),
        ("team/app", "kept", &images[1]),
        ("team/app", "cached", &images[2]),
    ];
    until_recorded(&door, &all).await;
    until_quiet(&door).await;
    // The list of tags is the origin's; the cache still answers for one of them.
    cached.origin.lose_tag("team/app", "gone");
    cached.origin.lose_tag("team/app", "cached");
    cached.cache.lose_tag("team/app", "gone");
    sweep_through(&door, true).await;
    until_recorded(&door, &all[1..]).await;
    // An origin that is away takes nothing.
    cached.way.script(|_| Fault::ResetBefore);
    sweep(&door, true).await;
    until_recorded(&door, &all[1..]).await;
    // A repository that is nowhere any more goes as a whole.
    cached.way.script(|_| Fault::None);
    cached.origin.lose_repository("team/app");
    cached.cache.lose_repository("team/app");
    sweep_through(&door, true).await;
    until_recorded(&door, &[]).await;
    let repositories = door.get_json("/api/v1/repositories").await;
    assert_eq!(repositories["items"].as_array().map(Vec::len), Some(0), "{repositories:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_not_called_one_is_told_by_check_and_by_the_log() {
    const REMEDY: &str = "looks like a pull-through cache";
    let cached = Cached::start().await;
    Image::small(1).push(&cached.origin.url(), "team/app", "v1").await;
    let door = Door::builder(cached.cache.url()).start().await;
    let (_, said) = door.check().await;
    assert!(said.contains(REMEDY) && said.contains("registry.kind = \"proxy\""), "{said}");
    sweep_through(&door, true).await;
    let deadline = std::time::Instant::now() + SOON;
    while !door.log().contains(REMEDY) {
        assert!(std::time::Instant::now() < deadline, "{}", door.log());
        tokio::time::sleep(PAUSE).await;
    }
    sweep_through(&door, true).await;
    sweep_through(&door, true).await;
    assert_eq!(door.log().matches(REMEDY).count(), 1, "once is enough");
    // One that is called so is not compared by its listings, which are its origin's.
    let door = cached.door().await;
    let (is_good, said) = door.check().await;
    assert!(is_good && !said.contains(REMEDY) && !said.contains("The registry lists"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_does_not_delete_or_is_read_only_is_not_taken_for_a_cache() {
    let unsupported = |allow: Option<&str>| Fault::Answer {
        status: 405,
        headers: allow.map(|allow| ("allow".to_owned(), allow.to_owned())).into_iter().collect(),
        body: br#"{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}"#.to_vec(),
    };
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    for is_read_only in [false, true] {
        relay.script(move |request| match request.method.as_str() {
            "DELETE" | "PUT" if is_read_only => unsupported(Some("GET, HEAD")),
            "DELETE" => unsupported(None),
            _ => Fault::None,
        });
        let (_, said) = door.check().await;
        assert!(said.contains("does not delete"), "{said}");
        assert!(!said.contains("pull-through"), "{said}");
    }
    assert!(catalog(&registry.url()).await.is_empty(), "looking makes nothing");
}
