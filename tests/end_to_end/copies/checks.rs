//! `portreeve store check`: a record that was damaged by hand is told of, one that was not is not.

use redb::{Database as File, TableDefinition};

use super::*;

const TAGS_BY_MANIFEST: TableDefinition<'_, (&str, &str, &str), ()> =
    TableDefinition::new("tags_by_manifest");

/// A door with a record of some size, in which everything has happened.
async fn door_with_record(ground: &Ground, url: &str) -> Door {
    let door = ground.door(url).start().await;
    let images: Vec<Image> = (0..4).map(Image::small).collect();
    for (image, tag) in images.iter().zip(["a", "b", "c", "d"]) {
        image.push(&door.url(), "team/app", tag).await;
    }
    Image::index(&[&images[0], &images[3]]).push(&door.url(), "team/app", "index").await;
    Image::about(&images[1], 9).push(&door.url(), "team/app", &Image::about(&images[1], 9).digest).await;
    assert_eq!(delete(&door.url(), "team/app", &images[2].digest).await.status(), 202);
    images[1].push(&ground.registry.url(), "around/the-door", "x").await;
    ground.registry.copy_tag("team/app", "a", (0..2_000).map(|number| format!("copy{number}")));
    assert_eq!(sweep_through(&door, true).await, 2_001);
    ground.registry.lose_tag("team/app", "copy7");
    assert_eq!(sweep_through(&door, true).await, 1);
    door
}

async fn assert_agrees(ground: &Ground, url: &str) {
    let (code, said) = ground.store(url, &["check"]).await;
    assert!(code == 0 && said.contains("everything agrees"), "{said}");
}

/// What is found, as programs are told.
async fn found(ground: &Ground, url: &str) -> Value {
    let output = ground.command(url, &["check", "--output", "json"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_in_a_file_is_told_with_a_door_and_without() {
    let ground = Ground::with_keys_beside_stores().await;
    let (first, damaged) = (ground.redb("first.redb"), ground.redb("damaged.redb"));
    let mut door = door_with_record(&ground, &first).await;
    assert_agrees(&ground, &first).await;
    stop(&mut door).await;
    assert_agrees(&ground, &first).await;

    std::fs::copy(ground.path("first.redb"), ground.path("damaged.redb")).unwrap();
    let file = File::open(ground.path("damaged.redb")).unwrap();
    let transaction = file.begin_write().unwrap();
    transaction.open_table(TAGS_BY_MANIFEST).unwrap().retain(|(_, _, tag), ()| tag != "d").unwrap();
    transaction.commit().unwrap();
    drop(file);
    let (code, said) = ground.store(&damaged, &["check"]).await;
    assert!(code == 1 && said.contains("team/app:d: it is not found by `tags_by_manifest`"), "{said}");
    assert!(said.contains("make a backup, restore it into another place"), "{said}");
    let without = found(&ground, &damaged).await;
    assert_eq!(without["findings"], 1, "{without:#}");
    assert_eq!(without["found"][0]["kind"], "index");
    assert_eq!(without["found"][0]["place"], "team/app:d");
    let mut door = ground.door(&damaged).start().await;
    let with = found(&ground, &damaged).await;
    assert_eq!(with["found"], without["found"]);

    // The remedy that it names is one.
    assert_eq!(ground.store(&damaged, &["backup", "damaged"]).await.0, 0);
    stop(&mut door).await;
    let mended = ground.redb("mended.redb");
    let (code, said) = ground.store(&mended, &["restore", "damaged"]).await;
    assert_eq!(code, 0, "{said}");
    assert_agrees(&ground, &mended).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_in_postgresql_is_told_while_the_door_runs() {
    let ground = Ground::new().await;
    let url = ground.database.url();
    let door = door_with_record(&ground, &url).await;
    assert_agrees(&ground, &url).await;
    ground.database.run("DELETE FROM manifests WHERE digest = (SELECT digest FROM tags WHERE tag = 'd')");
    let found = found(&ground, &url).await;
    let kinds: Vec<&str> =
        found["found"].as_array().unwrap().iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    for kind in ["dangling_tag", "repository_sums", "record_sums", "blob_count"] {
        assert!(kinds.contains(&kind), "{found:#}");
    }
    let dangling =
        found["found"].as_array().unwrap().iter().find(|finding| finding["kind"] == "dangling_tag");
    let dangling = dangling.unwrap();
    assert_eq!(dangling["place"], "team/app:d");
    assert!(dangling["remedy"].as_str().unwrap().contains("portreeve sync --deep"));
    drop(door);
}
