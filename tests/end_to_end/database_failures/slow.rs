//! A database that takes 200 ms for whatever it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;

use super::{SOON, door, say};
use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::line::Line;
use crate::support::metrics::metrics;
use crate::support::postgres::Database;
use crate::support::pushing::put;
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about};

/// Each with a tag of its own.
const CLIENTS: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn many_pushes_share_the_time_of_a_slow_database_and_no_door_is_taken_for_dead() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let line = Line::to(&database).await;
    let doors = [
        door(&registry, line.url(), &files, "first").start().await,
        door(&registry, line.url(), &files, "second").start().await,
    ];
    let image = Arc::new(Image::small(1));
    image.push(&doors[0].url(), "team/app", "before").await;
    line.delay(Duration::from_millis(200));
    let beats = || -> u64 { database.run("SELECT min(beat) FROM doors").trim().parse().unwrap() };
    let before = beats();

    let begun = Instant::now();
    assert_eq!(put(&doors[0].url(), &image, "alone").await, Some(StatusCode::CREATED));
    let alone = begun.elapsed();
    say("one push", begun);
    let commits = [commits(&doors[0]).await, commits(&doors[1]).await];
    let (mut rounds, all) = (0_u32, Instant::now());
    // Longer than a door may be silent.
    while beats() < before + 8 || rounds < 2 {
        let begun = Instant::now();
        let pushing = (0..CLIENTS).map(|client| {
            let (door, image) = (doors[client % 2].url(), Arc::clone(&image));
            let tag = format!("t{rounds}-{client}");
            tokio::spawn(async move { put(&door, &image, &tag).await })
        });
        for answer in join_all(pushing).await {
            assert_eq!(answer.unwrap(), Some(StatusCode::CREATED));
        }
        say(&format!("{CLIENTS} pushes at once"), begun);
        rounds += 1;
        assert!(all.elapsed() < 4 * SOON, "doors show their lives too seldom: {} beats", beats() - before);
    }
    let (mean, pushes) = (all.elapsed() / rounds, f64::from(rounds) * CLIENTS as f64);
    for (door, before) in doors.iter().zip(commits) {
        let (now, log) = (self::commits(door).await, door.log());
        // What is written of each push, by the door's share of them.
        let shared = pushes / (now - before);
        eprintln!("{shared:.1} pushes a commit; {mean:?} for {CLIENTS} pushes at once, {alone:?} for one");
        assert!(shared > 2.0, "{shared} pushes share a commit");
        assert!(
            !log.contains("taken this one for dead") && !log.contains("cannot show that it lives"),
            "{log}"
        );
        assert!(!log.contains("a door has shown no life") && !log.contains("keeps trying to write"), "{log}");
    }
    assert!(mean < 16 * alone, "{CLIENTS} pushes at once take {mean:?}, one takes {alone:?}");
    line.delay(Duration::ZERO);
    for door in &doors {
        assert_nothing_is_asked_about(&door.url(), SOON).await;
        assert_in_step(&door.url(), &registry.url(), SOON).await;
    }
    assert_eq!(database.run("SELECT count(*) FROM doors WHERE died IS NOT NULL"), "0\n");
}

/// How many groups of writes the door has made durable.
async fn commits(door: &Door) -> f64 {
    let metrics = metrics(door).await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("portreeve_store_commit_seconds_count "));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}
