//! Referrers.

use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{House, ask};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::sweep::sweep_through;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const STATEMENT: &str = "application/vnd.example.statement";

#[tokio::test(flavor = "multi_thread")]
async fn referrers_are_told_with_their_types_and_annotations_and_never_with_404() {
    let house = House::new().await;
    let base = house.door.url();
    let subject = Image::small(1);
    let nothing = ask(Method::GET, &format!("{base}/v2/nowhere/referrers/{}", subject.digest), &[]).await;
    assert_eq!(nothing.json(), json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}));
    assert_eq!((nothing.status.as_u16(), nothing.header("content-type")), (200, Some(INDEX)));

    let (statement, plain) = (Image::about(&subject, 1), Image::plain_about(&subject, 2, "text/x", "kind=a"));
    for image in [&statement, &plain] {
        image.push_blobs(&base, "team/app").await;
        let put = image.put(&base, "team/app", &image.digest).await;
        assert_eq!(put.status(), 201, "its subject need not be there");
        assert_eq!(put.headers()["oci-subject"], subject.digest.as_str());
    }
    let described = |image: &Image, artifact_type: &str, annotations: Option<Value>| {
        let mut descriptor = json!({
            "mediaType": image.media_type, "size": image.manifest.len(), "digest": image.digest,
            "artifactType": artifact_type,
        });
        if let Some(annotations) = annotations {
            descriptor["annotations"] = annotations;
        }
        descriptor
    };
    let mut expected =
        vec![described(&statement, STATEMENT, None), described(&plain, "text/x", Some(json!({"kind": "a"})))];
    expected.sort_by_key(|descriptor| descriptor["digest"].as_str().unwrap().to_owned());
    let url = format!("{base}/v2/team/app/referrers/{}", subject.digest);
    let all = ask(Method::GET, &url, &[]).await;
    assert_eq!(all.json()["manifests"], json!(expected));
    assert_eq!(all.header("oci-filters-applied"), None);
    for (query, applied, count) in [
        (format!("?artifactType={STATEMENT}"), Some("artifactType"), 1),
        (format!("?artifactType={STATEMENT}&artifactType=text%2Fx"), Some("artifactType"), 2),
        ("?artifactType=other".to_owned(), Some("artifactType"), 0),
        ("?artifactType=".to_owned(), None, 2),
    ] {
        let answer = ask(Method::GET, &format!("{url}{query}"), &[]).await;
        assert_eq!(answer.header("oci-filters-applied"), applied, "{query}");
        assert_eq!(answer.json()["manifests"].as_array().unwrap().len(), count, "{query}");
    }
    let invalid = ask(Method::GET, &format!("{base}/v2/team/app/referrers/sha256:x"), &[]).await;
    assert_eq!(
        (invalid.status.as_u16(), &invalid.json()["errors"][0]["code"]),
        (400, &json!("DIGEST_INVALID"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fallback_tag_lists_is_told_as_the_manifests_themselves_say() {
    let house = House::new().await;
    let (door, registry) = (house.door.url(), house.registry.url());
    let (subject, other) = (Image::small(1), Image::small(2));
    let listed = Image::plain_about(&subject, 1, "text/x", "kind=a");
    let stranger = Image::about(&other, 2);
    for image in [&subject, &listed, &stranger] {
        image.push(&registry, "team/app", &image.digest).await;
    }
    // Written around the door, without annotations, and with one that is about something else.
    let entry = |image: &Image| json!({"mediaType": image.media_type, "digest": image.digest, "size": image.manifest.len()});
    let index =
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(&listed), entry(&stranger)]});
    let tag = subject.digest.replace(':', "-");
    let url = format!("{registry}/v2/team/app/manifests/{tag}");
    let put =
        http_client().put(url).header(CONTENT_TYPE, INDEX).body(index.to_string()).send().await.unwrap();
    assert_eq!(put.status(), 201);
    sweep_through(&house.door, false).await;
    let answer = ask(Method::GET, &format!("{door}/v2/team/app/referrers/{}", subject.digest), &[]).await;
    let manifests = answer.json()["manifests"].clone();
    assert_eq!(manifests.as_array().unwrap().len(), 1, "{manifests}");
    assert_eq!(manifests[0]["digest"], listed.digest);
    assert_eq!(
        (&manifests[0]["artifactType"], &manifests[0]["annotations"]),
        (&json!("text/x"), &json!({"kind": "a"}))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn more_referrers_than_one_answer_holds_are_linked_to() {
    let house = House::new().await;
    let base = house.door.url();
    let subject = Image::small(1);
    let long = format!("long={}", "x".repeat(900_000));
    let mut expected = Vec::new();
    for number in 0..6 {
        let image = Image::plain_about(&subject, number, "text/x", &long);
        image.push(&base, "team/app", &image.digest).await;
        expected.push(image.digest);
    }
    expected.sort_unstable();
    let (mut found, mut pages) = (Vec::new(), 0);
    let mut next = Some(format!("/v2/team/app/referrers/{}?artifactType=text/x", subject.digest));
    while let Some(path) = next {
        let answer = ask(Method::GET, &format!("{base}{path}"), &[]).await;
        assert!(answer.body.len() < 4 * 1024 * 1024, "{}", answer.body.len());
        let index = answer.json();
        found.extend(
            index["manifests"].as_array().unwrap().iter().map(|it| it["digest"].as_str().unwrap().to_owned()),
        );
        next = answer.next();
        pages += 1;
    }
    assert_eq!(found, expected);
    assert!(pages > 1);
}
