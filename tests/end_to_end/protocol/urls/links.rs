//! `Link` of lists leads back to the door.

use reqwest::header::LINK;
use serde_json::Value;

use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::scripted::Scripted;

/// The link of a list's first page, and every name that a client finds which follows the links.
async fn walk(door: &Door, path: &str, names: &str) -> (String, Vec<String>) {
    let mut found = Vec::new();
    let mut first = None;
    let mut url = reqwest::Url::parse(&format!("{}{path}", door.url())).unwrap();
    loop {
        let response = http_client().get(url.clone()).send().await.unwrap();
        assert_eq!(response.status(), 200, "{url}");
        let link = response.headers().get(LINK).map(|link| link.to_str().unwrap().to_owned());
        let page: Value = response.json().await.unwrap();
        found.extend(page[names].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()));
        let Some(link) = link else { return (first.unwrap_or_default(), found) };
        let target = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
        url = url.join(target).unwrap();
        assert!(url.as_str().starts_with(&door.url()), "{url} leads around the door");
        first.get_or_insert(link);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_follows_links_stays_with_the_door() {
    let registry = Scripted::start().await;
    for name in ["a", "b", "c", "d"] {
        registry.hold(name, "tag", &Image::small(1));
        registry.hold("a", name, &Image::small(1));
    }
    let door = Door::builder(registry.url()).start().await;
    let own = registry.url();
    let host = own.strip_prefix("http://").unwrap().to_owned();
    for (before, seen) in [
        (String::new(), String::new()),
        ("/prefix".to_owned(), String::new()),
        (own.clone(), door.url()),
        (format!("{own}/prefix"), door.url()),
        (format!("//{host}"), door.url()),
        ("https://public.example".to_owned(), door.url()),
        (door.url(), door.url()),
    ] {
        registry.quirks(|quirks| quirks.link_to = before.clone());
        let (link, repositories) = walk(&door, "/v2/_catalog?n=1", "repositories").await;
        assert_eq!(link, format!("<{seen}/v2/_catalog?last=a&n=1>; rel=\"next\""), "{before}");
        assert_eq!(repositories, ["a", "b", "c", "d"]);
        let (link, tags) = walk(&door, "/v2/a/tags/list?n=2", "tags").await;
        assert_eq!(link, format!("<{seen}/v2/a/tags/list?last=b&n=2>; rel=\"next\""), "{before}");
        assert_eq!(tags, ["a", "b", "c", "d", "tag"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_of_referrers_lead_back_and_links_to_elsewhere_stay() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).set("EXTERNAL_URL", "https://outside.example").start().await;
    let path = format!("/v2/a/referrers/{}", Image::small(1).digest);
    let (own, listed) = (relay.url(), path.clone());
    relay.script(move |request| {
        if !request.path.contains("/referrers/") {
            return Fault::None;
        }
        let link = |target: String| ("link".to_owned(), target);
        Fault::Answer {
            status: 200,
            headers: vec![
                link(format!(
                    "<{own}{listed}?n=2&token=a%3D>; rel=\"next\", <https://docs.example/>; rel=\"help\""
                )),
                link(format!("<{own}/v2/a/tags/list>; rel=\"related\"")),
                link("<https://elsewhere.example/v2/a/tags/list>; rel=\"related\"".to_owned()),
            ],
            body: b"{}".to_vec(),
        }
    });
    let response = http_client().get(format!("{}{path}", door.url())).send().await.unwrap();
    let links: Vec<_> = response.headers().get_all(LINK).iter().map(|link| link.to_str().unwrap()).collect();
    let here = "https://outside.example";
    assert_eq!(
        links,
        [
            &format!("<{here}{path}?n=2&token=a%3D>; rel=\"next\", <https://docs.example/>; rel=\"help\""),
            &format!("<{here}/v2/a/tags/list>; rel=\"related\""),
            "<https://elsewhere.example/v2/a/tags/list>; rel=\"related\"",
        ]
    );
}

/// A real registry that has a name for itself in its configuration writes absolute links nowhere, and one behind a gateway with a prefix
/// writes links that have the prefix.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_below_a_prefix_is_listed_to_its_end() {
    let registry = Registry::start_with_http("prefix: /inner/").await;
    let gateway = Relay::start(&format!("{}/inner", registry.url())).await;
    let door = Door::builder(gateway.url()).start().await;
    for name in ["a", "b", "c"] {
        Image::small(1).push(&door.url(), name, "tag").await;
    }
    let (_, repositories) = walk(&door, "/v2/_catalog?n=1", "repositories").await;
    assert_eq!(repositories, ["a", "b", "c"]);
}
