//! Which `Host` the registry sees, and what it makes of it.

use std::sync::{Arc, Mutex};

use http::HeaderMap;
use http::header::{HOST, WWW_AUTHENTICATE};

use crate::support::door::Door;
use crate::support::guard::Guard;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};

/// The `Host`s of all requests to repository `a`, besides the door's own questions.
fn keep_hosts(relay: &Relay) -> Arc<Mutex<Vec<String>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = Arc::clone(&kept);
    relay.script(move |request| {
        let text = |headers: &HeaderMap, name: &str| {
            headers.get(name).map(|value| value.to_str().unwrap().to_owned())
        };
        let is_own = text(&request.headers, "user-agent").is_some_and(|agent| agent.starts_with("portreeve"));
        if request.path.starts_with("/v2/a/") && !is_own {
            keeping.lock().unwrap().push(text(&request.headers, "host").unwrap_or_default());
        }
        Fault::None
    });
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_sees_its_own_name_or_the_one_by_which_the_client_knows_the_door() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let image = Image::small(1);
    image.push_blobs(&registry.url(), "a").await;
    let kept = keep_hosts(&relay);
    let trusted = ("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]");
    let own = relay.url().strip_prefix("http://").unwrap().to_owned();
    let outside = ("EXTERNAL_URL", "https://outside.example:8443");
    for (settings, expected) in [
        (vec![], own.as_str()),
        (vec![("REGISTRY__HOST", "backend"), outside], own.as_str()),
        (vec![("REGISTRY__HOST", "keep")], "asked.example:5000"),
        (vec![("REGISTRY__HOST", "keep"), trusted], "forwarded.example"),
        (vec![("REGISTRY__HOST", "keep"), trusted, outside], "outside.example:8443"),
    ] {
        let door = Door::builder(relay.url());
        let door = settings.iter().fold(door, |door, (key, value)| door.set(key, *value));
        let door = door.start().await;
        let client = http_client();
        let base = format!("{}/v2/a", door.url());
        let blob = &image.blobs[0].0;
        let put = client.put(format!("{base}/manifests/tag")).header("content-type", &image.media_type);
        for request in [
            client.get(format!("{base}/tags/list")),
            client.head(format!("{base}/blobs/{blob}")),
            client.post(format!("{base}/blobs/uploads/")),
            put.body(image.manifest.clone()),
            client.delete(format!("{base}/manifests/{}", image.digest)),
        ] {
            let request =
                request.header(HOST, "asked.example:5000").header("x-forwarded-host", "forwarded.example");
            let response = request.send().await.unwrap();
            assert!(response.status().as_u16() < 500, "{response:?}");
        }
        let kept = std::mem::take(&mut *kept.lock().unwrap());
        assert_eq!(kept, vec![expected; 5], "{settings:?}");
    }
}

/// By HTTP/2 the client names the door in `:authority`.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_http2_request_is_kept_as_well() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let kept = keep_hosts(&relay);
    let client = crate::support::http::client_builder().http2_prior_knowledge().build().unwrap();
    for (host, is_kept) in [("backend", false), ("keep", true)] {
        let door = Door::builder(relay.url()).set("REGISTRY__HOST", host).start().await;
        client.get(format!("{}/v2/a/tags/list", door.url())).send().await.unwrap();
        let own = relay.url().strip_prefix("http://").unwrap().to_owned();
        let expected = if is_kept { door.address().to_string() } else { own };
        assert_eq!(kept.lock().unwrap().pop(), Some(expected), "{host}");
    }
}

/// distribution with `autoredirect` makes the realm from `Host` alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_realm_that_the_registry_makes_from_its_host_is_the_doors_with_the_host_kept() {
    let guard = Guard::new();
    let trust = guard.trust();
    let token = format!(
        "auth: {{token: {{autoredirect: true, realm: 'https://unused.example/auth/token', service: s, issuer: i, {}: {}}}}}\n",
        trust.name(),
        trust.path().display()
    );
    let registry = Registry::start_with(&token).await;
    let challenge = async |base: &str| {
        let response = http_client().get(format!("{base}/v2/")).send().await.unwrap();
        assert_eq!(response.status(), 401);
        // distribution takes `https` for granted unless it is told better, 3.1 by `X-Forwarded-Proto`, 2.8 not even so.
        response.headers()[WWW_AUTHENTICATE].to_str().unwrap().replace("https://", "http://")
    };
    let bare = challenge(&registry.url()).await;
    let inner = registry.address().to_string();
    assert!(bare.contains(&inner), "{bare}");

    // The realm is passed as it is: the door passes no token requests on, so that it could not stand for the realm.
    let door = Door::builder(registry.url()).start().await;
    assert_eq!(challenge(&door.url()).await, bare);
    let keeping = Door::builder(registry.url()).set("REGISTRY__HOST", "keep").start().await;
    assert_eq!(challenge(&keeping.url()).await, bare.replace(&inner, &keeping.address().to_string()));
}
