//! What becomes of doors when their database fails, in each of the ways in which databases do: while it lasts the door refuses
//! manifest writes in time, before the registry hears of them, and serves all else; afterwards it heals by itself, and nothing
//! that was acknowledged is missing.

mod connections;
mod cut;
mod disk;
mod killed;
mod pooler;
mod slow;

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, RETRY_AFTER};
use tempfile::TempDir;

use crate::support::door::{Door, DoorBuilder};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::postgres::PASSWORD;
use crate::support::pushing::{Pushing, assert_recorded};
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about};
use crate::support::wait::until_seen;

const SOON: Duration = Duration::from_secs(30);
/// So long a client may wait for what the door does not need its database for; half of it on an idle machine.
const AT_ONCE: Duration = Duration::from_secs(10);
/// So long a client may wait to be refused; a third of it on an idle machine.
const IN_TIME: Duration = Duration::from_secs(20);

/// A door on this database, with a socket of this name.
pub fn door(registry: &Registry, store: &str, files: &TempDir, socket: &str) -> DoorBuilder {
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(files.path().join("password"), PASSWORD).unwrap();
    Door::builder(registry.url())
        .set("STORE__URL", store)
        .set("STORE__PASSWORD_FILE", path("password"))
        .set("SERVER__SOCKET", path(socket))
        .set("REGISTRY__TIMEOUT", "3s")
}

/// An image of which the door has the tag `before` is pulled, and blobs are pushed, without waiting for the database.
pub async fn assert_serves_on(door: &Door, image: &Image) {
    let begun = Instant::now();
    let blobs = image.blobs.iter().map(|(digest, _)| format!("blobs/{digest}"));
    let manifests = ["before", &image.digest].map(|reference| format!("manifests/{reference}"));
    for path in blobs.chain(manifests) {
        let url = format!("{}/v2/team/app/{path}", door.url());
        let request = http_client().get(url).header(ACCEPT, &image.media_type);
        let pull = async || request.try_clone().unwrap().send().await.unwrap().status();
        // A registry that is writing the same manifest again may fail on it for a moment.
        until_seen(&path, AT_ONCE, pull, |seen| *seen == StatusCode::OK).await;
    }
    Image::small(77).push_blobs(&door.url(), "team/app").await;
    let took = begun.elapsed();
    assert!(took < AT_ONCE, "pulls and uploads took {took:?}");
    say("pulls and uploads", begun);
}

/// A write is refused in time, and the registry does not hear of it. Writes that were under way may be taken before.
async fn assert_refuses(door: &Door, registry: &Registry, image: &Image) {
    let mut number = 0;
    let refused = async || {
        number += 1;
        let (tag, begun) = (format!("refused-{number}"), Instant::now());
        let answer = image.put(&door.url(), "team/app", &tag).await;
        let took = begun.elapsed();
        assert!(took < IN_TIME, "a write is answered after {took:?}: {answer:?}");
        (tag, answer.status(), answer.headers().contains_key(RETRY_AFTER))
    };
    let is_refused = |seen: &(String, StatusCode, bool)| seen.1 == StatusCode::SERVICE_UNAVAILABLE && seen.2;
    let (tag, ..) = until_seen("a write is refused with Retry-After", SOON, refused, is_refused).await;
    let heard = format!("{}/v2/team/app/manifests/{tag}", registry.url());
    let answer = http_client().head(heard).header(ACCEPT, &image.media_type).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND, "the registry has heard of {tag}");
}

/// Clients that go on to push are served again within ten seconds; twice that on a busy machine.
async fn assert_heals(pushing: &Pushing) {
    let begun = Instant::now();
    pushing.until_acknowledged(1).await;
    say("healing", begun);
    pushing.until_acknowledged(40).await;
}

/// The same, and then nothing that was acknowledged is missing, and record and registry are equal.
async fn assert_heals_whole(door: &Door, registry: &Registry, pushing: Pushing) {
    assert_heals(&pushing).await;
    until_ready(door, StatusCode::OK).await;
    let acknowledged = pushing.stop().await;
    assert_nothing_is_asked_about(&door.url(), SOON).await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    assert_recorded(door, acknowledged).await;
}

/// Waits until the door says of itself whether it is ready.
async fn until_ready(door: &Door, expected: StatusCode) {
    let look = async || {
        let answer = http_client().get(format!("{}/readyz", door.admin())).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    until_seen("the door says so", SOON, look, |seen| seen.0 == expected).await;
}

/// What something took, for who reads the tests' output.
fn say(what: &str, begun: Instant) {
    eprintln!("{what} took {:?}", begun.elapsed());
}
