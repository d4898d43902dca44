//! Users who are disabled and enabled, and groups: by the commands, by the API, and what clients are told.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::accounts::{door, portreeve};
use super::audit::{of, told};
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, grants, password};
use crate::support::http::http_client;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

async fn ask(
    door: &Door,
    user: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (StatusCode, Value) {
    let request = http_client().request(method, format!("{}{path}", door.url()));
    let request = request.basic_auth(user, Some(password(user)));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap_or_default())
}

async fn log_in(door: &Door, user: &str, secret: &str) -> Response {
    let request = http_client().get(format!("{}/token?offline_token=true", door.url()));
    request.basic_auth(user, Some(secret)).send().await.unwrap()
}

async fn refresh(door: &Door, token: &str) -> StatusCode {
    let form = [("grant_type", "refresh_token"), ("service", "portreeve"), ("refresh_token", token)];
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = http_client().post(format!("{}/token", door.url()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
    request.send().await.unwrap().status()
}

/// What a client is told with a status, without what differs between any two answers.
async fn words(response: Response) -> String {
    let mut headers = response.headers().clone();
    headers.remove("date");
    headers.remove("x-request-id");
    format!("{} {headers:?} {}", response.status(), response.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_user_is_refused_at_once_whatever_they_come_with_as_by_a_wrong_password() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    // Of the store, and of the file.
    for (user, secret) in [("dora", "a-password-of-hers".to_owned()), ("alice", password("alice"))] {
        let create = ["token", "create", "--name", "laptop", "--user", user, "--repositories", "team/**"];
        let create = [&create[..], &["--actions", "pull", "--quiet"]].concat();
        let token = portreeve(&guard, &create, "", true).await.trim().to_owned();
        let answer: Value = log_in(&door, user, &secret).await.json().await.unwrap();
        let (bearer, login) = (answer["token"].as_str().unwrap(), answer["refresh_token"].as_str().unwrap());
        let me = async || {
            let request = http_client().get(format!("{}/api/v1/me", door.url()));
            request.bearer_auth(bearer).send().await.unwrap().status()
        };
        assert_eq!(
            (refresh(&door, login).await, log_in(&door, user, &token).await.status(), me().await),
            (StatusCode::OK, StatusCode::OK, StatusCode::OK)
        );
        portreeve(&guard, &["user", "disable", user], "", true).await;
        let wrong = words(log_in(&door, user, "a-wrong-password").await).await;
        assert!(wrong.starts_with("401 "), "{wrong}");
        assert_eq!(words(log_in(&door, user, &secret).await).await, wrong);
        assert_eq!(words(log_in(&door, user, &token).await).await, wrong);
        assert_eq!(refresh(&door, login).await, StatusCode::UNAUTHORIZED);
        assert_eq!(me().await, StatusCode::UNAUTHORIZED, "a token that was made before");
        until("the reason is written down", SOON, async || {
            of(&told(&door).await, "login_failed")
                .any(|event| event["user"] == user && event["about"] == "the user may not log in")
        })
        .await;
        let listed = portreeve(&guard, &["user", "list"], "", true).await;
        let line = listed.lines().find(|line| line.starts_with(&format!("{user}\t"))).unwrap();
        assert!(line.contains("DISABLED"), "{listed}");
        let said = portreeve(&guard, &["check", "--as", user], "", true).await;
        assert!(said.contains(&format!("{user} is disabled")), "{said}");
        portreeve(&guard, &["user", "enable", user], "", true).await;
        assert_eq!(log_in(&door, user, &secret).await.status(), StatusCode::OK);
        assert_eq!(log_in(&door, user, &token).await.status(), StatusCode::OK);
        assert_eq!(refresh(&door, login).await, StatusCode::UNAUTHORIZED, "logins ended");
    }
    let said = portreeve(&guard, &["user", "disable", "dorra"], "", false).await;
    assert!(said.contains("did you mean `dora`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_stays_so_through_a_restart_and_is_so_without_a_door() {
    let guard = Guard::new();
    let mut door = door(&guard).await;
    let answer: Value = ask_token(&door.url(), "alice", "").await.json().await.unwrap();
    portreeve(&guard, &["user", "disable", "alice"], "", true).await;
    door.kill().await;
    portreeve(&guard, &["user", "disable", "reader"], "", true).await;
    door.restart_listening().await;
    for user in ["alice", "reader"] {
        assert_eq!(ask_token(&door.url(), user, "").await.status(), StatusCode::UNAUTHORIZED, "{user}");
    }
    let request = http_client().get(format!("{}/api/v1/me", door.url()));
    let answer = request.bearer_auth(answer["token"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "a token from before the restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_disable_users_and_set_groups_by_the_api_and_not_themselves() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let patch = async |who: &str, name: &str, body: Value| {
        ask(&door, who, Method::PATCH, &format!("/api/v1/users?name={name}"), Some(body)).await
    };
    let (status, user) = patch("admin", "alice", json!({"disabled": true})).await;
    assert_eq!((status, user["disabled_since"].is_string()), (StatusCode::OK, true), "{user}");
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::UNAUTHORIZED);
    let (status, user) = patch("admin", "alice", json!({"disabled": false})).await;
    assert_eq!((status, &user["disabled_since"]), (StatusCode::OK, &Value::Null));
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    let (status, user) = patch("admin", "dora", json!({"groups": ["developers", "developer"]})).await;
    assert_eq!((status, &user["stored_groups"]), (StatusCode::OK, &json!(["developers", "developer"])));
    let warning = user["warnings"][0].as_str().unwrap();
    assert!(warning.contains("`developer`") && user["warnings"].as_array().unwrap().len() == 1, "{user}");
    let request = http_client().get(format!("{}/token?scope=repository:team/a:push", door.url()));
    let answer = request.basic_auth("dora", Some("a-password-of-hers")).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(grants(answer["token"].as_str().unwrap())["repository:team/a"], ["push"], "at once");
    for (who, name, body, status, code) in [
        ("admin", "admin", json!({"disabled": true}), StatusCode::CONFLICT, "own_account"),
        ("admin", "alice", json!({"groups": ["ops"]}), StatusCode::CONFLICT, "user_elsewhere"),
        ("admin", "nobody", json!({"disabled": true}), StatusCode::NOT_FOUND, "account_unknown"),
        ("admin", "dora", json!({"groups": ["a b"]}), StatusCode::BAD_REQUEST, "invalid_account"),
        ("admin", "dora", json!({"disable": true}), StatusCode::BAD_REQUEST, "invalid_body"),
        ("reader", "dora", json!({"disabled": true}), StatusCode::FORBIDDEN, "forbidden"),
    ] {
        let (answered, error) = patch(who, name, body.clone()).await;
        assert_eq!(
            (answered, &error["error"]["code"]),
            (status, &json!(code)),
            "{who} {name} {body}: {error}"
        );
    }
    until("it is written down by whom", SOON, async || {
        let events = told(&door).await;
        let by_admin = of(&events, "account").filter(|event| event["user"] == "admin");
        let told: Vec<&str> = by_admin.filter_map(|event| event["about"].as_str()).collect();
        ["the user alice was disabled", "the user alice was enabled", "the user dora was put into the groups"]
            .iter()
            .all(|about| told.iter().any(|told| told.starts_with(about)))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_told_with_their_members_and_the_rules_that_name_them() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    portreeve(&guard, &["user", "groups", "dora", "developers"], "", true).await;
    let (status, list) = ask(&door, "admin", Method::GET, "/api/v1/groups", None).await;
    assert_eq!(status, StatusCode::OK);
    let expected =
        json!({"name": "developers", "members": ["alice", "dora"], "member_count": 2, "rules": [2]});
    assert_eq!(list["items"], json!([expected]));
    let said = portreeve(&guard, &["user", "groups", "dora"], "", true).await;
    assert_eq!(said, "developers\tthe store\n");
    let said = portreeve(&guard, &["user", "groups", "alice"], "", true).await;
    assert_eq!(said, "developers\tauth.groups\n");
    let said = portreeve(&guard, &["user", "groups", "dora", "develpers"], "", false).await;
    assert!(said.contains("did you mean `developers`"), "{said}");
    let said = portreeve(&guard, &["user", "groups", "alice", "developers"], "", false).await;
    assert!(said.contains("auth.groups"), "{said}");
    portreeve(&guard, &["user", "groups", "dora", "--none"], "", true).await;
    let said = portreeve(&guard, &["user", "groups", "dora"], "", true).await;
    assert_eq!(said, "dora is in no group.\n");
}
