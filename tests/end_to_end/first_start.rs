//! What is made, and by whom: a door that starts makes its store and its keys, and says so; no command makes them, and those
//! that only look leave everything as it is.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use crate::support::binary::portreeve;
use crate::support::door::{Door, DoorBuilder};
use crate::support::guard::Guard;
use crate::support::wait::until;

/// Nobody has to answer there.
const REGISTRY: &str = "http://127.0.0.1:9";
const SOON: Duration = Duration::from_secs(20);

/// A door that requires tokens, with its store and everything beside it in this directory.
fn door(guard: &Guard, directory: &Path) -> DoorBuilder {
    guard.door(REGISTRY).unset("AUTH__KEYS").store(directory.join("record.redb"))
}

/// Runs a command with that store and those keys: exit code, and what it said.
async fn command(directory: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = portreeve()
        .args(arguments)
        .current_dir(directory)
        .env("PORTREEVE__REGISTRY__URL", REGISTRY)
        .env("PORTREEVE__AUTH__MODE", "on")
        .env("PORTREEVE__STORE__URL", format!("redb:{}", directory.join("record.redb").display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that wants nothing has ended before it is written.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(stdout).unwrap() + String::from_utf8(stderr).unwrap().as_str();
    (status.code(), said)
}

/// Everything in a directory: the bytes of files, nothing for what has none.
fn content(directory: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut left = vec![directory.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                left.push(entry.path());
            }
            let bytes = kind.is_file().then(|| std::fs::read(entry.path()).unwrap());
            found.insert(entry.path(), bytes);
        }
    }
    found
}

/// The lines of the log that begin so, with their levels.
fn made(log: &str) -> Vec<(String, String)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let text = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .map(|line| (text(&line, "level"), text(&line, "message")))
        .filter(|(_, message)| message.starts_with("made "))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_says_what_it_makes_and_warns_where_a_store_has_lost_its_keys() {
    let (guard, directory) = (Guard::new(), tempfile::tempdir().unwrap());
    let mut door = door(&guard, directory.path()).start_listening().await;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let first = made(&door.log());
    let expected = [
        ("INFO", format!("made a new store at {}", at("record.redb"))),
        ("INFO", format!("made new keys in {}", at("record.redb.keys"))),
    ];
    assert_eq!(first, expected.map(|(level, message)| (level.to_owned(), message)));
    door.restart_listening().await;
    assert_eq!(made(&door.log()).len(), 2, "nothing is made twice");
    door.kill().await;
    std::fs::remove_dir_all(directory.path().join("record.redb.keys")).unwrap();
    door.restart_listening().await;
    let (level, message) = made(&door.log()).pop().unwrap();
    assert_eq!(level, "WARN", "{message}");
    assert!(message.contains(&at("record.redb.keys")) && message.contains("the store was there before"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_that_needed_no_keys_before_has_lost_none() {
    let (guard, directory) = (Guard::new(), tempfile::tempdir().unwrap());
    let mut open =
        Door::builder(REGISTRY).store(directory.path().join("record.redb")).start_listening().await;
    open.kill().await;
    let door = door(&guard, directory.path()).start_listening().await;
    let said = made(&door.log());
    assert!(matches!(&said[..], [(level, _)] if level == "INFO"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_go_while_the_door_runs_are_not_made_anew() {
    let (guard, directory) = (Guard::new(), tempfile::tempdir().unwrap());
    let door = door(&guard, directory.path()).start_listening().await;
    let keys = directory.path().join("record.redb.keys");
    std::fs::rename(&keys, directory.path().join("away")).unwrap();
    door.signal("HUP");
    until("it is said", SOON, async || door.log().contains("the keys cannot be read; those in use stay"))
        .await;
    assert!(!keys.exists());
    assert!(
        door.get_json("/.well-known/jwks.json").await["keys"].as_array().is_some_and(|keys| keys.len() == 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_look_leave_every_byte_as_it_is() {
    let looking: [&[&str]; 8] = [
        &["check"],
        &["store", "check"],
        &["check", "--as", "alice", "--repository", "team/app"],
        &["user", "list"],
        &["token", "list"],
        &["key", "show"],
        &["key", "show", "--certificate"],
        &["--help"],
    ];
    let (guard, directory) = (Guard::new(), tempfile::tempdir().unwrap());
    let untouched = async |state: &str| {
        let before = content(directory.path());
        for arguments in looking {
            let (code, said) = command(directory.path(), arguments, "").await;
            assert_ne!(code, None, "{arguments:?}: {said}");
            let after = content(directory.path());
            assert!(before == after, "{state}, {arguments:?}: {:?}", after.keys());
        }
    };
    untouched("before the first start").await;
    let mut door = door(&guard, directory.path()).start_listening().await;
    let (code, said) = command(directory.path(), &["user", "add", "dora"], "a-password-of-hers\n").await;
    assert_eq!(code, Some(0), "{said}");
    door.kill().await;
    untouched("as a crash leaves it").await;
    let (code, said) = command(directory.path(), &["user", "list"], "").await;
    assert!(code == Some(0) && said.contains("dora"), "{said}");
    door.restart_listening().await;
    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    untouched("as a door leaves it").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_write_make_no_store_and_say_where_they_looked() {
    let token: &[&str] =
        &["token", "create", "--name", "ci", "--repositories", "team/**", "--actions", "pull"];
    let directory = tempfile::tempdir().unwrap();
    let told = format!(
        "there is no store at {}; start the door first, or name another with --config",
        directory.path().join("record.redb").display()
    );
    for arguments in [
        &["user", "add", "dora"][..],
        &["user", "passwd", "dora"],
        &["user", "remove", "dora"],
        token,
        &["token", "revoke", "0123456789abcdef"],
        &["key", "prepare"],
        &["key", "rotate"],
        &["sync"],
    ] {
        let (code, said) = command(directory.path(), arguments, "a-password-of-hers\n").await;
        assert_eq!(code, Some(2), "{arguments:?}: {said}");
        assert!(said.contains(&told), "{arguments:?}: {said}");
        assert!(content(directory.path()).is_empty(), "{arguments:?}");
    }
}

/// As root, the directory is another user's; as any other user, it is that user's.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_belongs_to_whom_the_directory_belongs() {
    const SERVICE: u32 = 54_321;
    let (guard, root) = (Guard::new(), tempfile::tempdir().unwrap());
    let directory = root.path().join("service");
    std::fs::create_dir(&directory).unwrap();
    let owner = |path: &Path| {
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid())
    };
    if owner(root.path()).0 == 0 {
        std::os::unix::fs::chown(&directory, Some(SERVICE), Some(SERVICE)).unwrap();
    }
    let mut door = door(&guard, &directory).start_listening().await;
    let (code, said) = command(&directory, &["key", "prepare"], "").await;
    assert_eq!(code, Some(0), "{said}");
    door.kill().await;
    let exported = directory.join("exported");
    let (code, said) = command(&directory, &["store", "export", &exported.display().to_string()], "").await;
    assert_eq!(code, Some(0), "{said}");
    let found = content(&directory);
    assert!(found.len() > 9 && found.contains_key(&exported), "{:?}", found.keys());
    for path in found.keys() {
        assert_eq!(owner(path), owner(&directory), "{}", path.display());
    }
}
