//! Where the configuration is looked for, and what becomes of a file that goes while the door runs.

use std::path::Path;
use std::time::Duration;

use reqwest::StatusCode;

use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::guard::{Guard, password};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(30);

/// What a check says that it has read.
async fn read(directory: &Path, arguments: &[&str], variable: Option<&str>) -> (Option<i32>, String) {
    let mut check = portreeve();
    check.args(arguments).arg("check").current_dir(directory);
    check.env("PORTREEVE__LISTEN__DOOR", "127.0.0.1:0").env("PORTREEVE__LISTEN__ADMIN", "127.0.0.1:0");
    check.env("PORTREEVE__REGISTRY__URL", "http://127.0.0.1:9");
    if let Some(variable) = variable {
        check.env("PORTREEVE_CONFIG", variable);
    }
    let output = check.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + String::from_utf8(output.stderr).unwrap().as_str();
    (output.status.code(), said.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_counts_more_than_the_variable_and_that_more_than_the_working_directory() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for name in ["portreeve.toml", "a.toml", "b.toml"] {
        std::fs::write(directory.join(name), "server.grace = \"5s\"\n").unwrap();
    }
    let told = |file: &str| format!("The configuration was read from {file} and 3 environment variables.");
    assert_eq!(read(directory, &["--config", "a.toml"], Some("b.toml")).await.1, told("a.toml"));
    assert_eq!(read(directory, &[], Some("b.toml")).await.1, told("b.toml"));
    assert_eq!(read(directory, &[], None).await.1, told("portreeve.toml"));
    let (code, said) = read(directory, &[], Some("nowhere.toml")).await;
    assert!(
        code == Some(2) && said.contains("nowhere.toml: the configuration file cannot be read"),
        "{said}"
    );
    std::fs::remove_file(directory.join("portreeve.toml")).unwrap();
    assert!(
        !Path::new("/etc/portreeve/portreeve.toml").exists(),
        "this machine has a configuration of its own"
    );
    assert_eq!(read(directory, &[], None).await.1, told("no file"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_or_empty_changes_no_rule_and_is_said() {
    let guard = Guard::new();
    let file = guard.path("portreeve.toml");
    let rules =
        |who: &str| format!("[[auth.rules]]\nwho = \"{who}\"\nrepositories = \"**\"\nactions = \"pull\"\n");
    std::fs::write(&file, rules("alice")).unwrap();
    let door =
        guard.door("http://127.0.0.1:9").unset("AUTH__RULES").configured_by(&file).start_listening().await;
    let may_pull = async |user: &str| {
        let request = http_client().get(format!("{}/v2/team/a/tags/list", door.url()));
        let answer = request.basic_auth(user, Some(password(user))).send().await.unwrap();
        // The registry is not there.
        answer.status() != StatusCode::FORBIDDEN && answer.status() != StatusCode::UNAUTHORIZED
    };
    assert!(may_pull("alice").await && !may_pull("reader").await);
    std::fs::remove_file(&file).unwrap();
    until("the door says that it is gone", SOON, async || {
        door.log().contains("the configuration file cannot be read")
    })
    .await;
    assert!(may_pull("alice").await);
    for empty in ["", "# nothing\n"] {
        std::fs::write(&file, empty).unwrap();
        until("the door says that it is empty", SOON, async || door.log().contains("is empty now")).await;
        assert!(may_pull("alice").await && !may_pull("reader").await);
    }
    std::fs::write(&file, rules("reader")).unwrap();
    until("the new rules count", SOON, async || may_pull("reader").await && !may_pull("alice").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_come_from_files_and_are_read_again_at_a_reload() {
    let registry = Registry::start_with_password("door", "secret-of-the-door").await;
    let guard = Guard::new();
    let (password, secret) = (guard.path("password"), guard.path("secret"));
    std::fs::write(&password, "not-this-one\n").unwrap();
    std::fs::write(&secret, "0123456789abcdef\n").unwrap();
    let door = Door::builder(registry.url())
        .set("REGISTRY__AUTH", "basic")
        .set("REGISTRY__USERNAME", "door")
        .set("REGISTRY__PASSWORD_FILE", password.to_str().unwrap())
        .set("NOTIFICATIONS__SECRET_FILE", secret.to_str().unwrap())
        .start_listening()
        .await;
    let notify = async |secret: &str| {
        let request = http_client().post(format!("{}/api/v1/notifications", door.url())).bearer_auth(secret);
        request
            .header("content-type", "application/json")
            .body("{\"events\":[]}")
            .send()
            .await
            .unwrap()
            .status()
    };
    assert_ne!(notify("0123456789abcdef").await, StatusCode::UNAUTHORIZED);
    std::fs::write(&password, "secret-of-the-door\n").unwrap();
    std::fs::write(&secret, "fedcba9876543210\n").unwrap();
    door.signal("HUP");
    until("the new secret counts", SOON, async || {
        notify("0123456789abcdef").await == StatusCode::UNAUTHORIZED
    })
    .await;
    assert_ne!(notify("fedcba9876543210").await, StatusCode::UNAUTHORIZED);
    Image::small(1).push(&door.url(), "team/app", "latest").await;
    // One that is empty changes nothing.
    std::fs::write(&secret, "").unwrap();
    door.signal("HUP");
    until("it is refused", SOON, async || door.log().contains("it is empty; name a file with the secret"))
        .await;
    assert_ne!(notify("fedcba9876543210").await, StatusCode::UNAUTHORIZED);
    let log = door.whole_log().await;
    assert!(!log.contains("secret-of-the-door") && !log.contains("fedcba"));
}
