//! A door that cannot start: exit code 2, one sentence that names key or file and a remedy, and nothing touched.

use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::SystemTime;

use crate::support::binary::blocking_portreeve;
use crate::support::door::{Door, DoorBuilder};
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::registry::Registry;

/// Nobody has to answer there: these doors never come to ask.
const REGISTRY: &str = "http://127.0.0.1:9";

/// Starts a door that must not come up; the one line that it says.
async fn refusal(door: DoorBuilder) -> String {
    let Err((status, said)) = door.try_start().await else { panic!("the door came up") };
    only_line(status.code(), &said)
}

fn only_line(code: Option<i32>, said: &str) -> String {
    assert_eq!(code, Some(2), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    lines[0].to_owned()
}

/// Runs the binary in a directory; for what is not said by the environment.
fn run(directory: &Path, arguments: &[&str]) -> Output {
    blocking_portreeve().args(arguments).current_dir(directory).output().unwrap()
}

fn assert_says(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "{word:?} is not in: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_is_named_with_its_key_and_a_remedy() {
    for (key, value, words) in [
        ("REGISTRY__TIMEOUT", "soon", ["PORTREEVE__REGISTRY__TIMEOUT", "\"soon\"", "30s"]),
        ("REGISTRY__URL", "ftp://a", ["PORTREEVE__REGISTRY__URL", "ftp://a", "http://HOST:PORT"]),
        ("LISTEN__ADMIN", "nowhere", ["PORTREEVE__LISTEN__ADMIN", "nowhere", "0.0.0.0:5000"]),
        ("STORE__URL", "record", ["PORTREEVE__STORE__URL", "redb:", "write"]),
        ("SERVER__THREADS", "0", ["PORTREEVE__SERVER__THREADS", "\"0\"", "1 to 1024"]),
        ("PLUGINS__CLIENT_ADDRESS__TRUSTED_PROXIES", "hosts", ["client_address", "trusted_proxies", "hosts"]),
    ] {
        assert_says(&refusal(Door::builder(REGISTRY).set(key, value)).await, &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_is_named_with_the_one_that_was_meant() {
    let line = refusal(Door::builder(REGISTRY).set("REGISTRY__TIMEOT", "3s")).await;
    assert_says(&line, &["PORTREEVE__REGISTRY__TIMEOT", "not a known key", "PORTREEVE__REGISTRY__TIMEOUT"]);
    let line = refusal(Door::builder(REGISTRY).set("PLUGINS__ACCESS_LOG__ENABELD", "true")).await;
    assert_says(&line, &["access_log", "enabeld", "enabled"]);
    let line = refusal(Door::builder(REGISTRY).set("PLUGINS__OBSERVR__ENABLED", "true")).await;
    assert_says(&line, &["observr", "observer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_file_is_named_with_file_and_line() {
    let directory = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("[registry]\ntimeot = \"3s\"\n", ["portreeve.toml, line 2", "registry.timeot", "registry.timeout"]),
        ("[server]\ngrace = 30\n", ["portreeve.toml, line 2", "server.grace", "unit"]),
        ("[server\n", ["portreeve.toml, line 1", "TOML", "`]`"]),
    ] {
        std::fs::write(directory.path().join("portreeve.toml"), text).unwrap();
        for arguments in [&["serve"][..], &[], &["--config", "portreeve.toml", "serve"], &["check"]] {
            let output = run(directory.path(), arguments);
            let said = String::from_utf8(output.stderr).unwrap();
            // A picture of the place may follow what a TOML parser says; nothing else.
            assert_says(&only_line(output.status.code(), &said), &words);
            assert!(output.stdout.is_empty());
        }
    }
    let output = run(directory.path(), &["--config", "missing.toml", "serve"]);
    let line = only_line(output.status.code(), &String::from_utf8(output.stderr).unwrap());
    assert_says(&line, &["missing.toml", "--config"]);
    let left: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named_with_its_key_and_the_store_is_not_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    for (key, name) in [("LISTEN__DOOR", "listen.door"), ("LISTEN__ADMIN", "listen.admin")] {
        let store = directory.path().join("record.redb");
        let line = refusal(Door::builder(REGISTRY).store(&store).set(key, address.clone())).await;
        assert_says(&line, &[name, &address, "another process", "choose another port"]);
        assert!(!store.exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_door_uses_is_named_and_that_door_goes_on() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("record.redb");
    let first = Door::builder(registry.url()).store(&store).start().await;
    Image::small(1).push(&first.url(), "team/app", "one").await;
    let line = refusal(Door::builder(registry.url()).store(&store)).await;
    assert_says(&line, &["store.url", &store.display().to_string(), "another portreeve", "stop it"]);
    Image::small(2).push(&first.url(), "team/app", "two").await;
    assert_eq!(crate::support::state::record(&first.url()).await.len(), 2);
    assert_eq!(http_client().get(format!("{}/readyz", first.url())).send().await.unwrap().status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_store_is_refused_by_name_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("foreign.redb");
    {
        const OTHERS: redb::TableDefinition<'_, u64, &str> = redb::TableDefinition::new("meta");
        let database = redb::Database::create(&foreign).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(OTHERS).unwrap().insert(1, "theirs").unwrap();
        write.commit().unwrap();
    }
    let text = directory.path().join("text.redb");
    std::fs::write(&text, "this is somebody's text\n".repeat(1000)).unwrap();
    let short = directory.path().join("short.redb");
    std::fs::write(&short, "x").unwrap();
    let empty = directory.path().join("empty.redb");
    std::fs::write(&empty, "").unwrap();
    let cut = directory.path().join("cut.redb");
    std::fs::write(&cut, &std::fs::read(&foreign).unwrap()[..5000]).unwrap();

    for path in [foreign, text, short, empty, cut] {
        let before = fingerprint(&path);
        let line = refusal(Door::builder(REGISTRY).store(&path)).await;
        assert_says(&line, &["store.url", &path.display().to_string(), "move"]);
        assert!(fingerprint(&path) == before, "{} was touched: {line}", path.display());
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 5, "something was left behind");
}

/// A file's bytes and the time of its last change.
fn fingerprint(path: &Path) -> (Vec<u8>, SystemTime) {
    (std::fs::read(path).unwrap(), std::fs::metadata(path).unwrap().modified().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_made_is_named_with_what_has_to_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("no/such/directory/record.redb");
    let line = refusal(Door::builder(REGISTRY).store(&missing)).await;
    assert_says(&line, &["store.url", &missing.display().to_string(), "directory must exist"]);
    let line = refusal(Door::builder(REGISTRY).store(directory.path())).await;
    assert_says(&line, &["store.url", &directory.path().display().to_string(), "not a regular file"]);
}
