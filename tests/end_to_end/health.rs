//! What is wrong with what is held, and numbers about it: as the door tells them, and as `portreeve check` does.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::metrics::metrics;
use crate::support::registry::Registry;
use crate::support::state::ACCEPT_ALL;
use crate::support::sweep::sweep_through;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

async fn delete(base: &str, repository: &str, reference: &str) {
    let url = format!("{base}/v2/{repository}/manifests/{reference}");
    assert_eq!(http_client().delete(url).send().await.unwrap().status(), 202, "{repository} {reference}");
}

/// What has this flaw.
async fn flawed(door: &Door, kind: &str) -> Value {
    door.get_json(&format!("/api/v1/health?kind={kind}")).await["items"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_what_is_held_is_counted_listed_and_shown_by_check_until_it_is_mended() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let (one, two) = (Image::small(1), Image::small(2));
    let both = Image::index(&[&one, &two]);
    for child in [&one, &two] {
        child.push(&door.url(), "team/index", &child.digest).await;
    }
    both.push(&door.url(), "team/index", "latest").await;
    let subject = Image::small(3);
    let about = Image::about(&subject, 1);
    subject.push(&door.url(), "team/signed", "v1").await;
    about.push(&door.url(), "team/signed", &about.digest).await;
    Image::small(4).push(&door.url(), "team/empty", "v1").await;
    let none = json!({
        "missing_children": 0, "missing_subject": 0, "lost_tag": 0, "empty_repository": 0, "untagged": 0,
    });
    assert_eq!(door.get_json("/api/v1/health").await, none);
    let (good, said) = door.check().await;
    assert!(good && !said.contains("lacks manifests"), "{said}");

    // Behind the door's back, and through it.
    delete(&registry.url(), "team/index", &two.digest).await;
    assert!(sweep_through(&door, true).await > 0);
    delete(&door.url(), "team/signed", &subject.digest).await;
    delete(&door.url(), "team/empty", &Image::small(4).digest).await;
    let expected = json!({
        "missing_children": 1, "missing_subject": 1, "lost_tag": 0, "empty_repository": 1, "untagged": 0,
    });
    assert_eq!(door.get_json("/api/v1/health").await, expected);
    let lacking = |repository: &str, digest: &str, lacks: &str| json!([{"repository": repository, "tag": null, "digest": digest, "lacks": [lacks]}]);
    assert_eq!(flawed(&door, "missing_children").await, lacking("team/index", &both.digest, &two.digest));
    assert_eq!(
        flawed(&door, "missing_subject").await,
        lacking("team/signed", &about.digest, &subject.digest)
    );
    let empty = json!([{"repository": "team/empty", "tag": null, "digest": null, "lacks": []}]);
    assert_eq!(flawed(&door, "empty_repository").await, empty);
    until("the metrics show it", SOON, async || {
        metrics(&door).await.contains("portreeve_flaws{kind=\"missing_children\"} 1\n")
    })
    .await;
    let sentences = [
        format!("Indexes of which the repository lacks manifests: 1 (team/index@{}).", both.digest),
        format!("Manifests about others that the repository lacks: 1 (team/signed@{}).", about.digest),
        "Repositories that hold nothing: 1 (team/empty).".to_owned(),
    ];
    let (good, said) = door.check().await;
    assert!(good && sentences.iter().all(|sentence| said.contains(sentence)), "{said}");
    // The same of a store that no door has open, and of one that is opened again.
    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    let (_, said) = door.check().await;
    assert!(sentences.iter().all(|sentence| said.contains(sentence)), "{said}");
    door.restart().await;
    assert_eq!(door.get_json("/api/v1/health").await, expected);

    two.push(&door.url(), "team/index", &two.digest).await;
    delete(&door.url(), "team/signed", &about.digest).await;
    let expected = json!({
        "missing_children": 0, "missing_subject": 0, "lost_tag": 0, "empty_repository": 2, "untagged": 0,
    });
    assert_eq!(door.get_json("/api/v1/health").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_in_a_day_is_counted_and_the_largest_blobs_are_named() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    for (repository, tag) in [("team/app", "v1"), ("team/app", "v2"), ("team/other", "v1")] {
        image.push(&door.url(), repository, tag).await;
    }
    Image::small(2).push(&registry.url(), "team/found", "v1").await;
    assert!(sweep_through(&door, true).await > 0);
    let pull = http_client().get(format!("{}/v2/team/app/manifests/v1", door.url()));
    assert_eq!(pull.header("accept", ACCEPT_ALL).send().await.unwrap().status(), 200);
    delete(&door.url(), "team/other", &image.digest).await;
    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    door.restart().await;
    let mut shown = door.get_json("/api/v1/statistics").await;
    assert_eq!((&shown["totals"]["tags"], &shown["totals"]["repositories"]), (&json!(3), &json!(3)));
    // Midnight may have come between.
    let sum = |field: &str| -> u64 {
        shown["days"].as_array().unwrap().iter().map(|day| day[field].as_u64().unwrap()).sum()
    };
    assert_eq!((sum("pushes"), sum("pulls")), (3, 1), "{shown:#}");
    assert_eq!(sum("deletions"), 2, "the manifest and its tag: {shown:#}");
    assert_eq!(shown["days"][0]["bytes"], shown["totals"]["bytes"]);
    let largest = shown["largest_blobs"].take();
    let sizes: Vec<u64> =
        largest.as_array().unwrap().iter().map(|blob| blob["size"].as_u64().unwrap()).collect();
    let mut expected: Vec<u64> = [&image, &Image::small(2)]
        .iter()
        .flat_map(|image| &image.blobs)
        .map(|(_, blob)| blob.len() as u64)
        .collect();
    expected.sort_unstable_by_key(|size| std::cmp::Reverse(*size));
    assert_eq!(sizes, expected, "{largest:#}");
}
