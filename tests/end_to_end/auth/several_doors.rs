//! Doors that stand behind a load balancer, and what clients are told of where they are.

use reqwest::StatusCode;

use crate::support::door::Door;
use crate::support::guard::{Guard, token};
use crate::support::http::{error_of, http_client};

async fn challenge(door: &Door, headers: &[(&str, &str)]) -> String {
    let request = http_client().get(format!("{}/v2/", door.url()));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    response.headers()["www-authenticate"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_realm_is_where_the_client_came_in() {
    let guard = Guard::new();
    let forwarded = [("x-forwarded-proto", "https"), ("x-forwarded-host", "images.example")];
    let realm = |url: &str| format!("Bearer realm=\"{url}/token\",service=\"portreeve\"");

    let alone = guard.door("http://127.0.0.1:9").start_listening().await;
    assert_eq!(challenge(&alone, &[]).await, realm(&alone.url()));
    assert_eq!(challenge(&alone, &[("host", "door.example:8443")]).await, realm("http://door.example:8443"));
    assert_eq!(challenge(&alone, &forwarded).await, realm(&alone.url()), "nobody is believed unasked");

    let behind = guard.door("http://127.0.0.1:9");
    let behind = behind.set("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let behind = behind.start_listening().await;
    assert_eq!(challenge(&behind, &forwarded).await, realm("https://images.example"));

    let named = guard.door("http://127.0.0.1:9").set("EXTERNAL_URL", "https://named.example");
    let named = named.start_listening().await;
    assert_eq!(challenge(&named, &[("host", "other.example")]).await, realm("https://named.example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn doors_with_different_clocks_take_each_others_tokens_within_the_leeway() {
    let guard = Guard::new();
    // The first one makes the keys.
    let here = guard.door("http://127.0.0.1:9").start_listening().await;
    let asks = async |door: &Door, token: &str| {
        let request = http_client().get(format!("{}/v2/none/tags/list", door.url())).bearer_auth(token);
        request.send().await.unwrap()
    };
    for (offset, is_taken) in [("50s", true), ("-50s", true), ("3m", false)] {
        let there = guard.door("http://127.0.0.1:9").set("CLOCK__OFFSET", offset).start_listening().await;
        let theirs = token(&there.url(), "alice", &["repository:team/app:pull"]).await;
        let response = asks(&here, &theirs).await;
        // A token that is good, but for something else, or none at all.
        let (code, message) = error_of(response).await;
        assert_eq!(code == "DENIED", is_taken, "{offset}: {code} {message}");
        assert!(is_taken || message.contains("auth.leeway"), "{message}");
    }
}
