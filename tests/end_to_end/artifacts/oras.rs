//! `oras`: artifacts attached to images, and found again.

use serde_json::Value;

use crate::support::image::Image;
use crate::support::sweep::{events, in_short};
use crate::support::tool::Tool;

use super::{HOST, Sides, fallback_tag};

const SBOM: &str = "application/vnd.example.sbom";
const SIGNATURE: &str = "application/vnd.example.signature";
/// Every artifact is made at the same time, so that both sides hold the same.
const CREATED: &str = "org.opencontainers.image.created=2026-11-27T12:00:00Z";

/// The client, with a file to attach.
fn oras() -> Tool {
    let oras = Tool::brought("oras");
    std::fs::write(oras.home().join("file"), "something about an image\n").unwrap();
    oras
}

/// Attaches the file to an image at both sides: the artifact's digest.
async fn attach(sides: &Sides, oras: &Tool, kind: &str, note: &str, subject: &str) -> String {
    let note = format!("note={note}");
    let attach = ["attach", "--plain-http", "--format", "json", "--artifact-type", kind];
    let about = ["--annotation", CREATED, "--annotation", &note, subject, "file:text/plain"];
    let said = sides.same(oras, &[&attach[..], &about].concat()).await;
    serde_json::from_str::<Value>(&said).unwrap()["digest"].as_str().unwrap().to_owned()
}

/// What refers to an image, as `oras discover` answers at both sides: digest and type of each, in order, with the level.
async fn discovered(
    sides: &Sides,
    oras: &Tool,
    subject: &str,
    filter: &[&str],
) -> Vec<(usize, String, String)> {
    fn walk(node: &Value, level: usize, found: &mut Vec<(usize, String, String)>) {
        for referrer in node["referrers"].as_array().unwrap() {
            let text = |name: &str| referrer[name].as_str().unwrap().to_owned();
            assert!(referrer["annotations"]["note"].is_string(), "{referrer}");
            found.push((level, text("digest"), text("artifactType")));
            walk(referrer, level + 1, found);
        }
    }
    let mut answers = Vec::new();
    for address in sides.addresses() {
        let discover = ["discover", "--plain-http", "--format", "json"];
        let said = super::run(oras, &[&discover[..], filter, &[subject]].concat(), &address).await;
        let mut found = Vec::new();
        walk(&serde_json::from_str(&said).unwrap(), 0, &mut found);
        // Of one level neither the specification nor the client says the order.
        found.sort_unstable();
        answers.push(found);
    }
    let of_door = answers.pop().unwrap();
    assert_eq!(of_door, answers[0], "{subject} {filter:?}");
    of_door
}

fn entry(level: usize, digest: &str, kind: &str) -> (usize, String, String) {
    (level, digest.to_owned(), kind.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn oras_discovers_what_it_attached_before_the_record_was_complete_and_after() {
    let (sides, oras) = (Sides::new().await, oras());
    let image = Image::small(1);
    sides.push(&image, "team/app", "v1").await;
    let subject = "HOST/team/app:v1";
    let fallback = fallback_tag(&image.digest);

    // The door asks the registry, which knows no referrers: the client keeps them under a tag.
    let sbom = attach(&sides, &oras, SBOM, "first", subject).await;
    assert!(sides.is_held("team/app", &fallback).await);
    assert_eq!(discovered(&sides, &oras, subject, &[]).await, [entry(0, &sbom, SBOM)]);

    // The door answers: what the tag lists is among it, and what comes is written nowhere else.
    sides.compare().await;
    assert_eq!(discovered(&sides, &oras, subject, &[]).await, [entry(0, &sbom, SBOM)]);
    let signature = attach(&sides, &oras, SIGNATURE, "second", subject).await;
    let of_sbom = format!("HOST/team/app@{sbom}");
    let deep = attach(&sides, &oras, SIGNATURE, "third", &of_sbom).await;
    let mut all = vec![entry(0, &sbom, SBOM), entry(0, &signature, SIGNATURE), entry(1, &deep, SIGNATURE)];
    all.sort_unstable();
    assert_eq!(discovered(&sides, &oras, subject, &[]).await, all);
    let of_kind = discovered(&sides, &oras, subject, &["--artifact-type", SIGNATURE]).await;
    assert_eq!(of_kind, [entry(0, &signature, SIGNATURE)]);
    assert_eq!(discovered(&sides, &oras, &of_sbom, &[]).await, [entry(0, &deep, SIGNATURE)]);
    assert!(!sides.is_held("team/app", &fallback_tag(&sbom)).await);
    sides.assert_tags("team/app", &[&fallback, "v1"]).await;

    // As a tree, and by digest; what was attached is pulled.
    let by_digest = format!("HOST/team/app@{}", image.digest);
    let tree =
        sides.through_the_door(&oras, &["discover", "--plain-http", "--format", "tree", &by_digest]).await;
    for (_, digest, kind) in all {
        assert!(tree.contains(&digest) && tree.contains(&kind), "{tree}");
        std::fs::remove_file(oras.home().join("file")).unwrap();
        let artifact = format!("HOST/team/app@{digest}");
        sides.through_the_door(&oras, &["pull", "--plain-http", &artifact]).await;
        assert_eq!(std::fs::read_to_string(oras.home().join("file")).unwrap(), "something about an image\n");
    }

    // What is gone is found no more.
    for address in sides.addresses() {
        let artifact = format!("HOST/team/app@{signature}");
        super::run(&oras, &["manifest", "delete", "--plain-http", "--force", &artifact], &address).await;
    }
    let mut left = vec![entry(0, &sbom, SBOM), entry(1, &deep, SIGNATURE)];
    left.sort_unstable();
    let found = discovered(&sides, &oras, subject, &[]).await;
    assert_eq!(found, left);
    sides.compare().await;
    assert_eq!(discovered(&sides, &oras, subject, &[]).await, left);
}

#[tokio::test(flavor = "multi_thread")]
async fn oras_copies_an_image_with_what_is_attached_to_and_from_a_registry_without_referrers() {
    let (sides, oras) = (Sides::new().await, oras());
    let image = Image::small(1);
    sides.push(&image, "team/app", "v1").await;
    sides.compare().await;
    let sbom = attach(&sides, &oras, SBOM, "first", "HOST/team/app:v1").await;
    let [alone, behind] = sides.addresses();
    for (from, to) in [(&behind, &alone), (&alone, &behind)] {
        let (from, to) = (format!("{from}/team/app:v1"), format!("{to}/far/app:v1"));
        oras.run(&["cp", "--recursive", "--from-plain-http", "--to-plain-http", &from, &to]).await;
    }
    assert_eq!(discovered(&sides, &oras, "HOST/far/app:v1", &[]).await, [entry(0, &sbom, SBOM)]);
    sides.assert_tags("far/app", &["v1"]).await;

    // A repository of artifacts alone, with what lists and looks at it.
    let push = ["push", "--plain-http", "--format", "json", "--artifact-type", SBOM, "--annotation", CREATED];
    sides.same(&oras, &[&push[..], &["HOST/team/files:v1", "file:text/plain"]].concat()).await;
    for command in [
        &["repo", "ls", "--plain-http", HOST][..],
        &["resolve", "--plain-http", "HOST/team/files:v1"],
        &["manifest", "fetch", "--plain-http", "HOST/team/files:v1"],
        &["tag", "--plain-http", "HOST/team/files:v1", "v2"],
        &["repo", "tags", "--plain-http", "HOST/team/files"],
    ] {
        sides.same(&oras, command).await;
    }
    sides.assert_tags("team/files", &["v1", "v2"]).await;
    sides.compare().await;
}

/// It asks which manifest the tag points to, and deletes that: its other tags go too.
#[tokio::test(flavor = "multi_thread")]
async fn oras_deletes_what_a_tag_points_to_as_at_the_registry_itself() {
    let (sides, oras) = (Sides::new().await, oras());
    let (image, other) = (Image::small(1), Image::small(2));
    for tag in ["v1", "v2"] {
        sides.push(&image, "team/app", tag).await;
    }
    sides.push(&other, "team/app", "v3").await;
    let delete = ["manifest", "delete", "--plain-http", "--force"];
    // Before the door answers from its record, and after.
    sides.same(&oras, &[&delete[..], &["HOST/team/app:v1"]].concat()).await;
    sides.assert_tags("team/app", &["v3"]).await;
    sides.compare().await;
    sides.push(&image, "team/app", "v2").await;
    sides.same(&oras, &[&delete[..], &["HOST/team/app:v3"]].concat()).await;
    assert_eq!(sides.same(&oras, &["repo", "tags", "--plain-http", "HOST/team/app"]).await, "v2");
    sides.assert_tags("team/app", &["v2"]).await;
    assert!(!sides.is_held("team/app", &other.digest).await);
    let told = in_short(&events(&sides.door).await);
    for tag in ["v1", "v3"] {
        assert!(told.contains(&format!("observed tag_deleted team/app:{tag}")), "{told:?}");
    }
    // What is there no more is answered as the registry answers it.
    for _ in 0..2 {
        sides.same(&oras, &[&delete[..], &["HOST/team/app:v1"]].concat()).await;
    }
    sides.compare().await;
}
