//! Nobody does what no rule allows: on every route, with tokens and with passwords.

use reqwest::{Method, Response, StatusCode};

use crate::support::door::Door;
use crate::support::guard::{Guard, password, token};
use crate::support::http::{error_of, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::state::{ACCEPT_ALL, truth};

/// Sends a request with a token, or without one if that is empty.
async fn send(door: &Door, token: &str, method: Method, path: &str) -> Response {
    let request = http_client().request(method, format!("{}{path}", door.url())).header("accept", ACCEPT_ALL);
    let request = if token.is_empty() { request } else { request.bearer_auth(token) };
    request.send().await.unwrap()
}

fn challenge(response: &Response) -> String {
    response.headers()["www-authenticate"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_challenges_with_what_it_needs() {
    let guard = Guard::new();
    let relay = Relay::start("http://127.0.0.1:9").await;
    let door = guard.door(relay.url()).start_listening().await;
    let start = format!("Bearer realm=\"{}/token\",service=\"portreeve\"", door.url());
    let blob = digest(b"x");
    let mount = format!("/v2/a/blobs/uploads/?mount={blob}&from=b/c");
    for (method, path, scope) in [
        (Method::GET, "/v2/".to_owned(), ""),
        (Method::GET, "/v2/_catalog".to_owned(), "registry:catalog:*"),
        (Method::GET, "/v2/a/tags/list".to_owned(), "repository:a:pull"),
        (Method::GET, "/v2/a/manifests/t".to_owned(), "repository:a:pull"),
        (Method::PUT, "/v2/a/manifests/t".to_owned(), "repository:a:pull,push"),
        (Method::DELETE, "/v2/a/manifests/t".to_owned(), "repository:a:delete"),
        (Method::GET, format!("/v2/a/blobs/{blob}"), "repository:a:pull"),
        (Method::DELETE, format!("/v2/a/blobs/{blob}"), "repository:a:delete"),
        (Method::POST, "/v2/a/blobs/uploads/".to_owned(), "repository:a:pull,push"),
        (Method::PATCH, "/v2/a/blobs/uploads/1".to_owned(), "repository:a:pull,push"),
        (Method::POST, mount, "repository:a:pull,push repository:b/c:pull"),
    ] {
        let scope = if scope.is_empty() { String::new() } else { format!(",scope=\"{scope}\"") };
        let bare = send(&door, "", method.clone(), &path).await;
        assert_eq!((bare.status(), challenge(&bare)), (StatusCode::UNAUTHORIZED, format!("{start}{scope}")));
        let (code, _) = error_of(bare).await;
        assert_eq!(code, "UNAUTHORIZED");
        let forged = send(&door, "a.b.c", method, &path).await;
        assert_eq!(challenge(&forged), format!("{start}{scope},error=\"invalid_token\""));
    }
    // Health checks of the door's own ask for its root; nobody else got through.
    assert!(relay.seen().iter().all(|seen| seen == "GET /v2/"), "{:?}", relay.seen());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_what_it_grants_and_nothing_else() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let image = Image::small(1);
    image.push(&registry.url(), "team/app", "latest").await;
    let door = guard.door(registry.url()).start().await;
    let reader = token(&door.url(), "reader", &["repository:team/app:pull,push,delete"]).await;
    let (get, put, delete) = (Method::GET, Method::PUT, Method::DELETE);
    assert_eq!(send(&door, &reader, get.clone(), "/v2/").await.status(), StatusCode::OK);
    let path = "/v2/team/app/manifests/latest";
    assert_eq!(send(&door, &reader, get.clone(), path).await.status(), StatusCode::OK);
    for (method, path) in [
        (put, path.to_owned()),
        (delete, format!("/v2/team/app/manifests/{}", image.digest)),
        (get.clone(), "/v2/team/other/tags/list".to_owned()),
        (get.clone(), "/v2/_catalog".to_owned()),
        (Method::POST, "/v2/team/app/blobs/uploads/".to_owned()),
    ] {
        let refused = send(&door, &reader, method, &path).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert!(challenge(&refused).ends_with(",error=\"insufficient_scope\""), "{path}");
        let (code, message) = error_of(refused).await;
        assert_eq!(code, "DENIED");
        assert!(message.contains("reader"), "{message}");
    }
    assert_eq!(truth(&registry.url()).await.len(), 1);
    let anonymous = token(&door.url(), "", &["repository:team/app:pull"]).await;
    assert_eq!(send(&door, &anonymous, get.clone(), "/v2/").await.status(), StatusCode::OK);
    assert_eq!(send(&door, &anonymous, get, path).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_a_password_open_the_same_as_a_token() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    Image::small(1).push(&registry.url(), "team/app", "latest").await;
    let door = guard.door(registry.url()).start().await;
    let get = async |user: &str, secret: &str, path: &str| {
        let request = http_client().get(format!("{}{path}", door.url())).header("accept", ACCEPT_ALL);
        request.basic_auth(user, Some(secret)).send().await.unwrap().status()
    };
    let path = "/v2/team/app/manifests/latest";
    assert_eq!(get("reader", &password("reader"), path).await, StatusCode::OK);
    assert_eq!(get("reader", &password("reader"), "/v2/").await, StatusCode::OK);
    assert_eq!(get("reader", &password("reader"), "/v2/_catalog").await, StatusCode::UNAUTHORIZED);
    assert_eq!(get("admin", &password("admin"), "/v2/_catalog").await, StatusCode::OK);
    assert_eq!(get("reader", "wrong", path).await, StatusCode::UNAUTHORIZED);
    assert_eq!(get("stranger", &password("stranger"), path).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_of_what_may_not_be_read_becomes_a_plain_upload() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let image = Image::small(1);
    image.push(&registry.url(), "private/app", "latest").await;
    image.push(&registry.url(), "team/base", "latest").await;
    let door = guard.door(registry.url()).start().await;
    let (blob, _) = &image.blobs[0];
    let alice = token(
        &door.url(),
        "alice",
        &["repository:team/new:pull,push", "repository:team/base:pull", "repository:private/app:pull"],
    )
    .await;
    let mount = async |query: &str| {
        let path = format!("/v2/team/new/blobs/uploads/?{query}");
        send(&door, &alice, Method::POST, &path).await.status()
    };
    // The registry reads a name however it is spelled.
    for (mounts, from) in [("mount", "from"), ("%6dount", "%66rom"), ("%6Doun%74", "from")] {
        let query = format!("{mounts}={blob}&{from}=private/app");
        assert_eq!(mount(&query).await, StatusCode::ACCEPTED, "{query}");
    }
    assert_eq!(mount(&format!("mount={blob}")).await, StatusCode::ACCEPTED);
    assert_eq!(mount(&format!("mount={blob}&from=team/base")).await, StatusCode::CREATED);
    // And it reads forms, which go on nowhere.
    let url = format!("{}/v2/team/new/blobs/uploads/", door.url());
    for form in ["application/x-www-form-urlencoded", "appl\u{130}cation/x-www-form-urlencoded"] {
        let form = reqwest::header::HeaderValue::from_bytes(form.as_bytes()).unwrap();
        let request = http_client().post(&url).bearer_auth(&alice).header("content-type", form);
        let response = request.body(format!("mount={blob}&from=private/app")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_shows_to_the_door_never_reaches_the_registry() {
    let registry = Registry::start().await;
    let relay = Relay::start(&registry.url()).await;
    let guard = Guard::new();
    Image::small(1).push(&registry.url(), "team/app", "latest").await;
    let door = guard.door(relay.url()).start().await;
    relay.script(|request| match request.headers.contains_key("authorization") {
        true => Fault::RefuseBefore(418),
        false => Fault::None,
    });
    let alice = token(&door.url(), "alice", &["repository:team/app:pull,push,delete"]).await;
    let read = send(&door, &alice, Method::GET, "/v2/team/app/manifests/latest").await;
    assert_eq!(read.status(), StatusCode::OK);
    let image = Image::small(2);
    let write =
        send(&door, &alice, Method::DELETE, &format!("/v2/team/app/manifests/{}", image.digest)).await;
    assert_eq!(write.status(), StatusCode::NOT_FOUND);
}

/// An upload that was opened with a token of a short life: on a busy machine the first may be too old when it is used. The
/// token, and where the upload goes on.
async fn opened_upload(door: &Door) -> (String, String) {
    let mut opened = None;
    crate::support::wait::until("an upload is opened", std::time::Duration::from_secs(30), async || {
        let opener = token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
        let response = send(door, &opener, Method::POST, "/v2/team/app/blobs/uploads/").await;
        let status = response.status();
        assert!(matches!(status, StatusCode::ACCEPTED | StatusCode::UNAUTHORIZED), "{status}");
        let location =
            response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        opened = location.map(|location| (opener, location));
        opened.is_some()
    })
    .await;
    opened.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn k8_an_upload_outlives_the_token_that_opened_it_and_no_other() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door =
        guard.door(registry.url()).set("AUTH__TOKEN_TTL", "2s").set("AUTH__LEEWAY", "0s").start().await;
    let other = token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    let (opener, mut location) = opened_upload(&door).await;
    let path = "/v2/team/app/blobs/uploads/";
    crate::support::wait::until("the token expires", std::time::Duration::from_secs(10), async || {
        send(&door, &opener, Method::POST, path).await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
    for piece in ["first ", "second"] {
        let patch = http_client().patch(&location).body(piece);
        let foreign = patch.try_clone().unwrap().bearer_auth(&other).send().await.unwrap();
        assert_eq!(foreign.status(), StatusCode::UNAUTHORIZED);
        let response = patch.bearer_auth(&opener).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        location = response.headers()["location"].to_str().unwrap().to_owned();
    }
    // The mark is for this upload alone.
    let elsewhere = location.replace("/team/app/", "/team/other/");
    let put = async |location: &str| {
        let url = format!("{location}&digest={}", digest(b"first second"));
        http_client().put(url).bearer_auth(&opener).send().await.unwrap().status()
    };
    assert_eq!(put(&elsewhere).await, StatusCode::UNAUTHORIZED);
    assert_eq!(put(&location).await, StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn k8_an_upload_does_not_outlive_its_grace() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).set("AUTH__TOKEN_TTL", "1s").set("AUTH__LEEWAY", "0s");
    let door = door.set("AUTH__UPLOAD_GRACE", "1s").start().await;
    let (opener, location) = opened_upload(&door).await;
    crate::support::wait::until("the grace is over", std::time::Duration::from_secs(10), async || {
        let status = http_client().get(&location).bearer_auth(&opener).send().await.unwrap().status();
        assert!(matches!(status, StatusCode::NO_CONTENT | StatusCode::UNAUTHORIZED), "{status}");
        status == StatusCode::UNAUTHORIZED
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_follow_their_file_and_a_broken_file_changes_nothing() {
    let guard = Guard::new();
    let file = guard.path("portreeve.toml");
    let write = |text: &str| {
        let aside = guard.path("portreeve.toml.new");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, &file).unwrap();
    };
    let rule = |who: &str| {
        format!("[[auth.rules]]\nwho = \"{who}\"\nrepositories = \"team/**\"\nactions = \"pull\"\n")
    };
    write(&rule("stranger"));
    let door =
        guard.door("http://127.0.0.1:9").unset("AUTH__RULES").configured_by(&file).start_listening().await;
    let may = async |user: &str| {
        let token = token(&door.url(), user, &["repository:team/app:pull"]).await;
        !crate::support::guard::grants(&token).is_empty()
    };
    assert!(may("stranger").await && !may("reader").await);
    write(&format!("{}who = \"\"\n", rule("reader")));
    let within = std::time::Duration::from_secs(20);
    crate::support::wait::until("the broken file is seen", within, async || {
        door.log().contains("the old rules stay in force")
    })
    .await;
    assert!(may("stranger").await && !may("reader").await);
    write(&rule("reader"));
    crate::support::wait::until("the new rules count", within, async || may("reader").await).await;
    assert!(!may("stranger").await);
    // A hangup makes it look, also where a file does not look as if it had changed.
    let modified = std::fs::metadata(&file).unwrap().modified().unwrap();
    let aside = guard.path("portreeve.toml.new");
    std::fs::write(&aside, rule("alice")).unwrap();
    std::fs::File::options().write(true).open(&aside).unwrap().set_modified(modified).unwrap();
    std::fs::rename(aside, &file).unwrap();
    door.signal("HUP");
    crate::support::wait::until("the hangup counts", within, async || may("alice").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_door_is_not_ended_by_a_hangup() {
    let door = Door::builder("http://127.0.0.1:9").start_listening().await;
    door.signal("HUP");
    crate::support::wait::until("it has heard", std::time::Duration::from_secs(10), async || {
        door.log().contains("SIGHUP: users")
    })
    .await;
    assert_eq!(
        http_client().get(format!("{}/healthz", door.url())).send().await.unwrap().status(),
        StatusCode::OK
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn k9_tokens_outlive_a_rotation_of_keys() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    let old = token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    let key = |token: &str| token.split('.').next().unwrap().to_owned();
    guard.keys().rotate(portreeve::clock::Timestamp::now()).unwrap();
    crate::support::wait::until("the new key signs", std::time::Duration::from_secs(20), async || {
        key(&token(&door.url(), "reader", &[]).await) != key(&old)
    })
    .await;
    let response = send(&door, &old, Method::GET, "/v2/").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(door.get_json("/.well-known/jwks.json").await["keys"].as_array().unwrap().len(), 2);
}
