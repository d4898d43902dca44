//! `portreeve store backup` and `portreeve store restore`: a record with its keys, while its door goes on.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;
use crate::support::guard::{Guard, header, token};
use crate::support::state::record;

/// So many tags are there before anything is pushed.
const COPIES: u64 = 1_500;

/// A door that requires tokens, over the same store as [`Ground::door`].
fn guarded(ground: &Ground, guard: &Guard, url: &str) -> DoorBuilder {
    let builder = guard.door(ground.registry.url()).unset("AUTH__KEYS");
    ground.settings(url).into_iter().fold(builder, |door, (key, value)| door.set(key, value))
}

/// Pushes that go on: tags `p0`, `p1` and so on.
struct Pushing {
    acknowledged: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Pushing {
    async fn begin(door: &Door) -> Self {
        let image = Image::small(77);
        image.push_blobs(&door.url(), "team/busy").await;
        let (acknowledged, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over, url) = (Arc::clone(&acknowledged), Arc::clone(&is_over), door.url());
        let task = tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                let tag = format!("p{}", count.load(Ordering::SeqCst));
                let response = image.put(&url, "team/busy", &tag).await;
                assert_eq!(response.status(), 201);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { acknowledged, is_over, task }
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.task.await.unwrap();
    }
}

/// How many tags were pushed as a record says, which has to have all up to one.
async fn pushed(door: &Door) -> u64 {
    let record = record(&door.url()).await;
    let count = record.keys().filter(|(repository, _)| repository == "team/busy").count() as u64;
    for number in 0..count {
        assert!(record.contains_key(&("team/busy".to_owned(), format!("p{number}"))), "p{number}");
    }
    count
}

fn assert_private_and_whole(ground: &Ground, name: &str, said: &str) {
    let path = ground.path(name);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!Path::new(&format!("{path}.part")).exists());
    let text = std::fs::read(&path).unwrap();
    let end = text[..text.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    assert!(digest(said).starts_with(&hex::encode(Sha256::digest(&text[..end]))), "{said}");
}

/// Backs up a record, here and while pushes go on, and restores it at another place, which has nothing yet.
async fn is_backed_up_and_restored(ground: &Ground, first: &str, [second, third]: [&str; 2]) {
    let guard = Guard::new();
    let mut door = guarded(ground, &guard, first).start().await;
    let before = token(&door.url(), "alice", &["repository:team/app:pull"]).await;
    stop(&mut door).await;

    let mut door = ground.door(first).start().await;
    for (seed, tag) in (0..3).zip(["a", "b", "c"]) {
        Image::small(seed).push(&door.url(), "team/app", tag).await;
    }
    ground.registry.copy_tag("team/app", "a", (0..COPIES).map(|number| format!("copy{number}")));
    assert_eq!(sweep_through(&door, false).await, COPIES);
    assert_eq!(delete(&door.url(), "team/app", &Image::small(2).digest).await.status(), 202);

    let pushing = Pushing::begin(&door).await;
    let (mut name, mut range) = (String::new(), 0..=0);
    for attempt in 0..30 {
        name = format!("busy{attempt}");
        let begun = pushing.acknowledged();
        let (code, said) = ground.store(first, &["backup", &name]).await;
        assert_eq!(code, 0, "{said}");
        range = begun..=pushing.acknowledged() + 1;
        if pushing.acknowledged() > begun + 2 {
            break;
        }
    }
    assert!(range.end() - range.start() > 3, "nothing was pushed meanwhile: {range:?}");
    pushing.end().await;
    let known = answers(&door).await;
    let (code, backed_up) = ground.store(first, &["backup", "quiet"]).await;
    assert_eq!(code, 0, "{backed_up}");
    assert_private_and_whole(ground, "quiet", &backed_up);
    let (code, said) = ground.store(first, &["backup", "quiet"]).await;
    assert!(code == 2 && said.contains("quiet"), "nothing is replaced: {said}");
    stop(&mut door).await;
    let (code, said) = ground.store(first, &["backup", "without-door"]).await;
    assert_eq!(code, 0, "{said}");

    // What was read while pushes went on is a record of one moment.
    let (code, said) = ground.store(third, &["restore", &name]).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = ground.store(third, &["check"]).await;
    assert!(code == 0 && said.contains("everything agrees"), "{said}");
    let mut door = ground.door(third).start().await;
    let count = pushed(&door).await;
    assert!(range.contains(&count), "{count} of {range:?}");
    stop(&mut door).await;

    let (code, restored) = ground.store(second, &["restore", "quiet"]).await;
    assert_eq!(code, 0, "{restored}");
    assert_eq!(digest(&restored), digest(&backed_up));
    let mut door = ground.door(second).start().await;
    assert_eq!(answers(&door).await, known);
    assert_eq!(sweep_through(&door, true).await, 0);
    stop(&mut door).await;
    let mut door = guarded(ground, &guard, second).start().await;
    let request = http_client().get(format!("{}/v2/team/app/tags/list", door.url())).bearer_auth(&before);
    assert_eq!(request.send().await.unwrap().status(), 200, "a token of old is good");
    let after = token(&door.url(), "alice", &["repository:team/app:pull"]).await;
    assert_eq!(header(&after)["kid"], header(&before)["kid"]);
    stop(&mut door).await;
    let (code, said) = ground.store(second, &["restore", "quiet"]).await;
    assert!(code == 2 && said.contains("already"), "nothing is replaced: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_on_a_file_is_backed_up_while_pushes_go_on_and_restored_with_its_keys() {
    let ground = Ground::with_keys_beside_stores().await;
    let [first, second, third] =
        ["first", "second", "third"].map(|name| ground.redb(&format!("{name}.redb")));
    is_backed_up_and_restored(&ground, &first, [&second, &third]).await;
    for entry in std::fs::read_dir(ground.path("first.redb.keys")).unwrap() {
        let path = entry.unwrap().path();
        let restored = Path::new(&ground.path("second.redb.keys")).join(path.file_name().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&restored).unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&restored), "{}", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_door_on_postgresql_is_backed_up_while_pushes_go_on_and_restored_with_its_keys() {
    let ground = Ground::with_keys_beside_stores().await;
    let [second, third] = [Database::create(), Database::create()];
    is_backed_up_and_restored(&ground, &ground.database.url(), [&second.url(), &third.url()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_altered_or_meets_other_keys_leaves_nothing_behind() {
    let ground = Ground::with_keys_beside_stores().await;
    let first = ground.redb("first.redb");
    let mut door = guarded(&ground, &Guard::new(), &first).start().await;
    let (code, said) = ground.store(&first, &["backup", "good"]).await;
    assert_eq!(code, 0, "{said}");
    stop(&mut door).await;
    let good = std::fs::read_to_string(ground.path("good")).unwrap();
    let (key, other) = ("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEX-----");
    assert_eq!(good.matches(key).count(), 1);
    std::fs::write(ground.path("altered"), good.replace(key, other)).unwrap();

    let second = ground.redb("second.redb");
    let nothing_there = |name: &str| {
        assert!(!Path::new(&ground.path("second.redb")).exists(), "{name}");
    };
    let (code, said) = ground.store(&second, &["restore", "altered"]).await;
    assert!(code == 1 && said.contains("altered"), "{said}");
    nothing_there("altered");
    assert!(!Path::new(&ground.path("second.redb.keys")).exists());
    // Without its keys it would be another record.
    let (code, said) = ground.store(&second, &["import", "good"]).await;
    assert!(code == 1 && said.contains("store restore"), "{said}");
    nothing_there("import");
    std::fs::create_dir(ground.path("second.redb.keys")).unwrap();
    std::fs::write(ground.path("second.redb.keys/uploads.secret"), "another").unwrap();
    let (code, said) = ground.store(&second, &["restore", "good"]).await;
    assert!(code == 1 && said.contains("other keys"), "{said}");
    nothing_there("other keys");
    std::fs::remove_dir_all(ground.path("second.redb.keys")).unwrap();
    // Doors on a database have no directory for them unless it is named.
    let database = ground.database.url();
    let (code, said) = ground.store(&database, &["restore", "good"]).await;
    assert!(code == 1 && said.contains("auth.keys"), "{said}");
    let mut named = ground.command(&database, &["restore", "good"]);
    let output = named.env("PORTREEVE__AUTH__KEYS", ground.path("keys")).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(Path::new(&ground.path("keys/uploads.secret")).exists());
    let (code, said) = ground.store(&second, &["restore", "good"]).await;
    assert_eq!(code, 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_or_a_restoration_that_was_killed_leaves_nothing_half_done() {
    const MORE: u64 = 60_000;
    let ground = Ground::with_keys_beside_stores().await;
    let (small, first) = (ground.redb("small.redb"), ground.redb("first.redb"));
    let mut door = ground.door(&small).start().await;
    Image::small(1).push(&door.url(), "team/app", "a").await;
    stop(&mut door).await;
    assert_eq!(ground.store(&small, &["export", "small"]).await.0, 0);
    let big = with_more_events(Path::new(&ground.path("small")), MORE);
    std::fs::write(ground.path("big"), &big).unwrap();

    for (url, name) in [(first, "of-file"), (ground.database.url(), "of-database")] {
        assert_eq!(ground.store(&url, &["import", "big"]).await.0, 0);
        let mut door = ground.door(&url).start().await;
        let (backup, draft) = (ground.path(name), ground.path(&format!("{name}.part")));
        let mut killed = ground.command(&url, &["backup", name]).spawn().unwrap();
        until("a part was written", Duration::from_secs(60), async || {
            std::fs::metadata(&draft).is_ok_and(|data| data.len() > 0)
        })
        .await;
        killed.kill().await.unwrap();
        assert!(!Path::new(&backup).exists());
        let (code, said) = ground.store(&url, &["backup", name]).await;
        assert_eq!(code, 0, "{said}");
        assert_private_and_whole(&ground, name, &said);
        Image::small(2).push(&door.url(), "team/app", "later").await;
        stop(&mut door).await;
    }

    let (second, written) = (ground.redb("second.redb"), ground.path("second.redb"));
    let mut killed = ground.command(&second, &["restore", "of-file"]).spawn().unwrap();
    until("a part was written", Duration::from_secs(60), async || {
        std::fs::metadata(&written).is_ok_and(|data| data.len() > 8 * 1024 * 1024)
    })
    .await;
    killed.kill().await.unwrap();
    let Err((status, said)) = ground.door(&second).try_start().await else { panic!("a door has started") };
    assert!(status.code() == Some(2) && said.contains("imported only in part"), "{said}");
    let (code, said) = ground.store(&second, &["restore", "of-file"]).await;
    assert_eq!(code, 0, "{said}");
    let door = ground.door(&second).start().await;
    assert!(!door.log().contains("made a new secret"), "{}", door.log());
    assert!(door.get_json("/api/v1/status").await["store"]["events"].as_u64() > Some(MORE));
}
