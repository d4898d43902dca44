//! `portreeve sync`: what differed in words, and an exit code for scripts; with a running door and without.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;

use crate::support::binary::portreeve;
use crate::support::door::Door;
use crate::support::http::{client_builder, http_client};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::relay::{Fault, Relay};
use crate::support::scripted::{Listing, Scripted};
use crate::support::state::{record, truth};
use crate::support::sweep::events;
use crate::support::wait::until;

const SOON: Duration = Duration::from_secs(60);

/// Runs it: exit code, standard output, standard error.
async fn sync(registry_url: &str, store: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = portreeve()
        .arg("sync")
        .args(arguments)
        .current_dir(store.parent().unwrap())
        .env("PORTREEVE__REGISTRY__URL", registry_url)
        .env("PORTREEVE__STORE__URL", format!("redb:{}", store.display()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// Makes an empty store, as only a door does.
async fn make(store: &Path) {
    Door::builder("http://127.0.0.1:9").store(store).start_listening().await.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_running_door_it_tells_each_difference_and_exits_with_0_in_step() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let door = Door::builder(registry.url()).store(&store).start().await;
    let (old, new) = (Image::small(1), Image::small(2));
    for tag in ["moves", "goes"] {
        old.push(&door.url(), "team/app", tag).await;
    }
    new.push(&registry.url(), "team/app", "moves").await;
    new.push(&registry.url(), "team/app", "comes").await;
    registry.lose_tag("team/app", "goes");

    let (code, said, problems) = sync(&registry.url(), &store, &[]).await;
    assert_eq!(code, 0, "{said}{problems}");
    assert!(said.contains(&format!("new      team/app:comes {}\n", new.digest)), "{said}");
    assert!(said.contains(&format!("gone     team/app:goes {}\n", old.digest)), "{said}");
    assert!(!said.contains("moves"), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("in step: 1 repositories")), "{said}");

    let (code, said, _) = sync(&registry.url(), &store, &["--deep"]).await;
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains(&format!("changed  team/app:moves {}, was {}\n", new.digest, old.digest)),
        "{said}"
    );
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);

    let (code, said, _) = sync(&registry.url(), &store, &["--deep"]).await;
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_door_it_opens_the_store_itself_and_leaves_it_for_the_next_door() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    make(&store).await;
    Image::small(1).push(&registry.url(), "team/app", "v1").await;
    let (code, said, problems) = sync(&registry.url(), &store, &[]).await;
    assert_eq!(code, 0, "{said}{problems}");
    assert!(said.contains("new      team/app:v1 "), "{said}");
    let door = Door::builder(registry.url()).store(&store).start().await;
    assert_eq!(record(&door.url()).await, truth(&registry.url()).await);
    assert_eq!(events(&door).await[0]["source"], "swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_exits_with_1_when_it_could_not_finish_or_not_compare_everything() {
    let registry = Scripted::start().await;
    registry.hold("team/app", "v1", &Image::small(1));
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    make(&store).await;
    let (code, said, problems) = sync("http://127.0.0.1:9", &store, &[]).await;
    assert_eq!(code, 1, "{said}{problems}");
    assert!(said.contains("the sweep came to no end (the registry is down: "), "{said}");
    for status in [404, 500] {
        registry.quirks(|quirks| quirks.catalog = Listing::answer(status, "{}"));
        let (code, said, problems) = sync(&registry.url(), &store, &[]).await;
        assert_eq!(code, 1, "{said}{problems}");
        assert!(said.contains("not everything could be compared"), "{said}");
    }
    registry.quirks(|quirks| {
        quirks.catalog = Listing::Honest;
        quirks.tags.insert("team/app".to_owned(), Listing::answer(403, "{}"));
    });
    let (code, said, _) = sync(&registry.url(), &store, &[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("not compared: team/app: "), "{said}");
    registry.quirks(|quirks| quirks.tags.clear());
    let (code, said, _) = sync(&registry.url(), &store, &[]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_is_restarted_meanwhile_is_told_or_ends_the_sweep_that_it_was_asked_for() {
    let registry = Scripted::start().await;
    registry.hold("team/app", "v1", &Image::small(1));
    registry.quirks(|quirks| drop(quirks.tags.insert("team/app".to_owned(), Listing::Held)));
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let mut door = Door::builder(registry.url()).store(&store).start().await;
    let url = registry.url();
    let syncing = tokio::spawn({
        let store = store.clone();
        async move { sync(&url, &store, &[]).await }
    });
    until("the sweep has asked for the tags", SOON, async || registry.count("/tags/list") > 0).await;
    door.restart().await;
    registry.quirks(|quirks| quirks.tags.clear());
    let (code, said, problems) = tokio::time::timeout(SOON, syncing).await.unwrap().unwrap();
    // Whichever it meets first: nobody at the socket, or the door that goes on.
    if code == 1 {
        assert!(problems.contains("did not tell how its sweeps are"), "{said}{problems}");
    } else {
        assert!(code == 0 && said.contains("in step: 1 repositories"), "{said}{problems}");
    }
}

/// Runs another command with the same store: whether it succeeded, and what it said.
async fn command(store: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = portreeve()
        .args(arguments)
        .current_dir(store.parent().unwrap())
        .env("PORTREEVE__STORE__URL", format!("redb:{}", store.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(stdout).unwrap() + String::from_utf8(stderr).unwrap().as_str();
    (status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_sweeps_without_a_door_commands_for_accounts_are_carried_out() {
    let registry = Scripted::start().await;
    registry.hold("team/app", "v1", &Image::small(1));
    registry.quirks(|quirks| drop(quirks.tags.insert("team/app".to_owned(), Listing::Held)));
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    make(&store).await;
    let (url, path) = (registry.url(), store.clone());
    let sweeping = tokio::spawn(async move { sync(&url, &path, &[]).await });
    until("the sweep waits for the registry", SOON, async || registry.count("tags/list") > 0).await;

    let (done, said) = command(&store, &["user", "add", "alice"], "correct horse battery\n").await;
    assert!(done, "{said}");
    let (done, said) = command(&store, &["user", "add", "alice"], "correct horse battery\n").await;
    assert!(!done && said.contains("there is a user `alice` already"), "{said}");
    let token = ["token", "create", "--name", "ci", "--repositories", "team/**", "--actions", "pull"];
    let (done, said) = command(&store, &token, "").await;
    assert!(done && said.contains("portreeve_"), "{said}");

    registry.quirks(|quirks| drop(quirks.tags.insert("team/app".to_owned(), Listing::Honest)));
    let (code, said, problems) = sweeping.await.unwrap();
    assert_eq!(code, 0, "{said}{problems}");
    let (done, said) = command(&store, &["user", "list"], "").await;
    assert!(done && said.contains("alice"), "{said}");
    let door = Door::builder(registry.url()).store(&store).start().await;
    let acts = door.get_json("/api/v1/events?kind=auth").await;
    assert_eq!(acts["items"].as_array().unwrap().len(), 2, "both acts are in the journal: {acts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_sweeps_without_a_door_writes_that_a_killed_door_left_are_asked_about() {
    let registry = Scripted::start().await;
    let relay = Relay::start(&registry.url()).await;
    let image = Image::small(1);
    registry.hold("team/app", "v1", &image);
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("portreeve.redb");
    let mut door = Door::builder(relay.url()).store(&store).start().await;
    relay.script(|request| if request.method == "PUT" { Fault::HangAfter } else { Fault::None });
    let (base, pushed) = (door.url(), image.clone());
    // The door is gone before it can answer.
    tokio::spawn(async move { pushed.put_by(&http_client(), &base, "team/app", "latest").await });
    let latest = ("team/app".to_owned(), "latest".to_owned());
    until("the registry has the tag", SOON, async || registry.truth().contains_key(&latest)).await;
    door.kill().await;

    registry.quirks(|quirks| drop(quirks.tags.insert("team/app".to_owned(), Listing::Held)));
    let (url, path) = (registry.url(), store.clone());
    let sweeping = tokio::spawn(async move { sync(&url, &path, &[]).await });
    let client = client_builder().unix_socket(door.socket()).build().unwrap();
    let ask = async |path: &str| -> serde_json::Value {
        let Ok(answer) = client.get(format!("http://door/api/v1/{path}")).send().await else {
            return serde_json::Value::Null;
        };
        answer.json().await.unwrap()
    };
    until("the write is asked about", SOON, async || ask("status").await["verifications"]["pending"] == 1)
        .await;
    until("it is recorded", SOON, async || {
        let events = ask("events?repository=team/app").await;
        events["items"].as_array().is_some_and(|events| {
            events.iter().any(|event| event["tag"] == "latest" && event["source"] == "verified")
        })
    })
    .await;
    registry.quirks(|quirks| drop(quirks.tags.insert("team/app".to_owned(), Listing::Honest)));
    sweeping.await.unwrap();
    let door = Door::builder(registry.url()).store(&store).start().await;
    assert_eq!(record(&door.url()).await, registry.truth());
}
