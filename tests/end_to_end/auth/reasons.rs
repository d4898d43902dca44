//! Why a login failed, where the operator looks; and that clients are told none of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::accounts::{door, portreeve};
use super::audit::{of, told};
use crate::support::door::Door;
use crate::support::guard::{Guard, ask_token, password};
use crate::support::http::http_client;
use crate::support::metrics::metrics;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

/// What `portreeve_logins_total` counts, by result.
async fn counted(door: &Door) -> BTreeMap<String, u64> {
    let text = metrics(door).await;
    let samples = text.lines().filter_map(|line| line.strip_prefix("portreeve_logins_total{result=\""));
    samples
        .map(|sample| {
            let (result, count) = sample.split_once("\"} ").unwrap();
            (result.to_owned(), count.parse().unwrap())
        })
        .collect()
}

fn lines(door: &Door, path: &str) -> Vec<Value> {
    let log = door.log();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "access" && line["path"] == path).collect()
}

/// The token in what `token create` printed.
fn created(said: &str) -> (String, String) {
    let id = said.strip_prefix("Token ").unwrap().split('.').next().unwrap();
    let token = said.split_whitespace().find(|word| word.starts_with("portreeve_")).unwrap();
    (id.to_owned(), token.to_owned())
}

pub(super) async fn robot(guard: &Guard, name: &str, more: &[&str]) -> (String, String) {
    let command = ["token", "create", "--name", name, "--repositories", "team/**", "--actions", "pull"];
    created(&portreeve(guard, &[&command, more].concat(), "", true).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_log_and_metrics_tell_why_a_login_failed_and_its_client_reads_the_same() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let results = ["disabled", "expired", "locked", "revoked", "success", "unknown_user", "wrong_password"];
    assert_eq!(counted(&door).await, results.map(|result| (result.to_owned(), 0)).into());
    let (_, expired) = robot(&guard, "nightly", &["--expires", "0s"]).await;
    let (id, revoked) = robot(&guard, "old", &[]).await;
    portreeve(&guard, &["token", "revoke", &id], "", true).await;
    let typed = "hunter2-typed-as-a-name";
    let mut answers = BTreeSet::new();
    for (user, shown) in [
        (typed, "wrong"),
        ("alice", "wrong"),
        ("nightly", &expired),
        ("old", &revoked),
        ("disabled", &password("disabled")),
    ] {
        for path in ["/token?scope=repository:team/a:pull", "/v2/"] {
            let request = http_client().get(format!("{}{path}", door.url())).basic_auth(user, Some(shown));
            let response = request.send().await.unwrap();
            let mut headers = response.headers().clone();
            headers.remove("date");
            assert_eq!(headers.remove("x-request-id").unwrap().len(), 32);
            let status = response.status();
            answers.insert(format!("{path} {status} {headers:?} {}", response.text().await.unwrap()));
        }
    }
    assert_eq!(answers.len(), 2, "one answer for each path: {answers:#?}");
    assert_eq!(ask_token(&door.url(), "alice", "").await.status(), StatusCode::OK);

    let results = [
        ("disabled", 2),
        ("expired", 2),
        ("locked", 0),
        ("revoked", 2),
        ("success", 1),
        ("unknown_user", 2),
        ("wrong_password", 2),
    ];
    assert_eq!(counted(&door).await, results.map(|(result, count)| (result.to_owned(), count)).into());

    until("all is written down", SOON, async || of(&told(&door).await, "login_failed").count() == 5).await;
    let events = told(&door).await;
    let told: BTreeSet<(&str, &str)> = of(&events, "login_failed")
        .map(|event| (event["user"].as_str().unwrap(), event["about"].as_str().unwrap()))
        .map(|(user, about)| (if user.starts_with("nobody:") { "nobody" } else { user }, about))
        .collect();
    let expected = [
        ("alice", "the password was wrong"),
        ("disabled", "the user may not log in"),
        ("nightly", "the access token, or the kept login, has expired"),
        ("nobody", "no user has this name"),
        // Its only token is gone, and nobody is called so any more.
        ("nobody", "the access token, or the kept login, was revoked or never made"),
    ];
    assert_eq!(told, expected.into());

    until("all is logged", SOON, async || {
        lines(&door, "/token").len() == 6 && lines(&door, "/v2/").len() == 5
    })
    .await;
    for (path, before) in [("/token", ""), ("/v2/", "UNAUTHORIZED: the user name or the password is wrong: ")]
    {
        let causes: BTreeSet<String> =
            lines(&door, path).iter().filter_map(|line| Some(line["cause"].as_str()?.to_owned())).collect();
        let expected = [
            "no user has this name",
            "the access token, or the kept login, has expired: nightly",
            "the access token, or the kept login, was revoked or never made",
            "the password was wrong: alice",
            "the user may not log in: disabled",
        ];
        assert_eq!(causes, expected.map(|cause| format!("{before}{cause}")).into());
    }
    assert!(!door.log().contains(typed), "{}", door.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_too_often_is_counted_as_locked() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let guess = async |number: usize| {
        let request = http_client().get(format!("{}/token", door.url()));
        request.basic_auth("alice", Some(format!("guess {number}"))).send().await.unwrap().status()
    };
    let mut guesses = 0;
    while guess(guesses).await != StatusCode::TOO_MANY_REQUESTS {
        guesses += 1;
        assert!(guesses < 20);
    }
    let counted = counted(&door).await;
    assert_eq!((counted["locked"], counted["wrong_password"]), (1, guesses as u64));
    until("it is told", SOON, async || {
        of(&told(&door).await, "login_failed")
            .any(|event| event["about"].as_str().unwrap().contains("too many"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_about_a_token_names_who_got_what_of_what_they_asked_for() {
    let guard = Guard::new();
    let door = door(&guard).await;
    let scopes = "scope=repository:team/a:pull,push&scope=repository:other:pull";
    assert_eq!(ask_token(&door.url(), "alice", scopes).await.status(), StatusCode::OK);
    assert_eq!(ask_token(&door.url(), "", "scope=repository:team/a:pull").await.status(), StatusCode::OK);
    assert_eq!(ask_token(&door.url(), "alice", "service=other").await.status(), StatusCode::BAD_REQUEST);
    until("all is logged", SOON, async || lines(&door, "/token").len() == 3).await;
    let lines = lines(&door, "/token");
    // A line is written when its answer has been sent, so that the next one may come before it.
    let line = lines.iter().find(|line| line["user"] == "alice" && line["status"] == 200).unwrap();
    assert_eq!(line["scopes_asked"], "repository:team/a:pull,push repository:other:pull");
    assert_eq!(line["scopes_granted"], "repository:team/a:pull,push");
    assert_eq!(line["cause"], Value::Null);
    let anonymous = lines.iter().find(|line| line["user"] == Value::Null).unwrap();
    assert_eq!(
        (&anonymous["scopes_asked"], &anonymous["scopes_granted"]),
        (&"repository:team/a:pull".into(), &"".into())
    );
    let refused = lines.iter().find(|line| line["status"] == 400).unwrap();
    let cause = refused["cause"].as_str().unwrap();
    assert!(cause.contains("`other` is not served here"), "{cause}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robots_token_that_ends_soon_is_warned_of_and_one_that_has_ended_is_marked() {
    let guard = Guard::new();
    let mut door = door(&guard).await;
    let gauge = async |door: &Door| {
        let text = metrics(door).await;
        let line = text.lines().find(|line| line.starts_with("portreeve_robot_tokens_expiring "));
        line.unwrap().split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(gauge(&door).await, "0");
    robot(&guard, "ended", &["--expires", "0s"]).await;
    robot(&guard, "later", &["--expires", "15d"]).await;
    let (id, _) = robot(&guard, "soon", &["--expires", "13d"]).await;
    until("the gauge counts it", SOON, async || gauge(&door).await == "1").await;
    let listed = portreeve(&guard, &["token", "list"], "", true).await;
    for line in listed.lines() {
        assert_eq!(line.contains("EXPIRED"), line.contains("ended"), "{listed}");
    }
    door.restart_listening().await;
    until("it is warned of", SOON, async || door.log().contains("a robot's token ends within 14 days")).await;
    let log = door.log();
    let warned: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| {
            line["message"].as_str().is_some_and(|text| text.starts_with("a robot's token"))
        })
        .collect();
    let [line] = &warned[..] else { panic!("{warned:?}") };
    assert_eq!(
        (&line["level"], &line["robot"], &line["token"]),
        (&"WARN".into(), &"soon".into(), &id.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_says_which_user_of_the_system_changed_an_account() {
    let guard = Guard::new();
    // Once by the door, and once by the command itself.
    let mut first = door(&guard).await;
    portreeve(&guard, &["user", "add", "dora"], "a-password-of-hers\n", true).await;
    first.signal("TERM");
    first.wait_exit(SOON).await;
    portreeve(&guard, &["user", "remove", "dora"], "", true).await;
    let door = door(&guard).await;
    until("both are told", SOON, async || of(&told(&door).await, "account").count() == 2).await;
    let events = told(&door).await;
    let output = std::process::Command::new("id").arg("-u").output().unwrap();
    let uid = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let output = std::process::Command::new("id").arg("-un").output().unwrap();
    let name = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    for event in of(&events, "account") {
        assert_eq!(event["user"], format!("uid {uid} ({name})"), "{event}");
    }
}
