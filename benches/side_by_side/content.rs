//! What is pushed and pulled: large blobs that differ from run to run at no cost, and small manifests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portreeve::oci::MediaType;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// The size of the block that a large blob repeats.
const BLOCK_BYTES: usize = 1024 * 1024;

/// The size of the chunks of an upload: what Docker's client sends.
const CHUNK_BYTES: usize = 32 * 1024;

/// How many bytes at the end of a blob make it unlike all others.
const TAIL_BYTES: usize = 64;

/// How many digits a number takes in a request.
const NUMBER_DIGITS: usize = 12;

/// A family of blobs of one size, which differ in their last bytes only, so that the digest of each takes no time.
pub struct BlobFamily {
    blocks: usize,
    framed: Vec<u8>,
    digest_before_tail: Sha256,
    next: AtomicU64,
}

impl BlobFamily {
    /// Blobs of that many MiB.
    pub fn of_mebibytes(mebibytes: usize) -> Self {
        let block = noise(BLOCK_BYTES);
        let mut digest = Sha256::new();
        for _ in 1..mebibytes {
            digest.update(&block);
        }
        digest.update(&block[..BLOCK_BYTES - TAIL_BYTES]);
        let mut framed = Vec::with_capacity(BLOCK_BYTES + BLOCK_BYTES / CHUNK_BYTES * 8);
        for chunk in block.chunks(CHUNK_BYTES) {
            framed.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        Self { blocks: mebibytes, framed, digest_before_tail: digest, next: AtomicU64::new(0) }
    }

    /// The size of each, in bytes.
    pub const fn size(&self) -> u64 {
        (self.blocks * BLOCK_BYTES) as u64
    }

    /// One that there was not before.
    pub fn another(&self) -> Blob<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let tail = format!("{number:0TAIL_BYTES$}");
        let digest = self.digest_before_tail.clone().chain_update(&tail).finalize();
        let mut last = self.framed.clone();
        let end = last.len() - b"\r\n".len();
        last[end - TAIL_BYTES..end].copy_from_slice(tail.as_bytes());
        last.extend_from_slice(b"0\r\n\r\n");
        Blob { family: self, last, encoded: hex::encode(digest) }
    }
}

/// One blob of a family.
pub struct Blob<'a> {
    family: &'a BlobFamily,
    last: Vec<u8>,
    encoded: String,
}

impl Blob<'_> {
    /// The hexadecimal part of its SHA-256 digest.
    pub fn encoded_digest(&self) -> &str {
        &self.encoded
    }

    /// Its bytes in pieces with chunk framing, the final chunk included.
    pub fn framed(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::repeat_n(self.family.framed.as_slice(), self.family.blocks - 1)
            .chain([self.last.as_slice()])
    }

    /// Its bytes in pieces without framing.
    pub fn plain(&self) -> impl Iterator<Item = &[u8]> {
        let framing = format!("{CHUNK_BYTES:x}\r\n").len();
        self.framed().flat_map(move |piece| {
            let chunks = piece.chunks_exact(framing + CHUNK_BYTES + 2);
            chunks.map(move |chunk| &chunk[framing..framing + CHUNK_BYTES])
        })
    }
}

/// Bytes that look random and are the same in every run (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A small blob that the manifests name as configuration and as layers.
pub const SMALL_BLOB: &[u8] = b"{}";

/// An image manifest of 1.5 kB in which only `revision` varies.
pub fn manifest(revision: &str) -> String {
    let digest = format!("sha256:{}", hex::encode(Sha256::digest(SMALL_BLOB)));
    let layer = json!({
        "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": digest,
        "size": SMALL_BLOB.len(),
    });
    json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest,
            "size": SMALL_BLOB.len(),
        },
        "layers": vec![layer; 7],
        "annotations": { "org.opencontainers.image.revision": revision },
    })
    .to_string()
}

/// The bytes of a request, made beforehand; in some of them a number that is new each time.
#[derive(Clone)]
pub struct Request {
    /// The method.
    pub method: &'static str,
    /// The status that the answer must have.
    pub expected: u16,
    bytes: Vec<u8>,
    numbered: Vec<usize>,
    next: Arc<AtomicU64>,
}

impl Request {
    /// Asks for a manifest, always the same.
    pub fn for_manifest(method: &'static str, repository: &str, tag: &str) -> Self {
        let head = format!(
            "{method} /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: registry.test\r\nAccept: {}\r\n\r\n",
            MediaType::OCI_MANIFEST,
        );
        Self { method, expected: 200, bytes: head.into_bytes(), numbered: Vec::new(), next: Arc::default() }
    }

    /// Gets what is at a path, always the same.
    pub fn getting(path: &str) -> Self {
        let head = format!("GET {path} HTTP/1.1\r\nHost: registry.test\r\n\r\n");
        let bytes = head.into_bytes();
        Self { method: "GET", expected: 200, bytes, numbered: Vec::new(), next: Arc::default() }
    }

    /// Puts a manifest, each time another one under another tag.
    pub fn putting_manifests(repository: &str) -> Self {
        let mark = "#".repeat(NUMBER_DIGITS);
        let body = manifest(&mark);
        let text = format!(
            "PUT /v2/{repository}/manifests/t{mark} HTTP/1.1\r\nHost: registry.test\r\nContent-Type: {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            MediaType::OCI_MANIFEST,
            body.len(),
        );
        let numbered = text.match_indices(&mark).map(|(at, _)| at).collect();
        Self { method: "PUT", expected: 201, bytes: text.into_bytes(), numbered, next: Arc::default() }
    }

    /// The bytes to send next.
    pub fn next(&mut self) -> &[u8] {
        if !self.numbered.is_empty() {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let digits = format!("{number:0NUMBER_DIGITS$}");
            for at in &self.numbered {
                self.bytes[*at..*at + NUMBER_DIGITS].copy_from_slice(digits.as_bytes());
            }
        }
        &self.bytes
    }
}
