//! Manifests.

use reqwest::Method;
use reqwest::header::{ACCEPT, IF_NONE_MATCH};

use super::{House, SOON, ask};
use crate::support::http::delete;
use crate::support::image::Image;
use crate::support::metrics::metrics;
use crate::support::state::ACCEPT_ALL;
use crate::support::sweep::{events, in_short, sweep_through};
use crate::support::wait::until;

const ACCEPTING: [(reqwest::header::HeaderName, &str); 1] = [(ACCEPT, ACCEPT_ALL)];

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_is_served_by_digest_while_the_registry_is_away_and_counts_as_pulled() {
    let mut house = House::new().await;
    let base = house.door.url();
    let image = Image::small(1);
    image.push(&base, "team/app", "v1").await;
    let url = |reference: &str| format!("{base}/v2/team/app/manifests/{reference}");
    let before = ask(Method::GET, &url(&image.digest), &ACCEPTING).await;
    house.registry.stop().await;
    let away = ask(Method::GET, &url(&image.digest), &ACCEPTING).await;
    assert_eq!(away, before);
    assert_eq!(away.body.as_bytes(), image.manifest);
    assert_eq!(away.header("content-type"), Some(image.media_type.as_str()));
    let head = ask(Method::HEAD, &url(&image.digest), &ACCEPTING).await;
    assert_eq!((head.headers, head.body.as_str()), (before.headers, ""));
    assert_eq!(ask(Method::GET, &url("v1"), &ACCEPTING).await.status, 502, "a tag is the registry's to tell");
    house.until_record_answers("manifest_read", 3.0).await;
    until("two GETs are counted as pulls", SOON, async || {
        metrics(&house.door).await.lines().any(|line| line == "portreeve_pulls_total 2")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_served_where_nothing_else_writes_to_the_registry() {
    let mut house = House::with(|builder| builder.set("REGISTRY__EXCLUSIVE", "true")).await;
    let base = house.door.url();
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&base, "team/app", "v1").await;
    second.push(&base, "team/app", "v1").await;
    house.registry.stop().await;
    let url = format!("{base}/v2/team/app/manifests/v1");
    let answer = ask(Method::GET, &url, &ACCEPTING).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_bytes()), (200, &second.manifest[..]));
    assert_eq!(answer.header("docker-content-digest"), Some(second.digest.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_is_answered_as_rfc_9110_wants_it() {
    let house = House::new().await;
    let base = house.door.url();
    let image = Image::small(1);
    image.push(&base, "team/app", "v1").await;
    let url = format!("{base}/v2/team/app/manifests/{}", image.digest);
    for (condition, status) in [
        (format!("\"{}\"", image.digest), 304),
        (image.digest.clone(), 304),
        (format!("W/\"{}\"", image.digest), 304),
        (format!("\"x\", \"{}\"", image.digest), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
    ] {
        let answer = ask(Method::GET, &url, &[(ACCEPT, ACCEPT_ALL), (IF_NONE_MATCH, &condition)]).await;
        assert_eq!(answer.status, status, "{condition}");
        let etag = format!("\"{}\"", image.digest);
        assert_eq!(answer.header("etag"), Some(etag.as_str()), "{condition}");
        assert_eq!(answer.header("docker-content-digest"), Some(image.digest.as_str()), "{condition}");
        assert_eq!(answer.body.is_empty(), status == 304, "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_is_not_served_any_more() {
    let house = House::new().await;
    let base = house.door.url();
    let (through, around) = (Image::small(1), Image::small(2));
    let url = |image: &Image| format!("{base}/v2/team/app/manifests/{}", image.digest);
    for image in [&through, &around] {
        image.push(&base, "team/app", "v1").await;
        image.push(&base, "other", "v1").await;
        assert_eq!(ask(Method::GET, &url(image), &ACCEPTING).await.status, 200);
    }
    assert_eq!(delete(&base, "team/app", &through.digest).await.status(), 202);
    assert_eq!(ask(Method::GET, &url(&through), &ACCEPTING).await.status, 404);
    // Around the door it is found out within one sweep.
    assert_eq!(delete(&house.registry.url(), "team/app", &around.digest).await.status(), 202);
    assert_eq!(ask(Method::GET, &url(&around), &ACCEPTING).await.status, 200);
    sweep_through(&house.door, true).await;
    assert_eq!(ask(Method::GET, &url(&around), &ACCEPTING).await.status, 404);
    let other = format!("{base}/v2/other/manifests/{}", around.digest);
    assert_eq!(ask(Method::GET, &other, &ACCEPTING).await.status, 200, "another repository has it");
    assert!(in_short(&events(&house.door).await).iter().all(|event| !event.starts_with("hinted")));
}
