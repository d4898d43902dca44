//! Blobs: every way up, and the ways down.

use bytes::Bytes;
use futures_util::stream;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};

use super::{append, begin, bytes, finish, location};
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::digest;
use crate::support::registry::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_up_in_one_piece_and_comes_down_whole_in_part_and_as_a_head() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let (blob, empty) = (bytes(1, 300_000), Bytes::new());
    for blob in [&blob, &empty] {
        let session = begin(&client, &door, "a").await;
        let at = finish(&client, &door, &session, &digest(blob), blob.clone()).await;
        let response = client.get(at).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.unwrap(), blob);
    }

    let at = format!("{}/v2/a/blobs/{}", door.url(), digest(&blob));
    let response = client.head(&at).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[CONTENT_LENGTH], "300000");
    assert_eq!(response.headers()["docker-content-digest"], digest(&blob).as_str());
    assert_eq!(response.bytes().await.unwrap().len(), 0);

    for (asked, from, to) in
        [("bytes=10-19", 10, 20), ("bytes=299990-", 299_990, 300_000), ("bytes=-5", 299_995, 300_000)]
    {
        let response = client.get(&at).header(RANGE, asked).send().await.unwrap();
        assert_eq!(response.status(), 206, "{asked}");
        assert_eq!(response.headers()[CONTENT_RANGE], format!("bytes {from}-{}/300000", to - 1).as_str());
        assert_eq!(response.bytes().await.unwrap(), blob.slice(from..to), "{asked}");
    }
    let response = client.get(&at).header(RANGE, "bytes=300000-").send().await.unwrap();
    assert_eq!(response.status(), 416);
    let nowhere = format!("{}/v2/a/blobs/{}", door.url(), digest(b"nowhere"));
    assert_eq!(client.head(&nowhere).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_up_in_pieces_and_its_session_says_how_far_it_is() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let blob = bytes(2, 100_000);
    let mut session = begin(&client, &door, "a/b/c").await;
    for (from, to) in [(0, 40_000), (40_000, 40_001), (40_001, 90_000)] {
        let request = client.patch(&session).header(CONTENT_RANGE, format!("{from}-{}", to - 1));
        let response = request.body(blob.slice(from..to)).send().await.unwrap();
        assert_eq!(response.status(), 202);
        assert_eq!(response.headers()[RANGE], format!("0-{}", to - 1).as_str());
        session = location(&door, &response);
    }
    let response = client.get(&session).send().await.unwrap();
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()[RANGE], "0-89999");
    session = location(&door, &response);
    let at = finish(&client, &door, &session, &digest(&blob), blob.slice(90_000..)).await;
    assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_out_of_order_is_416_and_the_upload_goes_on_where_it_was() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let blob = bytes(7, 1_000);
    let session = begin(&client, &door, "a").await;
    let send = async |session: &str, at: u64, piece: Bytes| {
        let range = format!("{at}-{}", at + piece.len() as u64 - 1);
        client.patch(session).header(CONTENT_RANGE, range).body(piece).send().await.unwrap()
    };
    let first = send(&session, 0, blob.slice(..1)).await;
    assert_eq!(first.status(), 202);
    let mut session = location(&door, &first);
    for (at, piece) in [(0, blob.slice(..400)), (2, blob.slice(2..400)), (400, blob.slice(400..))] {
        let refused = send(&session, at, piece).await;
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()[RANGE]),
            (416, &"0-0".parse().unwrap()),
            "{at}"
        );
        session = format!("{}{}", door.url(), refused.headers()[LOCATION].to_str().unwrap());
    }
    let second = send(&session, 1, blob.slice(1..400)).await;
    assert_eq!((second.status().as_u16(), &second.headers()[RANGE]), (202, &"0-399".parse().unwrap()));
    session = location(&door, &second);
    // The last bytes may say where they belong, too.
    let wrong = format!("{session}&digest={}", digest(&blob));
    let put =
        client.put(wrong).header(CONTENT_RANGE, "300-999").body(blob.slice(300..)).send().await.unwrap();
    assert_eq!((put.status().as_u16(), &put.headers()[RANGE]), (416, &"0-399".parse().unwrap()));
    let at = finish(&client, &door, &session, &digest(&blob), blob.slice(400..)).await;
    assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), blob);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_up_as_a_stream_of_unknown_length() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let blob = bytes(3, 1_000_003);
    for size in [17_001, 65_536, 1_000_003] {
        let session = begin(&client, &door, "a").await;
        let pieces: Vec<std::io::Result<Bytes>> =
            blob.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let session =
            append(&client, &door, &session, reqwest::Body::wrap_stream(stream::iter(pieces))).await;
        let at = finish(&client, &door, &session, &digest(&blob), Bytes::new()).await;
        assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), blob, "in pieces of {size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cancelled_is_gone() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let session = begin(&client, &door, "a").await;
    let session = append(&client, &door, &session, bytes(4, 1000)).await;
    assert_eq!(client.delete(&session).send().await.unwrap().status(), 204);
    assert_eq!(client.get(&session).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_is_mounted_from_another_repository() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let blob = bytes(5, 1000);
    let session = begin(&client, &door, "from/here").await;
    finish(&client, &door, &session, &digest(&blob), blob.clone()).await;

    let uploads = format!("{}/v2/to/there/blobs/uploads/", door.url());
    let mount = async |digest: &str| {
        client.post(format!("{uploads}?mount={digest}&from=from%2Fhere")).send().await.unwrap()
    };
    let response = mount(&digest(&blob)).await;
    assert_eq!(response.status(), 201);
    let at = location(&door, &response);
    assert_eq!(at, format!("{}/v2/to/there/blobs/{}", door.url(), digest(&blob)));
    assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), blob);

    // What cannot be mounted becomes a plain upload.
    let response = mount(&digest(b"nowhere")).await;
    assert_eq!(response.status(), 202);
    let at = finish(&client, &door, &location(&door, &response), &digest(b"nowhere"), Bytes::from("nowhere"))
        .await;
    assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), "nowhere");
}
