//! The OCI distribution protocol through the door, on the wire.

mod backends;
mod bulk;
mod connections;
mod direct_way;
mod forwarding;
mod http2;
mod lenient;
mod manifests;
mod paths;
mod seeing;
mod spelling;
mod uploads;
mod urls;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Response};

use crate::support::door::Door;
use crate::support::random::Random;

/// Bytes that compress badly and that a seed repeats.
fn bytes(seed: u64, length: usize) -> Bytes {
    let mut random = Random::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes.into()
}

/// The `Location` of an answer, which has to be at the door.
fn location(door: &Door, response: &Response) -> String {
    let location = response.headers()[LOCATION].to_str().unwrap();
    assert!(
        location.starts_with(&format!("{}/v2/", door.url())),
        "{location} does not lead to {}",
        door.url()
    );
    location.to_owned()
}

/// Begins an upload session, and says where it goes on.
async fn begin(client: &Client, door: &Door, repository: &str) -> String {
    let response =
        client.post(format!("{}/v2/{repository}/blobs/uploads/", door.url())).send().await.unwrap();
    assert_eq!(response.status(), 202);
    location(door, &response)
}

/// Sends more bytes into an upload session, and says where it goes on.
async fn append(client: &Client, door: &Door, session: &str, piece: impl Into<reqwest::Body>) -> String {
    let request = client.patch(session).header(CONTENT_TYPE, "application/octet-stream").body(piece);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 202);
    location(door, &response)
}

/// Ends an upload session with its last bytes, and says where the blob is.
async fn finish(client: &Client, door: &Door, session: &str, digest: &str, last: Bytes) -> String {
    let separator = if session.contains('?') { '&' } else { '?' };
    let request = client.put(format!("{session}{separator}digest={digest}"));
    let request = request.header(CONTENT_TYPE, "application/octet-stream").body(last);
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 201);
    location(door, &response)
}
