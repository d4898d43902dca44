//! Users look after their own tokens and passwords by the API, and administrators after everybody's.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::accounts::{door, portreeve};
use super::audit::{of, told};
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::http::http_client;
use crate::support::wait::until;

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

async fn ask(door: &Door, who: (&str, &str), method: Method, path: &str, body: Option<Value>) -> Response {
    let request =
        http_client().request(method, format!("{}{path}", door.url())).basic_auth(who.0, Some(who.1));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

async fn listed(door: &Door, who: (&str, &str), query: &str) -> Vec<Value> {
    let answer = ask(door, who, Method::GET, &format!("/api/v1/tokens{query}"), None).await;
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json::<Value>().await.unwrap()["items"].as_array().unwrap().clone()
}

async fn is_let_in(door: &Door, user: &str, password: &str) -> bool {
    let request = http_client().get(format!("{}/token", door.url())).basic_auth(user, Some(password));
    request.send().await.unwrap().status().is_success()
}

fn wanted(named: &str, name: &str) -> Option<Value> {
    Some(json!({ named: name, "repositories": ["team/**"], "actions": ["pull"], "expires_in": "90d" }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_makes_and_revokes_tokens_of_their_own_and_nobody_else_sees_them() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (alice, reader, admin) = (password("alice"), password("reader"), password("admin"));
    let (alice, reader, admin) = (("alice", &*alice), ("reader", &*reader), ("admin", &*admin));
    let answer = ask(&door, alice, Method::POST, "/api/v1/tokens", wanted("label", "laptop")).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let made: Value = answer.json().await.unwrap();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    // It is for a part of what she may do.
    let query = "scope=repository:team/a:pull,push&scope=repository:home/alice/a:pull";
    let request = http_client().get(format!("{}/token?{query}", door.url()));
    let answer: Value = request.basic_auth("alice", Some(token)).send().await.unwrap().json().await.unwrap();
    let granted = crate::support::guard::grants(answer["token"].as_str().unwrap());
    assert_eq!(
        granted.into_iter().collect::<Vec<_>>(),
        [("repository:team/a".to_owned(), vec!["pull".to_owned()])]
    );
    // Nor is it enough to make others, or to revoke them.
    let bearer = ("alice", token);
    let refused = ask(&door, bearer, Method::POST, "/api/v1/tokens", wanted("label", "another")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"]["code"], "password_required");
    let me: Value = ask(&door, bearer, Method::GET, "/api/v1/me", None).await.json().await.unwrap();
    assert_eq!(
        (&me["name"], &me["signed_in_by"], &me["access_token"]),
        (&json!("alice"), &json!("access_token"), &json!(id))
    );
    let me: Value = ask(&door, admin, Method::GET, "/api/v1/me", None).await.json().await.unwrap();
    assert_eq!((&me["administrator"], &me["signed_in_by"]), (&json!(true), &json!("password")));
    // To others it is not there.
    let path = format!("/api/v1/tokens?id={id}");
    assert!(listed(&door, reader, "").await.is_empty());
    assert_eq!(ask(&door, reader, Method::DELETE, &path, None).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(
        ask(&door, reader, Method::GET, "/api/v1/tokens?user=alice", None).await.status(),
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        ask(&door, reader, Method::POST, "/api/v1/tokens", wanted("robot", "ci")).await.status(),
        StatusCode::FORBIDDEN
    );
    for seen in [listed(&door, alice, "").await, listed(&door, admin, "?user=alice&kind=user").await] {
        assert_eq!((seen.len(), &seen[0]["id"], &seen[0]["label"]), (1, &json!(id), &json!("laptop")));
        assert!(!seen[0].to_string().contains(token));
    }
    assert_eq!(ask(&door, alice, Method::DELETE, &path, None).await.status(), StatusCode::NO_CONTENT);
    assert!(!is_let_in(&door, "alice", token).await);
    until("it is written down by whom", SOON, async || {
        let events = told(&door).await;
        ["an access token of the user alice was made: laptop", &format!("the token {id} was revoked")]
            .iter()
            .all(|about| {
                of(&events, "account").any(|event| event["about"] == *about && event["user"] == "alice")
            })
    })
    .await;
    assert!(!door.log().contains(token));
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_make_tokens_of_robots_and_look_after_users_of_the_store() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let admin = password("admin");
    let admin = ("admin", &*admin);
    let made: Value =
        ask(&door, admin, Method::POST, "/api/v1/tokens", wanted("robot", "ci")).await.json().await.unwrap();
    assert!(is_let_in(&door, "ci", made["token"].as_str().unwrap()).await);
    let robots = listed(&door, admin, "?kind=robot").await;
    assert_eq!((robots.len(), &robots[0]["name"]), (1, &json!("ci")));
    let taken = ask(&door, admin, Method::POST, "/api/v1/tokens", wanted("robot", "alice")).await;
    assert_eq!(taken.status(), StatusCode::CONFLICT);
    let (name, first) = ("dora", "a-password-of-hers");
    let body = Some(json!({"name": name, "password": first, "groups": ["developers"]}));
    assert_eq!(ask(&door, admin, Method::POST, "/api/v1/users", body).await.status(), StatusCode::CREATED);
    assert!(is_let_in(&door, name, first).await);
    // Users of a file are changed there.
    for body in [
        json!({"name": "alice", "password": "long-enough"}),
        json!({"name": "reader", "password": "long-enough"}),
    ] {
        let answer = ask(&door, admin, Method::POST, "/api/v1/users/password", Some(body)).await;
        assert_eq!(answer.status(), StatusCode::CONFLICT);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], "user_elsewhere");
    }
    assert_eq!(
        ask(&door, admin, Method::DELETE, "/api/v1/users?name=dora", None).await.status(),
        StatusCode::NO_CONTENT
    );
    assert!(!is_let_in(&door, name, first).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_needs_the_present_one_and_ends_the_logins() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (first, second) = ("a-password-of-hers", "another-password");
    portreeve(&guard, &["user", "add", "dora"], &format!("{first}\n"), true).await;
    let request = http_client().get(format!("{}/token?offline_token=true", door.url()));
    request.basic_auth("dora", Some(first)).send().await.unwrap();
    let dora = ("dora", first);
    let logins = listed(&door, dora, "?kind=login").await;
    assert_eq!((logins.len(), &logins[0]["name"]), (1, &json!("dora")));
    let change = async |body: Value| {
        ask(&door, dora, Method::POST, "/api/v1/users/password", Some(body)).await.status()
    };
    assert_eq!(change(json!({"password": second})).await, StatusCode::BAD_REQUEST);
    assert_eq!(change(json!({"current": "wrong", "password": second})).await, StatusCode::FORBIDDEN);
    assert_eq!(change(json!({"current": first, "password": "short"})).await, StatusCode::BAD_REQUEST);
    assert_eq!(change(json!({"current": first, "password": second})).await, StatusCode::NO_CONTENT);
    assert!(!is_let_in(&door, "dora", first).await);
    assert!(listed(&door, ("dora", second), "").await.is_empty(), "the login has ended");
    let log = door.whole_log().await;
    for secret in [first, second] {
        assert!(!log.contains(secret));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_revokes_itself_without_a_password_and_no_other() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let (alice, admin) = (password("alice"), password("admin"));
    let make = async |who: (&str, &str), named: &str, name: &str| {
        let answer = ask(&door, who, Method::POST, "/api/v1/tokens", wanted(named, name)).await;
        let made: Value = answer.json().await.unwrap();
        (made["id"].as_str().unwrap().to_owned(), made["token"].as_str().unwrap().to_owned())
    };
    let (kept, _) = make(("alice", &alice), "label", "kept").await;
    for (name, (id, token)) in [
        ("alice", make(("alice", &alice), "label", "lost").await),
        ("ci", make(("admin", &admin), "robot", "ci").await),
    ] {
        let bearer = (name, &*token);
        let path = format!("/api/v1/tokens?id={kept}");
        let refused = ask(&door, bearer, Method::DELETE, &path, None).await.status();
        let expected = if name == "alice" { StatusCode::FORBIDDEN } else { StatusCode::NOT_FOUND };
        assert_eq!(refused, expected, "{name}");
        let path = format!("/api/v1/tokens?id={id}");
        assert_eq!(ask(&door, bearer, Method::DELETE, &path, None).await.status(), StatusCode::NO_CONTENT);
        assert!(!is_let_in(&door, name, &token).await);
        assert_eq!(ask(&door, bearer, Method::DELETE, &path, None).await.status(), StatusCode::UNAUTHORIZED);
    }
    // By a token of the door's that was got with it, as well.
    let (id, token) = make(("alice", &alice), "label", "session").await;
    let request = http_client().get(format!("{}/token", door.url())).basic_auth("alice", Some(&token));
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let url = format!("{}/api/v1/tokens?id={id}", door.url());
    let request = http_client().delete(url).bearer_auth(answer["token"].as_str().unwrap());
    assert_eq!(request.send().await.unwrap().status(), StatusCode::NO_CONTENT);
    assert!(!is_let_in(&door, "alice", &token).await);
    let left = listed(&door, ("alice", &alice), "?kind=user").await;
    assert_eq!((left.len(), &left[0]["id"]), (1, &json!(kept)));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_users_are_listed_with_where_they_are_known_from_and_groups_that_nothing_names_are_told() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let admin = password("admin");
    let admin = ("admin", &*admin);
    let add = async |name: &str, groups: Value| {
        let body = Some(json!({"name": name, "password": "long-enough", "groups": groups}));
        let answer = ask(&door, admin, Method::POST, "/api/v1/users", body).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json::<Value>().await.unwrap()
    };
    let added = add("bea", json!(["developers", "developer"])).await;
    assert_eq!((&added["name"], &added["sources"]), (&json!("bea"), &json!(["store"])));
    let warnings = added["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let warning = warnings[0].as_str().unwrap();
    assert!(warning.contains("`developer`") && warning.contains("`developers`"), "{warning}");
    assert_eq!(add("dora", json!(["developer"])).await["warnings"], json!([]), "a user has it now");
    let (mut after, mut all) = (String::new(), Vec::new());
    loop {
        let path = format!("/api/v1/users?n=2{after}");
        let part: Value = ask(&door, admin, Method::GET, &path, None).await.json().await.unwrap();
        let items = part["items"].as_array().unwrap();
        assert!(items.len() == 2 || part["next"].is_null(), "{part}");
        all.extend(items.clone());
        let Some(next) = part["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    let names: Vec<&str> = all.iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted_by(|one, other| one < other), "{names:?}");
    let user = |name: &str| all.iter().find(|user| user["name"] == name).unwrap();
    assert_eq!(user("alice")["sources"], json!(["htpasswd", "configuration"]));
    assert_eq!((&user("alice")["created"], &user("alice")["groups"]), (&Value::Null, &json!(["developers"])));
    assert_eq!(user("dora")["sources"], json!(["store"]));
    assert!(user("dora")["created"].is_string() && user("dora")["groups"] == json!(["developer"]));
    for (name, source) in
        [("alice", "htpasswd"), ("reader", "htpasswd"), ("admin", "htpasswd"), ("bea", "store")]
    {
        assert_eq!(user(name)["sources"][0], source, "{name}");
    }
}
