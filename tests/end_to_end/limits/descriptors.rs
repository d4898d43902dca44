//! A process has so many descriptors. Those that the door's own work needs are not for clients.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::{SOON, metric};
use crate::support::attacker::{Attacker, PREFACE, get, settings};
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{record, truth};
use crate::support::wait::until;

/// What the system lets this process have open.
fn most_open_files(door: &Door) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", door.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_door_takes_as_many_descriptors_as_it_may_have() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).descriptors(200, 2_000).start().await;
    assert_eq!(most_open_files(&door), 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_slow_connections_at_256_descriptors_shut_nobody_out() {
    let registry = Registry::start().await;
    for addresses in [1, 4, 30] {
        let door = Door::builder(registry.url()).descriptors(256, 256).start().await;
        let mut held = Vec::new();
        for number in 0..300_u16 {
            let last = u8::try_from(number % addresses).unwrap() + 1;
            let mut attacker = Attacker::from(Ipv4Addr::new(127, 0, 3, last), door.address()).await;
            // It may have been closed already.
            let _ = attacker.try_send(b"GET /v2/ HTTP/1.1\r\nHost: ").await;
            held.push(attacker);
        }
        // Who comes now is behind all of them, also where the machine is busy.
        let met = async || {
            let open = metric(&door, "portreeve_connections{listener=\"door\"").await;
            open + metric(&door, "portreeve_connections_refused_total").await
        };
        until("all 300 are let in or closed", SOON, async || met().await == 300.0 && met().await == 300.0)
            .await;
        let begun = Instant::now();
        assert!(metric(&door, "process_open_fds").await < 250.0, "{addresses}");
        let ready = http_client().get(format!("{}/readyz", door.admin())).send().await.unwrap();
        assert_eq!(ready.status(), 200, "{addresses}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{addresses}: {:?}", begun.elapsed());
        let image = Image::small(1);
        image.push(&door.url(), "a", "tag").await;
        assert_eq!(record(&door.url()).await, truth(&registry.url()).await, "{addresses}");
        let (is_good, said) = door.check().await;
        assert!(is_good, "{addresses}: {said}");
        let log = door.whole_log().await;
        assert!(!log.contains("could not be accepted"), "{addresses}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_read_nothing_by_http2_hold_no_more_connections_to_the_registry_than_theirs() {
    let registry = Registry::start().await;
    let heavy = Image::heavy(1, 1024 * 1024);
    heavy.push(&registry.url(), "heavy", "tag").await;
    let (name, _) = heavy.blobs.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    let door = Door::builder(registry.url()).descriptors(256, 256).start().await;
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut attacker = Attacker::from(Ipv4Addr::new(127, 0, 0, 2), door.address()).await;
        let requests = (0..100).map(|number| get(2 * number + 1, &format!("/v2/heavy/blobs/{name}")));
        let bytes = [PREFACE.to_vec(), settings(0)].into_iter().chain(requests).collect::<Vec<_>>().concat();
        // It may have been closed already.
        let _ = attacker.try_send(&bytes).await;
        held.push(attacker);
    }
    super::until_metric(&door, "portreeve_requests_shed_total{cause=\"address_limit\"}", 100.0).await;
    assert!(metric(&door, "process_open_fds").await < 200.0);
    let image = Image::small(2);
    image.push(&door.url(), "a", "tag").await;
    let url = format!("{}/v2/heavy/blobs/{name}", door.url());
    let pulled = http_client().get(url).send().await.unwrap();
    assert_eq!((pulled.status().as_u16(), pulled.bytes().await.unwrap().len()), (200, heavy_length(&heavy)));
}

/// How many bytes the largest blob has.
fn heavy_length(image: &Image) -> usize {
    image.blobs.iter().map(|(_, bytes)| bytes.len()).max().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_to_the_socket_shut_no_command_out() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let mut held = Vec::new();
    for _ in 0..60 {
        held.push(tokio::net::UnixStream::connect(door.socket()).await.unwrap());
    }
    let (is_good, said) = door.check().await;
    assert!(is_good, "{said}");
    assert!(metric(&door, "portreeve_connections{listener=\"socket\"}").await <= 17.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn few_descriptors_lower_the_limits_and_that_is_said() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).descriptors(256, 256).start().await;
    assert!(door.log().contains("limits.connections"), "{}", door.log());
    let door = Door::builder(registry.url()).start().await;
    assert!(!door.log().contains("limits.connections"), "{}", door.log());
}
