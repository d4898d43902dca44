//! What the commands about users and access tokens print, for readers and for programs.

use reqwest::StatusCode;
use serde_json::Value;

use super::accounts::{door, portreeve};
use crate::support::guard::{Guard, ask_token, password};
use crate::support::http::http_client;

#[tokio::test(flavor = "multi_thread")]
async fn users_are_listed_as_the_api_tells_them_with_a_door_and_without() {
    let guard = Guard::new();
    let mut door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora", "--group", "developers"], "a-password-of-hers\n", true).await;
    portreeve(&guard, &["user", "disable", "reader"], "", true).await;
    let listed = async || {
        let said = portreeve(&guard, &["user", "list", "--output", "json"], "", true).await;
        serde_json::from_str::<Vec<Value>>(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    };
    let request = http_client().get(format!("{}/api/v1/users", door.url()));
    let answer = request.basic_auth("admin", Some(password("admin"))).send().await.unwrap();
    let told: Value = answer.json().await.unwrap();
    let with_door = listed().await;
    for user in told["items"].as_array().unwrap() {
        let name = &user["name"];
        let mut same = with_door.iter().find(|listed| listed["name"] == *name).cloned();
        // The rules of this door are not in the command's configuration.
        let is_plain = |source: &Value| source != "configuration";
        let mut user = user.clone();
        for user in same.iter_mut().chain([&mut user]) {
            user["sources"].as_array_mut().unwrap().retain(is_plain);
        }
        match same {
            Some(same) => assert_eq!(same, user),
            None => assert_eq!(user["sources"], Value::Array(Vec::new()), "{user}"),
        }
    }
    let named = |name: &str| with_door.iter().find(|user| user["name"] == name).unwrap();
    assert!(named("reader")["disabled_since"].is_string() && named("dora")["disabled_since"].is_null());
    assert_eq!(named("disabled")["sources"], serde_json::json!(["htpasswd"]));
    let names = portreeve(&guard, &["user", "list", "--quiet"], "", true).await;
    assert_eq!(names, "admin\nalice\ndisabled\ndora\nmounter\nreader\nstranger\n");
    door.kill().await;
    assert_eq!(listed().await, with_door);
    let said = portreeve(&guard, &["user", "list"], "", true).await;
    for line in
        ["alice\tauth.htpasswd, the configuration\tdevelopers\t", "dora\tthe store\tdevelopers\tsince 2"]
    {
        assert!(said.contains(line), "{line}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_file_are_listed_before_there_is_a_store() {
    let guard = Guard::new();
    let names = portreeve(&guard, &["user", "list", "--quiet"], "", true).await;
    assert_eq!(names, "admin\nalice\ndisabled\nmounter\nreader\nstranger\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_given_the_secret_alone_or_json_and_a_token_ends_with_a_day() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let create = |more: &[&'static str]| {
        let command = ["token", "create", "--name", "ci", "--repositories", "team/**", "--actions", "pull"];
        [&command[..], more].concat()
    };
    let said = portreeve(&guard, &create(&["--quiet", "--expires", "2199-12-31"]), "", true).await;
    let secret = said.strip_suffix('\n').unwrap();
    let request = http_client().get(format!("{}/token", door.url())).basic_auth("ci", Some(secret));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    let said = portreeve(&guard, &create(&["--output", "json", "--expires", "30d"]), "", true).await;
    let made: Value = serde_json::from_str(&said).unwrap();
    assert!(made["token"].as_str().unwrap().starts_with("portreeve_") && made["name"] == "ci", "{made}");
    assert_eq!(ask_token(&door.url(), "alice", "offline_token=true").await.status(), StatusCode::OK);
    let said = portreeve(&guard, &["token", "list", "--output", "json"], "", true).await;
    let listed: Vec<Value> = serde_json::from_str(&said).unwrap();
    let request = http_client().get(format!("{}/api/v1/tokens", door.url()));
    let answer = request.basic_auth("admin", Some(password("admin"))).send().await.unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["items"], Value::Array(listed.clone()));
    let ends: Vec<&str> = listed.iter().filter_map(|token| token["expires"].as_str()).collect();
    assert!(ends.iter().any(|end| end.starts_with("2199-12-31T23:59:5")), "{ends:?}");
    for wrong in ["2001-01-01", "2027-02-30", "soon"] {
        let mut command = create(&["--expires"]);
        command.push(wrong);
        portreeve(&guard, &command, "", false).await;
    }
}
