//! Catalog and tags.

use reqwest::Method;
use serde_json::json;

use super::{House, all_names, ask};
use crate::support::door::Door;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::sweep::sweep_through;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_answered_from_the_record_before_a_sweep_was_complete() {
    let registry = Registry::start().await;
    Image::small(1).push(&registry.url(), "around", "v1").await;
    let mut door = Door::builder(registry.url()).start().await;
    let list = |door: &Door| format!("{}/v2/around/tags/list", door.url());
    let before = ask(Method::GET, &list(&door), &[]).await;
    assert_eq!(before.json(), json!({"name": "around", "tags": ["v1"]}), "the registry's answer");
    sweep_through(&door, true).await;
    Image::small(2).push(&registry.url(), "around", "v2").await;
    let after = ask(Method::GET, &list(&door), &[]).await;
    assert_eq!(after.names("tags"), ["v1"], "as the sweep found it");
    door.restart().await;
    let again = ask(Method::GET, &list(&door), &[]).await;
    assert_eq!(again.names("tags"), ["v1"], "the record is still complete");
    sweep_through(&door, false).await;
    assert_eq!(ask(Method::GET, &list(&door), &[]).await.names("tags"), ["v1", "v2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_answers_from_the_registry_everything_passes_through() {
    let house = House::with(|builder| builder.set("ANSWERS__FROM", "registry")).await;
    Image::small(1).push(&house.registry.url(), "around", "v1").await;
    assert_eq!(all_names(&house.door.url(), "/v2/_catalog?n=9", "repositories").await, ["around"]);
    let image = Image::about(&Image::small(1), 1);
    image.push_blobs(&house.door.url(), "around").await;
    let put = image.put(&house.door.url(), "around", "about").await;
    assert!(!put.headers().contains_key("oci-subject"), "the registry does not answer referrers");
    assert_eq!(house.record_answers("catalog").await, 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_through_the_door_is_in_its_lists_at_once() {
    let house = House::new().await;
    let base = house.door.url();
    for (repository, tag) in [("b", "v1"), ("a", "v2"), ("b", "v0")] {
        Image::small(1).push(&base, repository, tag).await;
    }
    assert_eq!(all_names(&base, "/v2/_catalog", "repositories").await, ["a", "b"]);
    assert_eq!(all_names(&base, "/v2/b/tags/list", "tags").await, ["v0", "v1"]);
    house.until_record_answers("tags", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_with_a_link_only_if_there_is_more() {
    let house = House::new().await;
    let base = house.door.url();
    for tag in ["a", "b", "c", "d"] {
        Image::small(1).push(&base, "team/app", tag).await;
    }
    let page = async |query: &str| {
        let answer = ask(Method::GET, &format!("{base}/v2/team/app/tags/list{query}"), &[]).await;
        assert_eq!(answer.status, 200, "{query}");
        (answer.names("tags").concat(), answer.next())
    };
    let behind = |last: &str, count: u64| Some(format!("/v2/team/app/tags/list?last={last}&n={count}"));
    for (query, tags, next) in [
        ("", "abcd", None),
        ("?n=", "abcd", None),
        ("?n=0", "", None),
        ("?n=2", "ab", behind("b", 2)),
        ("?n=4", "abcd", None),
        ("?n=9999999999999999999999", "abcd", None),
        ("?n=2&last=b", "cd", None),
        ("?last=b", "cd", None),
        ("?last=bb", "cd", None),
        ("?last=d", "", None),
        ("?last=zzz&n=1", "", None),
        ("?last=%00&n=1", "a", behind("a", 1)),
    ] {
        assert_eq!(page(query).await, (tags.to_owned(), next), "{query}");
    }
    for query in ["?n=-1", "?n=x"] {
        for path in ["team/app/tags/list", "_catalog"] {
            let answer = ask(Method::GET, &format!("{base}/v2/{path}{query}"), &[]).await;
            assert_eq!(answer.status, 400, "{query}");
            assert_eq!(answer.json()["errors"][0]["code"], "PAGINATION_NUMBER_INVALID");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_record_does_not_know_the_registry_is_asked_for() {
    let house = House::new().await;
    let base = house.door.url();
    let unknown = ask(Method::GET, &format!("{base}/v2/nothing/tags/list"), &[]).await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.json()["errors"][0]["code"], "NAME_UNKNOWN");
    let image = Image::small(1);
    image.push(&house.registry.url(), "around", "v1").await;
    assert_eq!(all_names(&base, "/v2/around/tags/list", "tags").await, ["v1"]);
    // Nothing but the sweep has to find it: a repository that lost its last tag still is one.
    sweep_through(&house.door, true).await;
    assert_eq!(crate::support::http::delete(&base, "around", &image.digest).await.status(), 202);
    assert!(all_names(&base, "/v2/around/tags/list", "tags").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_more_tags_than_are_read_at_once_is_sent_whole() {
    let house = House::new().await;
    let base = house.door.url();
    let image = Image::small(1);
    image.push(&base, "many", "t0000").await;
    // As many pushes would take long.
    house.registry.copy_tag("many", "t0000", (1..2_500).map(|number| format!("t{number:04}")));
    sweep_through(&house.door, false).await;
    let answer = ask(Method::GET, &format!("{base}/v2/many/tags/list"), &[]).await;
    let expected: Vec<String> = (0..2_500).map(|number| format!("t{number:04}")).collect();
    assert_eq!(answer.names("tags"), expected);
    assert_eq!((answer.header("content-length"), answer.header("link")), (None, None));
    assert_eq!(all_names(&base, "/v2/many/tags/list?n=700", "tags").await, expected);
}
