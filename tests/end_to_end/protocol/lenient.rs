//! A manifest that the registry takes is the registry's to judge: the door takes it too, and records it.

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::state::assert_in_step;

use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A document with one place in it set, or taken out.
fn changed(mut document: Value, pointer: &str, value: Option<Value>) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Some(value) => parent.insert(field.to_owned(), value),
        None => parent.remove(field),
    };
    document
}

/// Changes of an image manifest, each one of which some client, or some old one, has made.
fn changes_of_an_image() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("/layers/0/size", None),
        ("/layers/0/size", Some(Value::Null)),
        ("/layers/0/size", Some(json!(-1))),
        ("/layers/0/mediaType", None),
        ("/layers/0/mediaType", Some(Value::Null)),
        ("/layers/0/mediaType", Some(json!("no type at all"))),
        ("/layers/0/x", Some(json!({"unknown": [1, 2]}))),
        ("/config/size", None),
        ("/config/mediaType", None),
        ("/layers", None),
        ("/layers", Some(Value::Null)),
        ("/annotations", Some(Value::Null)),
        ("/artifactType", Some(json!(1))),
        ("/subject", Some(json!({}))),
        ("/subject", Some(json!({"digest": digest(b"nowhere")}))),
        ("/manifests", Some(Value::Null)),
        ("/unknown", Some(json!({"Layers": [[[]]], "a": {"b": null}}))),
        ("/mediaType", None),
    ]
}

fn changes_of_an_index() -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("/manifests/0/size", None),
        ("/manifests/0/mediaType", None),
        ("/manifests/0/platform", None),
        ("/manifests/0/platform", Some(json!({"os": "linux", "architecture": "arm", "os.features": ["x"]}))),
        ("/manifests", None),
        ("/manifests", Some(Value::Null)),
        ("/manifests", Some(json!([]))),
        ("/layers", Some(Value::Null)),
        ("/mediaType", None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bare_registry_takes_the_door_takes_and_records() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (image, docker) = (Image::small(1), Image::docker(2));
    for pushed in [&image, &docker] {
        pushed.push(&registry.url(), "a", "whole").await;
    }
    let read = |image: &Image| serde_json::from_slice::<Value>(&image.manifest).unwrap();
    let index = Image::index(&[&image]);
    let list = changed(read(&index), "/mediaType", Some(json!(DOCKER_LIST)));
    let mut tries: Vec<(&str, String)> = Vec::new();
    for (media_type, document, changes) in [
        (OCI_MANIFEST, read(&image), changes_of_an_image()),
        (DOCKER_MANIFEST, read(&docker), changes_of_an_image()),
        (OCI_INDEX, read(&index), changes_of_an_index()),
        (DOCKER_LIST, list, changes_of_an_index()),
    ] {
        let changed = changes.into_iter().map(|(pointer, value)| changed(document.clone(), pointer, value));
        tries.extend(changed.map(|document| (media_type, document.to_string())));
        tries.push((media_type, format!("{document}\n")));
    }
    tries.push((DOCKER_MANIFEST, changed(read(&docker), "/annotations", Some(json!(["a"]))).to_string()));
    let mut taken = 0;
    for (number, (media_type, document)) in tries.iter().enumerate() {
        let put = async |base: String, tag: &str| {
            let request = http_client().put(format!("{base}/v2/a/manifests/{tag}"));
            request.header(CONTENT_TYPE, *media_type).body(document.clone()).send().await.unwrap()
        };
        let bare = put(registry.url(), "bare").await.status().as_u16();
        if bare != 201 {
            continue;
        }
        taken += 1;
        let through = put(door.url(), &format!("t{number}")).await;
        let status = through.status().as_u16();
        assert_eq!(status, bare, "{media_type}: {document}: {}", through.text().await.unwrap());
        let name = digest(document.as_bytes());
        let known = door.get_json(&format!("/api/v1/manifests?repository=a&digest={name}")).await;
        assert_eq!(known["media_type"], *media_type, "{document}");
    }
    assert!(taken > 45, "the registry took only {taken} of {}", tries.len());
    assert_in_step_but_for_what_went_around(&door, &registry).await;
}

/// The tags that were pushed to the bare registry are not the door's to know.
async fn assert_in_step_but_for_what_went_around(door: &Door, registry: &Registry) {
    for tag in ["bare", "whole"] {
        registry.lose_tag("a", tag);
    }
    assert_in_step(&door.url(), &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_told_is_recorded_as_absent() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    let document = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"digest": image.blobs[0].0},
        "layers": [{"digest": image.blobs[1].0}],
    })
    .to_string();
    let put = http_client().put(format!("{}/v2/a/manifests/tag", door.url()));
    let answer = put.header(CONTENT_TYPE, OCI_MANIFEST).body(document.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let known = door
        .get_json(&format!("/api/v1/manifests?repository=a&digest={}", digest(document.as_bytes())))
        .await;
    let layer = &known["layers"][0];
    assert_eq!(layer["digest"], image.blobs[1].0.as_str());
    assert_eq!((layer["size"].as_u64(), layer["media_type"].as_str()), (Some(0), Some("")), "{known}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_be_read_in_two_ways_does_not_reach_the_registry() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    let text = String::from_utf8(image.manifest.to_vec()).unwrap();
    for document in [
        text.replace("\"layers\"", "\"layers\":[],\"layers\""),
        text.replace("\"layers\"", "\"Layers\""),
        text.replacen("\"digest\"", "\"digest\":\"x\",\"digest\"", 1),
        text.replace("\"layers\"", "\"manifests\":[],\"layers\""),
    ] {
        let put = http_client().put(format!("{}/v2/a/manifests/tag", door.url()));
        let answer = put.header(CONTENT_TYPE, OCI_MANIFEST).body(document.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 400, "{document}");
    }
    let url = format!("{}/v2/a/manifests/tag", registry.url());
    assert_eq!(http_client().get(url).send().await.unwrap().status(), 404);
}
