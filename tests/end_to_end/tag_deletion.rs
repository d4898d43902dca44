//! Deleting one tag, also where the registry deletes manifests only.

use std::time::Duration;

use reqwest::header::{ALLOW, CONTENT_TYPE};
use serde_json::json;

use crate::support::door::Door;
use crate::support::http::{delete, error_of, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, record, truth};
use crate::support::sweep::{events, in_short, sweep_through};

const SOON: Duration = Duration::from_secs(20);

/// The tags of a repository, as both registry and record have them.
async fn tags(registry: &Registry, door: &Door) -> Vec<String> {
    let (held, recorded) = (truth(&registry.url()).await, record(&door.url()).await);
    assert_eq!(recorded, held);
    held.into_keys().map(|(repository, tag)| format!("{repository}:{tag}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_tag_goes_and_every_other_of_the_same_manifest_stays() {
    let registry = Registry::start_lenient().await;
    let door = Door::builder(registry.url()).start().await;
    let base = door.url();
    let (image, other, docker) = (Image::small(1), Image::small(2), Image::docker(3));
    let (index, list) = (Image::index(&[&image, &other]), Image::docker_list(&[&docker]));
    for image in [&image, &other, &docker] {
        image.push(&base, "team/app", &image.digest).await;
    }
    for (image, kind) in [(&image, "oci"), (&docker, "docker"), (&index, "index"), (&list, "list")] {
        for number in 0..3 {
            assert_eq!(image.put(&base, "team/app", &format!("{kind}-{number}")).await.status(), 201);
        }
    }
    for kind in ["oci", "docker", "index", "list"] {
        let answer = delete(&base, "team/app", &format!("{kind}-1")).await;
        assert_eq!(answer.status(), 202, "{kind}: {}", answer.text().await.unwrap());
    }
    let left = ["docker-0", "docker-2", "index-0", "index-2", "list-0", "list-2", "oci-0", "oci-2"];
    assert_eq!(tags(&registry, &door).await, left.map(|tag| format!("team/app:{tag}")));
    for image in [&image, &other, &docker, &index, &list] {
        let url = format!("{}/v2/team/app/manifests/{}", registry.url(), image.digest);
        let held = http_client().head(url).header("accept", &image.media_type).send().await.unwrap();
        assert_eq!(held.status(), 200, "the manifest stays");
    }
    let deleted: Vec<_> = events(&door)
        .await
        .into_iter()
        .filter(|event| event["kind"] == "tag_deleted")
        .map(|event| (event["tag"].clone(), event["source"].clone(), event["actor"]["address"].clone()))
        .collect();
    let expected = ["oci-1", "docker-1", "index-1", "list-1"];
    assert_eq!(deleted, expected.map(|tag| (json!(tag), json!("observed"), json!("127.0.0.1"))));
    assert_eq!(sweep_through(&door, true).await, 0, "record and registry are in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_tag_of_a_manifest_goes_and_leaves_it() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    assert_eq!(delete(&door.url(), "team/app", "v1").await.status(), 202);
    assert!(tags(&registry, &door).await.is_empty());
    let url = format!("{}/v2/team/app/manifests/{}", registry.url(), image.digest);
    let held = http_client().head(url).header("accept", &image.media_type).send().await.unwrap();
    assert_eq!(held.status(), 200);
    // The client is told of what is not there as registries tell it.
    let again = delete(&door.url(), "team/app", "v1").await;
    assert_eq!((again.status().as_u16(), error_of(again).await.0), (404, "MANIFEST_UNKNOWN".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_can_be_deleted_the_client_is_told_why_and_nothing_changes() {
    let registry = Registry::start_without_deletion().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    for tag in ["v1", "v2", "v3"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    let before = (truth(&registry.url()).await, in_short(&events(&door).await));
    let refused = delete(&door.url(), "team/app", "v2").await;
    assert_eq!(
        (refused.status().as_u16(), refused.headers()[ALLOW].to_str().unwrap()),
        (405, "GET, HEAD, PUT")
    );
    let (code, message) = error_of(refused).await;
    assert_eq!(code, "UNSUPPORTED");
    assert_eq!(
        message,
        "the registry cannot delete one tag: it deletes nothing; deleting the manifest by its digest would delete these \
         tags, too: v1, v3"
    );
    assert_eq!((truth(&registry.url()).await, in_short(&events(&door).await)), before);
    tags(&registry, &door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_cut_off_ends_when_it_is_asked_for_again() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (image, oci) = (Image::small(1), "application/vnd.oci.image.manifest.v1+json");
    for tag in ["v1", "v2"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    // As a door leaves it that is killed between the two writes.
    let mut empty: serde_json::Value = serde_json::from_slice(&image.manifest).unwrap();
    empty["artifactType"] = json!("application/vnd.portreeve.deleted-tag.v1+json");
    empty["layers"] = json!([]);
    let url = format!("{}/v2/team/app/manifests/v1", door.url());
    let put = http_client().put(url).header(CONTENT_TYPE, oci).body(empty.to_string()).send().await.unwrap();
    assert_eq!(put.status(), 201);
    let copy = format!("{}/v2/team/app/manifests/copy", door.url());
    let put = http_client().put(copy).header(CONTENT_TYPE, oci).body(empty.to_string()).send().await.unwrap();
    assert_eq!(put.status(), 201);
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    // What somebody else points to stays, whatever it calls itself.
    assert_eq!(delete(&door.url(), "team/app", "v1").await.status(), 202);
    assert_eq!(tags(&registry, &door).await, ["team/app:copy", "team/app:v2"]);
    assert_eq!(delete(&door.url(), "team/app", "copy").await.status(), 202);
    assert_eq!(tags(&registry, &door).await, ["team/app:v2"]);
}
