//! Manifests: what is recorded of each kind, and what the door refuses.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::{error_of, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{ACCEPT_ALL, assert_in_step, record, truth};

use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The recorded manifest.
async fn recorded(door: &Door, repository: &str, digest: &str) -> Value {
    door.get_json(&format!("/api/v1/manifests?repository={repository}&digest={digest}")).await
}

/// Digest and size of each descriptor in a list.
fn described(list: &Value) -> Vec<(String, u64)> {
    let descriptors = list.as_array().unwrap().iter();
    descriptors
        .map(|one| (one["digest"].as_str().unwrap().to_owned(), one["size"].as_u64().unwrap()))
        .collect()
}

fn expected(blobs: &[(String, Bytes)]) -> Vec<(String, u64)> {
    blobs.iter().map(|(digest, bytes)| (digest.clone(), bytes.len() as u64)).collect()
}

/// A Docker manifest list of these.
fn docker_list(children: &[&Image]) -> Image {
    let manifests: Vec<Value> = children
        .iter()
        .zip(["amd64", "arm64"])
        .map(|(child, architecture)| {
            json!({
                "mediaType": child.media_type, "digest": child.digest, "size": child.manifest.len(),
                "platform": {"os": "linux", "architecture": architecture},
            })
        })
        .collect();
    let document = json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": manifests});
    of(document.to_string(), DOCKER_LIST)
}

fn of(manifest: impl Into<Bytes>, media_type: &str) -> Image {
    let manifest = manifest.into();
    Image { digest: digest(&manifest), manifest, media_type: media_type.to_owned(), blobs: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_manifest_is_recorded_as_what_it_says() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    for (repository, image) in [("oci", Image::small(1)), ("docker", Image::docker(2))] {
        image.push(&door.url(), repository, "tag").await;
        let seen = recorded(&door, repository, &image.digest).await;
        assert_eq!(seen["kind"], "image");
        assert_eq!(seen["media_type"], image.media_type.as_str());
        assert_eq!(seen["size"], image.manifest.len());
        assert_eq!(seen["tags"], json!(["tag"]));
        assert_eq!(seen["source"], "observed");
        assert_eq!(described(&json!([seen["config"]])), expected(&image.blobs[..1]));
        assert_eq!(described(&seen["layers"]), expected(&image.blobs[1..]));
        assert_eq!((&seen["children"], &seen["subject"]), (&json!([]), &Value::Null));
    }

    let children = [Image::docker(3), Image::docker(4)];
    for (repository, list) in [
        ("list", docker_list(&[&children[0], &children[1]])),
        ("index", Image::index(&[&children[0], &children[1]])),
    ] {
        for child in &children {
            child.push(&door.url(), repository, &child.digest).await;
        }
        list.push(&door.url(), repository, "both").await;
        let seen = recorded(&door, repository, &list.digest).await;
        assert_eq!(
            (seen["kind"].as_str(), seen["media_type"].as_str()),
            (Some("index"), Some(&*list.media_type))
        );
        let manifests: Vec<_> =
            children.iter().map(|child| (child.digest.clone(), child.manifest.clone())).collect();
        assert_eq!(described(&seen["children"]), expected(&manifests));
        assert_eq!(seen["children"][1]["platform"], json!({"os": "linux", "architecture": "arm64"}));
        assert_eq!((&seen["layers"], &seen["config"]), (&json!([]), &Value::Null));
        let child = recorded(&door, repository, &children[0].digest).await;
        assert_eq!((&child["tags"], child["kind"].as_str()), (&json!([]), Some("image")));
    }
    assert_in_step(&door.url(), &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_names_its_subject_and_the_subject_its_referrers() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let subject = Image::small(1);
    let artifact = Image::about(&subject, 2);
    subject.push(&door.url(), "a", "image").await;
    artifact.push_blobs(&door.url(), "a").await;
    let response = artifact.put(&door.url(), "a", &artifact.digest).await;
    assert_eq!(response.status(), 201);

    let seen = recorded(&door, "a", &artifact.digest).await;
    assert_eq!(seen["artifact_type"], "application/vnd.example.statement");
    assert_eq!(
        described(&json!([seen["subject"]])),
        [(subject.digest.clone(), subject.manifest.len() as u64)]
    );
    let referrers = &recorded(&door, "a", &subject.digest).await["referrers"];
    assert_eq!(referrers.as_array().unwrap().len(), 1);
    assert_eq!(referrers[0]["digest"], artifact.digest.as_str());
}

/// A client that reads `OCI-Subject` leaves the fallback tag out, by which everybody finds the artifact as long as nobody
/// answers `/referrers`: so the door must not say it for a registry that does not.
#[tokio::test(flavor = "multi_thread")]
async fn oci_subject_is_said_by_the_registry_alone() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let subject = Image::small(1);
    let artifact = Image::about(&subject, 2);
    for (base, repository) in [(&registry.url(), "bare"), (&door.url(), "a")] {
        subject.push(base, repository, "image").await;
        artifact.push_blobs(base, repository).await;
    }
    for reference in [artifact.digest.as_str(), "tag"] {
        let bare = artifact.put(&registry.url(), "bare", reference).await;
        let through = artifact.put(&door.url(), "a", reference).await;
        assert_eq!((bare.status().as_u16(), through.status().as_u16()), (201, 201));
        assert_eq!(through.headers().get("oci-subject"), bare.headers().get("oci-subject"), "{reference}");
    }

    // A registry that knows referrers.
    let (named, digest) = (subject.digest.clone(), artifact.digest.clone());
    relay.script(move |request| match request.method.as_str() {
        "PUT" => Fault::Answer {
            status: 201,
            headers: vec![
                ("docker-content-digest".to_owned(), digest.clone()),
                ("oci-subject".to_owned(), named.clone()),
            ],
            body: Vec::new(),
        },
        _ => Fault::None,
    });
    let response = artifact.put(&door.url(), "a", "tag").await;
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["oci-subject"], subject.digest.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_an_unknown_type_is_recorded_with_what_is_known_of_it() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let strange = of("no JSON at all", "application/vnd.example.strange+text");
    // What distribution does with such a type is its own affair.
    let response = strange.put(&door.url(), "a", "strange").await;
    assert_eq!(response.status(), 400);
    assert_eq!(error_of(response).await.0, "MANIFEST_INVALID");
    assert_eq!(record(&door.url()).await.len(), 0);

    let digest = strange.digest.clone();
    relay.script(move |request| match request.method.as_str() {
        "PUT" => Fault::Answer {
            status: 201,
            headers: vec![("docker-content-digest".to_owned(), digest.clone())],
            body: Vec::new(),
        },
        _ => Fault::None,
    });
    assert_eq!(strange.put(&door.url(), "a", "strange").await.status(), 201);
    let seen = recorded(&door, "a", &strange.digest).await;
    assert_eq!((seen["kind"].as_str(), seen["size"].as_u64()), (Some("opaque"), Some(14)));
    assert_eq!(seen["media_type"], strange.media_type.as_str());
    assert_eq!((&seen["layers"], &seen["tags"]), (&json!([]), &json!(["strange"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_comes_down_as_it_went_up() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (client, image) = (http_client(), Image::small(1));
    image.push(&door.url(), "a", "tag").await;
    for reference in ["tag", &image.digest] {
        let at = format!("{}/v2/a/manifests/{reference}", door.url());
        let head = client.head(&at).header(ACCEPT, ACCEPT_ALL).send().await.unwrap();
        assert_eq!(head.status(), 200);
        assert_eq!(head.headers()["docker-content-digest"], image.digest.as_str());
        assert_eq!(head.headers()["content-length"], image.manifest.len().to_string().as_str());
        let got = client.get(&at).header(ACCEPT, ACCEPT_ALL).send().await.unwrap();
        assert_eq!(got.headers()[CONTENT_TYPE], image.media_type.as_str());
        assert_eq!(got.bytes().await.unwrap(), image.manifest);
    }
    // The registry wants to be told what is accepted, and the door does not speak for the client.
    let at = format!("{}/v2/a/manifests/tag", door.url());
    assert_eq!(client.get(&at).send().await.unwrap().status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_too_large_is_refused_before_the_registry_hears_of_it() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let limit = 4 * 1024 * 1024;
    let announced = {
        let mut connection = Connection::open(door.address()).await;
        let lines = format!("Content-Type: {OCI_MANIFEST}\r\n");
        connection.ask("PUT", "/v2/a/manifests/tag", &lines, &vec![b' '; limit + 1]).await
    };
    let chunked = {
        let mut connection = Connection::open(door.address()).await;
        let lines = format!("Content-Type: {OCI_MANIFEST}\r\nTransfer-Encoding: chunked\r\n");
        connection.request("PUT", "/v2/a/manifests/tag", &lines).await;
        for _ in 0..65 {
            connection.send_what_is_taken([&b"10000\r\n"[..], &[b' '; 0x10000], b"\r\n"].concat()).await;
        }
        connection.send_what_is_taken("0\r\n\r\n").await;
        connection.answer("PUT").await
    };
    for answer in [announced, chunked] {
        assert_eq!((answer.head.status, answer.code().as_str()), (413, "SIZE_INVALID"));
    }
    // As large as is allowed, but no manifest: read to its end.
    let response = of(vec![b' '; limit], OCI_MANIFEST).put(&door.url(), "a", "tag").await;
    assert_eq!(response.status(), 400);
    assert_eq!(error_of(response).await.0, "MANIFEST_INVALID");
    assert!(!relay.seen().iter().any(|line| line.starts_with("PUT")), "{:?}", relay.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_is_refused_before_the_registry_hears_of_it() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let good = Image::small(1);
    let other = digest(b"another");
    let broken = of("{\"schemaVersion\": 2, \"layers\": [", OCI_MANIFEST);
    let shapeless = of(json!({"schemaVersion": 2, "config": 1, "layers": "none"}).to_string(), DOCKER_LIST);
    let mistaken = Image { media_type: DOCKER_LIST.to_owned(), ..good.clone() };
    for (image, repository, reference, code) in [
        (&broken, "a", "tag", "MANIFEST_INVALID"),
        (&shapeless, "a", "tag", "MANIFEST_INVALID"),
        (&mistaken, "a", "tag", "MANIFEST_INVALID"),
        (&good, "a", other.as_str(), "DIGEST_INVALID"),
        (&good, "a", "sha256:abc", "DIGEST_INVALID"),
        (&good, "a", "md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"),
        (&good, "UPPER", "tag", "NAME_INVALID"),
        (&good, "a/-b", "tag", "NAME_INVALID"),
        (&good, "a", ".tag", "TAG_INVALID"),
    ] {
        let response = image.put(&door.url(), repository, reference).await;
        assert_eq!(response.status(), 400, "{repository}:{reference}");
        assert_eq!(error_of(response).await.0, code, "{repository}:{reference}");
    }
    for (path, code) in [
        ("/v2/a/blobs/sha256:abc", "DIGEST_INVALID"),
        ("/v2/a/manifests/sha256:abc", "DIGEST_INVALID"),
        ("/v2/Upper/tags/list", "NAME_INVALID"),
    ] {
        let response = http_client().get(format!("{}{path}", door.url())).send().await.unwrap();
        assert_eq!(response.status(), 400, "{path}");
        assert_eq!(error_of(response).await.0, code, "{path}");
    }
    assert!(relay.seen().iter().all(|line| line == "GET /v2/"), "{:?}", relay.seen());
    assert_eq!(record(&door.url()).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_in_the_query_are_recorded_when_the_registry_says_that_it_took_them() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&door.url(), "a").await;
    let reference = format!("{}?tag=one&tag=two&tag=three", image.digest);

    // Distribution ignores the tags: then none is recorded.
    assert_eq!(image.put(&door.url(), "a", &reference).await.status(), 201);
    assert!(relay.seen().contains(&format!("PUT /v2/a/manifests/{reference}")), "{:?}", relay.seen());
    assert_eq!(truth(&registry.url()).await.len(), 0);
    assert_eq!(record(&door.url()).await.len(), 0);

    // A registry that takes two of the three.
    for tag in ["one", "two"] {
        assert_eq!(image.put(&registry.url(), "a", tag).await.status(), 201);
    }
    let digest = image.digest.clone();
    relay.script(move |request| match request.method.as_str() {
        "PUT" => Fault::Answer {
            status: 201,
            headers: vec![
                ("docker-content-digest".to_owned(), digest.clone()),
                ("oci-tag".to_owned(), "one, two".to_owned()),
            ],
            body: Vec::new(),
        },
        _ => Fault::None,
    });
    let response = image.put(&door.url(), "a", &reference).await;
    assert_eq!(
        (response.status().as_u16(), response.headers()["oci-tag"].to_str().unwrap()),
        (201, "one, two")
    );
    let tags = record(&door.url()).await;
    assert_eq!(tags, truth(&registry.url()).await);
    assert_eq!(tags.len(), 2);
}
