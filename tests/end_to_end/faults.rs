//! When things go wrong: each row of the table in the README.

use std::time::Duration;

use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::state::assert_in_step;

/// Within which time the record has to be what the registry has.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_through_the_door_is_recorded() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    Image::small(1).push(&door.url(), "team/app", "one").await;
    Image::docker(2).push(&door.url(), "team/app", "two").await;
    let (left, right) = (Image::small(3), Image::small(4));
    for image in [&left, &right] {
        image.push(&door.url(), "team/list", &image.digest).await;
    }
    Image::index(&[&left, &right]).push(&door.url(), "team/list", "both").await;
    Image::about(&left, 5).push(&door.url(), "team/list", "statement").await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    assert!(relay.seen().iter().any(|line| line == "PUT /v2/team/app/manifests/one"), "{:?}", relay.seen());
}
