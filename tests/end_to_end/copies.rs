//! `portreeve store export` and `portreeve store import`: a record that moves between a file and PostgreSQL.

mod backups;
mod checks;

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::binary;
use crate::support::door::{Door, DoorBuilder};
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::postgres::{Database, PASSWORD};
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, record};
use crate::support::sweep::sweep_through;
use crate::support::wait::{until, until_seen};

/// The places of one record.
struct Ground {
    registry: Registry,
    database: Database,
    files: TempDir,
    /// Whether all stores have their keys in one directory.
    shares_keys: bool,
}

impl Ground {
    async fn new() -> Self {
        let (registry, database) = (Registry::start().await, Database::create());
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        Self { registry, database, files, shares_keys: true }
    }

    /// The keys of each store are beside it, or in its database.
    async fn with_keys_beside_stores() -> Self {
        Self { shares_keys: false, ..Self::new().await }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).to_str().unwrap().to_owned()
    }

    /// What names the store, for doors and commands.
    fn settings(&self, url: &str) -> Vec<(&'static str, String)> {
        let mut settings = vec![("STORE__URL", url.to_owned())];
        if self.shares_keys {
            settings.push(("AUTH__KEYS", self.path("keys")));
        }
        if url.starts_with("postgres:") {
            settings.push(("STORE__PASSWORD_FILE", self.path("password")));
        }
        settings
    }

    fn door(&self, url: &str) -> DoorBuilder {
        let builder = Door::builder(self.registry.url()).set("REGISTRY__TIMEOUT", "3s");
        self.settings(url).into_iter().fold(builder, |door, (key, value)| door.set(key, value))
    }

    fn redb(&self, name: &str) -> String {
        format!("redb:{}", self.path(name))
    }

    fn command(&self, url: &str, arguments: &[&str]) -> Command {
        let settings =
            self.settings(url).into_iter().map(|(key, value)| (format!("PORTREEVE__{key}"), value));
        let mut command = binary::portreeve();
        command
            .arg("store")
            .args(arguments)
            .current_dir(self.files.path())
            .envs(settings)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn store(&self, url: &str, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = self.command(url, arguments).output().await.unwrap();
        let said = String::from_utf8_lossy(&stdout) + String::from_utf8_lossy(&stderr);
        assert!(!said.contains(PASSWORD), "{said}");
        (status.code().unwrap(), said.into_owned())
    }
}

/// What a door answers about its record, once it has read what its images say of themselves.
async fn answers(door: &Door) -> Vec<String> {
    let is_read = |answers: &Vec<String>| !answers.iter().any(|answer| answer.contains("\"platforms\":[]"));
    until_seen(
        "every image's platform is known",
        Duration::from_secs(20),
        async || answers_now(door).await,
        is_read,
    )
    .await
}

async fn answers_now(door: &Door) -> Vec<String> {
    let mut answers = vec![format!("{:?}", record(&door.url()).await)];
    for path in [
        "/v2/_catalog",
        "/v2/team/app/tags/list",
        "/api/v1/repositories",
        "/api/v1/tags?repository=team/app",
        "/api/v1/events?n=1000",
        "/api/v1/events?repository=team/app&order=desc",
    ] {
        let response = http_client().get(format!("{}{path}", door.url())).send().await.unwrap();
        answers.push(format!("{path}: {} {}", response.status(), response.text().await.unwrap()));
    }
    // The largest blobs are as they were at most five minutes ago.
    let statistics = format!("{}/api/v1/statistics", door.url());
    let mut statistics: Value = http_client().get(statistics).send().await.unwrap().json().await.unwrap();
    statistics["largest_blobs"].take();
    answers.push(statistics.to_string());
    answers
}

async fn stop(door: &mut Door) {
    door.signal("TERM");
    assert!(door.wait_exit(Duration::from_secs(20)).await.success());
}

/// The digest that a command has printed.
fn digest(said: &str) -> &str {
    said.split("SHA-256 ").nth(1).unwrap().split_whitespace().find(|word| word.len() >= 64).unwrap()
}

#[tokio::test]
async fn a_record_moves_from_a_file_to_postgresql_and_back_and_doors_answer_the_same() {
    let ground = Ground::new().await;
    let (first, database, second) =
        (ground.redb("first.redb"), ground.database.url(), ground.redb("second.redb"));
    let mut door = ground.door(&first).start().await;
    let images: Vec<Image> = (0..4).map(Image::small).collect();
    for (image, tag) in images.iter().zip(["a", "b", "c", "d"]) {
        image.push(&door.url(), "team/app", tag).await;
    }
    Image::index(&[&images[0], &images[3]]).push(&door.url(), "team/app", "index").await;
    assert_eq!(delete(&door.url(), "team/app", &images[2].digest).await.status(), 202);
    images[1].push(&ground.registry.url(), "around/the-door", "x").await;
    assert_eq!(sweep_through(&door, true).await, 1);
    let known = answers(&door).await;
    let (code, said) = ground.store(&first, &["export", "moved"]).await;
    assert!(code == 2 && said.contains("stop the door"), "{said}");
    stop(&mut door).await;

    let (code, exported) = ground.store(&first, &["export", "moved"]).await;
    assert_eq!(code, 0, "{exported}");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(ground.path("moved")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let (code, said) = ground.store(&first, &["export", "moved"]).await;
    assert!(code == 2 && said.contains("moved"), "nothing is replaced: {said}");
    let (code, said) = ground.store(&first, &["import", "moved"]).await;
    assert!(code == 2 && said.contains("already"), "nothing is replaced: {said}");

    let (code, imported) = ground.store(&database, &["import", "moved"]).await;
    assert_eq!(code, 0, "{imported}");
    assert_eq!(digest(&imported), digest(&exported));
    let mut door = ground.door(&database).start().await;
    assert_eq!(answers(&door).await, known);
    images[2].push(&door.url(), "team/app", "again").await;
    assert_in_step(&door.url(), &ground.registry.url(), Duration::ZERO).await;
    let known = answers(&door).await;
    // Doors go on meanwhile.
    let (code, exported) = ground.store(&database, &["export", "back"]).await;
    assert_eq!(code, 0, "{exported}");
    stop(&mut door).await;

    let (code, imported) = ground.store(&second, &["import", "back"]).await;
    assert_eq!(code, 0, "{imported}");
    assert_eq!(digest(&imported), digest(&exported));
    let door = ground.door(&second).start().await;
    assert_eq!(answers(&door).await, known);
    assert_eq!(sweep_through(&door, true).await, 0);
}

/// An exported record with so many events more, as if they had been recorded.
fn with_more_events(exported: &Path, more: u64) -> Vec<u8> {
    let text = std::fs::read_to_string(exported).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut end: Value = serde_json::from_str(&lines.pop().unwrap()).unwrap();
    let numbers: Value = serde_json::from_str(&lines[1]).unwrap();
    let last = numbers["numbers"]["sequence"].as_u64().unwrap();
    let sequence = |number: u64| format!("\"sequence\":{number},");
    lines[1] = lines[1].replacen(&sequence(last), &sequence(last + more), 1);
    let place = lines.iter().rposition(|line| line.starts_with("{\"event\":")).unwrap();
    let event: Value = serde_json::from_str(&lines[place]).unwrap();
    let own = sequence(event["event"]["sequence"].as_u64().unwrap());
    let one = lines[place].clone();
    let events = (1..=more).map(|number| one.replacen(&own, &sequence(last + number), 1));
    lines.splice(place + 1..place + 1, events);
    let mut file = format!("{}\n", lines.join("\n"));
    let events = end["end"]["rows"]["events"].as_u64().unwrap();
    end["end"]["rows"]["events"] = (events + more).into();
    end["end"]["sha256"] = hex::encode(Sha256::digest(file.as_bytes())).into();
    file.push_str(&format!("{end}\n"));
    file.into_bytes()
}

#[tokio::test]
async fn an_import_that_was_killed_goes_on_and_no_door_starts_on_what_it_has_left() {
    const MORE: u64 = 60_000;
    let ground = Ground::new().await;
    let first = ground.redb("first.redb");
    let mut door = ground.door(&first).start().await;
    Image::small(1).push(&door.url(), "team/app", "a").await;
    stop(&mut door).await;
    assert_eq!(ground.store(&first, &["export", "small"]).await.0, 0);
    let big = with_more_events(Path::new(&ground.path("small")), MORE);
    std::fs::write(ground.path("big"), &big).unwrap();
    std::fs::write(ground.path("cut"), &big[..big.len() / 2]).unwrap();

    let written = ground.files.path().join("second.redb");
    for url in [ground.database.url(), format!("redb:{}", written.display())] {
        let (code, said) = ground.store(&url, &["import", "cut"]).await;
        assert!(code == 1 && said.contains("it was cut off"), "{said}");
        let mut import = ground.command(&url, &["import", "big"]).spawn().unwrap();
        let is_there = "SELECT to_regclass('import') IS NOT NULL";
        until("a part was written", Duration::from_secs(60), async || {
            if url.starts_with("redb:") {
                return std::fs::metadata(&written).is_ok_and(|data| data.len() > 8 * 1024 * 1024);
            }
            ground.database.run(is_there) == "t\n"
                && ground.database.run("SELECT count(*) FROM events") != "0\n"
        })
        .await;
        import.kill().await.unwrap();
        let Err((status, said)) = ground.door(&url).try_start().await else { panic!("a door has started") };
        assert!(status.code() == Some(2) && said.contains("imported only in part"), "{said}");
        let (code, said) = ground.store(&url, &["import", "small"]).await;
        assert!(code == 1 && said.contains("another file has begun"), "{said}");
        let (code, said) = ground.store(&url, &["import", "big"]).await;
        assert!(code == 0 && said.contains("read back the same"), "{said}");
        let door = ground.door(&url).start().await;
        let events = door.get_json("/api/v1/status").await["store"]["events"].as_u64();
        assert!(events > Some(MORE), "{events:?}");
        assert_in_step(&door.url(), &ground.registry.url(), Duration::ZERO).await;
    }
}
