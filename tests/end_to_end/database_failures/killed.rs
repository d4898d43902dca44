//! A door that ends, or stands still, in the middle of what it does for others.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::ACCEPT;

use super::{SOON, door, say};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::postgres::Database;
use crate::support::pushing::put;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::scripted::{Listing, Scripted};
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about, record};
use crate::support::sweep::{events, finished, request, until_done, until_status};
use crate::support::wait::{until, until_seen};

/// Within which time another door adopts what one has left; twice that on a busy machine.
const ADOPTED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_door_carried_is_adopted_by_another_and_found_out() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let relay = Relay::start(&registry.url()).await;
    let database = Database::create();
    let url = database.url();
    let mut killed = door(&registry, &url, &files, "killed").set("REGISTRY__URL", relay.url()).start().await;
    let other = door(&registry, &url, &files, "other").start().await;
    let images = [Image::small(1), Image::small(2)];
    for image in &images {
        image.push(&other.url(), "team/app", &image.digest).await;
    }
    // Some the registry does, and some it never hears of.
    relay.script(|request| match request.path.rsplit('/').next() {
        Some(tag) if tag.starts_with("done-") => Fault::HangAfter,
        Some(tag) if tag.starts_with("lost-") => Fault::HangBefore,
        _ => Fault::None,
    });
    let base = killed.url();
    let pushes: Vec<_> = (0..8)
        .map(|number| {
            let (base, image) = (base.clone(), images[number % 2].clone());
            let tag = format!("{}-{number}", if number < 4 { "done" } else { "lost" });
            tokio::spawn(async move { put(&base, &image, &tag).await })
        })
        .collect();
    let carried = async || relay.seen().iter().filter(|seen| seen.starts_with("PUT")).count();
    until_seen("all are at the registry", SOON, carried, |seen| *seen == 8).await;
    let done = async || {
        let answers = (0..4).map(|number| {
            let url = format!("{}/v2/team/app/manifests/done-{number}", registry.url());
            let request = http_client().head(url).header(ACCEPT, &images[0].media_type);
            async move { request.send().await.unwrap().status() }
        });
        futures_util::future::join_all(answers).await.iter().filter(|status| status.is_success()).count()
    };
    until_seen("the registry has done some", SOON, done, |seen| *seen == 4).await;
    assert_eq!(database.run("SELECT count(*) FROM intents"), "8\n");

    let begun = Instant::now();
    killed.kill().await;
    for push in pushes {
        assert_eq!(push.await.unwrap(), None);
    }
    let dead = async || database.run("SELECT count(*) FROM doors WHERE died IS NOT NULL").trim().to_owned();
    until_seen("it is taken for dead", ADOPTED, dead, |seen| seen == "1").await;
    say("taking over", begun);
    assert!(begun.elapsed() < ADOPTED);
    assert_eq!(put(&other.url(), &images[0], "latest").await, Some(StatusCode::CREATED));
    until("what it carried is known", SOON, async || record(&other.url()).await.len() == 5).await;
    say("finding out", begun);
    assert_nothing_is_asked_about(&other.url(), SOON).await;
    say("being done with it", begun);
    assert_in_step(&other.url(), &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_stood_still_in_a_sweep_asks_nothing_more_while_another_sweeps() {
    const REPOSITORIES: u64 = 20;
    let name = |number: u64| format!("app-{number:03}");
    let last = name(REPOSITORIES - 1);
    let held = async || {
        let registry = Scripted::start().await;
        for number in 0..REPOSITORIES {
            registry.hold(&name(number), "latest", &Image::small(number));
        }
        registry.quirks(|quirks| quirks.tags = [(last.clone(), Listing::Held)].into());
        registry
    };
    let (here, there) = (held().await, held().await);
    let release = |registry: &Scripted| registry.quirks(|quirks| quirks.tags.clear());
    let (placeholder, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let on = |socket: &str, registry: &Scripted| {
        door(&placeholder, &database.url(), &files, socket).set("REGISTRY__URL", registry.url())
    };
    let frozen = on("frozen", &here).start().await;
    let number = request(&frozen, true).await;
    until_done(&frozen, REPOSITORIES - 1).await;
    let other = on("other", &there).start().await;
    frozen.signal("STOP");
    let begun = Instant::now();
    // It goes on where the other one was.
    until("the other door sweeps", ADOPTED, async || there.count(&format!("/{last}/tags/list")) > 0).await;
    say("going on with a sweep", begun);
    let asked = here.count("tags/list") + here.count("_catalog");
    release(&here);
    frozen.signal("CONT");
    let alive = async || database.run("SELECT count(*) FROM doors WHERE died IS NULL").trim().to_owned();
    until_seen("it has joined again", SOON, alive, |seen| seen == "2").await;
    // It may want the lease by now, once a second.
    let beats =
        || -> u64 { database.run("SELECT min(beat) FROM doors WHERE died IS NULL").trim().parse().unwrap() };
    let joined = beats();
    until("it has lived for a while", SOON, async || beats() > joined + 3).await;
    assert_eq!(here.count("tags/list") + here.count("_catalog"), asked, "two doors sweep at once");
    until_status(&other, "the other still sweeps", |status| status["running"]["number"] == number).await;
    release(&there);
    let ended = finished(&other, number).await;
    assert_eq!(ended["outcome"], "complete", "{ended:#}");
    assert_eq!(here.count("tags/list") + here.count("_catalog"), asked, "two doors have swept");
    assert_eq!(record(&frozen.url()).await, there.truth());
    let mut found: Vec<String> = events(&other).await.iter().map(|event| event.to_string()).collect();
    let all = found.len();
    found.dedup();
    assert_eq!(found.len(), all);
    let twice = "SELECT count(*) - count(DISTINCT (repository, content)) FROM events";
    assert_eq!(database.run(twice), "0\n");
    let puts =
        database.run("SELECT count(*) FROM events WHERE convert_from(content, 'UTF8') LIKE '%manifest_put%'");
    assert_eq!(puts.trim(), REPOSITORIES.to_string(), "each is found once");
}
