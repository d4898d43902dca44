//! A process has so many descriptors. Those that the door's own work needs are not for clients.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::metric;
use crate::support::attacker::Attacker;
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{record, truth};

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
        assert!(!door.log().contains("could not be accepted"), "{addresses}: {}", door.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_descriptors_lower_the_limits_and_that_is_said() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).descriptors(256, 256).start().await;
    assert!(door.log().contains("limits.connections"), "{}", door.log());
    let door = Door::builder(registry.url()).start().await;
    assert!(!door.log().contains("limits.connections"), "{}", door.log());
}
