//! Users and tokens of the store, by the commands, and logins that go on.

use std::process::Stdio;

use reqwest::{Response, StatusCode};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, grants, password};
use crate::support::http::http_client;
use crate::support::wait::until;

const SOON: std::time::Duration = std::time::Duration::from_secs(30);

/// A door that the commands reach.
pub(super) async fn door(guard: &Guard) -> Door {
    door_before(guard, "http://127.0.0.1:9").await
}

/// The same before a registry.
pub(crate) async fn door_before(guard: &Guard, registry_url: &str) -> Door {
    guard
        .door(registry_url)
        .set("SERVER__SOCKET", guard.path("socket").to_str().unwrap())
        .store(guard.path("store.redb"))
        .start_listening()
        .await
}

/// Runs a command; it has to end well or not, as said. What it printed.
pub(crate) async fn portreeve(guard: &Guard, arguments: &[&str], input: &str, ends_well: bool) -> String {
    let mut child = crate::support::binary::portreeve()
        .args(arguments)
        .current_dir(guard.path(""))
        .env("PORTREEVE__STORE__URL", format!("redb:{}", guard.path("store.redb").display()))
        .env("PORTREEVE__SERVER__SOCKET", guard.path("socket"))
        .env("PORTREEVE__AUTH__HTPASSWD", guard.path("htpasswd"))
        .env("PORTREEVE__AUTH__GROUPS", "{ developers = [\"alice\"] }")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that wants nothing has ended before it is written.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.success(), ends_well, "{arguments:?}: {said}");
    said
}

async fn log_in(door: &Door, user: &str, password: &str, query: &str) -> Response {
    let request = http_client().get(format!("{}/token?{query}", door.url()));
    request.basic_auth(user, Some(password)).send().await.unwrap()
}

async fn refresh(door: &Door, token: &str, scope: &str) -> Response {
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("grant_type", "refresh_token"),
            ("service", "portreeve"),
            ("refresh_token", token),
            ("scope", scope),
        ])
        .finish();
    let request = http_client().post(format!("{}/token", door.url()));
    request.header("content-type", "application/x-www-form-urlencoded").body(form).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_added_changed_and_removed_with_a_door_and_without() {
    let guard = Guard::new();
    let mut door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora", "--group", "developers"], "a-password-of-hers\n", true).await;
    let response = log_in(&door, "dora", "a-password-of-hers", "scope=repository:team/a:push").await;
    let answer: Value = response.json().await.unwrap();
    assert_eq!(grants(answer["token"].as_str().unwrap())["repository:team/a"], ["push"]);
    let said = portreeve(&guard, &["user", "add", "dora"], "something-else\n", false).await;
    assert!(said.contains("already"), "{said}");
    let said = portreeve(&guard, &["user", "passwd", "dora"], "short\n", false).await;
    assert!(said.contains("8 characters"), "{said}");
    // Nobody could log in with it.
    let said = portreeve(&guard, &["user", "passwd", "dora"], "a-password\0of-hers\n", false).await;
    assert!(said.contains("NUL"), "{said}");
    portreeve(&guard, &["user", "passwd", "dora"], "another-password\n", true).await;
    assert_eq!(log_in(&door, "dora", "a-password-of-hers", "").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(log_in(&door, "dora", "another-password", "").await.status(), StatusCode::OK);
    let said = portreeve(&guard, &["user", "list"], "", true).await;
    assert!(said.contains("dora") && !said.contains("argon2"), "{said}");
    portreeve(&guard, &["user", "remove", "dora"], "", true).await;
    assert_eq!(log_in(&door, "dora", "another-password", "").await.status(), StatusCode::UNAUTHORIZED);
    assert!(!door.whole_log().await.contains("another-password"));
    door.kill().await;
    portreeve(&guard, &["user", "add", "emil"], "a-password-of-his\n", true).await;
    door.restart_listening().await;
    assert_eq!(log_in(&door, "emil", "a-password-of-his", "").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_log_in_with_tokens_that_are_shown_once() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let create = [
        "token",
        "create",
        "--name",
        "ci",
        "--repositories",
        "team/**,ci/*",
        "--actions",
        "pull,push",
        "--expires",
        "90d",
    ];
    let said = portreeve(&guard, &create, "", true).await;
    let token = said.split_whitespace().find(|word| word.starts_with("portreeve_")).unwrap();
    let scopes = "scope=repository:team/a:pull,push,delete&scope=repository:other:pull";
    let answer: Value = log_in(&door, "ci", token, scopes).await.json().await.unwrap();
    let granted = grants(answer["token"].as_str().unwrap());
    assert_eq!(
        granted.into_iter().collect::<Vec<_>>(),
        [("repository:team/a".to_owned(), vec!["pull".to_owned(), "push".to_owned()])]
    );
    let listed = portreeve(&guard, &["token", "list"], "", true).await;
    let id = listed.split_whitespace().next().unwrap().to_owned();
    assert!(token.contains(&id) && !listed.contains(token), "{listed}");
    portreeve(&guard, &["token", "revoke", &id], "", true).await;
    assert_eq!(log_in(&door, "ci", token, "").await.status(), StatusCode::UNAUTHORIZED);
    let wrong = ["token", "create", "--name", "ci", "--repositories", "Team/**", "--actions", "pull"];
    assert!(portreeve(&guard, &wrong, "", false).await.contains("`Team/**`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_says_which_rule_decides() {
    let guard = Guard::new();
    let rules = "[auth]\nmode = \"on\"\n[auth.groups]\ndevelopers = [\"alice\"]\n[[auth.rules]]\nwho = \"group:developers\"\n\
                 repositories = \"team/**\"\nactions = [\"pull\", \"push\"]\n[[auth.rules]]\nwho = \"*\"\n\
                 repositories = \"team/app\"\nactions = \"push\"\ndeny = true\n[[auth.rules]]\nwho = \"alice\"\nactions = \"admin\"\n";
    std::fs::write(guard.path("portreeve.toml"), rules).unwrap();
    let said = portreeve(&guard, &["check", "--as", "alice", "--repository", "team/app"], "", true).await;
    for line in [
        "alice is in developers.",
        "alice may pull team/app: rule 1 allows it.",
        "alice may not push team/app: rule 2 denies it.",
        "alice may not delete team/app: no rule allows it.",
        "alice may not list all repositories: no rule allows it.",
        "alice may administer the door: rule 3 allows it.",
    ] {
        assert!(said.contains(line), "{said}");
    }
    let said = portreeve(&guard, &["check", "--as", "alice", "--repository", "Team"], "", false).await;
    assert!(said.contains("Team"), "{said}");
    let said = portreeve(&guard, &["check", "--as", "alice"], "", true).await;
    for line in [
        "alice may pull,push team/**: rule 1.",
        "alice may not push team/app: rule 2.",
        "alice may administer the door",
    ] {
        assert!(said.contains(line), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_check_says_what_a_robot_may_do_and_that_nobody_has_a_name() {
    let guard = Guard::new();
    let _door = door(&guard).await;
    let said =
        portreeve(&guard, &["check", "--as", "nobody-yet", "--repository", "team/app"], "", true).await;
    assert!(said.contains("Nobody has the name nobody-yet"), "{said}");
    let create = [
        "token",
        "create",
        "--name",
        "ci",
        "--repositories",
        "team/**",
        "--actions",
        "pull,push",
        "--expires",
        "90d",
    ];
    portreeve(&guard, &create, "", true).await;
    let said = portreeve(&guard, &["check", "--as", "ci", "--repository", "team/app"], "", true).await;
    assert!(!said.contains("Nobody has the name"), "{said}");
    for line in [
        "ci is a robot.",
        "is for pull, push of team/**.",
        "ci may push team/app: token",
        "ci may not delete team/app: token",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = portreeve(&guard, &["check", "--as", "ci", "--repository", "other"], "", true).await;
    assert!(said.contains("ci may not pull other: token"), "{said}");
    let said = portreeve(&guard, &["check", "--as", "ci"], "", true).await;
    assert!(said.contains("is for pull, push of team/**."), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_at_the_gate_is_written_down_without_secrets() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    log_in(&door, "dora", "wrong-password", "").await;
    let scope = "scope=repository:public/a:pull,push";
    let answer: Value = log_in(&door, "dora", "a-password-of-hers", scope).await.json().await.unwrap();
    let token = answer["token"].as_str().unwrap();
    let path = format!("{}/v2/public/a/manifests/latest", door.url());
    http_client().delete(path).bearer_auth(token).send().await.unwrap();
    let admin = crate::support::guard::password("admin");
    let ask = async |kind: &str| {
        let request = http_client().get(format!("{}/api/v1/events?kind={kind}", door.url()));
        request.basic_auth("admin", Some(&admin)).send().await.unwrap()
    };
    crate::support::wait::until("all is written down", std::time::Duration::from_secs(20), async || {
        let told = ask("auth").await.text().await.unwrap();
        ["account", "login_failed", "refused"]
            .iter()
            .all(|kind| told.contains(&format!("\"kind\":\"{kind}\"")))
    })
    .await;
    let told = ask("auth").await.text().await.unwrap();
    let list: Value = serde_json::from_str(&told).unwrap();
    let events = list["items"].as_array().unwrap();
    let about = |kind: &str| events.iter().find(|event| event["kind"] == kind).unwrap();
    assert_eq!(about("account")["about"], "the user dora was added");
    assert_eq!(about("login_failed")["user"], "dora");
    assert_eq!(about("refused")["about"], "repository:public/a:delete");
    assert_eq!(
        (about("refused")["user"].as_str(), about("refused")["address"].as_str()),
        (Some("dora"), Some("127.0.0.1"))
    );
    for secret in ["wrong-password", "a-password-of-hers", token] {
        assert!(!told.contains(secret));
    }
    assert_eq!(ask("other").await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_to_accounts_go_through_the_socket_alone() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let admin = crate::support::guard::password("admin");
    let request =
        http_client().post(format!("{}/api/v1/accounts", door.url())).basic_auth("admin", Some(admin));
    let response = request.json(&"list_users").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_on_without_its_password_until_that_changes() {
    let guard = Guard::new();
    let mut door = door(&guard).await;
    let answer: Value = ask_token(&door.url(), "alice", "offline_token=true").await.json().await.unwrap();
    let login = answer["refresh_token"].as_str().unwrap().to_owned();
    let plain: Value = ask_token(&door.url(), "alice", "").await.json().await.unwrap();
    assert!(plain.get("refresh_token").is_none(), "nobody gets one who has not asked");
    let scope = "repository:team/a:pull,push";
    // Docker presents the same one again and again, also to a door that was started anew.
    for _ in 0..2 {
        for _ in 0..2 {
            let response = refresh(&door, &login, scope).await;
            assert_eq!(response.status(), StatusCode::OK);
            let answer: Value = response.json().await.unwrap();
            assert_eq!(
                grants(answer["access_token"].as_str().unwrap())["repository:team/a"],
                ["pull", "push"]
            );
            assert_eq!(answer["scope"], scope);
        }
        door.signal("TERM");
        assert!(door.wait_exit(std::time::Duration::from_secs(20)).await.success());
        door.restart_listening().await;
    }
    assert_eq!(refresh(&door, &format!("{login}x"), scope).await.status(), StatusCode::UNAUTHORIZED);
    guard.write_users(&["reader"]);
    crate::support::wait::until("the user is gone", std::time::Duration::from_secs(20), async || {
        refresh(&door, &login, scope).await.status() == StatusCode::UNAUTHORIZED
    })
    .await;
    let robots = ask_token(&door.url(), "", "offline_token=true").await;
    assert!(robots.json::<Value>().await.unwrap().get("refresh_token").is_none());
    assert!(!door.whole_log().await.contains(&login));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_commands_are_those_of_users_and_groups_that_there_are() {
    let guard = Guard::new();
    let _door = door(&guard).await;
    let said = portreeve(&guard, &["user", "add", "alice"], "a-password-of-hers\n", false).await;
    assert!(said.contains("auth.htpasswd has a user `alice`"), "{said}");
    let robot = ["token", "create", "--name", "alice", "--repositories", "a", "--actions", "pull"];
    let said = portreeve(&guard, &robot, "", false).await;
    assert!(said.contains("auth.htpasswd has a user `alice`"), "{said}");
    let wrong = ["user", "add", "dora", "--group", "develpers"];
    let said = portreeve(&guard, &wrong, "a-password-of-hers\n", false).await;
    assert!(said.contains("has a group `develpers`; did you mean `developers`?"), "{said}");
    let token =
        |user| ["token", "create", "--name", "t", "--user", user, "--repositories", "a", "--actions", "pull"];
    let said = portreeve(&guard, &token("alicia"), "", false).await;
    assert!(said.contains("nobody has the name `alicia`; did you mean `alice`?"), "{said}");
    let listed = portreeve(&guard, &["user", "list"], "", true).await;
    assert!(!listed.contains("the store"), "nothing was done: {listed}");
    portreeve(&guard, &token("alice"), "", true).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    portreeve(&guard, &token("dora"), "", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_file_of_users_does_not_come_back_by_an_older_password_of_the_store() {
    let guard = Guard::new();
    let door = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "the-older-password\n", true).await;
    assert_eq!(log_in(&door, "dora", "the-older-password", "").await.status(), StatusCode::OK);
    guard.write_users(&["admin", "dora"]);
    let of_the_file = password("dora");
    until("the file counts", SOON, async || {
        log_in(&door, "dora", &of_the_file, "").await.status() == StatusCode::OK
    })
    .await;
    until("the store's password counts no more", SOON, async || {
        portreeve(&guard, &["user", "list"], "", true).await.contains("SUPERSEDED")
    })
    .await;
    let (_, warned) = door.check().await;
    assert!(warned.contains("`auth.htpasswd` and the store both have dora"), "{warned}");
    guard.write_users(&["admin"]);
    let left =
        || async { log_in(&door, "dora", &of_the_file, "").await.status() == StatusCode::UNAUTHORIZED };
    until("she has left the file", SOON, async || left().await).await;
    assert_eq!(log_in(&door, "dora", "the-older-password", "").await.status(), StatusCode::UNAUTHORIZED);
    until("the log says why", SOON, async || door.log().contains("the password in the store counts no more"))
        .await;
    until("the metrics tell the reason", SOON, async || {
        let metrics = crate::support::metrics::metrics(&door).await;
        let mut lines = metrics.lines();
        let disabled =
            lines.find_map(|line| line.strip_prefix("portreeve_logins_total{result=\"disabled\"} "));
        disabled.is_some_and(|count| count != "0")
    })
    .await;
    // The operator decides.
    portreeve(&guard, &["user", "passwd", "dora"], "the-newer-password\n", true).await;
    assert_eq!(log_in(&door, "dora", "the-newer-password", "").await.status(), StatusCode::OK);
    assert_eq!(log_in(&door, "dora", "the-older-password", "").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_registry_knows_signs_only_where_the_operator_insists() {
    let guard = Guard::new();
    let _door = door(&guard).await;
    let keys = guard.path("keys");
    let rotate = async |arguments: &[&str], ends_well: bool| {
        let output = crate::support::binary::portreeve()
            .args(arguments)
            .current_dir(guard.path(""))
            .env("PORTREEVE__STORE__URL", format!("redb:{}", guard.path("store.redb").display()))
            .env("PORTREEVE__AUTH__KEYS", &keys)
            .env("PORTREEVE__REGISTRY__AUTH", "token")
            .output()
            .await
            .unwrap();
        assert_eq!(output.status.success(), ends_well, "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap() + String::from_utf8(output.stderr).unwrap().as_str()
    };
    let before = rotate(&["key", "show"], true).await;
    let said = rotate(&["key", "rotate"], false).await;
    assert!(said.contains("no key is prepared") && said.contains("portreeve key prepare"), "{said}");
    assert_eq!(rotate(&["key", "show"], true).await, before);
    rotate(&["key", "prepare"], true).await;
    rotate(&["key", "rotate"], true).await;
    rotate(&["key", "rotate", "--force"], true).await;
}
