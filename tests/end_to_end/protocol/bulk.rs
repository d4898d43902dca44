//! Large layers in bounded memory.

use bytes::Bytes;
use futures_util::stream;
use sha2::{Digest, Sha256};

use super::{append, begin, bytes, finish};
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::registry::Registry;

const MEBIBYTE: usize = 1024 * 1024;
const PIECES: usize = 256;
/// A debug build with a store takes about a third of it; a layer held in memory would take several times as much.
const MEMORY_KIB: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_layer_goes_up_and_down_in_bounded_memory() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let piece = bytes(1, MEBIBYTE);
    let mut hash = Sha256::new();
    for _ in 0..PIECES {
        hash.update(&piece);
    }
    let digest = format!("sha256:{}", hex::encode(hash.finalize()));
    let pieces = (0..PIECES).map({
        let piece = piece.clone();
        move |_| Ok::<Bytes, std::io::Error>(piece.clone())
    });
    let session = begin(&client, &door, "a").await;
    let body = reqwest::Body::wrap_stream(stream::iter(pieces));
    let session = append(&client, &door, &session, body).await;
    let at = finish(&client, &door, &session, &digest, Bytes::new()).await;

    let mut response = client.get(at).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.content_length()),
        (200, Some((PIECES * MEBIBYTE) as u64))
    );
    let mut hash = Sha256::new();
    while let Some(chunk) = response.chunk().await.unwrap() {
        hash.update(&chunk);
    }
    assert_eq!(format!("sha256:{}", hex::encode(hash.finalize())), digest);

    let status = std::fs::read_to_string(format!("/proc/{}/status", door.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    assert!(peak <= MEMORY_KIB, "the door took {peak} KiB");
}
