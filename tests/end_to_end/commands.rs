//! What commands show of the record, through the door's socket.

use std::process::Output;

use serde_json::Value;

use crate::support::binary;
use crate::support::door::Door;
use crate::support::http::delete;
use crate::support::image::Image;
use crate::support::registry::Registry;

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
