//! `crane`, of go-containerregistry: catalogs, lists, copies and deletions.

use crate::support::image::Image;
use crate::support::tool::Tool;

use super::{HOST, Sides, run};

fn crane() -> Tool {
    Tool::brought("crane")
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_lists_copies_and_looks_at_images_as_at_the_registry_itself() {
    let (sides, crane) = (Sides::new().await, crane());
    let (first, second) = (Image::small(1), Image::small(2));
    let (index, docker) = (Image::index(&[&first, &second]), Image::docker(3));
    sides.push(&first, "team/app", "v1").await;
    sides.push(&second, "team/app", "v2").await;
    sides.push(&index, "team/app", "latest").await;
    sides.push(&docker, "other/docker", "v1").await;
    // Once through the door to the registry, and once from the record.
    for round in ["first", "second"] {
        assert_eq!(
            sides.same(&crane, &["catalog", HOST]).await.lines().count(),
            2 + usize::from(round == "second")
        );
        assert!(sides.same(&crane, &["ls", "HOST/team/app"]).await.contains("latest"));
        for (image, tag) in [(&first, "v1"), (&index, "latest")] {
            let by_tag = format!("HOST/team/app:{tag}");
            let by_digest = format!("HOST/team/app@{}", image.digest);
            assert_eq!(sides.same(&crane, &["digest", &by_tag]).await, image.digest);
            for reference in [&by_tag, &by_digest] {
                let manifest = sides.same(&crane, &["manifest", reference]).await;
                assert_eq!(manifest.as_bytes(), image.manifest);
                sides.same(&crane, &["digest", "--platform", "linux/amd64", reference]).await;
            }
        }
        sides.same(&crane, &["config", "HOST/team/app:v1"]).await;
        sides.same(&crane, &["config", "HOST/other/docker:v1"]).await;
        sides.same(&crane, &["config", "--platform", "linux/arm64", "HOST/team/app:latest"]).await;
        sides.same(&crane, &["validate", "--fast", "--remote", "HOST/other/docker:v1"]).await;
        let copy = format!("HOST/copies/app:{round}");
        sides.same(&crane, &["copy", "HOST/team/app:latest", &copy]).await;
        assert_eq!(sides.same(&crane, &["digest", &copy]).await, index.digest);
        sides.same(&crane, &["tag", &copy, &format!("{round}-again")]).await;
        sides.compare().await;
    }
    sides.assert_tags("copies/app", &["first", "first-again", "second", "second-again"]).await;
    for image in [&first, &second, &index] {
        assert!(sides.is_held("copies/app", &image.digest).await);
    }
    // From one registry to another, the door on either side.
    let [alone, behind] = sides.addresses();
    for (from, to) in [(&alone, &behind), (&behind, &alone)] {
        let (from, to) = (format!("{from}/team/app:latest"), format!("{to}/far/app:latest"));
        crane.run(&["copy", &from, &to]).await;
        assert_eq!(crane.run(&["digest", &to]).await, index.digest);
    }
    sides.assert_tags("far/app", &["latest"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn crane_deletes_one_tag_and_its_siblings_stay() {
    let (sides, crane) = (Sides::new().await, crane());
    let image = Image::small(1);
    for tag in ["v1", "v2", "v3"] {
        sides.push(&image, "team/app", tag).await;
    }
    let delete = ["delete", "HOST/team/app:v1"];
    let deletes_tags = super::deletes_tags(&sides.alone).await;
    let alone = sides.attempt_alone(&crane, &delete).await;
    assert_eq!(alone.status.success(), deletes_tags, "{}", String::from_utf8_lossy(&alone.stderr));
    sides.through_the_door(&crane, &delete).await;
    sides.assert_tags("team/app", &["v2", "v3"]).await;
    sides.compare().await;
    sides.through_the_door(&crane, &["delete", "HOST/team/app:v2"]).await;
    sides.assert_tags("team/app", &["v3"]).await;
    assert_eq!(sides.through_the_door(&crane, &["ls", "HOST/team/app"]).await, "v3");
    assert_eq!(sides.through_the_door(&crane, &["digest", "HOST/team/app:v3"]).await, image.digest);

    // By digest everything goes, as it does at the registry.
    let by_digest = format!("HOST/team/app@{}", image.digest);
    sides.same(&crane, &["delete", &by_digest]).await;
    sides.assert_tags("team/app", &[]).await;
    assert!(!sides.is_held("team/app", &image.digest).await);
    for address in sides.addresses() {
        assert_eq!(run(&crane, &["ls", "HOST/team/app"], &address).await, "");
    }
    sides.compare().await;
}
