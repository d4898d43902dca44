//! Large layers in bounded memory.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};

use super::{append, begin, bytes, finish};
use crate::support::door::Door;
use crate::support::http::client_builder;
use crate::support::registry::Registry;

const MEBIBYTE: usize = 1024 * 1024;
const PIECES: usize = 256;
/// A debug build takes about two thirds of it, half of that for its own code; a layer held in memory would take several times
/// as much.
const MEMORY_KIB: u64 = 96 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn large_layers_go_up_and_down_in_bounded_memory() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let piece = bytes(1, MEBIBYTE);
    let mut hash = Sha256::new();
    for _ in 0..PIECES {
        hash.update(&piece);
    }
    let digest = format!("sha256:{}", hex::encode(hash.finalize()));
    let http1 = client_builder().http1_only().build().unwrap();
    let http2 = client_builder().http2_prior_knowledge().build().unwrap();
    let mut stalled = Vec::new();
    for (client, repository) in [(&http1, "one"), (&http2, "two")] {
        let piece = piece.clone();
        let pieces = (0..PIECES).map(move |_| Ok::<Bytes, Infallible>(piece.clone()));
        let session = begin(client, &door, repository).await;
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let session = append(client, &door, &session, body).await;
        let at = finish(client, &door, &session, &digest, Bytes::new()).await;
        // Somebody who asks for it and then reads nothing.
        stalled.push(client.get(&at).send().await.unwrap());

        let mut response = client.get(at).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.content_length(), Some((PIECES * MEBIBYTE) as u64));
        let mut hash = Sha256::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            hash.update(&chunk);
        }
        assert_eq!(format!("sha256:{}", hex::encode(hash.finalize())), digest);
    }

    let status = std::fs::read_to_string(format!("/proc/{}/status", door.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak <= MEMORY_KIB, "the door took {peak} KiB");
    drop(stalled);
}
