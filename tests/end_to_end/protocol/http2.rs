//! HTTP/2 without TLS, and beside HTTP/1.1.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::Version;

use super::{append, begin, bytes, finish};
use crate::support::door::Door;
use crate::support::http::{client_builder, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::state::{ACCEPT_ALL, record, truth};
use crate::support::tool::Tool;
use crate::support::wait::PAUSE;

/// A client that speaks HTTP/2 from the first byte.
fn http2_client() -> reqwest::Client {
    client_builder().http2_prior_knowledge().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_pushes_and_pulls_by_http2_without_tls() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    let shown = "%{http_version} %{http_code} %header{location}";
    let curl = Tool::new("curl", "curl").always(&[
        "--silent",
        "--show-error",
        "--http2-prior-knowledge",
        "--output",
        "answer",
        "--write-out",
        shown,
    ]);
    let home = curl.home();
    for (digest, blob) in &image.blobs {
        let url = format!("{}/v2/a/blobs/uploads/", door.url());
        let said = curl.run(&["--request", "POST", &url]).await;
        let session = said.strip_prefix("2 202 ").unwrap_or_else(|| panic!("{said}"));
        std::fs::write(home.join("blob"), blob).unwrap();
        let said = curl.run(&["--upload-file", "blob", &format!("{session}&digest={digest}")]).await;
        assert!(said.starts_with("2 201 "), "{said}");
    }
    std::fs::write(home.join("manifest"), &image.manifest).unwrap();
    let url = format!("{}/v2/a/manifests/tag", door.url());
    let kind = format!("Content-Type: {}", image.media_type);
    let said = curl.run(&["--header", &kind, "--upload-file", "manifest", &url]).await;
    assert!(said.starts_with("2 201 "), "{said}");
    let tags = truth(&registry.url()).await;
    assert_eq!((tags.len(), &tags), (1, &record(&door.url()).await));

    let said = curl.run(&["--header", &format!("Accept: {ACCEPT_ALL}"), &url]).await;
    assert!(said.starts_with("2 200"), "{said}");
    assert_eq!(std::fs::read(home.join("answer")).unwrap(), image.manifest);
    for (digest, blob) in &image.blobs {
        let said = curl.run(&[format!("{}/v2/a/blobs/{digest}", door.url())]).await;
        assert!(said.starts_with("2 200"), "{said}");
        assert_eq!(blob, &std::fs::read(home.join("answer")).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_too_large_is_refused_by_http2_in_words() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http2_client();
    for mebibytes in [5, 20] {
        let url = format!("{}/v2/a/manifests/tag", door.url());
        let body = bytes(1, mebibytes * 1024 * 1024);
        let response = client.put(url).body(body).send().await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 413));
        assert!(response.text().await.unwrap().contains("SIZE_INVALID"));
    }
    // The same with curl, which is stricter about the end of a stream.
    let curl = Tool::new("curl", "curl");
    std::fs::write(curl.home().join("manifest"), bytes(1, 6 * 1024 * 1024)).unwrap();
    let url = format!("{}/v2/a/manifests/tag", door.url());
    let options = ["--silent", "--show-error", "--http2-prior-knowledge", "--upload-file", "manifest"];
    let said = curl.run(&[&options[..], &["--write-out", " %{http_code}", &url]].concat()).await;
    assert!(said.contains("SIZE_INVALID") && said.ends_with(" 413"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_answered_by_http2_and_the_connection_goes_on() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http2_client();
    for _ in 0..3 {
        let url = format!("{}/v2/UPPER/manifests/tag", door.url());
        let response = client.put(url).body(bytes(1, 3_000_000)).send().await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 400));
        assert!(response.text().await.unwrap().contains("NAME_INVALID"));
        let response = client.get(format!("{}/v2/", door.url())).send().await.unwrap();
        assert_eq!(response.status(), 200);
    }
}

/// cloudflare/pingora#935: what ended a streamed HTTP/2 upload ended it twice for the registry, and the second end was
/// taken for the beginning of the next request on that connection, whoever's it was.
#[tokio::test(flavor = "multi_thread")]
async fn streamed_uploads_by_http2_do_no_harm_to_others_on_the_same_connections_to_the_registry() {
    let registry = Registry::start().await;
    let door = Arc::new(Door::builder(registry.url()).set("SERVER__THREADS", "1").start().await);
    let image = Image::small(1);
    image.push(&door.url(), "a", "tag").await;
    let over = Arc::new(AtomicBool::new(false));
    let uploads = Arc::new(AtomicUsize::new(0));

    let uploaders = (0..3).map(|number| {
        let (door, over, uploads) = (Arc::clone(&door), Arc::clone(&over), Arc::clone(&uploads));
        tokio::spawn(async move {
            let client = http2_client();
            let blob = bytes(number, 50_000);
            while !over.load(Ordering::Relaxed) {
                let session = begin(&client, &door, "uploads").await;
                let pieces: Vec<std::io::Result<Bytes>> =
                    blob.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
                // Pieces with pauses, so that the end comes by itself and not with the last of them.
                let pieces = stream::iter(pieces).then(async |piece| {
                    tokio::task::yield_now().await;
                    piece
                });
                let body = reqwest::Body::wrap_stream(Box::pin(pieces));
                let session = append(&client, &door, &session, body).await;
                finish(&client, &door, &session, &digest(&blob), Bytes::new()).await;
                uploads.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let pulls = Arc::new(AtomicUsize::new(0));
    let pullers = (0..3).map(|_| {
        let (door, over, image) = (Arc::clone(&door), Arc::clone(&over), image.clone());
        let all = Arc::clone(&pulls);
        tokio::spawn(async move {
            let client = http_client();
            let url = format!("{}/v2/a/manifests/tag", door.url());
            let mut pulls = 0;
            while !over.load(Ordering::Relaxed) {
                let response = client.get(&url).header("accept", ACCEPT_ALL).send().await.unwrap();
                assert_eq!(response.status(), 200, "after {pulls} good ones");
                assert_eq!(response.bytes().await.unwrap(), image.manifest);
                pulls += 1;
                all.fetch_add(1, Ordering::Relaxed);
            }
        })
    });
    let (uploaders, pullers): (Vec<_>, Vec<_>) = (uploaders.collect(), pullers.collect());
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let (uploads, pulls) = (uploads.load(Ordering::Relaxed), pulls.load(Ordering::Relaxed));
        // Whoever was harmed has ended with a panic.
        if (uploads >= 60 && pulls >= 300) || pullers.iter().any(tokio::task::JoinHandle::is_finished) {
            break;
        }
        assert!(Instant::now() < deadline, "too little happened: {uploads} uploads, {pulls} pulls");
        tokio::time::sleep(PAUSE).await;
    }
    over.store(true, Ordering::Relaxed);
    for task in pullers.into_iter().chain(uploaders) {
        task.await.unwrap();
    }
}
