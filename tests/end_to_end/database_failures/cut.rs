//! The network between a door and its database loses everything, and neither end is told.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;
use reqwest::StatusCode;

use super::{AT_ONCE, SOON, assert_heals, assert_refuses, assert_serves_on, door, say, until_ready};
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, token};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::line::Line;
use crate::support::postgres::{Database, PASSWORD};
use crate::support::pushing::{Pushing, assert_recorded, put};
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about};
use crate::support::wait::until_seen;

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_cut_off_refuses_and_serves_on_another_takes_over_and_it_heals() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let line = Line::through_network_to(&database).await;
    let cut = door(&registry, line.url(), &files, "cut").start().await;
    let other = door(&registry, &database.url(), &files, "other").start().await;
    let images: Vec<Arc<Image>> = (0..2).map(|seed| Arc::new(Image::small(seed))).collect();
    for image in &images {
        image.push(&other.url(), "team/app", "before").await;
    }
    images[0].push(&cut.url(), "team/app", "before").await;
    let pushing = Pushing::to(&cut.url(), &images[0]);
    pushing.until_acknowledged(40).await;

    line.cut();
    let begun = Instant::now();
    let refusing = async {
        assert_refuses(&cut, &registry, &images[0]).await;
        say("refusing", begun);
        begun.elapsed()
    };
    let adopting = async {
        let dead =
            async || database.run("SELECT count(*) FROM doors WHERE died IS NOT NULL").trim().to_owned();
        until_seen("the door is taken for dead", SOON, dead, |seen| seen == "1").await;
        say("taking over", begun);
        begun.elapsed()
    };
    let (refused, adopted) = tokio::join!(refusing, adopting);
    assert!(refused < adopted, "it refuses before others take over: {refused:?} {adopted:?}");
    assert_eq!(put(&other.url(), &images[1], "latest").await, Some(StatusCode::CREATED));
    assert_serves_on(&cut, &images[0]).await;
    until_ready(&cut, StatusCode::SERVICE_UNAVAILABLE).await;
    say("being not ready", begun);
    assert_refuses(&cut, &registry, &images[0]).await;
    assert_serves_on(&cut, &images[0]).await;

    line.mend();
    assert_heals(&pushing).await;
    until_ready(&cut, StatusCode::OK).await;
    let acknowledged = pushing.stop().await;
    for door in [&other, &cut] {
        assert_nothing_is_asked_about(&door.url(), SOON).await;
        assert_in_step(&door.url(), &registry.url(), SOON).await;
    }
    assert_recorded(&other, acknowledged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doors_that_are_cut_off_together_take_none_of_them_for_dead() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let line = Line::through_network_to(&database).await;
    // The first one that comes back may have been heard last by all others, or by none of them.
    let starting = ["a", "b", "c", "d"].map(|name| door(&registry, line.url(), &files, name).start());
    let doors = join_all(starting).await;
    line.cut();
    // Longer than a door may be silent.
    for door in &doors {
        until_ready(door, StatusCode::SERVICE_UNAVAILABLE).await;
    }
    line.mend();
    let begun = Instant::now();
    for door in &doors {
        until_ready(door, StatusCode::OK).await;
    }
    say("healing", begun);
    let beats = || -> u64 { database.run("SELECT min(beat) FROM doors").trim().parse().unwrap() };
    let before = beats();
    let look = async || (beats(), database.run("SELECT count(*) FROM doors WHERE died IS NOT NULL"));
    let seen = until_seen("all show their lives", SOON, look, |seen| seen.0 > before + 8).await;
    assert_eq!(seen.1, "0\n");
    for door in &doors {
        let log = door.log();
        assert!(!log.contains("has shown no life") && !log.contains("taken this one for dead"), "{log}");
        Image::small(1).push(&door.url(), "team/app", "after").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_cut_off_stops_when_it_is_told_to_and_one_that_starts_says_so() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let line = Line::through_network_to(&database).await;
    let starting = ["at-once", "later"].map(|name| door(&registry, line.url(), &files, name).start());
    let [mut at_once, mut later]: [Door; 2] = join_all(starting).await.try_into().ok().unwrap();
    let image = Arc::new(Image::small(1));
    image.push(&at_once.url(), "team/app", "before").await;
    // Writes that nobody will hear of are under way.
    let pushing: Vec<_> = (0..8)
        .map(|number| {
            let (base, image) = (at_once.url(), Arc::clone(&image));
            tokio::spawn(async move { put(&base, &image, &format!("t{number}")).await })
        })
        .collect();
    line.cut();
    let begun = Instant::now();
    at_once.signal("TERM");
    at_once.wait_exit(SOON).await;
    say("stopping at once", begun);
    for push in pushing {
        push.await.unwrap();
    }
    until_ready(&later, StatusCode::SERVICE_UNAVAILABLE).await;
    let begun = Instant::now();
    later.signal("TERM");
    assert!(later.wait_exit(SOON).await.success(), "{}", later.log());
    say("stopping", begun);
    let refused = door(&registry, line.url(), &files, "new").try_start().await;
    let (status, said) = refused.map(|_| ()).unwrap_err();
    assert!(!status.success() && said.contains("cannot reach the database"), "{status} {said}");
    let (is_good, said) = later.check().await;
    assert!(!is_good && said.contains("cannot reach the database"), "{said}");
    say("check", begun);
    line.mend();
    let door = door(&registry, line.url(), &files, "again").start().await;
    assert_nothing_is_asked_about(&door.url(), SOON).await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_good_and_made_while_the_database_is_out_of_reach() {
    let (registry, guard) = (Registry::start().await, Guard::new());
    let database = Database::create();
    let line = Line::through_network_to(&database).await;
    std::fs::write(guard.path("password"), PASSWORD).unwrap();
    let path = |name: &str| guard.path(name).to_str().unwrap().to_owned();
    let door = guard
        .door(registry.url())
        .unset("AUTH__KEYS")
        .set("STORE__URL", line.url())
        .set("STORE__PASSWORD_FILE", path("password"))
        .set("SERVER__SOCKET", path("socket"))
        .start()
        .await;
    let scope = "repository:team/app:pull,push";
    let token = token(&door.url(), "alice", &[scope]).await;
    assert_eq!(open_upload(&door, &token).await, StatusCode::ACCEPTED);
    line.cut();
    for _ in 0..3 {
        let begun = Instant::now();
        assert_eq!(open_upload(&door, &token).await, StatusCode::ACCEPTED);
        assert!(begun.elapsed() < AT_ONCE, "a token was checked for {:?}", begun.elapsed());
        say("checking a token", begun);
        until_ready(&door, StatusCode::SERVICE_UNAVAILABLE).await;
    }
    let begun = Instant::now();
    let answer = ask_token(&door.url(), "alice", &format!("scope={scope}")).await.status();
    assert!(begun.elapsed() < AT_ONCE, "{answer} after {:?}", begun.elapsed());
    assert!(answer == StatusCode::OK || answer == StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    say(&format!("asking for a token: {answer}"), begun);
    line.mend();
    let begun = Instant::now();
    let ask = async || ask_token(&door.url(), "alice", &format!("scope={scope}")).await.status();
    until_seen("tokens are made", SOON, ask, |seen| *seen == StatusCode::OK).await;
    until_ready(&door, StatusCode::OK).await;
    say("healing", begun);
}

async fn open_upload(door: &Door, token: &str) -> StatusCode {
    let url = format!("{}/v2/team/app/blobs/uploads/", door.url());
    http_client().post(url).bearer_auth(token).send().await.unwrap().status()
}
