//! Challenges of the registry's own: a client of a door with a gate asks nobody but the door for tokens.

use reqwest::{Method, StatusCode};

use crate::support::guard::{Guard, token};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};

const SCOPE: &str = "repository:team/app:pull,push,delete";

#[tokio::test(flavor = "multi_thread")]
async fn a_registrys_own_challenge_never_reaches_a_client_of_a_gate() {
    let registry = Registry::start_with_password("door", "secret").await;
    let guard = Guard::new();
    // The door has nothing to show it.
    let door = guard.door(registry.url()).start_listening().await;
    let alice = token(&door.url(), "alice", &[SCOPE]).await;
    let image = Image::small(1);
    for (method, path) in [
        (Method::GET, "manifests/latest"),
        (Method::HEAD, "manifests/latest"),
        (Method::GET, "tags/list"),
        (Method::POST, "blobs/uploads/"),
        (Method::PUT, "manifests/latest"),
        (Method::DELETE, "manifests/latest"),
    ] {
        let url = format!("{}/v2/team/app/{path}", door.url());
        let request = http_client().request(method.clone(), url).bearer_auth(&alice);
        let request = match method {
            Method::PUT => request.header("content-type", &image.media_type).body(image.manifest.clone()),
            _ => request,
        };
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_GATEWAY, "{method} {path}");
        assert!(response.headers().get("www-authenticate").is_none(), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_in_another_answer_or_that_of_a_proxy_before_the_registry() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let guard = Guard::new();
    let door = guard.door(relay.url()).start().await;
    let alice = token(&door.url(), "alice", &[SCOPE]).await;
    for (status, expected) in [(403, 403), (404, 404), (407, 502), (401, 502)] {
        relay.script(move |request| {
            let challenge =
                r#"Bearer realm="https://elsewhere.example/token",service="elsewhere""#.to_owned();
            match request.path.contains("/team/app/") {
                true => Fault::Answer {
                    status,
                    headers: vec![
                        ("www-authenticate".to_owned(), challenge.clone()),
                        ("proxy-authenticate".to_owned(), challenge),
                        ("authentication-info".to_owned(), "nextnonce=\"1\"".to_owned()),
                    ],
                    body: Vec::new(),
                },
                false => Fault::None,
            }
        });
        let url = format!("{}/v2/team/app/tags/list", door.url());
        let response = http_client().get(url).bearer_auth(&alice).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{status}");
        for name in ["www-authenticate", "proxy-authenticate", "authentication-info"] {
            assert!(response.headers().get(name).is_none(), "{status} {name}");
        }
    }
}
