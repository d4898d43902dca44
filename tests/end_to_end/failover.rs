//! What becomes of doors when the server of their database is lost, and of one that stands still for a while.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;

use crate::database_failures::{assert_serves_on, door};
use crate::support::image::Image;
use crate::support::postgres::{Database, USER};
use crate::support::pushing::{Pushing, assert_recorded, put};
use crate::support::registry::Registry;
use crate::support::standby::synchronous_pair;
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about};
use crate::support::wait::{until, until_seen};

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_missing_when_the_primary_is_lost_and_its_standby_takes_over() {
    let (primary, standby, database) = synchronous_pair().await;
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let url = format!(
        "postgres://{USER}@127.0.0.1:{},127.0.0.1:{}/{}?target_session_attrs=read-write",
        primary.port(),
        standby.port(),
        database.name()
    );
    let door = door(&registry, &url, &files, "socket").start().await;
    let (_, checked) = door.check().await;
    assert!(checked.contains("can be opened") && !checked.contains("no synchronous standby"), "{checked}");
    let image = Arc::new(Image::small(1));
    image.push(&door.url(), "team/app", "before").await;
    let pushing = Pushing::to(&door.url(), &image);
    pushing.until_acknowledged(40).await;
    primary.crash();
    until("writes are refused", SOON, async || {
        put(&door.url(), &image, "meanwhile").await == Some(StatusCode::SERVICE_UNAVAILABLE)
    })
    .await;
    assert_serves_on(&door, &image).await;
    standby.promote();
    pushing.until_acknowledged(1).await;
    pushing.until_acknowledged(40).await;
    let acknowledged = pushing.stop().await;

    assert_nothing_is_asked_about(&door.url(), SOON).await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    assert_recorded(&door, acknowledged).await;
    let twice = "SELECT count(*) - count(DISTINCT sequence) FROM events";
    assert_eq!(standby.run(database.name(), twice), "0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_stood_still_past_its_time_joins_again_and_record_and_registry_agree() {
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let database = Database::create();
    let frozen = door(&registry, &database.url(), &files, "frozen").start().await;
    let other = door(&registry, &database.url(), &files, "other").start().await;
    let images: Vec<Arc<Image>> = (0..2).map(|seed| Arc::new(Image::small(seed))).collect();
    for image in &images {
        image.push_blobs(&other.url(), "team/app").await;
    }
    images[0].push(&frozen.url(), "team/app", "latest").await;
    let pushing = Pushing::to(&frozen.url(), &images[0]);
    pushing.until_acknowledged(20).await;
    frozen.signal("STOP");
    // Its clients wait; what it carried is found out by the other door.
    let dead = async || database.run("SELECT count(*) FROM doors WHERE died IS NOT NULL").trim().to_owned();
    until_seen("it is taken for dead", SOON, dead, |seen| seen == "1").await;
    assert_eq!(put(&other.url(), &images[1], "latest").await, Some(StatusCode::CREATED));
    frozen.signal("CONT");
    pushing.until_acknowledged(20).await;
    let acknowledged = pushing.stop().await;
    let alive = async || database.run("SELECT count(*) FROM doors WHERE died IS NULL").trim().to_owned();
    until_seen("it has joined again", SOON, alive, |seen| seen == "2").await;
    for door in [&other, &frozen] {
        assert_nothing_is_asked_about(&door.url(), SOON).await;
        assert_in_step(&door.url(), &registry.url(), SOON).await;
    }
    assert_recorded(&other, acknowledged).await;
}
