//! How many requests may be in flight.

use std::net::Ipv4Addr;

use super::{SOON, metric, until_metric};
use crate::support::attacker::connect_from;
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::{client_builder, http_client};
use crate::support::raw::RawRegistry;
use crate::support::wait::until;

const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

#[tokio::test(flavor = "multi_thread")]
async fn one_request_too_many_is_503_with_a_time_to_come_back() {
    let (registry, mut exchanges) = RawRegistry::start_handing_over().await;
    for per_address in [false, true] {
        let settings = match per_address {
            true => [("LIMITS__REQUESTS", "1000"), ("LIMITS__REQUESTS_PER_ADDRESS", "4")],
            false => [("LIMITS__REQUESTS", "4"), ("LIMITS__REQUESTS_PER_ADDRESS", "4")],
        };
        let door = settings
            .into_iter()
            .fold(Door::builder(registry.url()), |door, (key, value)| door.set(key, value))
            .start()
            .await;
        let mut waiting = Vec::new();
        let mut held = Vec::new();
        // Of one address that is its quarter of all; so four addresses take all four.
        for number in 0..4 {
            let address = if per_address { SECOND } else { Ipv4Addr::new(127, 0, 1, number + 1) };
            let mut connection = Connection::over(connect_from(address, door.address()).await);
            connection.request("GET", "/v2/a/tags/list", "").await;
            waiting.push(connection);
            held.push(exchanges.recv().await.unwrap());
        }
        let mut connection = Connection::over(connect_from(SECOND, door.address()).await);
        for (method, path, body) in [
            ("GET", "/v2/a/tags/list", b"".as_slice()),
            ("PUT", "/v2/a/manifests/tag", b"{}"),
            ("GET", "/api/v1/status", b""),
        ] {
            let answer = connection.ask(method, path, "", body).await;
            assert_eq!(answer.head.status, 503, "{method} {path}");
            let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            let (place, code) = match path.starts_with("/api/") {
                true => ("/error/code", "unavailable"),
                false => ("/errors/0/code", "TOOMANYREQUESTS"),
            };
            assert_eq!(body.pointer(place).unwrap(), code, "{method} {path}");
            assert!(answer.head.get("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
        }
        // By HTTP/2 streams count, not connections.
        let http2 = client_builder()
            .http2_prior_knowledge()
            .local_address(std::net::IpAddr::from(SECOND))
            .build()
            .unwrap();
        let answer = http2.get(format!("{}/v2/a/tags/list", door.url())).send().await.unwrap();
        assert_eq!(answer.status(), 503);
        // Whoever asks whether the door lives is told.
        assert_eq!(connection.ask("GET", "/healthz", "", b"").await.head.status, 200);
        let cause = if per_address { "address_limit" } else { "limit" };
        until_metric(&door, &format!("portreeve_requests_shed_total{{cause=\"{cause}\"}}"), 4.0).await;
        if per_address {
            let answer = http_client().get(format!("{}/api/v1/status", door.url())).send().await.unwrap();
            assert_eq!(answer.status(), 200, "others are served");
        }
        for mut exchange in held {
            exchange.answer("404 Not Found", "").await;
        }
        for connection in &mut waiting {
            assert_eq!(connection.answer("GET").await.head.status, 404);
        }
        until("nothing runs", SOON, async || metric(&door, "portreeve_exchanges").await == 0.0).await;
        assert_eq!(connection.ask("GET", "/api/v1/status", "", b"").await.head.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_one_client_waits_a_moment_while_others_ask_and_not_when_it_is_alone() {
    const DELAYED: &str = "portreeve_requests_delayed_total";
    let (registry, mut exchanges) = RawRegistry::start_handing_over().await;
    let door = Door::builder(registry.url()).start().await;
    let mut held = Vec::new();
    let mut ask = async |address| {
        let mut connection = Connection::over(connect_from(address, door.address()).await);
        connection.request("GET", "/v2/a/tags/list", "").await;
        // Also one that had to wait arrives while none of the others is answered.
        held.push((connection, exchanges.recv().await.unwrap()));
    };
    for _ in 0..20 {
        ask(SECOND).await;
    }
    assert_eq!(metric(&door, DELAYED).await, 0.0, "nobody else asks");
    // On a busy machine the other one may have asked too long ago.
    until("one waits", SOON, async || {
        ask(Ipv4Addr::new(127, 0, 0, 3)).await;
        ask(SECOND).await;
        metric(&door, DELAYED).await > 0.0
    })
    .await;
    for (mut connection, mut exchange) in held {
        exchange.answer("404 Not Found", "").await;
        assert_eq!(connection.answer("GET").await.head.status, 404);
    }
    until("nothing runs", SOON, async || metric(&door, "portreeve_exchanges").await == 0.0).await;
}
