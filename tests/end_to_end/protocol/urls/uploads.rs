//! Where an upload goes on is opaque: any target that a registry may name.

use bytes::Bytes;
use reqwest::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, Response, Url};

use crate::clients::write_layout;
use crate::protocol::bytes;
use crate::support::door::Door;
use crate::support::guard::{self, Guard};
use crate::support::http::{error_of, http_client};
use crate::support::image::{Image, digest};
use crate::support::registry::Registry;
use crate::support::relay::Relay;
use crate::support::scripted::Scripted;
use crate::support::tool::Tool;

const UPLOADS: &str = "/v2/team/app/blobs/uploads/";

/// Targets as registries make them up. `{id}` is the session's name.
const TARGETS: [&str; 14] = [
    // GHCR.
    "/v2/team/app/blobs/upload/{id}",
    // Google's Artifact Registry.
    "/artifacts-uploads/namespaces/p/repositories/r/uploads/{id}?upload_state=a%2Bb%3D%3D",
    // A gateway's prefix.
    "/prefix/v2/team/app/blobs/uploads/{id}?_state=x%3D",
    // Names that the usual shape does not have.
    "/v2/team/app/blobs/uploads/{id}+x",
    "/v2/team/app/blobs/uploads/{id}~x",
    "/v2/team/app/blobs/uploads/{id}:x@y",
    "/v2/team/app/blobs/uploads/{id}%2Fx",
    "/v2/team/app/blobs/uploads/{id}/part/1",
    // Another repository's, and parameters that the door has itself.
    "/v2/team/other/blobs/uploads/{id}",
    "/v2/team/app/blobs/uploads/{id}?_portreeve_backend=0a1b2c3d",
    // A door in front of another one.
    "/v2/team/app/blobs/uploads/portreeve.{id}",
    // An empty query, a fragment, and the usual shape.
    "/uploads/{id}?",
    "/uploads/{id}?a=b#part",
    "/v2/team/app/blobs/uploads/{id}?_state=x%2By%3D",
];

async fn begin(client: &Client, door: &Door) -> Response {
    let response = client.post(format!("{}{UPLOADS}", door.url())).send().await.unwrap();
    assert_eq!(response.status(), 202);
    response
}

/// Where an answer leads, as a client resolves it.
fn led(door: &Door, asked: &str, response: &Response) -> Url {
    let base = Url::parse(&door.url()).unwrap().join(asked).unwrap();
    base.join(response.headers()[LOCATION].to_str().unwrap()).unwrap()
}

fn with_digest(mut url: Url, blob: &[u8]) -> Url {
    let separator = if url.query().is_some_and(|query| !query.is_empty()) { "&" } else { "" };
    let query = format!("{}{separator}digest={}", url.query().unwrap_or_default(), digest(blob));
    url.set_query(Some(&query));
    url
}

/// Sends a blob in two pieces, each to where the answer before led.
async fn push(client: &Client, door: &Door, blob: &Bytes) -> Response {
    let response = begin(client, door).await;
    let session = led(door, UPLOADS, &response);
    assert!(session.as_str().starts_with(&format!("{}{UPLOADS}", door.url())), "{session}");
    let (first, last) = (blob.slice(..blob.len() / 2), blob.slice(blob.len() / 2..));
    let octets = "application/octet-stream";
    let response =
        client.patch(session.clone()).header(CONTENT_TYPE, octets).body(first).send().await.unwrap();
    assert_eq!(response.status(), 202, "{session}");
    let session = led(door, session.path(), &response);
    let response = client.get(session.clone()).send().await.unwrap();
    assert_eq!(response.status(), 204, "{session}");
    let session = led(door, session.path(), &response);
    client.put(with_digest(session, blob)).header(CONTENT_TYPE, octets).body(last).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_goes_up_by_whatever_target_the_registry_names() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    let host = registry.url().strip_prefix("http://").unwrap().to_owned();
    for (number, target) in TARGETS.into_iter().enumerate() {
        for before in [String::new(), registry.url(), format!("//{host}"), door.url()] {
            registry.name_upload_targets(format!("{before}{target}"));
            let blob = bytes(number as u64, 5_000);
            let response = push(&client, &door, &blob).await;
            assert_eq!(response.status(), 201, "{before}{target}");
            assert_eq!(registry.blob(&digest(&blob)), Some(blob.clone()), "{before}{target}");
            let target = target.split('#').next().unwrap();
            for asked in
                registry.take_upload_requests().into_iter().filter(|asked| asked.method != Method::POST)
            {
                let Some(named) = asked.target.strip_prefix(&target.replace("{id}", &asked.session)) else {
                    panic!("{target} was named, and asked for was {}", asked.target);
                };
                let separator = if target.ends_with('?') || !target.contains('?') { "" } else { "&" };
                let question = if target.contains('?') { "" } else { "?" };
                let expected = format!("{question}{separator}digest={}", digest(&blob));
                let expected = if asked.method == Method::PUT { expected.as_str() } else { "" };
                // A client that finds an empty query may leave the question mark out.
                assert_eq!(named.trim_end_matches('?'), expected, "{} {target}", asked.method);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relative_target_is_seen_from_the_one_before() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    registry.name_upload_targets("/odd/uploads/{id}/0");
    let client = http_client();
    let session = led(&door, UPLOADS, &begin(&client, &door).await);
    registry.name_upload_targets("../{id}/1?x=y");
    let response = client.patch(session.clone()).body("a").send().await.unwrap();
    assert_eq!(response.status(), 202);
    let session = led(&door, session.path(), &response);
    registry.take_upload_requests();
    let response = client.put(with_digest(session, b"a")).send().await.unwrap();
    assert_eq!(response.status(), 201);
    let asked = registry.take_upload_requests().remove(0);
    assert_eq!(asked.target, format!("/odd/uploads/{}/1?x=y&digest={}", asked.session, digest(b"a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_after_a_restart_of_the_door() {
    let registry = Scripted::start().await;
    registry.name_upload_targets("/v2/team/app/blobs/upload/{id}");
    let mut door = Door::builder(registry.url()).start().await;
    let session = led(&door, UPLOADS, &begin(&http_client(), &door).await);
    door.restart().await;
    let response = http_client().put(with_digest(session, b"blob")).body("blob").send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(registry.blob(&digest(b"blob")), Some(Bytes::from("blob")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_at_another_door_and_at_the_backend_that_was_named() {
    let registries = [Scripted::start().await, Scripted::start().await];
    let guard = Guard::new();
    let urls = format!("{},{}", registries[0].url(), registries[1].url());
    let token_of =
        async |door: &Door| guard::token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    let (first, second) = (guard.door(&urls).start().await, guard.door(&urls).start().await);
    let token = token_of(&first).await;
    let client = http_client();
    for relative in [true, false] {
        for registry in &registries {
            let before = if relative { String::new() } else { registries[1].url() };
            registry.name_upload_targets(format!("{before}/v2/team/app/blobs/upload/{{id}}"));
        }
        for _ in 0..4 {
            let response =
                client.post(format!("{}{UPLOADS}", first.url())).bearer_auth(&token).send().await.unwrap();
            assert_eq!(response.status(), 202);
            let answered =
                registries.iter().position(|registry| !registry.take_upload_requests().is_empty()).unwrap();
            let expected = if relative { answered } else { 1 };
            let mut session = led(&first, UPLOADS, &response);
            session.set_port(Some(second.address().port())).unwrap();
            let request = client.put(with_digest(session, b"blob")).bearer_auth(&token).body("blob");
            assert_eq!(request.send().await.unwrap().status(), 201);
            let asked: Vec<usize> =
                registries.iter().map(|registry| registry.take_upload_requests().len()).collect();
            assert_eq!(asked[expected], 1, "{asked:?}, relative: {relative}");
            assert_eq!(asked.iter().sum::<usize>(), 1, "{asked:?}, relative: {relative}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_at_another_server_is_left_to_the_client_without_anything_added() {
    let registries = [Scripted::start().await, Scripted::start().await];
    let guard = Guard::new();
    let door = guard.door(format!("{},{}", registries[0].url(), registries[1].url())).start().await;
    let token = guard::token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    for elsewhere in
        ["https://storage.example/bucket/upload?X-Signature=a%2Fb%3D", "//storage.example/upload"]
    {
        registries.iter().for_each(|registry| registry.name_upload_targets(elsewhere));
        let request = http_client().post(format!("{}{UPLOADS}", door.url())).bearer_auth(&token);
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.headers()[LOCATION].to_str().unwrap()),
            (202, elsewhere)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_or_altered_target_reaches_nothing() {
    let registry = Scripted::start().await;
    registry.name_upload_targets("/v2/team/app/blobs/upload/{id}");
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    let scopes = ["repository:team/app:pull,push", "repository:team/other:pull,push"];
    let token = guard::token(&door.url(), "alice", &scopes).await;
    let client = http_client();
    let response = client.post(format!("{}{UPLOADS}", door.url())).bearer_auth(&token).send().await.unwrap();
    let session = led(&door, UPLOADS, &response);
    let sealed = session.path_segments().unwrap().next_back().unwrap().to_owned();
    registry.take_upload_requests();

    let mut altered = sealed.clone();
    let last = altered.pop().unwrap();
    altered.push(if last == 'A' { 'B' } else { 'A' });
    let cut = &sealed[..sealed.len() - 8];
    let made_up = "portreeve.aHR0cDovLzE2OS4yNTQuMTY5LjI1NC9sYXRlc3QvbWV0YS1kYXRh";
    for (path, why) in [
        (format!("{UPLOADS}{altered}"), "altered"),
        (format!("{UPLOADS}{cut}"), "cut"),
        (format!("{UPLOADS}{made_up}"), "made up"),
        (format!("{UPLOADS}portreeve."), "empty"),
        (format!("/v2/team/other/blobs/uploads/{sealed}"), "another repository's"),
    ] {
        for method in ["GET", "HEAD", "PATCH", "PUT", "DELETE"] {
            let url = format!("{}{path}?digest={}", door.url(), digest(b"a"));
            let request = client.request(method.parse().unwrap(), url).bearer_auth(&token).body("");
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 404, "{method} {why}");
            if method != "HEAD" {
                assert_eq!(error_of(response).await.0, "BLOB_UPLOAD_UNKNOWN", "{method} {why}");
            }
        }
    }
    // Whoever has no right to push has none by a URL that somebody else got.
    let reader = guard::token(&door.url(), "reader", &["repository:team/app:pull"]).await;
    let response =
        client.put(with_digest(session.clone(), b"a")).bearer_auth(reader).body("a").send().await.unwrap();
    assert_eq!(response.status(), 401);
    // Nor does the URL take more than the digest.
    let url = format!("{}&repository=other", with_digest(session.clone(), b"a"));
    let response = client.put(url).bearer_auth(&token).body("a").send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), error_of(response).await.0.as_str()),
        (400, "BLOB_UPLOAD_INVALID")
    );
    assert_eq!(registry.take_upload_requests().len(), 0, "something reached the registry");

    let response = client.put(with_digest(session, b"a")).bearer_auth(&token).body("a").send().await.unwrap();
    assert_eq!(response.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_manifest_gets_past_the_record_by_the_target_of_an_upload() {
    let registry = Scripted::start().await;
    let door = Door::builder(registry.url()).start().await;
    let client = http_client();
    for target in ["/v2/team/app/manifests/latest", "/prefix/v2/team/app/%6danifests/latest"] {
        for before in [String::new(), registry.url()] {
            registry.name_upload_targets(format!("{before}{target}"));
            let response = begin(&client, &door).await;
            assert_eq!(response.headers()[LOCATION].to_str().unwrap(), format!("{before}{target}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_of_an_upload_goes_where_the_upload_goes() {
    let registry = Scripted::start().await;
    let guard = Guard::new();
    let door = guard.door(registry.url()).start().await;
    let token = guard::token(&door.url(), "alice", &["repository:team/app:pull,push"]).await;
    registry.name_upload_targets("/v2/team/app/blobs/upload/{id}?_state=x");
    let request = http_client().post(format!("{}{UPLOADS}", door.url())).bearer_auth(&token);
    let session = led(&door, UPLOADS, &request.send().await.unwrap());
    registry.take_upload_requests();
    let response = http_client().request(Method::OPTIONS, session).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    let asked = registry.take_upload_requests().remove(0);
    assert_eq!(asked.target, format!("/v2/team/app/blobs/upload/{}?_state=x", asked.session));
}

/// A real registry that believes to be reached below a prefix, which a gateway in front of it puts before its paths.
async fn behind_a_gateway() -> (Registry, Relay) {
    let registry = Registry::start_with_http("prefix: /inner/").await;
    let gateway = Relay::start(&format!("{}/inner", registry.url())).await;
    (registry, gateway)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_registry_behind_a_gateway_with_a_prefix_takes_blobs() {
    let (_registry, gateway) = behind_a_gateway().await;
    let door = Door::builder(gateway.url()).start().await;
    let client = http_client();
    let blob = bytes(7, 50_000);
    let response = push(&client, &door, &blob).await;
    assert_eq!(response.status(), 201);
    let at = format!("{}/v2/team/app/blobs/{}", door.url(), digest(&blob));
    assert_eq!(response.headers()[LOCATION].to_str().unwrap(), at);
    assert_eq!(client.get(at).send().await.unwrap().bytes().await.unwrap(), blob);
    assert!(gateway.seen().iter().any(|line| line.starts_with("PATCH /inner/v2/team/app/blobs/uploads/")));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_push_to_a_real_registry_behind_a_gateway_with_a_prefix() {
    let (_registry, gateway) = behind_a_gateway().await;
    let guard = Guard::new();
    let door = guard.door(gateway.url()).start().await;
    let skopeo = Tool::new("skopeo", "skopeo");
    let images = [Image::small(1), Image::small(2)];
    let index = Image::index(&[&images[0], &images[1]]);
    write_layout(&skopeo.home().join("layout"), &index, &images);
    let there = format!("docker://{}/team/app:one", door.address());
    let credentials = format!("alice:{}", guard::password("alice"));
    let push = ["copy", "--all", "--dest-tls-verify=false", "--dest-creds", &credentials];
    skopeo.run(&[&push[..], &["oci:layout:both", &there]].concat()).await;
    let pull = ["copy", "--all", "--src-tls-verify=false", "--src-creds", &credentials];
    skopeo.run(&[&pull[..], &[&there, "oci:copy:both"]].concat()).await;
}
