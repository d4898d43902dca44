//! Browsers: they sign in by a form, go on by a cookie, and are signed out again.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use super::accounts::{door, portreeve};
use super::audit::{of, told};
use crate::api;
use crate::events::Stream;
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, claims, password};
use crate::support::http::http_client;
use crate::support::registry::Registry;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

fn form(fields: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// Sends the form to sign in, with a cookie if there is one.
async fn send_form(door: &Door, fields: &[(&str, &str)], cookie: &str) -> Response {
    let request = http_client()
        .post(format!("{}/ui/sign-in", door.url()))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("user-agent", "Browser/1")
        .header(SEC_FETCH_SITE, "same-origin");
    let request = if cookie.is_empty() { request } else { request.header(COOKIE, cookie) };
    request.body(form(fields)).send().await.unwrap()
}

/// What a browser sends from now on.
fn cookie(response: &Response) -> String {
    let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// Somebody signs in.
async fn sign_in(door: &Door, user: &str, password: &str, before: &str) -> String {
    let answer = send_form(door, &[("name", user), ("password", password)], before).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()[LOCATION], "/ui/");
    cookie(&answer)
}

/// What a page of the door's own has a browser send.
fn from_page(door: &Door, cookie: &str, method: Method, path: &str) -> RequestBuilder {
    let request = http_client().request(method, format!("{}{path}", door.url()));
    request.header(COOKIE, cookie).header(SEC_FETCH_SITE, "same-origin")
}

async fn is_signed_in(door: &Door, cookie: &str) -> bool {
    match from_page(door, cookie, Method::GET, "/api/v1/me").send().await.unwrap().status() {
        StatusCode::OK => true,
        StatusCode::UNAUTHORIZED => false,
        other => panic!("{other}"),
    }
}

async fn logins(door: &Door, cookie: &str, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/me/logins{query}");
    let answer = from_page(door, cookie, Method::GET, &path).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
}

/// What continues a login that `docker login` keeps.
async fn docker_login(door: &Door, user: &str) -> String {
    let answer = ask_token(&door.url(), user, "offline_token=true").await;
    let answer: Value = answer.json().await.unwrap();
    answer["refresh_token"].as_str().unwrap().to_owned()
}

async fn refresh(door: &Door, token: &str) -> StatusCode {
    let body = form(&[("grant_type", "refresh_token"), ("service", "portreeve"), ("refresh_token", token)]);
    let request = http_client().post(format!("{}/token", door.url()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
    request.send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_signs_in_by_a_form_goes_on_by_a_cookie_and_is_signed_out() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let page =
        http_client().get(format!("{}/ui/sign-in?next=/ui/search%3Fq=a", door.url())).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(html.contains("value=\"/ui/search?q=a\"") && !html.contains("not encrypted"), "{html}");
    let (name, word) = ("alice", password("alice"));
    for (next, place) in
        [("/ui/search?q=a", "/ui/search?q=a"), ("//evil", "/ui/"), ("https://evil/ui/", "/ui/")]
    {
        let answer = send_form(&door, &[("name", name), ("password", &word), ("next", next)], "").await;
        assert_eq!(
            (answer.status(), &answer.headers()[LOCATION]),
            (StatusCode::SEE_OTHER, &place.parse().unwrap())
        );
    }
    let answer = send_form(&door, &[("name", name), ("password", &word)], "").await;
    let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for part in
        ["__Host-portreeve=", "; HttpOnly", "; SameSite=Lax", "; Secure", "; Path=/", "; Max-Age=604800"]
    {
        assert!(set.contains(part), "{part} in {set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    let session = cookie(&answer);
    let me: Value =
        from_page(&door, &session, Method::GET, "/api/v1/me").send().await.unwrap().json().await.unwrap();
    assert_eq!((&me["name"], &me["signed_in_by"]), (&json!("alice"), &json!("session")));
    assert_eq!(me["groups"], json!(["developers"]));
    let here =
        from_page(&door, &session, Method::GET, "/ui/sign-in").send().await.unwrap().text().await.unwrap();
    assert!(here.contains("signed in as <strong>alice"), "{here}");
    // It counts as the password does.
    let wanted = json!({"label": "laptop", "repositories": ["team/**"], "actions": ["pull"]});
    let made = from_page(&door, &session, Method::POST, "/api/v1/tokens").json(&wanted).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    // A token does not.
    let token: Value = made.json().await.unwrap();
    let token = token["token"].as_str().unwrap();
    let answer = send_form(&door, &[("name", name), ("password", token)], "").await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(!answer.headers().contains_key(SET_COOKIE));
    // Another password needs the present one all the same.
    let change = json!({"password": "another-password"});
    let path = "/api/v1/users/password";
    let changed = from_page(&door, &session, Method::POST, path).json(&change).send().await.unwrap();
    assert!(changed.status().is_client_error());
    let out = from_page(&door, &session, Method::POST, "/ui/sign-out").send().await.unwrap();
    assert_eq!(
        (out.status(), &out.headers()[LOCATION]),
        (StatusCode::SEE_OTHER, &"/ui/sign-in".parse().unwrap())
    );
    assert_eq!(cookie(&out), "__Host-portreeve=");
    assert!(out.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    assert!(!is_signed_in(&door, &session).await);
    let secret = session.split_once('=').unwrap().1;
    until("it is written down", SOON, async || {
        let events = told(&door).await;
        let is_there = of(&events, "login").any(|event| event["user"] == "alice")
            && of(&events, "signed_out").any(|event| event["user"] == "alice");
        assert!(!json!(events).to_string().contains(secret));
        is_there
    })
    .await;
    assert!(!door.log().contains(secret) && !door.log().contains(&word));
    assert!(door.log().contains("/ui/sign-in"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_at_the_form_waits_as_at_the_token_endpoint_and_is_told_nothing() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let mut told_last = String::new();
    for (name, word) in
        [("alice", "tr0mbone"), ("nobody", "tr0mbone"), ("disabled", "pass-of-disabled"), ("a:b", "tr0mbone")]
    {
        let answer = send_form(&door, &[("name", name), ("password", word)], "").await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{name}");
        assert!(!answer.headers().contains_key(SET_COOKIE), "{name}");
        let html = answer.text().await.unwrap();
        assert!(html.contains("The user name or the password is wrong.") && !html.contains(word), "{html}");
        let html = html.replace(&format!("value=\"{name}\""), "");
        assert!(told_last.is_empty() || told_last == html, "{html}");
        told_last = html;
    }
    let mut guesses = 0;
    let locked = loop {
        let answer =
            send_form(&door, &[("name", "alice"), ("password", &format!("guess {guesses}"))], "").await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        guesses += 1;
        assert!(guesses < 30);
    };
    assert!(locked.headers().contains_key("retry-after"));
    let request =
        http_client().get(format!("{}/token", door.url())).basic_auth("alice", Some("another guess"));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    until("the guesses are written down", SOON, async || {
        let events = told(&door).await;
        of(&events, "login_failed").any(|event| event["user"] == "alice")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_sign_in_again_makes_another_session_and_ends_the_one_that_was_sent() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let planted = format!("__Host-portreeve={}", "A".repeat(43));
    let first = sign_in(&door, "alice", &password("alice"), &planted).await;
    assert_ne!(first, planted);
    assert!(!is_signed_in(&door, &planted).await && is_signed_in(&door, &first).await);
    let elsewhere = sign_in(&door, "alice", &password("alice"), "").await;
    let second = sign_in(&door, "reader", &password("reader"), &first).await;
    assert!(!is_signed_in(&door, &first).await);
    assert!(is_signed_in(&door, &second).await && is_signed_in(&door, &elsewhere).await);
    let me: Value =
        from_page(&door, &second, Method::GET, "/api/v1/me").send().await.unwrap().json().await.unwrap();
    assert_eq!(me["name"], "reader");
    // A door that is started anew knows them.
    let mut door = door;
    door.kill().await;
    door.restart_listening().await;
    assert!(is_signed_in(&door, &second).await);
    for _ in 0..25 {
        sign_in(&door, "reader", &password("reader"), "").await;
    }
    assert!(!is_signed_in(&door, &second).await && is_signed_in(&door, &elsewhere).await);
    let admin = sign_in(&door, "admin", &password("admin"), "").await;
    assert_eq!(logins(&door, &admin, "?user=reader").await.len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_changes_nothing_by_the_cookie_and_one_that_is_not_known_neither() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let session = sign_in(&door, "admin", &password("admin"), "").await;
    let own = door.url();
    let requests = [
        (Method::POST, "/api/v1/tokens"),
        (Method::DELETE, "/api/v1/tokens?id=0123456789abcdef"),
        (Method::DELETE, "/api/v1/me/logins?all=true"),
        (Method::POST, "/api/v1/users"),
        (Method::DELETE, "/api/v1/users?name=alice"),
        (Method::POST, "/api/v1/users/password"),
        (Method::POST, "/api/v1/sync"),
        (Method::POST, "/api/v1/removals/accept"),
        (Method::DELETE, "/api/v1/repositories?repository=team/app"),
        (Method::DELETE, "/api/v1/tags?repository=team/app&tag=v1"),
        (Method::PUT, "/api/v1/me"),
        (Method::PATCH, "/api/v1/me"),
        (Method::POST, "/ui/sign-in"),
        (Method::POST, "/ui/sign-out"),
        (Method::POST, "/ui/sign-out-everywhere"),
    ];
    for (method, path) in requests {
        let request =
            || http_client().request(method.clone(), format!("{own}{path}")).header(COOKIE, &session);
        for (about, request) in [
            ("nothing", request()),
            ("cross-site", request().header(SEC_FETCH_SITE, "cross-site").header(ORIGIN, &own)),
            ("same-site", request().header(SEC_FETCH_SITE, "same-site")),
            ("evil", request().header(ORIGIN, "https://evil.example")),
            ("null", request().header(ORIGIN, "null")),
        ] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{about}: {method} {path}");
            // Browsers are told in a page.
            let words =
                if path.starts_with("/ui/") { "Nothing was changed." } else { r#""code":"cross_site""# };
            let told = answer.text().await.unwrap();
            assert!(told.contains(words), "{about}: {path}: {told}");
        }
        for request in [request().header(ORIGIN, &own), request().header(SEC_FETCH_SITE, "same-origin")] {
            if path.starts_with("/api/v1/t") {
                let answer = request.send().await.unwrap().text().await.unwrap();
                assert!(!answer.contains("cross_site"), "{method} {path}: {answer}");
            }
        }
    }
    assert!(is_signed_in(&door, &session).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cookie_counts_for_nothing_at_the_registry_and_the_token_endpoint_nor_beside_other_credentials() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let session = sign_in(&door, "admin", &password("admin"), "").await;
    let get = |path: &str| http_client().get(format!("{}{path}", door.url())).header(COOKIE, &session);
    for path in ["/v2/", "/v2/_catalog", "/v2/team/app/tags/list", "/v2/team/app/manifests/latest"] {
        assert_eq!(get(path).send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    let answer: Value = get("/token?scope=repository:team/app:pull&offline_token=true")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let token = answer["token"].as_str().unwrap();
    assert!(
        claims(token)["sub"].as_str().unwrap_or_default().is_empty() && answer["refresh_token"].is_null()
    );
    assert_eq!(claims(token)["access"], json!([]));
    // Nor is its secret a refresh token, a token or a password.
    let secret = session.split_once('=').unwrap().1;
    assert_eq!(refresh(&door, secret).await, StatusCode::UNAUTHORIZED);
    let me = || http_client().get(format!("{}/api/v1/me", door.url()));
    for request in [me().bearer_auth(secret), me().basic_auth("admin", Some(secret))] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    // Where other credentials are shown, they alone count.
    for authorization in ["Bearer nonsense", "Basic Og==", "Basic YWRtaW46d3Jvbmc=", "Negotiate x"] {
        let answer = get("/api/v1/me").header(AUTHORIZATION, authorization).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{authorization}");
    }
    let me: Value = get("/api/v1/me")
        .basic_auth("alice", Some(password("alice")))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!((&me["name"], &me["signed_in_by"]), (&json!("alice"), &json!("password")));
    // A cookie of another name, two of them, or none that can be one.
    let plain = session.replace("__Host-portreeve", "portreeve-unencrypted");
    for cookie in
        [plain, format!("{session}; {session}"), format!("{session}x"), "__Host-portreeve=".to_owned()]
    {
        assert!(!is_signed_in(&door, &cookie).await, "{cookie}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_plain_http_the_cookie_is_another_one_and_the_page_says_so() {
    let guard = Guard::new();
    let door = guard
        .door("http://127.0.0.1:9")
        .set("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")
        .start_listening()
        .await;
    let through = |scheme: &str, method: Method, path: &str| {
        let headers: HeaderMap = [("x-forwarded-proto", scheme), ("x-forwarded-host", "registry.example")]
            .into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        http_client().request(method, format!("{}{path}", door.url())).headers(headers)
    };
    let body = form(&[("name", "alice"), ("password", &password("alice"))]);
    let mut cookies = Vec::new();
    for scheme in ["http", "https"] {
        let html = through(scheme, Method::GET, "/ui/sign-in").send().await.unwrap().text().await.unwrap();
        assert_eq!(html.contains("not encrypted"), scheme == "http", "{html}");
        let request = through(scheme, Method::POST, "/ui/sign-in")
            .header("content-type", "application/x-www-form-urlencoded")
            .header(ORIGIN, format!("{scheme}://registry.example"));
        let answer = request.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let set = answer.headers()[SET_COOKIE].to_str().unwrap();
        assert_eq!(set.contains("Secure") && set.starts_with("__Host-"), scheme == "https", "{set}");
        cookies.push((scheme, cookie(&answer)));
    }
    for (of, cookie) in &cookies {
        for scheme in ["http", "https"] {
            let answer =
                through(scheme, Method::GET, "/api/v1/me").header(COOKIE, cookie).send().await.unwrap();
            assert_eq!(answer.status().is_success(), scheme == *of, "{of} {scheme}");
        }
    }
}

fn set_clock(guard: &Guard, ahead: &str) {
    let aside = guard.path("clock.new");
    std::fs::write(&aside, ahead).unwrap();
    std::fs::rename(aside, guard.path("clock")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_without_use_and_after_its_life_in_any_case() {
    let guard = Guard::new();
    let clock = guard.path("clock");
    set_clock(&guard, "+0");
    let door = guard
        .door("http://127.0.0.1:9")
        .set("PAGES__SESSION_LIFETIME", "1d")
        .with_clock_of(&clock)
        .start_listening()
        .await;
    let (idle, used) = (
        sign_in(&door, "alice", &password("alice"), "").await,
        sign_in(&door, "alice", &password("alice"), "").await,
    );
    set_clock(&guard, "+11h");
    until("it is noted", SOON, async || {
        let seen = logins(&door, &used, "").await;
        let present = seen.iter().find(|login| login["present"] == true).unwrap();
        present["last_use"].as_str() > present["created"].as_str()
    })
    .await;
    set_clock(&guard, "+13h");
    until("what was not used is over", SOON, async || !is_signed_in(&door, &idle).await).await;
    assert!(is_signed_in(&door, &used).await);
    set_clock(&guard, "+23h");
    until("it is used again", SOON, async || {
        let seen = logins(&door, &used, "").await;
        seen.iter().any(|login| login["present"] == true && login["expired"] == false)
    })
    .await;
    assert!(is_signed_in(&door, &used).await);
    set_clock(&guard, "+25h");
    until("its life is over", SOON, async || !is_signed_in(&door, &used).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_and_the_removal_of_the_user_sign_them_out() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    let first = sign_in(&door, "dora", "a-password-of-hers", "").await;
    let alice = sign_in(&door, "alice", &password("alice"), "").await;
    assert!(is_signed_in(&door, &first).await);
    portreeve(&guard, &["user", "passwd", "dora"], "another-password\n", true).await;
    assert!(!is_signed_in(&door, &first).await);
    let second = sign_in(&door, "dora", "another-password", "").await;
    let change = json!({"current": "another-password", "password": "a-third-password"});
    let path = "/api/v1/users/password";
    let changed = from_page(&door, &second, Method::POST, path).json(&change).send().await.unwrap();
    assert_eq!(changed.status(), StatusCode::NO_CONTENT);
    assert!(!is_signed_in(&door, &second).await);
    let third = sign_in(&door, "dora", "a-third-password", "").await;
    portreeve(&guard, &["user", "remove", "dora"], "", true).await;
    assert!(!is_signed_in(&door, &third).await);
    assert!(is_signed_in(&door, &alice).await);
    // In a file: every password is hashed anew.
    guard.write_users(&["admin", "alice"]);
    until("it is another hash", SOON, async || !is_signed_in(&door, &alice).await).await;
    let alice = sign_in(&door, "alice", &password("alice"), "").await;
    guard.write_users(&["admin"]);
    until("she is gone", SOON, async || !is_signed_in(&door, &alice).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_is_signed_in_is_listed_and_ended_one_by_one_or_everywhere() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (laptop, phone) = (
        sign_in(&door, "alice", &password("alice"), "").await,
        sign_in(&door, "alice", &password("alice"), "").await,
    );
    let docker = docker_login(&door, "alice").await;
    let (reader, admin) = (
        sign_in(&door, "reader", &password("reader"), "").await,
        sign_in(&door, "admin", &password("admin"), "").await,
    );
    let seen = logins(&door, &laptop, "").await;
    let kinds: Vec<&str> = seen.iter().map(|login| login["kind"].as_str().unwrap()).collect();
    assert_eq!((kinds.iter().filter(|kind| **kind == "session").count(), kinds.len()), (2, 3), "{seen:?}");
    let present: Vec<&Value> = seen.iter().filter(|login| login["present"] == true).collect();
    assert_eq!(
        (present.len(), &present[0]["agent"], &present[0]["address"]),
        (1, &json!("Browser/1"), &json!("127.0.0.1"))
    );
    assert!(!json!(seen).to_string().contains(laptop.split_once('=').unwrap().1));
    // Others see and end nothing of it.
    assert_eq!(logins(&door, &reader, "").await.len(), 1);
    let id = seen.iter().find(|login| login["kind"] == "session" && login["present"] == false).unwrap()["id"]
        .as_str()
        .unwrap();
    let end = |cookie: &str, query: &str| {
        from_page(&door, cookie, Method::DELETE, &format!("/api/v1/me/logins?{query}")).send()
    };
    for (cookie, query, status) in [
        (&reader, format!("id={id}"), StatusCode::NOT_FOUND),
        (&reader, format!("id={id}&user=alice"), StatusCode::FORBIDDEN),
        (&reader, "all=true&user=alice".to_owned(), StatusCode::FORBIDDEN),
        (&laptop, String::new(), StatusCode::BAD_REQUEST),
        (&laptop, format!("id={id}&all=true"), StatusCode::BAD_REQUEST),
        (&laptop, format!("id={id}"), StatusCode::NO_CONTENT),
        (&laptop, format!("id={id}"), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(end(cookie, &query).await.unwrap().status(), status, "{query}");
    }
    let seen_by_reader =
        from_page(&door, &reader, Method::GET, "/api/v1/me/logins?user=alice").send().await.unwrap();
    assert_eq!(seen_by_reader.status(), StatusCode::FORBIDDEN);
    assert!(!is_signed_in(&door, &phone).await && is_signed_in(&door, &laptop).await);
    assert_eq!(logins(&door, &admin, "?user=alice").await.len(), 2);
    // A token of `/token` sees them, and ends none.
    let token = crate::support::guard::token(&door.url(), "alice", &[]).await;
    let ended = http_client().delete(format!("{}/api/v1/me/logins?all=true", door.url())).bearer_auth(&token);
    assert_eq!(ended.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    // Everywhere: in every browser, and at docker.
    let phone = sign_in(&door, "alice", &password("alice"), "").await;
    assert_eq!(refresh(&door, &docker).await, StatusCode::OK);
    let out = from_page(&door, &laptop, Method::POST, "/ui/sign-out-everywhere").send().await.unwrap();
    assert_eq!((out.status(), cookie(&out).as_str()), (StatusCode::SEE_OTHER, "__Host-portreeve="));
    assert!(!is_signed_in(&door, &laptop).await && !is_signed_in(&door, &phone).await);
    assert_eq!(refresh(&door, &docker).await, StatusCode::UNAUTHORIZED);
    let docker = docker_login(&door, "alice").await;
    assert_eq!(end(&admin, "all=true&user=alice").await.unwrap().status(), StatusCode::NO_CONTENT);
    assert_eq!(refresh(&door, &docker).await, StatusCode::UNAUTHORIZED);
    assert!(is_signed_in(&door, &reader).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_ends_with_its_session_and_with_no_other() {
    let (guard, registry) = (Guard::new(), Registry::start().await);
    let door = api::filled(&guard, &registry).await;
    let (mut streams, mut sessions) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let session = sign_in(&door, "reader", &password("reader"), "").await;
        let follow = from_page(&door, &session, Method::GET, "/api/v1/events/stream");
        streams.push(Stream::of(follow).await);
        sessions.push(session);
    }
    api::push(&door, &registry, "team/app", 7).await;
    for stream in &mut streams {
        assert_eq!(stream.event().await.unwrap()["repository"], "team/app", "it goes on by itself");
    }
    let out = from_page(&door, &sessions[0], Method::POST, "/ui/sign-out").send().await.unwrap();
    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    api::push(&door, &registry, "team/app", 8).await;
    assert_eq!(streams[1].event().await.unwrap()["repository"], "team/app");
    assert_eq!(streams[0].event().await, None, "what is told after the end of the session");
    api::push(&door, &registry, "team/app", 9).await;
    assert_eq!(streams[1].event().await.unwrap()["repository"], "team/app", "the other session goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_door_has_no_sign_in() {
    let door = Door::builder("http://127.0.0.1:9").start_listening().await;
    let page = http_client().get(format!("{}/ui/sign-in", door.url())).send().await.unwrap();
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    let html = page.text().await.unwrap();
    assert!(html.contains("asks nobody who they are"), "{html}");
    let answer = send_form(&door, &[("name", "alice"), ("password", "x")], "").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_the_session_that_they_look_by_is_led_to_sign_in_again() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (present, other) = (
        sign_in(&door, "alice", &password("alice"), "").await,
        sign_in(&door, "alice", &password("alice"), "").await,
    );
    let ids = logins(&door, &present, "").await;
    let id_of = |is_present: bool| {
        let login = ids.iter().find(|login| login["present"] == is_present).unwrap();
        login["id"].as_str().unwrap().to_owned()
    };
    for (id, place) in
        [(id_of(false), "/ui/access?done=ended"), (id_of(true), "/ui/sign-in?next=%2Fui%2Faccess")]
    {
        let request = from_page(&door, &present, Method::POST, "/ui/access/logins/end");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let answer = request.body(form(&[("id", &id)])).send().await.unwrap();
        assert_eq!(
            (answer.status(), answer.headers()[LOCATION].to_str().unwrap()),
            (StatusCode::SEE_OTHER, place)
        );
    }
    assert!(!is_signed_in(&door, &present).await && !is_signed_in(&door, &other).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_found_beside_cookies_in_any_bytes_and_what_pages_are_made_of_needs_none() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let session = sign_in(&door, "alice", &password("alice"), "").await;
    let beside = [b"name=\xfc; ", session.as_bytes(), b"; \xff"].concat();
    let get = |path: &str| http_client().get(format!("{}{path}", door.url()));
    let cookie = reqwest::header::HeaderValue::from_bytes(&beside).unwrap();
    assert_eq!(get("/api/v1/me").header(COOKIE, cookie).send().await.unwrap().status(), StatusCode::OK);
    let page = get("/ui/sign-in").send().await.unwrap().text().await.unwrap();
    let asset = page.split('"').find(|part| part.starts_with("/ui/assets/")).unwrap();
    for wrong in ["Bearer nonsense", "Basic nonsense"] {
        let answer = get(asset).header(AUTHORIZATION, wrong).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_is_remembered_is_written_down_as_well() {
    let guard = Guard::new();
    let door = door(&guard).await;
    for _ in 0..2 {
        sign_in(&door, "alice", &password("alice"), "").await;
    }
    until("both are counted", SOON, async || {
        let events = told(&door).await;
        of(&events, "login")
            .filter(|event| event["user"] == "alice")
            .map(|event| event["count"].as_u64().unwrap())
            .sum::<u64>()
            == 2
    })
    .await;
}
