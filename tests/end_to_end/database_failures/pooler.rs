//! A database behind PgBouncer that is gone for a while.

use std::sync::Arc;

use reqwest::StatusCode;

use super::{assert_heals_whole, assert_refuses, assert_serves_on, door, until_ready};
use crate::support::image::Image;
use crate::support::pooler::Pooler;
use crate::support::postgres::{Extras, Server};
use crate::support::pushing::Pushing;
use crate::support::registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn a_door_behind_a_pooler_refuses_and_serves_on_while_the_database_is_gone_and_heals() {
    let server = Server::listening(Extras::default());
    let database = server.database();
    let pooler = Pooler::with(&database, "server_login_retry = 1");
    let (registry, files) = (Registry::start().await, tempfile::tempdir().unwrap());
    let door = door(&registry, pooler.url(), &files, "socket").start().await;
    let image = Arc::new(Image::small(1));
    image.push(&door.url(), "team/app", "before").await;
    let pushing = Pushing::to(&door.url(), &image);
    pushing.until_acknowledged(40).await;

    server.crash();
    assert_refuses(&door, &registry, &image).await;
    assert_serves_on(&door, &image).await;
    until_ready(&door, StatusCode::SERVICE_UNAVAILABLE).await;

    server.restart();
    assert_heals_whole(&door, &registry, pushing).await;
    assert!(!pooler.log().contains("unsupported"), "{}", pooler.log());
}
