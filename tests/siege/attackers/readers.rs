//! Downloads by clients who do not read.

use std::future::pending;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Tally;
use super::field::{Ended, Field, Offer};
use super::frames;

/// How many downloads go on in one connection of HTTP/2.
const STREAMS: u32 = 20;

/// Downloads in one connection, none of which may send a byte.
pub async fn without_window(field: &Field, _: u32, tally: &Tally) -> Result<(), Ended> {
    let token = token(field).await?;
    let mut stream = field.tls(Offer::Http2).await?;
    tally.begin();
    stream.write_all(&[frames::PREFACE, &frames::settings(0)].concat()).await?;
    let (path, authorization) = (path(field), format!("Bearer {token}"));
    for number in 0..STREAMS {
        let head = [
            (":method", "GET"),
            (":path", &path),
            (":scheme", "https"),
            (":authority", "localhost"),
            ("authorization", &authorization),
        ];
        stream.write_all(&frames::request(2 * number + 1, &head)).await?;
    }
    let mut some = [0; 4096];
    while stream.read(&mut some).await? > 0 {}
    Err(Ended)
}

/// A download whose head is read, and nothing more.
pub async fn without_reading(field: &Field, _: u32, tally: &Tally) -> Result<(), Ended> {
    let token = token(field).await?;
    let mut stream = field.tls(Offer::Http1).await?;
    tally.begin();
    let head =
        format!("GET {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n", path(field));
    stream.write_all(head.as_bytes()).await?;
    let mut some = [0; 64];
    stream.read_exact(&mut some).await?;
    tally.answer();
    // The door cannot tell this client that its time is over: who does not read does not see the end.
    let (_held, ()) = (stream, pending().await);
    Ok(())
}

fn path(field: &Field) -> String {
    format!("/v2/public/big/blobs/{}", field.target.blob)
}

/// A token that anybody gets.
async fn token(field: &Field) -> Result<String, Ended> {
    let url = format!("{}/token?service=portreeve&scope=repository:public/big:pull", field.url());
    let answer = field.old.get(url).send().await?.bytes().await?;
    let answer: Value = serde_json::from_slice(&answer).map_err(|_| Ended)?;
    Ok(answer["token"].as_str().ok_or(Ended)?.to_owned())
}
