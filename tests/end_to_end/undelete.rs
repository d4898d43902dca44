//! Deleting by the API and by commands, and putting back what was deleted.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::commands::{command, printed};
use crate::support::door::Door;
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, record, truth};
use crate::support::sweep::{events, sweep_through};

const SOON: Duration = Duration::from_secs(30);

/// The tags of registry and record, which are the same.
async fn tags(registry: &Registry, door: &Door) -> Vec<String> {
    let (held, recorded) = (truth(&registry.url()).await, record(&door.url()).await);
    assert_eq!(recorded, held);
    held.into_keys().map(|(repository, tag)| format!("{repository}:{tag}")).collect()
}

/// What the API answers to this request, with a body if there is one.
async fn ask(door: &Door, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let url = format!("{}/api/v1/{path}", door.url());
    let request = http_client().request(method.parse().unwrap(), url);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn undelete(door: &Door, body: Value) -> (StatusCode, Value) {
    ask(door, "POST", "undelete?repository=team/app", Some(body)).await
}

/// Fails unless the registry itself has this manifest.
async fn assert_held(registry: &Registry, image: &Image) {
    let url = format!("{}/v2/team/app/manifests/{}", registry.url(), image.digest);
    let held = http_client().head(url).header("accept", &image.media_type).send().await.unwrap();
    assert_eq!(held.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_deletes_a_tag_alone_several_tags_a_manifest_with_its_tags_and_all_of_a_repository() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (first, second) = (Image::small(1), Image::small(2));
    for tag in ["a", "b", "c", "d"] {
        first.push(&door.url(), "team/app", tag).await;
        second.push(&door.url(), "team/app", &format!("{tag}2")).await;
    }
    second.push(&door.url(), "other", "v1").await;

    let (status, answer) = ask(&door, "DELETE", "tags?repository=team/app&tag=a", None).await;
    assert_eq!(
        (status, answer),
        (StatusCode::OK, json!({ "repository": "team/app", "tag": "a", "digest": first.digest }))
    );
    let wanted = json!({ "tags": ["b", "gone", "c"] });
    let (status, answer) = ask(&door, "POST", "tags/delete?repository=team/app", Some(wanted)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let outcomes: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|item| &item["error"]["code"]).collect();
    assert_eq!(outcomes, [&Value::Null, &json!("not_there"), &Value::Null], "{answer}");
    let left = ["team/app:a2", "team/app:b2", "team/app:c2", "team/app:d", "team/app:d2"];
    assert_eq!(tags(&registry, &door).await[1..], left);
    assert_held(&registry, &first).await;

    let path = format!("manifests?repository=team/app&digest={}", second.digest);
    let (status, answer) = ask(&door, "DELETE", &path, None).await;
    assert_eq!((status, &answer["tags"]), (StatusCode::OK, &json!(["a2", "b2", "c2", "d2"])));
    assert_eq!(tags(&registry, &door).await, ["other:v1", "team/app:d"]);

    let (status, answer) = ask(&door, "DELETE", "repositories?repository=team/app", None).await;
    assert_eq!(
        (status, &answer["is_empty"], &answer["manifests"]),
        (StatusCode::OK, &json!(true), &json!(1)),
        "{answer}"
    );
    assert_eq!(tags(&registry, &door).await, ["other:v1"]);
    let (status, answer) = ask(&door, "DELETE", "tags?repository=team/app&tag=a", None).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::NOT_FOUND, &json!("not_there")), "{answer}");
    let (status, _) = ask(&door, "DELETE", "repositories?repository=nothing", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for event in events(&door).await {
        assert_eq!((&event["source"], &event["actor"]["address"]), (&json!("observed"), &json!("127.0.0.1")));
    }
    assert_eq!(sweep_through(&door, true).await, 0, "record and registry are in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_deletes_nothing_is_told_of_with_405_and_nothing_changes() {
    let registry = Registry::start_without_deletion().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    for tag in ["v1", "v2"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    let (status, answer) = ask(&door, "DELETE", "tags?repository=team/app&tag=v1", None).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains("it deletes nothing") && message.ends_with("too: v2"), "{message}");
    let path = format!("manifests?repository=team/app&digest={}", image.digest);
    let (status, answer) = ask(&door, "DELETE", &path, None).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &json!("deletion_unsupported"))
    );
    assert_eq!(tags(&registry, &door).await, ["team/app:v1", "team/app:v2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_has_lost_keeps_nobody_from_deleting_a_repository() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    registry.lose_repository("team/app");
    Image::small(2).push(&door.url(), "team/app", "v2").await;
    let (status, answer) = ask(&door, "DELETE", "repositories?repository=team/app", None).await;
    assert_eq!((status, &answer["manifests"]), (StatusCode::OK, &json!(1)), "{answer}");
    let said = printed(&door, &["delete", "--yes", "team/app"]).await;
    assert!(said.starts_with("deleted 0 tags and 0 manifests of team/app"), "{said}");
    assert_in_step(&door.url(), &registry.url(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tag_comes_back_to_what_it_pointed_to_last() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let (first, second) = (Image::small(1), Image::small(2));
    first.push(&door.url(), "team/app", "v1").await;
    second.push(&door.url(), "team/app", "v1").await;
    second.push(&door.url(), "team/app", "kept").await;
    assert_eq!(delete(&door.url(), "team/app", "v1").await.status(), 202);
    assert_eq!(tags(&registry, &door).await, ["team/app:kept"]);

    let (status, answer) = undelete(&door, json!({ "tag": "v1" })).await;
    assert_eq!((status, &answer["digest"]), (StatusCode::OK, &json!(second.digest)), "{answer}");
    assert_eq!(tags(&registry, &door).await, ["team/app:kept", "team/app:v1"]);
    let (status, answer) = undelete(&door, json!({ "tag": "v1" })).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::CONFLICT, &json!("not_deleted")), "{answer}");
    // To another manifest than the last one.
    let (status, answer) = undelete(&door, json!({ "tag": "v1", "digest": first.digest })).await;
    assert_eq!((status, &answer["tags"]), (StatusCode::OK, &json!(["v1"])), "{answer}");
    let held = truth(&registry.url()).await;
    assert_eq!(held[&("team/app".to_owned(), "v1".to_owned())], first.digest);
    let (status, answer) = undelete(&door, json!({ "tag": "never" })).await;
    assert_eq!(
        (status, &answer["error"]["code"]),
        (StatusCode::NOT_FOUND, &json!("never_deleted")),
        "{answer}"
    );
    for wrong in [json!({}), json!({ "tag": "" }), json!({ "digest": "sha256:x" }), json!({ "name": "v1" })] {
        let (status, answer) = undelete(&door, wrong).await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_body")));
    }
    assert_eq!(sweep_through(&door, true).await, 0, "record and registry are in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_manifest_comes_back_with_the_tags_that_went_with_it_and_an_index_with_its_parts() {
    let registry = Registry::start_lenient().await;
    let mut door = Door::builder(registry.url()).start().await;
    let (first, second) = (Image::small(1), Image::small(2));
    let index = Image::index(&[&first, &second]);
    for part in [&first, &second] {
        part.push(&door.url(), "team/app", &part.digest).await;
    }
    for tag in ["moved", "v1", "v2"] {
        index.push(&door.url(), "team/app", tag).await;
    }
    let (status, answer) = ask(&door, "DELETE", "repositories?repository=team/app", None).await;
    assert_eq!((status, &answer["is_empty"]), (StatusCode::OK, &json!(true)), "{answer}");
    first.push(&door.url(), "team/app", "moved").await;
    // What is kept outlives the door.
    door.restart().await;
    let (status, answer) = undelete(&door, json!({ "digest": index.digest })).await;
    assert_eq!((status, &answer["tags"]), (StatusCode::OK, &json!(["v1", "v2"])), "{answer}");
    assert_eq!(answer["children"], json!([second.digest]), "the other one was there again");
    let held = truth(&registry.url()).await;
    let of = |tag: &str| held[&("team/app".to_owned(), tag.to_owned())].clone();
    assert_eq!([of("moved"), of("v1"), of("v2")], [&first, &index, &index].map(|image| image.digest.clone()));
    for image in [&first, &second, &index] {
        assert_held(&registry, image).await;
    }
    let (status, answer) = undelete(&door, json!({ "digest": index.digest })).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::CONFLICT, &json!("not_deleted")), "{answer}");
    assert_eq!(sweep_through(&door, true).await, 0, "record and registry are in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_several_indexes_share_come_back_before_all_that_name_them() {
    let registry = Registry::start_lenient().await;
    let door = Door::builder(registry.url()).start().await;
    let (first, second, third) = (Image::small(1), Image::small(2), Image::small(3));
    let (left, right) = (Image::index(&[&first, &second]), Image::index(&[&first, &third]));
    let top = Image::index(&[&left, &right]);
    for part in [&first, &second, &third, &left, &right] {
        part.push(&door.url(), "team/app", &part.digest).await;
    }
    top.push(&door.url(), "team/app", "v1").await;
    let (status, answer) = ask(&door, "DELETE", "repositories?repository=team/app", None).await;
    assert_eq!((status, &answer["is_empty"]), (StatusCode::OK, &json!(true)), "{answer}");
    let (status, answer) = undelete(&door, json!({ "tag": "v1" })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let back: Vec<_> = answer["children"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let place = |image: &Image| back.iter().position(|digest| *digest == image.digest).unwrap();
    for (part, index) in [(&first, &left), (&second, &left), (&first, &right), (&third, &right)] {
        assert!(place(part) < place(index), "{back:?}");
    }
    assert_held(&registry, &top).await;
    assert_eq!(sweep_through(&door, true).await, 0, "record and registry are in step");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_with_its_repository_comes_back_and_what_was_collected_does_not() {
    let mut registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    let (status, _) = ask(&door, "DELETE", "repositories?repository=team/app", None).await;
    assert_eq!(status, StatusCode::OK);
    registry.lose_repository("team/app");
    sweep_through(&door, true).await;
    assert_in_step(&door.url(), &registry.url(), SOON).await;
    // Its blobs are there, but the repository does not have them any more.
    let (status, answer) = undelete(&door, json!({ "tag": "v1" })).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::GONE, &json!("blobs_gone")), "{answer}");
    image.push_blobs(&registry.url(), "team/app").await;
    let (status, answer) = undelete(&door, json!({ "tag": "v1" })).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(delete(&door.url(), "team/app", &image.digest).await.status(), 202);
    registry.collect_garbage().await;
    let (status, answer) = undelete(&door, json!({ "digest": image.digest })).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::GONE, &json!("blobs_gone")), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lacks_its_layers_does_not_come_back_and_the_answer_says_so() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    assert_eq!(delete(&door.url(), "team/app", &image.digest).await.status(), 202);
    let manifest: Value = serde_json::from_slice(&image.manifest).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap();
    let url = format!("{}/v2/team/app/blobs/{layer}", registry.url());
    assert_eq!(http_client().delete(url).send().await.unwrap().status(), StatusCode::ACCEPTED);
    let (status, answer) = undelete(&door, json!({ "tag": "v1" })).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::GONE, &json!("blobs_gone")), "{answer}");
    assert!(tags(&registry, &door).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_delete_with_yes_alone_where_nobody_can_answer_and_put_back() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    for tag in ["v1", "v2", "v3"] {
        image.push(&door.url(), "team/app", tag).await;
    }
    let unsure = command(&door, &["delete", "team/app:v1"]).await;
    assert_eq!(unsure.status.code(), Some(2));
    assert!(String::from_utf8(unsure.stderr).unwrap().contains("--yes"));
    assert_eq!(printed(&door, &["delete", "--yes", "team/app:v1"]).await, "deleted team/app:v1\n");
    assert_eq!(tags(&registry, &door).await, ["team/app:v2", "team/app:v3"]);
    let back = printed(&door, &["undelete", "team/app:v1"]).await;
    assert_eq!(back, format!("put back team/app:v1, which points to {}\n", image.digest));
    let by_digest = format!("team/app@{}", image.digest);
    printed(&door, &["delete", "--yes", &by_digest]).await;
    assert!(tags(&registry, &door).await.is_empty());
    assert_eq!(printed(&door, &["undelete", &by_digest]).await.lines().count(), 3);
    assert_eq!(tags(&registry, &door).await, ["team/app:v1", "team/app:v2", "team/app:v3"]);
    let all = printed(&door, &["delete", "--yes", "team/app"]).await;
    assert_eq!(all, "deleted 3 tags and 1 manifests of team/app\n");
    let gone = command(&door, &["delete", "--yes", "team/app:v1"]).await;
    assert_eq!(gone.status.code(), Some(1));
    let mut users: Vec<_> =
        events(&door).await.into_iter().map(|event| event["actor"]["user"].clone()).collect();
    users.dedup();
    assert!(users.iter().any(|user| user.as_str().is_some_and(|user| user.starts_with("uid "))), "{users:?}");
}
