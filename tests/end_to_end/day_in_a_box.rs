//! A day in a box: everything that disturbs a record, all at once, and at the end it equals the registry.
//!
//! `PORTREEVE_DAY_SECONDS` says how long it lasts (30, at most 600), `PORTREEVE_SEED` repeats the choices of a run. What
//! they meet is the machine's choice all the same.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::support::door::Door;
use crate::support::http::{client_builder, delete};
use crate::support::image::Image;
use crate::support::metrics::{metrics, undescribed};
use crate::support::random::{Random, seed};
use crate::support::registry::Registry;
use crate::support::state::{all, assert_in_step, assert_nothing_is_asked_about, catalog};
use crate::support::sweep::{events, in_short, sweep_through};

const REPOSITORIES: [&str; 5] = ["redis", "team/app", "team/app/part", "team/other", "deep/er/still"];
const TAGS: [&str; 4] = ["latest", "Latest", "v1", "v1.2"];
/// Repositories that are lost as a whole, with their blobs, and pushed anew around the door.
const LOSABLE: [&str; 2] = ["lost/one", "lost/two"];
/// Nobody touches this one after it was pushed.
const CONTROL: &str = "control/untouched";
const IMAGES: u64 = 6;
const LONGEST: u64 = 600;
/// Within which time a client gives up.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
const SOON: Duration = Duration::from_secs(20);
/// Within which time every write's outcome is known for good, with `registry.timeout` as it is by default.
const ASKED: Duration = Duration::from_secs(90);

/// What a push that was acknowledged put: repository, tag and digest.
type Put = (String, String, String);

/// Pushes and deletes at a door or a registry until it is told to stop; what goes wrong is part of the day. Answers how
/// many writes were acknowledged, and what the pushes among them put.
async fn write(
    base: String,
    agent: &'static str,
    mut random: Random,
    pause: u64,
    stop: CancellationToken,
) -> (usize, BTreeSet<Put>) {
    let client = client_builder().user_agent(agent).timeout(CLIENT_TIMEOUT).build().unwrap();
    let images: Vec<Image> = (0..IMAGES).map(|seed| Image::heavy(seed, 10)).collect();
    let (mut acknowledged, mut puts) = (0, BTreeSet::new());
    while !stop.is_cancelled() {
        let repository = *random.one_of(&REPOSITORIES);
        let image = random.one_of(&images);
        let at = format!("{base}/v2/{repository}/manifests");
        let (answer, put) = if random.below(8) == 0 {
            (client.delete(format!("{at}/{}", image.digest)).send().await, None)
        } else {
            let tag = *random.one_of::<&str>(&TAGS);
            let put = (repository.to_owned(), tag.to_owned(), image.digest.clone());
            (image.put_by(&client, &base, repository, tag).await, Some(put))
        };
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            acknowledged += 1;
            puts.extend(put);
        }
        // The pace of the day, not a way to wait for anything.
        sleep(Duration::from_millis(random.below(pause))).await;
    }
    (acknowledged, puts)
}

/// Every repository has what all images need, and the registry has written each of them once: it never writes their bytes
/// again, so that its being killed leaves no half of them.
async fn prepare(base: &str) {
    for repository in REPOSITORIES {
        Image::heavy(0, 10).push_blobs(base, repository).await;
    }
    for seed in 0..IMAGES {
        let image = Image::heavy(seed, 10);
        assert_eq!(image.put(base, REPOSITORIES[0], &image.digest).await.status(), 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_pushes_crashes_and_losses_ends_with_a_record_that_equals_the_registry() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let length = Duration::from_secs(number("PORTREEVE_DAY_SECONDS").unwrap_or(30).min(LONGEST));
    let seed = number("PORTREEVE_SEED").unwrap_or_else(seed);
    eprintln!("PORTREEVE_SEED={seed}");
    let mut random = Random::new(seed);

    let mut registry = Registry::start().await;
    let mut door = Door::builder(registry.url())
        .set("SYNC__INTERVAL", "2s")
        .set("SYNC__DEEP_INTERVAL", "5s")
        .start()
        .await;
    prepare(&registry.url()).await;
    for seed in 0..3 {
        Image::heavy(seed, 10).push(&door.url(), CONTROL, &format!("v{seed}")).await;
    }
    let control_path = format!("/api/v1/events?n=1000&repository={CONTROL}");
    let control = all(&door.url(), &control_path).await;
    assert_eq!(
        in_short(&control),
        (0..3).map(|seed| format!("observed manifest_put {CONTROL}:v{seed}")).collect::<Vec<_>>()
    );
    for repository in LOSABLE {
        Image::heavy(0, 10).push(&door.url(), repository, "latest").await;
    }
    let stop = CancellationToken::new();
    let writers =
        [(door.url(), "through/1", 60), (door.url(), "through/2", 60), (registry.url(), "around/1", 400)]
            .map(|(base, agent, pause)| {
                tokio::spawn(write(base, agent, Random::new(random.next()), pause, stop.clone()))
            });

    let begun = Instant::now();
    let mut happened = [0_usize; 6];
    while begun.elapsed() < length {
        let what = random.below(11);
        match what {
            0 => {
                registry.restart().await;
                happened[0] += 1;
            }
            1 | 2 => {
                door.restart().await;
                happened[1] += 1;
            }
            3..=5 => {
                let (repository, tag) = (random.one_of(&REPOSITORIES), random.one_of(&TAGS));
                happened[2] += usize::from(registry.try_lose_tag(repository, tag));
            }
            6 => {
                let repository = random.one_of(&REPOSITORIES);
                // Its tags and manifests, so that what is pushed later needs no blobs first.
                happened[3] += usize::from(registry.try_lose_manifests(repository));
            }
            7 => {
                let repository = random.one_of(&LOSABLE);
                if registry.try_lose_repository(repository) {
                    happened[5] += 1;
                } else {
                    let image = Image::heavy(random.below(IMAGES), 10);
                    image.push(&registry.url(), repository, random.one_of::<&str>(&TAGS)).await;
                }
            }
            _ => {
                let image = Image::heavy(random.below(IMAGES), 10);
                let answer =
                    delete(&registry.url(), random.one_of::<&str>(&REPOSITORIES), &image.digest).await;
                happened[4] += usize::from(answer.status() == 202);
            }
        }
        sleep(Duration::from_millis(200 + random.below(800))).await;
    }
    stop.cancel();
    let (mut acknowledged, mut puts) = (Vec::new(), Vec::new());
    for writer in writers {
        let (writes, put) = writer.await.unwrap();
        acknowledged.push(writes);
        puts.push(put);
    }
    let [restarts, crashes, tags, manifests, deletions, repositories] = happened;
    eprintln!(
        "{acknowledged:?} writes, {restarts} registry restarts, {crashes} crashes, {tags} tags, all manifests of \
         {manifests} repositories and {repositories} whole ones lost, {deletions} deletions around the door"
    );
    assert!(acknowledged.iter().all(|writes| *writes > 0));
    registry.remove_empty_links();

    sweep_through(&door, true).await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    let known: BTreeSet<String> = all(&door.url(), "/api/v1/repositories?n=1000")
        .await
        .iter()
        .map(|repository| repository["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(known, catalog(&registry.url()).await.into_iter().collect(), "the repositories");
    assert_eq!(undescribed(&metrics(&door).await), BTreeSet::new(), "every metric is described");
    // A write that a killed registry did not answer is asked about for `registry.timeout`. If its tag has moved on since, it
    // may have left a manifest that no listing names and only these questions find.
    assert_nothing_is_asked_about(&door.url(), ASKED).await;
    // Where nothing changes any more, nothing is found.
    let before = events(&door).await;
    assert_eq!(sweep_through(&door, true).await, 0);
    let history = events(&door).await;
    assert_eq!(
        history[before.len()..],
        [] as [Value; 0],
        "after {:#?}",
        &before[before.len().saturating_sub(8)..]
    );
    // What the door acknowledged is in the books, whatever became of it later.
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let recorded: BTreeSet<Put> = history
        .iter()
        .filter(|event| event["kind"] == "manifest_put")
        .map(|event| (text(event, "repository"), text(event, "tag"), text(event, "digest")))
        .collect();
    for put in &puts[..2] {
        let missing: Vec<_> = put.difference(&recorded).collect();
        assert!(missing.is_empty(), "acknowledged, and not in the history: {missing:?}");
    }
    assert_eq!(all(&door.url(), &control_path).await, control, "nobody touched it");
    for event in &history {
        let nobody = event["actor"].as_object().unwrap().values().all(Value::is_null);
        assert!(event["source"] != "swept" || nobody, "a correction has no author: {event}");
    }
}
