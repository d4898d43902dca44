//! Answers of the door's own: lists end by bytes as well as by number.

use bytes::Bytes;
use futures_util::future::join_all;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{SOON, address, http1_from};
use crate::support::door::Door;
use crate::support::http::client_builder;
use crate::support::image::digest;
use crate::support::memory::{MIB, forget_peak, peak, resident};
use crate::support::raw::RawRegistry;
use crate::support::scripted::Scripted;
use crate::support::unread::Unread;
use crate::support::wait::until;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a manifest by its digest.
async fn push(door: &Door, document: &Value) -> String {
    let bytes = Bytes::from(document.to_string());
    let digest = digest(&bytes);
    let url = format!("{}/v2/a/manifests/{digest}", door.url());
    let answer = http1_from(address(1)).put(url).header(CONTENT_TYPE, MANIFEST).body(bytes).send().await;
    assert_eq!(answer.unwrap().status(), 201);
    digest
}

fn descriptor(number: usize) -> Value {
    json!({"mediaType": "application/x", "digest": digest(&number.to_be_bytes()), "size": number})
}

/// Follows a list to its end; answers its pages.
async fn pages(door: &Door, path: &str) -> Vec<(usize, Value)> {
    let client = http1_from(address(1));
    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let answer = client.get(format!("{}{path}{after}", door.url())).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let text = answer.text().await.unwrap();
        let page: Value = serde_json::from_str(&text).unwrap();
        let next = page["next"].as_str().map(|next| format!("&after={next}"));
        pages.push((text.len(), page));
        match next {
            Some(next) => after = next,
            None => return pages,
        }
    }
}

fn digests(pages: &[(usize, Value)]) -> Vec<String> {
    let items = pages.iter().flat_map(|(_, page)| page["items"].as_array().unwrap());
    items.map(|item| item["digest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_large_manifests_come_in_small_pages_and_leave_layers_out() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let mut pushed = Vec::new();
    for number in 0..30 {
        // Half of it layers, half of it annotations: 3.5 MB.
        let layers: Vec<_> = (0..11_000).map(|layer| descriptor(layer + number * 100_000)).collect();
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(number), "layers": layers,
            "annotations": {"note": "x".repeat(1_900_000)},
        });
        pushed.push(push(&door, &document).await);
    }
    let whole = pages(&door, &format!("/api/v1/manifests?repository=a&digest={}", pushed[0])).await;
    assert_eq!(whole[0].1["layers"].as_array().unwrap().len(), 11_000, "one manifest is shown whole");

    let path = "/api/v1/manifests?repository=a&n=1000";
    let listed = pages(&door, path).await;
    let mut found = digests(&listed);
    found.sort();
    pushed.sort();
    assert_eq!(found, pushed, "every manifest once, over all pages");
    for (length, page) in &listed {
        assert!(*length < 5_000_000, "a page of {length} bytes");
        assert!(page["items"].as_array().unwrap().iter().all(|item| item.get("layers").is_none()));
    }

    let before = forget_peak(&door);
    let asked = (0..16).map(|_| async {
        let client = http1_from(address(2));
        let answer = client.get(format!("{}{path}", door.url())).send();
        let answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), 200);
        answer.bytes().await.unwrap().len()
    });
    join_all(asked).await;
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 160, "{grown} MiB more for sixteen lists");
}

/// Somebody who asks and does not read leaves no more behind than the budget for bodies allows.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_count_as_bodies_held() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).set("LIMITS__BODY_MEMORY", "32MiB").start().await;
    let document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(1), "layers": [descriptor(2)],
        "annotations": {"note": "x".repeat(3_500_000)},
    });
    let digest = push(&door, &document).await;
    let before = forget_peak(&door);
    let path = format!("/api/v1/manifests?repository=a&digest={digest}");
    // Of each answer its client takes 64 KiB, and then no more.
    let unread = client_builder()
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(65_535)
        .http2_initial_connection_window_size(65_535)
        .local_address(address(2));
    let unread = unread.build().unwrap();
    let mut statuses = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..50 {
        let answer = unread.get(format!("{}{path}", door.url())).send();
        let answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
        statuses.push(answer.status().as_u16());
        kept.push(answer);
    }
    assert_eq!(statuses[0], 200);
    assert_eq!(statuses[49], 503, "{statuses:?}");
    let grown = peak(&door).saturating_sub(before) / MIB;
    assert!(grown < 32 + 64, "{grown} MiB more for answers that nobody reads");
    // Somebody else is answered, and so is this one when it has gone.
    let other = http1_from(address(3)).get(format!("{}{path}", door.url())).send().await.unwrap();
    assert_eq!(other.status(), 200);
    drop((kept, unread));
    let again = http1_from(address(2));
    until("what was held is free again", SOON, async || {
        let answer = again.get(format!("{}{path}", door.url())).send().await.unwrap();
        answer.status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn referrers_are_shown_in_pages() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let subject_document = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(1), "layers": [descriptor(2)],
    });
    let subject = push(&door, &subject_document).await;
    let mut pushed = Vec::new();
    for number in 0..150 {
        let document = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(1), "layers": [],
            "artifactType": "application/x.signature", "annotations": {"number": number.to_string()},
            "subject": {"mediaType": MANIFEST, "digest": subject, "size": subject_document.to_string().len()},
        });
        pushed.push(push(&door, &document).await);
    }
    pushed.sort();
    let shown = door.get_json(&format!("/api/v1/manifests?repository=a&digest={subject}")).await;
    let first: Vec<_> =
        shown["referrers"].as_array().unwrap().iter().map(|it| it["digest"].clone()).collect();
    assert_eq!(first, pushed[..100]);
    assert_eq!(shown["referrers_next"], pushed[99].as_str());

    let path = format!("/api/v1/manifests?repository=a&subject={subject}");
    let rest = pages(&door, &format!("{path}&after={}", pushed[99])).await;
    assert_eq!(digests(&rest), pushed[100..]);
    let all = pages(&door, &format!("{path}&n=40")).await;
    assert_eq!((all.len(), digests(&all)), (4, pushed));
    let last = door.get_json(&format!("/api/v1/manifests?repository=a&digest={}", digests(&all)[0])).await;
    assert_eq!((&last["referrers"], &last["referrers_next"]), (&json!([]), &Value::Null));
}

/// An index may name any number of platforms, and each of its tags shows them.
#[tokio::test(flavor = "multi_thread")]
async fn tags_of_large_indexes_come_in_small_pages() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let children: Vec<_> = (0..9_000)
        .map(|number| {
            let platform = json!({"os": "linux", "architecture": format!("{number}{}", "a".repeat(100))});
            let mut child = descriptor(number);
            child["platform"] = platform;
            child
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": children});
    let client = http1_from(address(1));
    for tag in 0..20 {
        let url = format!("{}/v2/a/manifests/tag{tag}", door.url());
        let answer =
            client.put(url).header(CONTENT_TYPE, INDEX).body(index.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    let listed = pages(&door, "/api/v1/tags?repository=a&n=1000").await;
    assert_eq!(listed.iter().map(|(_, page)| page["items"].as_array().unwrap().len()).sum::<usize>(), 20);
    for (length, _) in &listed {
        assert!(*length < 2_500_000, "a page of {length} bytes");
    }
}

/// Answers of the registry are streamed: however long they are, and whoever does not read them.
#[tokio::test(flavor = "multi_thread")]
async fn endless_answers_of_the_registry_that_nobody_reads_wait_at_the_registry() {
    let registry = RawRegistry::start(async |mut exchange| {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n").await;
        let piece = vec![7; 64_000];
        while exchange.try_send(&piece).await {}
    })
    .await;
    let door = Door::builder(registry.url()).start().await;
    let before = forget_peak(&door);
    let mut kept = Vec::new();
    for _ in 0..10 {
        let mut connection = Unread::open(door.address()).await;
        for path in ["/v2/_catalog", "/v2/a/tags/list", "/v2/a/blobs/sha256:", "/v2/a/manifests/tag"] {
            let path =
                if path.ends_with(':') { format!("{path}{}", "a".repeat(64)) } else { path.to_owned() };
            for _ in 0..10 {
                connection.get(&path).await;
            }
        }
        kept.push(connection);
    }
    let mut seen = 0;
    until("nothing more is taken", SOON, async || {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let now = resident(&door) / MIB;
        now > before / MIB + 4 && std::mem::replace(&mut seen, now) + 1 >= now
    })
    .await;
    let grown = peak(&door).saturating_sub(before) / MIB;
    // config/README.md: a megabyte at most for each request under way.
    assert!(grown < 400, "{grown} MiB more for 400 answers on 10 connections");
}
