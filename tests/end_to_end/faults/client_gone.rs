//! The client is cut off after it sent a write, before the answer: the record has what the registry has.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{House, SOON};
use crate::support::image::Image;
use crate::support::relay::Fault;
use crate::support::wait::until;

/// How a client leaves.
#[derive(Clone, Copy, Debug)]
enum Leave {
    /// It closes the connection.
    Close,
    /// It closes its half of the connection, and waits.
    HalfClose,
    /// Its machine is cut off: the connection is reset.
    Reset,
}

/// How long the registry takes for a write, so that the client is gone before the answer.
const WORK: Duration = Duration::from_millis(600);

/// A house where `latest` is the first image, the second one can be put, and writes take their time.
async fn furnished() -> (House, Image, Image) {
    let house = House::open().await;
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&house.door.url(), "team/app", "latest").await;
    second.push_blobs(&house.door.url(), "team/app").await;
    house.fault_writes(Fault::Delay(WORK));
    (house, first, second)
}

async fn send(house: &House, method: &str, reference: &str, image: Option<&Image>) -> TcpStream {
    let body = image.map_or(&[][..], |image| &image.manifest);
    let kind = image.map_or("application/json", |image| &image.media_type);
    let head = format!(
        "{method} /v2/team/app/manifests/{reference} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\nContent-Length: \
         {}\r\n\r\n",
        house.door.address(),
        body.len()
    );
    let mut stream = TcpStream::connect(house.door.address()).await.unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    stream
}

/// Leaves; what is left of the connection has to be kept by the caller.
async fn leave(mut stream: TcpStream, how: Leave) -> Option<TcpStream> {
    match how {
        Leave::Close => None,
        Leave::HalfClose => {
            stream.shutdown().await.unwrap();
            Some(stream)
        }
        Leave::Reset => {
            stream.set_zero_linger().unwrap();
            None
        }
    }
}

async fn put_and_leave(how: Leave) {
    let (house, first, second) = furnished().await;
    let stream = send(&house, "PUT", "latest", Some(&second)).await;
    // The first one was the push by which the house was furnished.
    until("the registry hears of the PUT", SOON, async || house.writes_seen("latest") == 2).await;
    assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest));
    let _rest = leave(stream, how).await;
    house.until_recorded("team/app", "latest", Some(&second.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

async fn delete_and_leave(how: Leave) {
    let (house, first, _) = furnished().await;
    let stream = send(&house, "DELETE", &first.digest, None).await;
    until("the registry hears of the DELETE", SOON, async || house.writes_seen(&first.digest) == 1).await;
    assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest));
    let _rest = leave(stream, how).await;
    house.until_recorded("team/app", "latest", None).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_client_closes_its_connection_is_recorded() {
    put_and_leave(Leave::Close).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_client_closes_half_of_its_connection_is_recorded() {
    put_and_leave(Leave::HalfClose).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_client_resets_its_connection_is_recorded() {
    put_and_leave(Leave::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_client_closes_its_connection_is_recorded() {
    delete_and_leave(Leave::Close).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_client_closes_half_of_its_connection_is_recorded() {
    delete_and_leave(Leave::HalfClose).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_whose_client_resets_its_connection_is_recorded() {
    delete_and_leave(Leave::Reset).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_http2_client_cancels_its_stream_is_recorded() {
    let (house, first, second) = furnished().await;
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let door = house.door.url();
    tokio::select! {
        answer = second.put_by(&client, &door, "team/app", "latest") => panic!("too quick: {answer:?}"),
        () = until("the registry hears of the PUT", SOON, async || house.writes_seen("latest") == 2) => {}
    }
    assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest));
    house.until_recorded("team/app", "latest", Some(&second.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_client_leaves_with_the_last_byte_is_carried_and_recorded() {
    let (house, _, second) = furnished().await;
    drop(send(&house, "PUT", "latest", Some(&second)).await);
    house.until_recorded("team/app", "latest", Some(&second.digest)).await;
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_client_leaves_before_the_last_byte_never_reaches_the_registry() {
    let (house, first, second) = furnished().await;
    let head = format!(
        "PUT /v2/team/app/manifests/cut HTTP/1.1\r\nHost: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
        house.door.address(),
        second.media_type,
        second.manifest.len()
    );
    let mut stream = TcpStream::connect(house.door.address()).await.unwrap();
    let part = &second.manifest[..second.manifest.len() - 1];
    stream.write_all(&[head.as_bytes(), part].concat()).await.unwrap();
    drop(stream);
    // The exchange is over when its line is in the log.
    until("the exchange is over", SOON, async || house.door.log().contains("manifests/cut")).await;
    assert_eq!(house.writes_seen("cut"), 0);
    assert_eq!(house.open_intents().await, 0);
    assert_eq!(house.recorded("team/app", "latest").await, Some(first.digest));
    house.assert_in_step().await;
}
