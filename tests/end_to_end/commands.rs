//! What commands show of the record, through the door's socket.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncBufReadExt as _;

use crate::support::binary;
use crate::support::door::Door;
use crate::support::http::delete;
use crate::support::image::Image;
use crate::support::registry::Registry;

const SOON: Duration = Duration::from_secs(30);

/// A command beside this door: how it ended, and what it printed.
pub(crate) async fn command(door: &Door, arguments: &[&str]) -> Output {
    let mut command = binary::portreeve();
    command
        .args(arguments)
        .current_dir(door.socket().parent().unwrap())
        .env("PORTREEVE__SERVER__SOCKET", door.socket());
    command.output().await.unwrap()
}

/// What a command prints that ends well.
pub(crate) async fn printed(door: &Door, arguments: &[&str]) -> String {
    let output = command(door, arguments).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The words of each line, without the times.
fn words(text: &str) -> Vec<Vec<String>> {
    let is_time = |word: &str| word.ends_with('Z') && word.contains('T') && word.len() >= 20;
    let line =
        |line: &str| line.split_whitespace().filter(|word| !is_time(word)).map(str::to_owned).collect();
    text.lines().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_tags_manifests_and_history_are_shown_as_tables_and_as_json() {
    let registry = Registry::start_lenient().await;
    let door = Door::builder(registry.url()).start().await;
    let base = door.url();
    let (first, second) = (Image::small(1), Image::small(2));
    let index = Image::index(&[&first, &second]);
    first.push(&base, "team/app", "v1").await;
    second.push(&base, "team/app", "v2").await;
    index.push(&base, "team/app", "latest").await;
    first.push(&base, "other", "v1").await;
    let about = Image::plain_about(&first, 3, "text/x", "evil=\u{1b}[2Jred");
    about.push(&base, "team/app", &about.digest).await;
    assert_eq!(delete(&base, "team/app", "v2").await.status(), 202);

    let listed = words(&printed(&door, &["repositories"]).await);
    assert_eq!(listed[0], ["REPOSITORY", "TAGS", "MANIFESTS", "SIZE", "PUSHED", "PULLED", "PULLS"]);
    assert_eq!(listed[1][..2], ["other", "1"]);
    assert_eq!(listed[2][..2], ["team/app", "2"]);
    assert_eq!(words(&printed(&door, &["repositories", "oth"]).await).len(), 2);
    let namespaces = words(&printed(&door, &["repositories", "--by-namespace"]).await);
    assert_eq!(namespaces[0][..4], ["NAMESPACE", "REPOSITORIES", "TAGS", "MANIFESTS"]);
    assert_eq!(namespaces[1][..3], ["-", "1", "1"]);
    assert_eq!(namespaces[2][..3], ["team", "1", "2"]);
    assert_eq!(words(&printed(&door, &["repositories", "--by-namespace", "tea"]).await).len(), 2);
    let json: Value =
        serde_json::from_str(&printed(&door, &["repositories", "--output", "json"]).await).unwrap();
    assert_eq!(json[1]["name"], "team/app");

    let tags = words(&printed(&door, &["tags", "team/app"]).await);
    assert_eq!(tags[1][..2], ["latest".to_owned(), index.digest[..19].to_owned()]);
    assert!(tags[1].contains(&"linux/amd64,".to_owned()), "{tags:?}");
    assert_eq!(tags[2][..2], ["v1".to_owned(), first.digest[..19].to_owned()]);

    let shown = printed(&door, &["show", "team/app:v1"]).await;
    assert!(shown.contains(&first.digest) && shown.contains("LAYER"), "{shown}");
    assert!(shown.contains(&about.digest), "what refers to it: {shown}");
    let by_digest = printed(&door, &["show", &format!("team/app@{}", about.digest)]).await;
    assert!(by_digest.contains("evil=\u{fffd}[2Jred"), "{by_digest:?}");
    let parts = printed(&door, &["show", "team/app:latest"]).await;
    assert!(parts.contains("linux/arm64"), "{parts}");
    let json: Value =
        serde_json::from_str(&printed(&door, &["show", "team/app:v1", "--output", "json"]).await).unwrap();
    assert_eq!(json["digest"], first.digest);

    let history = words(&printed(&door, &["history", "team/app:v2"]).await);
    let what: Vec<_> = history.iter().map(|line| line[0].as_str()).collect();
    assert_eq!(what, ["TIME", "pushed", "pushed", "tag"], "{history:?}");
    assert!(history[3].contains(&"127.0.0.1".to_owned()), "{history:?}");
    let json: Value =
        serde_json::from_str(&printed(&door, &["history", "other", "--output", "json"]).await).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_and_how_much_there_is_are_shown_as_tables_and_as_json() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/blue", "v1").await;
    image.push(&door.url(), "other", "blue").await;
    let found = words(&printed(&door, &["search", "blue"]).await);
    let names: Vec<_> = found.iter().map(|line| line[0].as_str()).collect();
    assert_eq!(names[0], "NAME");
    for name in ["team/blue", "other:blue"] {
        assert!(names.contains(&name), "{found:?}");
    }
    let json: Value =
        serde_json::from_str(&printed(&door, &["search", "v1", "--output", "json"]).await).unwrap();
    assert_eq!((&json[0]["kind"], &json[0]["tag"]), (&"tag".into(), &"v1".into()), "{json}");
    let stats = words(&printed(&door, &["stats"]).await);
    let now: Vec<&str> = stats[1].iter().map(String::as_str).collect();
    assert_eq!(now[..4], ["now", "2", "2", "2"], "{stats:?}");
    assert!(stats[2][0].starts_with("20") && stats[2][1] == "2", "today: {stats:?}");
    assert!(stats.iter().any(|line| line.first().is_some_and(|word| word == "LARGEST")), "{stats:?}");
    let json: Value = serde_json::from_str(&printed(&door, &["stats", "--output", "json"]).await).unwrap();
    assert_eq!(json["totals"]["tags"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_followed_over_a_restart_of_the_door_and_none_is_shown_twice() {
    let registry = Registry::start().await;
    let mut door = Door::builder(registry.url()).start().await;
    let image = Image::small(1);
    image.push(&door.url(), "team/app", "v1").await;
    image.push(&door.url(), "team/app", "v2").await;
    let listed = printed(&door, &["events", "--tag", "v2"]).await;
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.contains("pushed") && listed.contains("team/app:v2"), "{listed}");
    let mut follow = binary::portreeve();
    follow.args(["events", "--follow", "--repository", "team/app", "--output", "json"]);
    follow.current_dir(door.socket().parent().unwrap()).env("PORTREEVE__SERVER__SOCKET", door.socket());
    let mut child = follow.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(SOON, lines.next_line()).await.expect("an event in time");
        let event: Value = serde_json::from_str(&line.unwrap().unwrap()).unwrap();
        event["tag"].as_str().unwrap().to_owned()
    };
    assert_eq!([next().await, next().await], ["v1", "v2"]);
    image.push(&door.url(), "team/app", "v3").await;
    assert_eq!(next().await, "v3");
    image.push(&door.url(), "other", "v1").await;
    door.restart().await;
    image.push(&door.url(), "team/app", "v4").await;
    assert_eq!(next().await, "v4");
    child.kill().await.unwrap();
    let wrong = command(&door, &["events", "--kind", "nonsense"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("manifest_put"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_said_with_a_remedy() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    Image::small(1).push(&door.url(), "team/app", "v1").await;
    for (arguments, code, words) in [
        (vec!["tags", "nothing"], 1, "the repository `nothing` is not known"),
        (vec!["show", "team/app:v2"], 1, "the repository `team/app` has no tag `v2`"),
        (vec!["show", "team/app"], 2, "Write team/app:TAG"),
        (vec!["show", "Team/App:v1"], 2, "Team/App"),
        (vec!["history", "team/app@sha256:x"], 2, "sha256:x"),
    ] {
        let output = command(&door, &arguments).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let mut alone = binary::portreeve();
    alone.args(["tags", "team/app"]).current_dir(nowhere.path());
    let output = alone.output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no door runs here") && said.contains("--config"), "{said}");
    assert_eq!(std::fs::read_dir(nowhere.path()).unwrap().count(), 0, "nothing is made");
}
