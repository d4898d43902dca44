//! Who may see what of the door's own: health and tokens everybody, a repository who may pull from it, the door's affairs its
//! administrators, and an unknown path nobody.

use reqwest::{Method, Response, StatusCode};
use serde_json::Value;

use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, grants, password, token};
use crate::support::http::{client_builder, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;

/// `admin` runs the door, `alice` may list all repositories and pull no one's, `reader` may pull those of the team.
const RULES: &str = r#"[
    { who = "admin", repositories = "**", actions = ["*", "catalog", "admin"] },
    { who = "alice", actions = ["catalog"] },
    { who = "reader", repositories = "team/**", actions = ["pull", "catalog"] },
    { who = "mounter", repositories = "team/**", actions = "push" },
    { who = "anonymous", repositories = "public/**", actions = "pull" },
]"#;

/// What belongs to a repository, and needs `pull` on it.
const OF_A_REPOSITORY: [&str; 3] =
    ["/api/v1/tags?repository=", "/api/v1/manifests?repository=", "/api/v1/events?repository="];
/// What is of all repositories, or of the door itself.
const OF_THE_DOOR: [(Method, &str); 7] = [
    (Method::GET, "/api/v1/status"),
    (Method::GET, "/api/v1/events?kind=auth"),
    (Method::GET, "/api/v1/events?k%69nd=auth"),
    (Method::GET, "/api/v1/events?kind=auth&repository=team/app"),
    (Method::GET, "/api/v1/removals"),
    (Method::POST, "/api/v1/removals/accept"),
    (Method::POST, "/api/v1/sync"),
];

fn guarded(guard: &Guard, registry: &str) -> crate::support::door::DoorBuilder {
    guard.door(registry).set("AUTH__RULES", RULES.replace('\n', " "))
}

/// How somebody is refused: who is not known may log in, and to whoever is that would be no help.
fn refused(user: &str) -> StatusCode {
    if ["", "anonymous"].contains(&user) { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN }
}

/// Asks for somebody; for nobody if the name is empty, and with an anonymous token for `anonymous`.
async fn ask(door: &Door, user: &str, method: Method, path: &str) -> Response {
    let request = http_client().request(method, format!("{}{path}", door.url()));
    let request = match user {
        "" => request,
        "anonymous" => {
            let scopes = ["repository:public/app:pull", "registry:catalog:*", "registry:admin:*"];
            request.bearer_auth(token(&door.url(), "", &scopes).await)
        }
        user => request.basic_auth(user, Some(password(user))),
    };
    request.send().await.unwrap()
}

async fn status(door: &Door, user: &str, path: &str) -> StatusCode {
    ask(door, user, Method::GET, path).await.status()
}

async fn shown(door: &Door, user: &str, path: &str) -> Value {
    let response = ask(door, user, Method::GET, path).await;
    assert_eq!(response.status(), StatusCode::OK, "{user} {path}");
    response.json().await.unwrap()
}

/// A door through which `admin` has pushed to `team/app`, `private/app` and `public/app`.
async fn filled(guard: &Guard, registry: &Registry) -> Door {
    let door = guarded(guard, &registry.url()).start().await;
    let scopes = ["team", "private", "public"].map(|place| format!("repository:{place}/app:pull,push"));
    let token = token(&door.url(), "admin", &scopes.each_ref().map(String::as_str)).await;
    let authorization = reqwest::header::HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let headers = [(reqwest::header::AUTHORIZATION, authorization)].into_iter().collect();
    let client = client_builder().default_headers(headers).build().unwrap();
    for (number, repository) in ["team/app", "private/app", "public/app"].into_iter().enumerate() {
        let image = Image::small(number as u64);
        image.push_blobs(&registry.url(), repository).await;
        let put = image.put_by(&client, &door.url(), repository, "latest").await.unwrap();
        assert_eq!(put.status(), StatusCode::CREATED, "{repository}");
    }
    door
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_a_repository_needs_pull_on_it() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    for path in OF_A_REPOSITORY {
        for (user, repository, expected) in [
            ("reader", "team/app", StatusCode::OK),
            ("reader", "public/app", StatusCode::OK),
            ("reader", "private/app", StatusCode::FORBIDDEN),
            // Whoever may list all names may not see what is behind them, and whoever may push not what is there.
            ("alice", "team/app", StatusCode::FORBIDDEN),
            ("alice", "private/app", StatusCode::FORBIDDEN),
            ("mounter", "team/app", StatusCode::FORBIDDEN),
            ("stranger", "team/app", StatusCode::FORBIDDEN),
            ("", "team/app", StatusCode::UNAUTHORIZED),
            ("", "public/app", StatusCode::UNAUTHORIZED),
            ("anonymous", "team/app", StatusCode::UNAUTHORIZED),
            ("anonymous", "public/app", StatusCode::OK),
            ("admin", "private/app", StatusCode::OK),
        ] {
            let path = format!("{path}{repository}");
            assert_eq!(status(&door, user, &path).await, expected, "{user} {path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_repository_exists_is_told_to_nobody_who_may_not_pull_from_it() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    for path in OF_A_REPOSITORY {
        let mut answers = Vec::new();
        for repository in ["private/app", "private/nothing"] {
            let answer = ask(&door, "reader", Method::GET, &format!("{path}{repository}")).await;
            let headers = format!("{:?}", answer.headers()["www-authenticate"]).replace(repository, "…");
            answers.push((answer.status(), headers, answer.text().await.unwrap().replace(repository, "…")));
        }
        assert_eq!(answers[0], answers[1], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_cannot_be_named_in_two_ways() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    for query in [
        "repository=team/app&repository=private/app",
        "repository=private/app&repository=team/app",
        "repository=team/app&%72epository=private/app",
        "repository=team/app;repository=private/app",
        "repository=team/app%00&repository=private/app",
        "repository=",
        "repository=Private/app",
        "",
    ] {
        for path in ["/api/v1/tags", "/api/v1/manifests"] {
            let answer = ask(&door, "reader", Method::GET, &format!("{path}?{query}")).await;
            // Without a repository the tags of all are listed that may be pulled.
            let expected = match (path, query) {
                ("/api/v1/tags", "") => StatusCode::OK,
                _ => StatusCode::BAD_REQUEST,
            };
            assert_eq!(answer.status(), expected, "{path}?{query}");
            let stranger = status(&door, "", &format!("{path}?{query}")).await;
            assert_eq!(stranger, StatusCode::UNAUTHORIZED, "{path}?{query}");
        }
    }
    // However it is spelled, it is that one.
    for (query, expected) in [
        ("repository=private%2fapp", StatusCode::FORBIDDEN),
        ("r%65pository=private/app", StatusCode::FORBIDDEN),
        ("n=1&repository=private/app", StatusCode::FORBIDDEN),
        ("repository=team%2Fapp", StatusCode::OK),
        ("r%65pository=team/app", StatusCode::OK),
    ] {
        for path in ["/api/v1/tags", "/api/v1/manifests", "/api/v1/events"] {
            let path = format!("{path}?{query}");
            assert_eq!(status(&door, "reader", &path).await, expected, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_affairs_of_the_door_are_for_its_administrators() {
    let guard = Guard::new();
    let door = guarded(&guard, "http://127.0.0.1:9").start_listening().await;
    for (method, path) in OF_THE_DOOR {
        for user in ["", "anonymous", "stranger", "reader", "alice"] {
            let answer = ask(&door, user, method.clone(), path).await;
            assert_eq!(answer.status(), refused(user), "{user}: {method} {path}");
        }
        let answer = ask(&door, "admin", method.clone(), path).await;
        assert_ne!(answer.status(), StatusCode::FORBIDDEN, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_repositories_tells_of_those_that_may_be_pulled_and_to_some_the_names_of_all() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    let list = "/api/v1/repositories";
    assert_eq!(status(&door, "", list).await, StatusCode::UNAUTHORIZED);
    for user in ["anonymous", "stranger", "mounter"] {
        let list = shown(&door, user, list).await;
        let items = list["items"].as_array().unwrap();
        assert!(items.iter().all(|item| item["name"] == "public/app") && items.len() == 1, "{user}: {list}");
    }
    for (user, known) in [
        ("alice", vec!["public/app"]),
        ("reader", vec!["public/app", "team/app"]),
        ("admin", vec!["private/app", "public/app", "team/app"]),
    ] {
        let list = shown(&door, user, list).await;
        let names: Vec<&str> =
            list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["private/app", "public/app", "team/app"], "{user}");
        for item in list["items"].as_array().unwrap() {
            let is_known = known.contains(&item["name"].as_str().unwrap());
            for (field, value) in item.as_object().unwrap().iter().filter(|(field, _)| *field != "name") {
                let may_be_null = field == "last_pull";
                assert!(value.is_null() != is_known || may_be_null, "{user}: {field} of {item}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_not_logged_in_is_not_told_who_pushed_and_from_where() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = filled(&guard, &registry).await;
    let (tags, events) = ("/api/v1/tags?repository=public/app", "/api/v1/events?repository=public/app");
    let (tag, event) = (shown(&door, "reader", tags).await, shown(&door, "reader", events).await);
    assert_eq!(tag["items"][0]["pushed_by"], "admin");
    assert_eq!(event["items"][0]["actor"]["address"], "127.0.0.1");
    let (tag, event) = (shown(&door, "anonymous", tags).await, shown(&door, "anonymous", events).await);
    assert_eq!(tag["items"][0]["pushed_by"], Value::Null);
    let actor = event["items"][0]["actor"].as_object().unwrap();
    assert!(actor.values().all(Value::is_null), "{actor:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_path_that_is_not_known_is_refused() {
    let guard = Guard::new();
    let door = guarded(&guard, "http://127.0.0.1:9").start_listening().await;
    for path in [
        "/nothing",
        "/uix",
        "/metrics",
        "/favicon.ico",
        "/v1/_ping",
        "/api",
        "/api/",
        "/api/v1/nothing",
        "/api/v1/accounts",
        "/api/v1/notifications/",
        "/api/v1/status/",
        "/API/v1/status",
        "/api/v1/%73tatus",
        "//api/v1/status",
        "http://door/api/v1/nothing",
        "/api/v1/events%3fkind=auth",
        "/./api/v1/status",
        "/healthz/",
        "/healthz/../api/v1/status",
        "/token/",
        "/token/../api/v1/events",
        "/.well-known/",
        "/v2x",
    ] {
        for method in [Method::GET, Method::POST, Method::OPTIONS] {
            for user in ["", "anonymous", "reader"] {
                let raw = raw_status(&door, user, &method, path).await;
                assert_eq!(raw, refused(user), "{user}: {method} {path}");
            }
        }
        assert_eq!(raw_status(&door, "admin", &Method::GET, path).await, 404, "{path}");
    }
}

/// The status of a request whose path is sent as it is written: an HTTP client would tidy it up.
async fn raw_status(door: &Door, user: &str, method: &Method, path: &str) -> u16 {
    use base64::Engine as _;
    let credentials = match user {
        "" => String::new(),
        "anonymous" => format!("Authorization: Bearer {}\r\n", token(&door.url(), "", &[]).await),
        user => {
            let text = format!("{user}:{}", password(user));
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            format!("Authorization: Basic {text}\r\n")
        }
    };
    let request = format!("{method} {path} HTTP/1.1\r\nHost: door\r\n{credentials}Connection: close\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(door.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
    status.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_the_token_endpoint_and_the_public_keys_are_for_everybody() {
    let registry = Registry::start().await;
    let guard = Guard::new();
    let door =
        guarded(&guard, &registry.url()).set("NOTIFICATIONS__SECRET", "0123456789abcdef").start().await;
    for path in ["/", "/healthz", "/readyz", "/token", "/.well-known/jwks.json"] {
        assert_eq!(status(&door, "", path).await, StatusCode::OK, "{path}");
        // A probe may send whatever it likes.
        let probe =
            http_client().get(format!("{}{path}?x=1", door.url())).header("user-agent", "kube-probe/1.30");
        let probe = if path == "/token" { probe } else { probe.header("authorization", "Bearer nonsense") };
        assert_eq!(probe.send().await.unwrap().status(), StatusCode::OK, "{path}");
        let head = ask(&door, "", Method::HEAD, path).await.status();
        assert_eq!(head, StatusCode::OK, "HEAD {path}");
    }
    // Notifications have a secret of their own, which no user's password is, and administrators need as well.
    let notify = |secret: Option<&str>| {
        let request =
            http_client().post(format!("{}/api/v1/notifications", door.url())).body(r#"{"events":[]}"#);
        match secret {
            Some(secret) => request.bearer_auth(secret),
            None => request.basic_auth("admin", Some(password("admin"))),
        }
    };
    assert_eq!(notify(Some("0123456789abcdef")).send().await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(notify(Some("0123456789abcdeX")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(notify(None).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_carry_what_their_users_may_see_and_no_more() {
    let guard = Guard::new();
    let door = guarded(&guard, "http://127.0.0.1:9").start_listening().await;
    let asked = ["registry:admin:*", "repository:team/app:pull", "registry:catalog:*"];
    let admin = token(&door.url(), "admin", &asked).await;
    assert_eq!(grants(&admin)["registry:admin"], ["*"]);
    let with = async |token: &str, path: &str| {
        http_client().get(format!("{}{path}", door.url())).bearer_auth(token).send().await.unwrap()
    };
    assert_eq!(with(&admin, "/api/v1/status").await.status(), StatusCode::OK);
    // Whoever does not ask for it does not have it.
    let pulling = token(&door.url(), "admin", &["repository:team/app:pull"]).await;
    let answer = with(&pulling, "/api/v1/status").await;
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(challenge.contains("scope=\"registry:admin:*\",error=\"insufficient_scope\""), "{challenge}");
    assert_eq!(with(&pulling, "/api/v1/tags?repository=team/app").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(with(&pulling, "/api/v1/tags?repository=other").await.status(), StatusCode::FORBIDDEN);
    for user in ["reader", "alice", "stranger", ""] {
        let token =
            token(&door.url(), user, &["registry:admin:*", "registry:admin:pull", "repository:*:*"]).await;
        assert!(!grants(&token).contains_key("registry:admin"), "{user}");
        assert_eq!(with(&token, "/api/v1/status").await.status(), refused(user), "{user}");
    }
    // And it is no way to anything of the registry's.
    let alone = token(&door.url(), "admin", &["registry:admin:*"]).await;
    assert_eq!(with(&alone, "/v2/team/app/tags/list").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(with(&alone, "/v2/_catalog").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(with(&alone, "/api/v1/repositories").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_takes_the_administration_away_too() {
    let guard = Guard::new();
    let rules = r#"[{ who = "*", actions = "admin" }, { who = ["reader", "anonymous"], actions = "admin", deny = true }]"#;
    let door = guard.door("http://127.0.0.1:9").set("AUTH__RULES", rules).start_listening().await;
    // Who is kept out as anybody is kept out as somebody.
    for user in ["alice", "reader", "anonymous"] {
        assert_eq!(status(&door, user, "/api/v1/status").await, refused(user), "{user}");
    }
    let rules = r#"[{ who = "*", actions = "admin" }, { who = "reader", actions = "admin", deny = true }]"#;
    let door = guard.door("http://127.0.0.1:9").set("AUTH__RULES", rules).start_listening().await;
    for (user, expected) in [
        ("alice", StatusCode::OK),
        ("reader", StatusCode::FORBIDDEN),
        ("anonymous", StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(status(&door, user, "/api/v1/status").await, expected, "{user}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_an_administrator_without_logging_in() {
    let guard = Guard::new();
    let rules = r#"[{ who = "anonymous", actions = "admin" }]"#;
    let Err((_, said)) = guard.door("http://127.0.0.1:9").set("AUTH__RULES", rules).try_start().await else {
        panic!("a door whose administration is open to everybody has started");
    };
    assert!(said.contains("\"admin\"") && said.contains("\"anonymous\""), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_path_needs_what_it_needs_however_it_is_written() {
    let guard = Guard::new();
    let door = guarded(&guard, "http://127.0.0.1:9").start_listening().await;
    for path in [
        "http://door/api/v1/status",
        "http://door/api/v1/events?kind=auth",
        "http://door/api/v1/tags?repository=private/app",
        "/api/v1/status?",
        "/api/v1/tags?repository=private/app&&",
        "/api/v1/tags?&repository=private/app",
    ] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE, Method::OPTIONS] {
            for user in ["", "anonymous", "reader"] {
                let status = raw_status(&door, user, &method, path).await;
                assert_eq!(status, refused(user), "{user}: {method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_make_nobody_an_administrator_are_told_by_the_check() {
    let guard = Guard::new();
    let told = "no rule gives the action \"admin\"";
    let rules = r#"[{ who = "*", actions = "catalog" }, { who = "*", actions = "admin", deny = true }]"#;
    let door = guard.door("http://127.0.0.1:9").set("AUTH__RULES", rules).start_listening().await;
    let (_, said) = door.check().await;
    assert!(said.contains(told), "{said}");
    let door = guarded(&guard, "http://127.0.0.1:9").start_listening().await;
    let (_, said) = door.check().await;
    assert!(!said.contains(told), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_through_the_socket_need_no_login() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let (socket, store) = (guard.path("socket"), guard.path("store.redb"));
    let door = guarded(&guard, &registry.url()).set("SERVER__SOCKET", socket.to_str().unwrap());
    let _door = door.store(&store).start().await;
    let client = client_builder().unix_socket(socket).build().unwrap();
    for path in ["status", "events", "events?kind=auth", "repositories", "removals"] {
        let answer = client.get(format!("http://door/api/v1/{path}")).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    let sweep = client.post("http://door/api/v1/sync").send().await.unwrap();
    assert_eq!(sweep.status(), StatusCode::ACCEPTED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_door_shows_everything_to_everybody() {
    let door = Door::builder("http://127.0.0.1:9").start_listening().await;
    for (method, path) in OF_THE_DOOR.into_iter().filter(|(_, path)| !path.contains("&repository")) {
        assert!(ask(&door, "", method.clone(), path).await.status().is_success(), "{method} {path}");
    }
    assert_eq!(status(&door, "", "/api/v1/repositories").await, StatusCode::OK);
    assert_eq!(status(&door, "", "/nothing").await, StatusCode::NOT_FOUND);
    let answer = ask_token(&door.url(), "", "").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}
