//! Attacks that begin something and do not go on, or hardly.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Tally;
use super::field::{Ended, Field, Offer};
use super::frames;

/// Between two bytes.
const DRIP: Duration = Duration::from_secs(1);

/// A head, byte by byte.
pub async fn slow_head(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    tally.begin();
    if number.is_multiple_of(2) {
        let head = "GET /v2/ HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_owned() + &"x".repeat(4096);
        return drip(field.tls(Offer::Http1).await?, head.as_bytes()).await;
    }
    // A frame of headers that is not finished.
    let mut bytes = [frames::PREFACE, &frames::settings(65_535)].concat();
    let value = "x".repeat(4096);
    let head = [(":method", "GET"), (":path", "/v2/"), (":scheme", "https"), ("x-slow", &value)];
    bytes.extend(frames::request(1, &head));
    let mut stream = field.tls(Offer::Http2).await?;
    let begun = bytes.split_off(frames::PREFACE.len() + 15 + 20);
    stream.write_all(&bytes).await?;
    drip(stream, &begun).await
}

/// A body, byte by byte: a form for anybody, and a manifest of somebody who has no token.
pub async fn slow_body(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    tally.begin();
    let mut stream = field.tls(Offer::Http1).await?;
    let (line, kind) = match number % 3 {
        0 => ("PUT /v2/team/a/manifests/t", "application/vnd.oci.image.manifest.v1+json"),
        1 => ("POST /api/v1/notifications", "application/json"),
        _ => ("POST /token", "application/x-www-form-urlencoded"),
    };
    let head =
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: 4000\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    drip(stream, &[b'a'; 4000]).await
}

/// Nothing at all, or half a preface.
pub async fn silence(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    tally.begin();
    match number % 4 {
        0 => until_closed(field.tcp().await?).await,
        1 => until_closed(field.tls(Offer::Http1).await?).await,
        2 => until_closed(field.tls(Offer::Http2).await?).await,
        _ => {
            let mut stream = field.tls(Offer::Http2).await?;
            stream.write_all(&frames::PREFACE[..12]).await?;
            until_closed(stream).await
        }
    }
}

/// Sends a byte after the other; the end of them is as good as the end of the connection.
async fn drip(stream: impl AsyncRead + AsyncWrite, bytes: &[u8]) -> Result<(), Ended> {
    let (reader, mut writer) = tokio::io::split(stream);
    let dripping = async {
        for byte in bytes {
            writer.write_all(&[*byte]).await?;
            writer.flush().await?;
            tokio::time::sleep(DRIP).await;
        }
        Ok(())
    };
    tokio::select! {
        dripped = dripping => dripped,
        closed = read_to_end(reader) => closed,
    }
}

async fn until_closed(stream: impl AsyncRead + Unpin) -> Result<(), Ended> {
    read_to_end(stream).await
}

async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> Result<(), Ended> {
    let mut some = [0; 4096];
    while stream.read(&mut some).await? > 0 {}
    Err(Ended)
}
