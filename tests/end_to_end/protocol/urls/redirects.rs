//! Redirects of pulls to places of the registry's own.

use reqwest::header::LOCATION;
use reqwest::{Response, Url};

use crate::support::door::Door;
use crate::support::guard::{self, Guard};
use crate::support::http::{error_of, http_client};
use crate::support::image::digest;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};

const BLOB: &[u8] = b"a blob out of the registry's file store";

/// Has every blob lie at this target, which is where `location` leads.
fn store_at(relay: &Relay, location: String, target: &'static str) {
    let path = target.split('?').next().unwrap();
    relay.script(move |request| {
        if request.path == path {
            return Fault::Answer { status: 200, headers: Vec::new(), body: BLOB.to_vec() };
        }
        if request.path.starts_with("/v2/team/app/blobs/") {
            Fault::Redirect(location.clone())
        } else {
            Fault::None
        }
    });
}

fn led(door: &Door, response: &Response) -> Url {
    assert_eq!(response.status(), 307);
    let url = Url::parse(&door.url()).unwrap();
    let url = url.join(response.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert!(url.as_str().starts_with(&format!("{}/v2/team/app/blobs/", door.url())), "{url}");
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_follows_the_registry_to_a_place_of_its_own() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let door = Door::builder(relay.url()).start().await;
    let client = http_client();
    let host = relay.url().strip_prefix("http://").unwrap().to_owned();
    for target in [
        "/_storage_proxy/abc/http/store/sha256/aa?X-Signature=a%2Fb%3D&expires=1",
        "/inner/v2/team/app/store/1",
        "/v2/team/app/blobs/elsewhere+~",
    ] {
        for before in [String::new(), relay.url(), format!("//{host}"), door.url()] {
            store_at(&relay, format!("{before}{target}"), target);
            let blob = format!("{}/v2/team/app/blobs/{}", door.url(), digest(BLOB));
            for request in [client.get(&blob), client.head(&blob)] {
                let response = request.send().await.unwrap();
                let response = client.get(led(&door, &response)).send().await.unwrap();
                assert_eq!(response.status(), 200, "{before}{target}");
                assert_eq!(response.bytes().await.unwrap(), BLOB);
                assert_eq!(relay.seen().pop().unwrap(), format!("GET {target}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_no_door_has_named_for_this_repository_is_reached_by_nobody() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let guard = Guard::new();
    let door = guard.door(relay.url()).start().await;
    store_at(&relay, "/store/1".to_owned(), "/store/1");
    let pull = async |url: Url, user: &str, scope: &str| {
        let token = guard::token(&door.url(), user, &[scope]).await;
        http_client().get(url).bearer_auth(token).send().await.unwrap()
    };
    let blob = Url::parse(&format!("{}/v2/team/app/blobs/{}", door.url(), digest(BLOB))).unwrap();
    let place = led(&door, &pull(blob.clone(), "reader", "repository:team/app:pull").await);
    let reached = || relay.seen().iter().filter(|line| line.contains("/store/")).count();

    let elsewhere = Url::parse(&place.as_str().replace("/team/app/", "/team/other/")).unwrap();
    let mut altered = place.clone();
    altered.set_query(Some(&format!("{}x", place.query().unwrap())));
    let mut made_up = place.clone();
    made_up.set_query(Some("_portreeve_target=portreeve.aHR0cDovLzE2OS4yNTQuMTY5LjI1NC8"));
    for (url, scope) in [
        (elsewhere, "repository:team/other:pull"),
        (altered, "repository:team/app:pull"),
        (made_up, "repository:team/app:pull"),
    ] {
        let response = pull(url.clone(), "reader", scope).await;
        assert_eq!(response.status(), 404, "{url}");
        assert_eq!(error_of(response).await.0, "BLOB_UNKNOWN");
    }
    assert_eq!(http_client().get(place.clone()).send().await.unwrap().status(), 401);
    // What is good for a pull is good for no upload.
    let sealed = place.query().unwrap().strip_prefix("_portreeve_target=").unwrap();
    let upload = format!("{}/v2/team/app/blobs/uploads/{sealed}", door.url());
    let token = guard::token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    for method in [reqwest::Method::PUT, reqwest::Method::DELETE] {
        let response = http_client().request(method, &upload).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status(), 404);
    }
    assert_eq!(reached(), 0);
    let response = pull(place, "reader", "repository:team/app:pull").await;
    assert_eq!((response.status().as_u16(), reached()), (200, 1));
}
