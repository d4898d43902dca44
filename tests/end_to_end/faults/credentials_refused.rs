//! A registry that does not let the door in.

use std::time::Duration;

use reqwest::StatusCode;

use crate::support::door::Door;
use crate::support::guard::Guard;
use crate::support::http::http_client;
use crate::support::metrics::metrics;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::wait::until;

/// Longer than the pace of the health checks on a busy machine.
const SOON: Duration = Duration::from_secs(30);

async fn readiness(door: &Door) -> (StatusCode, String) {
    let response = http_client().get(format!("{}/readyz", door.admin())).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn gauge(door: &Door) -> Option<String> {
    let text = metrics(door).await;
    let line = text.lines().find_map(|line| line.strip_prefix("portreeve_registry_credentials_refused "));
    line.map(str::to_owned)
}

const REFUSED: &str =
    "the registry does not take the door's credentials (401 Unauthorized to /v2/); see registry.auth";
const MISSING: &str =
    "the registry wants credentials (401 Unauthorized to /v2/); set registry.auth, so that the door has some";

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_the_doors_credentials_makes_it_degraded_with_the_words_of_check() {
    let registry = Registry::start_with_password("door", "secret").await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url())
        .set("REGISTRY__AUTH", "basic")
        .set("REGISTRY__USERNAME", "door")
        .set("REGISTRY__PASSWORD", "secret")
        .start()
        .await;
    until("its credentials are taken", SOON, async || gauge(&door).await.as_deref() == Some("0")).await;
    // Its password is changed there.
    relay.script(|_| Fault::RefuseBefore(401));
    until("the door is not ready", SOON, async || {
        readiness(&door).await.0 == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    assert_eq!(readiness(&door).await.1, format!("degraded: {REFUSED}\n"));
    let status = door.get_json("/api/v1/status").await;
    assert_eq!((&status["state"], &status["registry"]["trouble"]), (&"degraded".into(), &REFUSED.into()));
    until("the metrics tell", SOON, async || gauge(&door).await.as_deref() == Some("1")).await;
    let (good, said) = door.check().await;
    assert!(!good && said.contains(&REFUSED[1..]), "{said}");
    // Several more looks make no further line.
    let asked = relay.seen().len();
    until("it is asked again", SOON, async || relay.seen().len() > asked + 1).await;
    let log = door.whole_log().await;
    assert_eq!(log.matches(REFUSED).count(), 1, "{log}");
    relay.script(|_| Fault::None);
    until("the door is ready", SOON, async || readiness(&door).await.0 == StatusCode::OK).await;
    let said = || door.log().matches("takes the door's credentials again").count();
    until("the log tells", SOON, async || said() == 1).await;
    until("the metrics tell", SOON, async || gauge(&door).await.as_deref() == Some("0")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_without_credentials_before_a_registry_that_wants_some_is_degraded_and_an_open_door_is_not() {
    let registry = Registry::start_with_password("door", "secret").await;
    let guard = Guard::new();
    let gated = guard.door(registry.url()).start_listening().await;
    until("the door is not ready", SOON, async || {
        readiness(&gated).await.1 == format!("degraded: {MISSING}\n")
    })
    .await;
    // Its clients have credentials of their own, which are passed on.
    let open = Door::builder(registry.url()).start().await;
    let status = open.get_json("/api/v1/status").await;
    assert_eq!(
        (&status["state"], &status["registry"]["trouble"]),
        (&"ready".into(), &serde_json::Value::Null)
    );
    let url = format!("{}/v2/", open.url());
    let response = http_client().get(url).basic_auth("door", Some("secret")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
