//! Something answers that is no registry: a captive page, a gateway's page, another service.

use std::process::Stdio;
use std::time::Duration;

use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{record, truth};
use crate::support::sweep::{events, sweep, sweep_through};
use crate::support::wait::until;

/// Longer than the pace of the health checks on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn page(status: u16) -> Fault {
    Fault::Answer {
        status,
        headers: vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())],
        body: b"<html><body>please log in</body></html>".to_vec(),
    }
}

async fn readiness(door: &Door) -> u16 {
    http_client().get(format!("{}/readyz", door.admin())).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_everything_makes_the_door_unready_and_changes_nothing() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    let before = events(&door).await;
    relay.script(|_| page(200));
    until("the door is not ready", LIMIT, async || readiness(&door).await == 503).await;
    let status = door.get_json("/api/v1/status").await;
    assert_eq!(status["registry"]["backends"][0]["foreign"], 200, "{status:#}");
    // Neither writes nor questions take the page for an answer.
    let put = Image::small(2).put(&door.url(), "team/app", "v2").await;
    assert_eq!(put.status(), 502);
    let deleted = delete(&door.url(), "team/app", &image.digest).await;
    assert_eq!(deleted.status(), 502);
    for deep in [false, true] {
        let swept = sweep(&door, deep).await;
        assert_eq!(
            (swept["outcome"].as_str(), swept["found"].as_u64()),
            (Some("failed"), Some(0)),
            "{swept:#}"
        );
    }
    assert_eq!(events(&door).await, before);
    relay.script(|_| Fault::None);
    until("the door is ready", LIMIT, async || readiness(&door).await == 200).await;
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    assert_eq!(events(&door).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_for_manifests_alone_is_never_what_a_tag_points_to() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    Image::small(1).push(&door.url(), "team/app", "v1").await;
    Image::small(2).push(&registry.url(), "team/app", "behind").await;
    let before = record(&door.url()).await;
    relay.script(|request| if request.path.contains("/manifests/") { page(200) } else { Fault::None });
    assert_eq!(Image::small(3).put(&door.url(), "team/app", "v3").await.status(), 502);
    let swept = sweep(&door, true).await;
    assert_eq!((swept["outcome"].as_str(), swept["found"].as_u64()), (Some("partial"), Some(0)), "{swept:#}");
    assert_eq!(record(&door.url()).await, before);
    relay.script(|_| Fault::None);
    sweep_through(&door, true).await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tells_a_page_from_a_registry() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    for status in [200, 302, 404] {
        relay.script(move |_| page(status));
        let directory = tempfile::tempdir().unwrap();
        let output = portreeve()
            .arg("check")
            .current_dir(directory.path())
            .env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0")
            .env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0")
            .env("PORTREEVE__REGISTRY__URL", relay.url())
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("is no registry") && said.contains(&status.to_string()), "{said}");
    }
}
