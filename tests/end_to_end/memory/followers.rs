//! Streams of events: what is read once is shared by all who follow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use reqwest::header::CONTENT_TYPE;
use serde_json::json;

use super::{address, http1_from};
use crate::support::door::Door;
use crate::support::image::digest;
use crate::support::memory::{MIB, forget_peak, peak};
use crate::support::scripted::Scripted;
use crate::support::wait::until;

const FOLLOWERS: usize = 1_000;
const EVENTS: usize = 1_000;
/// What they may take of the door that tests are built with, whose tasks are far larger than those of a release. A queue for each
/// follower would take several times this.
const MOST: u64 = 128 * MIB;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Moves tags from one manifest to another, which is an event for each.
async fn push(door: &Door, tags: std::ops::Range<usize>) {
    let client = http1_from(address(1));
    let pushes = stream::iter(tags).map(|number| {
        let config = json!({"mediaType": "application/x", "digest": digest(b"config"), "size": number});
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": []});
        let body = Bytes::from(manifest.to_string());
        let url = format!("{}/v2/team/app/manifests/tag-{number}", door.url());
        let request = client.put(url).header(CONTENT_TYPE, MANIFEST).body(body);
        async move { assert_eq!(request.send().await.unwrap().status(), 201) }
    });
    pushes.buffer_unordered(64).collect::<Vec<()>>().await;
}

/// Reads a stream and counts its events, which are parted by empty lines.
async fn follow(response: reqwest::Response, blocks: Arc<AtomicUsize>) {
    let mut pieces = response.bytes_stream();
    let mut last = 0;
    while let Some(Ok(piece)) = pieces.next().await {
        let mut found = 0;
        for byte in piece {
            found += usize::from(byte == b'\n' && last == b'\n');
            last = byte;
        }
        blocks.fetch_add(found, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_followers_of_many_events_take_little_memory() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    push(&door, 0..300).await;
    let before = forget_peak(&door);
    let blocks = Arc::new(AtomicUsize::new(0));
    let mut followers = Vec::new();
    for number in 0..FOLLOWERS {
        // Every other one asks for a part of it, which is then made for it alone.
        let filter = if number % 2 == 0 { "" } else { "repository=team/app" };
        let client = http1_from(address(u8::try_from(number % 4).unwrap() + 10));
        let url = format!("{}/api/v1/events/stream?{filter}", door.url());
        let response = client.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200);
        followers.push(tokio::spawn(follow(response, Arc::clone(&blocks))));
    }
    until("all have begun", Duration::from_secs(60), async || blocks.load(Ordering::Relaxed) >= FOLLOWERS)
        .await;
    let (connected, begun) = (peak(&door).saturating_sub(before), Instant::now());
    push(&door, 300..300 + EVENTS).await;
    let took = begun.elapsed();
    until("all have been sent everything", Duration::from_secs(120), async || {
        blocks.load(Ordering::Relaxed) >= FOLLOWERS * (1 + EVENTS)
    })
    .await;
    let grown = peak(&door).saturating_sub(before);
    #[expect(clippy::print_stderr, reason = "numbers for whoever looks")]
    {
        eprintln!(
            "{FOLLOWERS} followers took {} KiB; {EVENTS} events, pushed in {took:?} and all sent in {:?}: {} KiB",
            connected / 1024,
            begun.elapsed(),
            grown / 1024
        );
    }
    followers.iter().for_each(tokio::task::JoinHandle::abort);
    assert!(grown <= MOST, "{} MiB", grown / MIB);
}
