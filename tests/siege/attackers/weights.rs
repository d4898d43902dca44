//! Attacks by size.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Tally;
use super::field::{Ended, Field, Offer};
use crate::clients::push;
use crate::ground::{INSIDER, token_by};
use crate::support::image::Image;

/// Bytes of a head that does not end.
const HEAD: usize = 1 << 20;
/// Bytes of a form that does not end.
const FORM: usize = 1 << 20;
/// The forms in one connection.
const FORMS: u32 = 100;
/// Bytes of a piece of one.
const PIECE: usize = 16_384;
/// Bytes of an insider's manifest.
const MANIFEST: usize = 3_500_000;
/// How long what is unfinished is held.
const HELD: Duration = Duration::from_secs(30);

/// A head without an end.
pub async fn big_head(field: &Field, _: u32, tally: &Tally) -> Result<(), Ended> {
    let mut stream = field.tls(Offer::Http1).await?;
    tally.begin();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n").await?;
    for number in 0..HEAD / 4096 {
        stream.write_all(format!("X-{number}: {}\r\n", "x".repeat(4080)).as_bytes()).await?;
    }
    held(stream).await
}

/// Forms without an end, in one connection, each as far as the door takes it.
pub async fn big_forms(field: &Field, _: u32, tally: &Tally) -> Result<(), Ended> {
    // Each round is a connection of its own.
    let client = field.another_modern();
    let form = || async {
        let pieces = stream::iter(0..FORM / PIECE - 1)
            .map(|_| Ok::<_, Infallible>(Bytes::from_static(&[b'a'; PIECE])));
        let body = reqwest::Body::wrap_stream(pieces.chain(stream::pending()));
        let request = client.post(format!("{}/token", field.url())).header("content-length", FORM);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        tally.begin();
        if request.send().await.is_ok() {
            tally.answer();
        }
    };
    // Those that are neither answered nor ended by then are given up.
    let _ = tokio::time::timeout(HELD, join_all((0..FORMS).map(|_| form()))).await;
    Ok(())
}

/// Manifests, and lists of them.
pub async fn manifests(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    let url = field.url();
    let token =
        token_by(&field.modern, &url, INSIDER, "repository:insider/a:pull,push").await.map_err(|_| Ended)?;
    let seed = tally.begun.load(Ordering::Relaxed) * 2 + u64::from(number);
    tally.begin();
    let image = Image::heavy(seed % 20, MANIFEST);
    push(&field.modern, &url, &token, "insider/a", &image, &format!("tag-{}", seed % 20))
        .await
        .map_err(|_| Ended)?;
    tally.answer();
    let list = format!("{url}/api/v1/manifests?repository=insider/a&n=100");
    for _ in 0..4 {
        field.modern.get(&list).basic_auth(INSIDER.0, Some(INSIDER.1)).send().await?.bytes().await?;
    }
    Ok(())
}

/// A request whose agent and path are as long as they may be.
pub async fn log_lines(field: &Field, number: u32, tally: &Tally) -> Result<(), Ended> {
    tally.begin();
    let client = if number.is_multiple_of(2) { &field.modern } else { &field.old };
    let agent = "\u{1b}[31m\"".repeat(if number.is_multiple_of(3) { 150_000 } else { 5_000 });
    let agent = agent.replace('\u{1b}', "\\");
    let path = "%22".repeat(2_000);
    client.get(format!("{}/v2/{path}", field.url())).header("user-agent", agent).send().await?;
    tally.answer();
    Ok(())
}

async fn held(mut stream: impl tokio::io::AsyncRead + Unpin) -> Result<(), Ended> {
    let mut some = [0; 4096];
    let reading = async {
        while stream.read(&mut some).await? > 0 {}
        Err(Ended)
    };
    tokio::time::timeout(HELD, reading).await.unwrap_or(Ok(()))
}
