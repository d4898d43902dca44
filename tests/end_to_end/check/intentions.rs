//! What is allowed and surely not meant: `check` warns, and the door starts all the same.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::support::binary::portreeve;
use crate::support::registry::Registry;

const ADMIN: &str = "[[auth.rules]]\nwho = \"*\"\nactions = \"admin\"\n";
/// A hash of no password.
const USERS: &str = "alice:$2y$05$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu\n";

/// The warnings of a check of this file.
async fn warnings(directory: &Path, registry: &Registry, file: &str) -> Vec<String> {
    let common = format!(
        "listen.door = \"127.0.0.1:0\"\nlisten.admin = \"127.0.0.1:0\"\nregistry.url = \"{}\"\n",
        registry.url()
    );
    let path = directory.join("portreeve.toml");
    if !path.exists() {
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(&path, common + file).unwrap();
    let mut check = portreeve();
    check.arg("check").current_dir(directory).stdin(Stdio::null());
    let output = check.output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + String::from_utf8(output.stderr).unwrap().as_str();
    assert!(output.status.success(), "{file}\n{said}");
    said.lines().filter_map(|line| line.strip_prefix("warn ")).map(|line| line.trim().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_and_surely_not_meant_is_warned_about_at_its_line() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::write(directory.join("users"), USERS).unwrap();
    let cases = [
        (format!("auth.mode = \"off\"\n{ADMIN}"), "line 5: auth.mode is \"off\""),
        ("auth.mode = \"on\"\nauth.htpasswd = \"users\"\n".to_owned(), "line 4: `auth.mode` is \"on\" and there are no rules"),
        (format!("auth.mode = \"on\"\n{ADMIN}"), "line 4: `auth.mode` is \"on\" and there are no users"),
        (
            "auth.mode = \"on\"\nauth.htpasswd = \"users\"\n[[auth.rules]]\nwho = \"*\"\nactions = \"catalog\"\n".to_owned(),
            "line 6: no rule gives the action \"admin\"",
        ),
        (
            format!(
                "auth.mode = \"on\"\nauth.htpasswd = \"users\"\n[auth.groups]\ndevelopers = [\"alice\"]\n{ADMIN}\
                 [[auth.rules]]\nwho = [\"group:developers\", \"group:develpers\"]\nactions = \"catalog\"\n"
            ),
            "line 11: `auth.rules`, rule 2: nobody is in the group \"develpers\"",
        ),
    ];
    for (file, expected) in &cases {
        let warned = warnings(directory, &registry, file).await;
        assert_eq!(warned.len(), 1, "{file}\n{warned:?}");
        assert!(warned[0].contains(expected), "{expected} is not in {warned:?}");
    }
    let nothing = format!("auth.mode = \"on\"\nauth.htpasswd = \"users\"\n{ADMIN}");
    assert_eq!(warnings(directory, &registry, &nothing).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_file_that_every_user_can_read_is_warned_about() {
    let registry = Registry::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = "notifications.secret = \"a-secret-of-many-letters\"\n";
    assert_eq!(warnings(directory.path(), &registry, file).await, [""; 0]);
    let path = directory.path().join("portreeve.toml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let warned = warnings(directory.path(), &registry, file).await;
    assert!(
        warned.len() == 1 && warned[0].contains("line 4: `notifications.secret` is a secret"),
        "{warned:?}"
    );
    assert!(!warned[0].contains("many-letters"), "{warned:?}");
    assert_eq!(warnings(directory.path(), &registry, "").await, [""; 0]);
}
