//! Doors whose record is in PostgreSQL: alone, and two that share it; at its own door, and behind PgBouncer.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use tempfile::TempDir;

use crate::support::door::{Door, DoorBuilder};
use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::pooler::Pooler;
use crate::support::postgres::{Database, PASSWORD};
use crate::support::registry::Registry;
use crate::support::state::{assert_in_step, assert_nothing_is_asked_about, record};
use crate::support::sweep::sweep_through;
use crate::support::wait::until;

/// A door is taken for dead after six seconds, and what it has left is asked about for `registry.timeout`.
const SOON: Duration = Duration::from_secs(20);

/// A database with what doors need beside it: the password, and keys that they share.
struct Ground {
    database: Database,
    pooler: Option<Pooler>,
    files: TempDir,
}

impl Ground {
    fn new() -> Self {
        let ground = Self { database: Database::create(), pooler: None, files: tempfile::tempdir().unwrap() };
        std::fs::write(ground.files.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        ground
    }

    fn pooled() -> Self {
        let ground = Self::new();
        Self { pooler: Some(Pooler::of(&ground.database)), ..ground }
    }

    fn url(&self) -> String {
        match &self.pooler {
            Some(pooler) => format!("{}&target_session_attrs=read-write", pooler.url()),
            None => self.database.url(),
        }
    }

    fn door(&self, registry: &Registry) -> DoorBuilder {
        let path = |name| self.files.path().join(name).to_str().unwrap().to_owned();
        Door::builder(registry.url())
            .set("STORE__URL", self.url())
            .set("STORE__PASSWORD_FILE", path("password"))
            .set("AUTH__KEYS", path("keys"))
            // So long the registry is asked about what a dead door has left.
            .set("REGISTRY__TIMEOUT", "3s")
    }
}

#[tokio::test]
async fn a_door_on_postgresql_records_what_it_carries_and_what_sweeps_find_over_restarts() {
    work_goes_on_over_restarts(Ground::new()).await;
}

#[tokio::test]
async fn a_door_on_postgresql_behind_a_pooler_records_the_same() {
    work_goes_on_over_restarts(Ground::pooled()).await;
}

async fn work_goes_on_over_restarts(ground: Ground) {
    let registry = Registry::start().await;
    let mut door = ground.door(&registry).start().await;
    let images: Vec<Image> = (0..4).map(Image::small).collect();
    for (image, tag) in images.iter().zip(["a", "b", "c", "d"]) {
        image.push(&door.url(), "team/app", tag).await;
    }
    images[0].push(&door.url(), "team/app", "b").await;
    assert_eq!(delete(&door.url(), "team/app", &images[2].digest).await.status(), 202);
    let index = Image::index(&[&images[0], &images[3]]);
    index.push(&door.url(), "team/app", "index").await;
    assert_in_step(&door.url(), &registry.url(), Duration::ZERO).await;
    let known = record(&door.url()).await;

    door.restart().await;
    assert_eq!(record(&door.url()).await, known);
    images[1].push(&registry.url(), "around/the-door", "x").await;
    registry.lose_tag("team/app", "a");
    assert_eq!(sweep_through(&door, true).await, 2);
    assert_in_step(&door.url(), &registry.url(), Duration::ZERO).await;
    assert_eq!(sweep_through(&door, true).await, 0);

    let statistics = door.get_json("/api/v1/status").await;
    assert_eq!(statistics["open_intents"], 0, "{statistics:#}");
    let (is_good, said) = door.check().await;
    assert!(is_good && said.contains("can be opened"), "{said}");
    assert_eq!(ground.database.run("SELECT count(*) FROM doors"), "2\n", "who only looks is no door");
    let log = door.whole_log().await;
    let told = format!("made a new store in the database postgres://portreeve@/{}", ground.database.name());
    assert!(log.contains(&told), "{log}");
    assert!(!log.contains(PASSWORD) && !said.contains(PASSWORD));

    door.signal("TERM");
    assert!(door.wait_exit(SOON).await.success());
    assert_eq!(ground.database.run("SELECT count(*) FROM doors WHERE died IS NULL"), "0\n", "it has left");
}

#[tokio::test]
async fn doors_on_one_database_see_each_others_writes() {
    doors_see_each_others_writes(Ground::new()).await;
}

#[tokio::test]
async fn doors_on_one_database_behind_a_pooler_see_each_others_writes() {
    doors_see_each_others_writes(Ground::pooled()).await;
}

async fn doors_see_each_others_writes(ground: Ground) {
    let registry = Registry::start().await;
    let first = ground.door(&registry).start().await;
    let second = ground.door(&registry).start().await;
    assert_eq!(ground.database.run("SELECT count(*) FROM doors WHERE died IS NULL"), "2\n");
    let (one, two) = (Image::small(1), Image::small(2));
    one.push(&first.url(), "team/app", "latest").await;
    assert_eq!(record(&second.url()).await, record(&first.url()).await);
    two.push(&second.url(), "team/app", "latest").await;
    assert_eq!(delete(&first.url(), "team/app", &one.digest).await.status(), 202);
    for door in [&first, &second] {
        assert_in_step(&door.url(), &registry.url(), Duration::ZERO).await;
    }
    // Whichever of them holds the lease sweeps.
    two.push(&registry.url(), "around/the-doors", "x").await;
    assert_eq!(sweep_through(&second, true).await, 1);
    assert_in_step(&first.url(), &registry.url(), Duration::ZERO).await;
    let events = |door: &Door| {
        let url = format!("{}/api/v1/events?n=1000", door.url());
        async move { http_client().get(url).send().await.unwrap().text().await.unwrap() }
    };
    let told = events(&first).await;
    assert!(told.contains("around/the-doors"), "{told}");
    assert_eq!(events(&second).await, told);
}

#[tokio::test]
async fn two_doors_race_for_one_tag_and_one_of_them_is_killed() {
    doors_race_for_one_tag(Ground::new()).await;
}

#[tokio::test]
async fn two_doors_behind_a_pooler_race_for_one_tag_and_one_of_them_is_killed() {
    doors_race_for_one_tag(Ground::pooled()).await;
}

async fn doors_race_for_one_tag(ground: Ground) {
    let registry = Registry::start().await;
    let mut first = ground.door(&registry).start().await;
    let second = ground.door(&registry).start().await;
    let images: Arc<Vec<Image>> = Arc::new((0..3).map(Image::small).collect());
    for image in images.iter() {
        image.push_blobs(&second.url(), "team/app").await;
    }
    for round in 0..3 {
        let pushing: Vec<_> = (0..6)
            .map(|worker: usize| {
                let base = if worker.is_multiple_of(2) { first.url() } else { second.url() };
                let images = Arc::clone(&images);
                tokio::spawn(async move {
                    for number in 0..15 {
                        let image = &images[(worker + number) % images.len()];
                        let request = http_client()
                            .put(format!("{base}/v2/team/app/manifests/latest"))
                            .header(CONTENT_TYPE, &image.media_type)
                            .body(image.manifest.clone());
                        // The door may be gone.
                        let Ok(response) = request.send().await else { return number };
                        assert!(matches!(response.status().as_u16(), 201 | 500 | 503 | 504), "{response:?}");
                    }
                    15
                })
            })
            .collect();
        if round == 1 {
            let url = format!("{}/api/v1/tags?repository=team/app", second.url());
            until("something was pushed", SOON, async || {
                http_client().get(&url).send().await.unwrap().text().await.unwrap().contains("latest")
            })
            .await;
            first.kill().await;
        }
        for worker in pushing {
            worker.await.unwrap();
        }
        assert_nothing_is_asked_about(&second.url(), SOON).await;
        assert_in_step(&second.url(), &registry.url(), SOON).await;
        if round == 1 {
            first.restart().await;
        }
    }
    let gaps = "SELECT count(*) - count(DISTINCT sequence) FROM events";
    assert_eq!(ground.database.run(gaps), "0\n");
}

#[tokio::test]
async fn a_door_that_a_pooler_refuses_says_what_to_do() {
    let ground = Ground::pooled();
    let registry = Registry::start().await;
    let url = format!("{}&options=-c%20statement_timeout%3D60s", ground.url());
    let refused = ground.door(&registry).set("STORE__URL", url).try_start().await;
    let (status, said) = refused.map(|_| ()).unwrap_err();
    assert!(!status.success() && said.contains("take `options` out of `store.url`"), "{status} {said}");
    let by_statement = Pooler::with(&ground.database, "pool_mode = statement");
    let refused = ground.door(&registry).set("STORE__URL", by_statement.url()).try_start().await;
    let (status, said) = refused.map(|_| ()).unwrap_err();
    assert!(!status.success() && said.contains("pool_mode = transaction"), "{status} {said}");
}
