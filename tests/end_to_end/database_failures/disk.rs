//! A database whose disk is full.

use std::sync::Arc;

use reqwest::StatusCode;

use super::{SOON, assert_heals_whole, assert_refuses, assert_serves_on, door, until_ready};
use crate::support::disk::Disk;
use crate::support::image::Image;
use crate::support::postgres::{self, Extras, USER};
use crate::support::pushing::{Pushing, put};
use crate::support::registry::Registry;
use crate::support::wait::{until, until_seen};

/// What becomes of the server that has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// It refuses what needs some.
    Lives,
    /// It had none for its log either, has ended, and is started again.
    Ends,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_when_the_disk_of_the_database_was_full_for_a_while() {
    fill_and_clear(Server::Lives).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_when_the_database_has_ended_for_want_of_room() {
    fill_and_clear(Server::Ends).await;
}

async fn fill_and_clear(fate: Server) {
    let disk = Disk::mount("192m");
    let access = "host all all 127.0.0.1/32 scram-sha-256\n";
    let server =
        postgres::Server::listening(Extras { access, place: Some(disk.path()), ..Extras::default() });
    let database = server.database();
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let url = format!("postgres://{USER}@127.0.0.1:{}/{}", server.port(), database.name());
    let door = door(&registry, &url, &files, "socket").start().await;
    let image = Arc::new(Image::small(1));
    image.push(&door.url(), "team/app", "before").await;
    let pushing = Pushing::to(&door.url(), &image);
    pushing.until_acknowledged(20).await;

    disk.fill();
    // What there is may take some more.
    let mut number = 0;
    let refused = async || {
        number += 1;
        let answer = put(&door.url(), &image, &format!("x{number}")).await;
        (number, answer, server.is_running())
    };
    let is_refused = |seen: &(i32, Option<StatusCode>, bool)| seen.1 == Some(StatusCode::SERVICE_UNAVAILABLE);
    let seen = until_seen("a write is refused", 4 * SOON, refused, is_refused).await;
    eprintln!("refused after {} writes; the server runs on: {}", seen.0, seen.2);
    if fate == Server::Ends {
        until("the server has ended", SOON, async || {
            // Each time another file of the log is begun.
            server.can_run("postgres", "SELECT pg_switch_wal()");
            server.can_run(
                database.name(),
                "CREATE TABLE IF NOT EXISTS more (one integer); INSERT INTO more VALUES (1)",
            );
            !server.is_running()
        })
        .await;
        assert_refuses(&door, &registry, &image).await;
        until_ready(&door, StatusCode::SERVICE_UNAVAILABLE).await;
    }
    assert_serves_on(&door, &image).await;

    disk.clear();
    if !server.is_running() {
        server.restart();
    }
    assert_heals_whole(&door, &registry, pushing).await;
}
