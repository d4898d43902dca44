//! How many connections clients may have, each and together.

use std::net::Ipv4Addr;

use super::{SOON, metric, until_metric};
use crate::support::attacker::Attacker;
use crate::support::door::Door;
use crate::support::registry::Registry;
use crate::support::wait::until;

/// The first address of the loopback network, as clients have it that choose none.
const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const SECOND: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const QUESTION: &str = "GET /v2/ HTTP/1.1\r\nHost: door\r\n\r\n";

/// Whether this connection is served.
async fn is_served(attacker: &mut Attacker) -> bool {
    if attacker.try_send(QUESTION.as_bytes()).await.is_err() {
        return false;
    }
    attacker.try_receive().await.starts_with(b"HTTP/1.1 200 ")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_no_more_and_others_are_served() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).set("LIMITS__CONNECTIONS_PER_ADDRESS", "8").start().await;
    let mut held = Vec::new();
    for _ in 0..8 {
        let mut attacker = Attacker::from(SECOND, door.address()).await;
        assert!(is_served(&mut attacker).await);
        held.push(attacker);
    }
    for _ in 0..30 {
        let (is_closed, came) = Attacker::from(SECOND, door.address()).await.is_closed_within(SOON).await;
        assert!(is_closed && came.is_empty());
    }
    let refused = "portreeve_connections_refused_total{cause=\"address_limit\"}";
    assert!(metric(&door, refused).await >= 30.0);
    // Those that are there are served, and so is everybody else.
    assert!(is_served(&mut held[0]).await);
    assert!(is_served(&mut Attacker::from(FIRST, door.address()).await).await);
    // Named in the log, once and not thirty times.
    let named = || door.log().lines().filter(|line| line.contains("limits.connections_per_address")).count();
    until("it is named", SOON, async || named() >= 1).await;
    assert!(named() <= 3, "{}", door.log());
    // One that ends makes room.
    held.pop();
    until("there is room again", SOON, async || {
        is_served(&mut Attacker::from(SECOND, door.address()).await).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_has_as_many_connections_as_there_are() {
    let registry = Registry::start().await;
    let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), "[plugins.client_address]\ntrusted_proxies = [\"127.0.0.2/32\"]\n").unwrap();
    let settings = Door::builder(registry.url()).set("LIMITS__CONNECTIONS_PER_ADDRESS", "2");
    let door = settings.configured_by(file.path()).start().await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut attacker = Attacker::from(SECOND, door.address()).await;
        assert!(is_served(&mut attacker).await);
        held.push(attacker);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_connections_are_taken_the_longest_idle_one_makes_room() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url())
        .set("LIMITS__CONNECTIONS", "12")
        .set("LIMITS__HEAD_TIMEOUT", "1h")
        .set("LIMITS__IDLE_TIMEOUT", "1h")
        .start()
        .await;
    let mut silent = Vec::new();
    for number in 0..12 {
        let address = Ipv4Addr::new(127, 0, 1, number / 3 + 1);
        silent.push(Attacker::from(address, door.address()).await);
    }
    let open = "portreeve_connections{listener=\"door\"}";
    until("all are taken", SOON, async || metric(&door, open).await == 12.0).await;
    let mut clients = Vec::new();
    for number in 0..20 {
        let address = Ipv4Addr::new(127, 0, 2, number + 1);
        let mut client = Attacker::from(address, door.address()).await;
        assert!(is_served(&mut client).await, "{number}");
        clients.push(client);
    }
    for attacker in &mut silent {
        assert!(attacker.is_closed_within(SOON).await.0);
    }
    until_metric(&door, "portreeve_connections_refused_total{cause=\"displaced\"}", 12.0).await;
    assert!(metric(&door, open).await <= 12.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_of_the_admin_listener_shut_nobody_out() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let admin = door.admin().strip_prefix("http://").unwrap().parse().unwrap();
    let mut held = Vec::new();
    for number in 0..100 {
        let mut attacker = Attacker::open(admin).await;
        if number % 2 == 0 {
            attacker.send("GET /metrics HTTP/1.1\r\nHost: do").await;
        }
        held.push(attacker);
    }
    // The oldest are closed for newer ones.
    let (is_closed, _) = held[0].is_closed_within(SOON).await;
    assert!(is_closed);
    assert!(metric(&door, "process_open_fds").await < 100.0);
}
