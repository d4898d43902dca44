//! The load: many small requests over kept connections, and transfers of whole blobs.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::Fault;
use crate::content::{Blob, Request};
use crate::http::{Body, Client, Head, path_of};

/// How many connections the small requests come over.
pub const CONNECTIONS: usize = 32;

/// How long requests that are on their way may take once the time is over.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(60);

/// A latency that is not longer than this is recorded to three digits, in microseconds.
const LONGEST_LATENCY: u64 = 120_000_000;

/// What ends a body that comes in chunks.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// After so many failures a connection gives up.
const MAXIMUM_FAILURES: u64 = 100;

/// What came of a load.
pub struct Done {
    /// How long it took, from the first request to the last answer.
    pub elapsed: Duration,
    /// Requests or transfers answered as they should be.
    pub completed: u64,
    /// Those that were not.
    pub failed: u64,
    /// What was wrong with one of those.
    pub failure: Option<String>,
    /// Bytes of blobs transferred.
    pub bytes: u64,
    /// The time from each request to the end of its answer, in microseconds.
    pub latency: Histogram<u64>,
}

impl Done {
    /// Nothing yet.
    pub fn nothing() -> Result<Self, Fault> {
        let latency = Histogram::new_with_max(LONGEST_LATENCY, 3)?;
        Ok(Self { elapsed: Duration::ZERO, completed: 0, failed: 0, failure: None, bytes: 0, latency })
    }

    /// Adds what another connection did meanwhile; the time is left alone.
    fn absorb(&mut self, other: Self) -> Result<(), Fault> {
        self.completed += other.completed;
        self.failed += other.failed;
        self.failure = self.failure.take().or(other.failure);
        self.latency.add(other.latency)?;
        Ok(())
    }
}

/// Sends small requests over [`CONNECTIONS`] connections, on each the next one when the answer is there, for this time.
pub fn requests(address: SocketAddr, request: &Request, duration: Duration) -> Result<Done, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let mut connections = JoinSet::new();
        for _ in 0..CONNECTIONS {
            connections.spawn(one_connection(address, request.clone(), begun + duration));
        }
        let mut done = Done::nothing()?;
        while let Some(finished) =
            tokio::time::timeout_at((begun + duration + LAST_ANSWERS_TIMEOUT).into(), connections.join_next())
                .await
                .map_err(|_| format!("{address} still owes answers a minute after the last request"))?
        {
            done.absorb(finished??)?;
        }
        done.elapsed = begun.elapsed();
        Ok(done)
    })
}

async fn one_connection(address: SocketAddr, mut request: Request, until: Instant) -> Result<Done, Fault> {
    let mut done = Done::nothing()?;
    let mut buffer = vec![0; 16 * 1024];
    let mut connection = None;
    while Instant::now() < until && done.failed < MAXIMUM_FAILURES {
        crate::interruption::check()?;
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        let begun = Instant::now();
        match one_request(&mut stream, &mut request, &mut buffer).await {
            Ok(closes) => {
                done.completed += 1;
                done.latency.saturating_record(u64::try_from(begun.elapsed().as_micros())?);
                connection = (!closes).then_some(stream);
            }
            Err(error) => {
                done.failed += 1;
                done.failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Ok(done)
}

/// Answers whether the server closes the connection.
async fn one_request(
    stream: &mut TcpStream,
    request: &mut Request,
    buffer: &mut Vec<u8>,
) -> Result<bool, Fault> {
    stream.write_all(request.next()).await?;
    let mut filled = 0;
    let mut end = None;
    let mut chunked = None;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err("the connection was closed before the answer was complete".into());
        }
        filled += read;
        if end.is_none()
            && chunked.is_none()
            && let Some(head) = Head::find(&buffer[..filled])?
        {
            if head.is_chunked() {
                chunked = Some((head.status, head.closes()));
            } else {
                let length = head.length + usize::try_from(head.body_length(request.method)?)?;
                end = Some((length, head.status, head.closes()));
                if length > buffer.len() {
                    buffer.resize(length, 0);
                }
            }
        }
        // No list of names has such an end within.
        if let Some((status, closes)) = chunked
            && buffer[..filled].ends_with(LAST_CHUNK)
        {
            end = Some((filled, status, closes));
        }
        match end {
            Some((length, status, closes)) if filled >= length => {
                if status == request.expected {
                    return Ok(closes);
                }
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                return Err(format!("{} was answered {status}: {text}", request.method).into());
            }
            _ if filled == buffer.len() => buffer.resize(filled * 2, 0),
            _ => {}
        }
    }
}

/// Pulls one blob whole and fails if it has not the size it should have.
pub fn pull(client: &mut Client, path: &str, size: u64) -> Result<(), Fault> {
    let received = client.download(path, &mut |_| {})?;
    if received == size {
        Ok(())
    } else {
        Err(format!("{path} came with {received} bytes, not {size}").into())
    }
}

/// Pulls one blob whole and fails if its bytes have not the digest in its path.
pub fn pull_and_verify(client: &mut Client, path: &str) -> Result<(), Fault> {
    let mut digest = Sha256::new();
    client.download(path, &mut |piece| digest.update(piece))?;
    let digest = hex::encode(digest.finalize());
    if path.ends_with(&digest) { Ok(()) } else { Err(format!("{path} came with the digest {digest}").into()) }
}

/// Pushes one blob as Docker does: opens an upload, streams the content in chunks, commits it under its digest. The
/// registry compares the digest, so a push that succeeds carried every byte.
pub fn push(client: &mut Client, repository: &str, blob: &Blob<'_>) -> Result<(), Fault> {
    let begun = client.expect(202, "POST", &format!("/v2/{repository}/blobs/uploads/"), "", Body::Empty)?;
    let upload = begun.location.ok_or("an upload was opened without a Location")?;
    let octets = "Content-Type: application/octet-stream\r\n";
    let content = Body::Chunked(Box::new(blob.framed()));
    let sent = client.expect(202, "PATCH", path_of(&upload), octets, content)?;
    let upload = sent.location.ok_or("an upload was continued without a Location")?;
    let path = path_of(&upload);
    let separator = if path.contains('?') { '&' } else { '?' };
    let commit = format!("{path}{separator}digest=sha256:{}", blob.encoded_digest());
    client.expect(201, "PUT", &commit, "", Body::Empty)?;
    Ok(())
}
