//! `regctl`, of regclient: it deletes a tag in a way of its own where it is told that the registry cannot.

use reqwest::header::CONTENT_TYPE;

use crate::support::http::{delete, http_client};
use crate::support::image::Image;
use crate::support::sweep::{events, in_short};
use crate::support::tool::Tool;

use super::{Sides, fallback_tag};

/// The client, which knows that neither side has TLS.
fn regctl(sides: &Sides) -> Tool {
    let hosts = sides.addresses().map(|address| format!("reg={address},tls=disabled"));
    Tool::brought("regctl").always(&["--host", &hosts[0], "--host", &hosts[1]])
}

#[tokio::test(flavor = "multi_thread")]
async fn regctl_lists_copies_and_looks_at_images_as_at_the_registry_itself() {
    let sides = Sides::new().await;
    let regctl = regctl(&sides);
    let (first, second) = (Image::small(1), Image::small(2));
    let index = Image::index(&[&first, &second]);
    sides.push(&first, "team/app", "v1").await;
    sides.push(&second, "team/app", "v2").await;
    sides.push(&index, "team/app", "latest").await;
    // Once through the door to the registry, and once from the record.
    for round in ["first", "second"] {
        assert!(sides.same(&regctl, &["repo", "ls", "HOST"]).await.contains("team/app"));
        assert_eq!(sides.same(&regctl, &["tag", "ls", "HOST/team/app"]).await, "latest\nv1\nv2");
        let page = ["tag", "ls", "--limit", "1", "--last", "latest", "HOST/team/app"];
        if round == "second" {
            assert_eq!(sides.through_the_door(&regctl, &page).await, "v1");
        }
        let by_digest = format!("HOST/team/app@{}", index.digest);
        for reference in ["HOST/team/app:latest", &by_digest] {
            assert_eq!(sides.same(&regctl, &["image", "digest", reference]).await, index.digest);
            assert_eq!(sides.same(&regctl, &["manifest", "head", reference]).await, index.digest);
            let manifest = sides.same(&regctl, &["manifest", "get", "--format", "raw-body", reference]).await;
            assert_eq!(manifest.as_bytes(), index.manifest);
            sides.same(&regctl, &["image", "inspect", "--platform", "linux/amd64", reference]).await;
        }
        sides
            .same(&regctl, &["image", "copy", "HOST/team/app:latest", &format!("HOST/copies/app:{round}")])
            .await;
        sides.compare().await;
    }
    sides.assert_tags("copies/app", &["first", "second"]).await;
    for image in [&first, &second, &index] {
        assert!(sides.is_held("copies/app", &image.digest).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn regctl_copies_an_image_with_what_refers_to_it() {
    let sides = Sides::new().await;
    let regctl = regctl(&sides);
    let image = Image::small(1);
    sides.push(&image, "team/app", "v1").await;
    sides.compare().await;
    let put = ["artifact", "put", "--artifact-type", "application/vnd.example.sbom", "--file"];
    let about = ["--file-media-type", "text/plain", "--subject", "HOST/team/app:v1"];
    std::fs::write(regctl.home().join("sbom"), "what is in it\n").unwrap();
    sides.same(&regctl, &[&put[..], &["sbom"], &about].concat()).await;
    sides.assert_tags("team/app", &["v1"]).await;
    let list = ["artifact", "list", "--format", "{{range .Descriptors}}{{.Digest}} {{.ArtifactType}}{{end}}"];
    let listed = sides.same(&regctl, &[&list[..], &["HOST/team/app:v1"]].concat()).await;
    assert!(listed.ends_with(" application/vnd.example.sbom"), "{listed}");
    sides.same(&regctl, &["artifact", "tree", "HOST/team/app:v1"]).await;
    // From the door to the registry alone, which has no referrers of its own, and back.
    let [alone, behind] = sides.addresses();
    for (from, to) in [(&behind, &alone), (&alone, &behind)] {
        let (from, to) = (format!("{from}/team/app:v1"), format!("{to}/far/app:v1"));
        regctl.run(&["image", "copy", "--referrers", &from, &to]).await;
    }
    let copied = sides.same(&regctl, &[&list[..], &["HOST/far/app:v1"]].concat()).await;
    assert_eq!(copied, listed);
    sides.assert_tags("far/app", &["v1"]).await;
    assert!(!sides.is_held("far/app", &fallback_tag(&image.digest)).await);
    sides.compare().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regctl_deletes_one_tag_as_at_the_registry_itself_and_its_siblings_stay() {
    let sides = Sides::new().await;
    let regctl = regctl(&sides);
    let image = Image::small(1);
    for tag in ["v1", "v2", "v3"] {
        sides.push(&image, "team/app", tag).await;
    }
    sides.same(&regctl, &["tag", "delete", "HOST/team/app:v1"]).await;
    assert_eq!(sides.same(&regctl, &["tag", "ls", "HOST/team/app"]).await, "v2\nv3");
    sides.compare().await;
    sides.same(&regctl, &["tag", "delete", "HOST/team/app:v2"]).await;
    assert_eq!(sides.same(&regctl, &["tag", "ls", "HOST/team/app"]).await, "v3");
    sides.assert_tags("team/app", &["v3"]).await;
    assert_eq!(sides.same(&regctl, &["image", "digest", "HOST/team/app:v3"]).await, image.digest);
    let deleted = in_short(&events(&sides.door).await);
    for tag in ["v1", "v2"] {
        assert!(deleted.contains(&format!("observed tag_deleted team/app:{tag}")), "{deleted:?}");
    }
    sides.same(&regctl, &["manifest", "delete", &format!("HOST/team/app@{}", image.digest)]).await;
    sides.assert_tags("team/app", &[]).await;
    sides.compare().await;
}

/// The door refuses to delete the tag of a manifest that names no image, where the registry deletes manifests only.
#[tokio::test(flavor = "multi_thread")]
async fn regctl_deletes_a_tag_in_its_own_way_where_the_door_cannot() {
    let sides = Sides::new().await;
    let regctl = regctl(&sides);
    let empty = Image::index(&[]);
    for base in [sides.alone.url(), sides.door.url()] {
        for tag in ["v1", "v2"] {
            let url = format!("{base}/v2/team/app/manifests/{tag}");
            let put = http_client().put(url).header(CONTENT_TYPE, &empty.media_type);
            assert_eq!(put.body(empty.manifest.clone()).send().await.unwrap().status(), 201);
        }
    }
    if !super::deletes_tags(&sides.alone).await {
        assert_eq!(delete(&sides.door.url(), "team/app", "v1").await.status(), 405);
    }
    sides.same(&regctl, &["tag", "delete", "HOST/team/app:v1"]).await;
    sides.assert_tags("team/app", &["v2"]).await;
    assert_eq!(sides.same(&regctl, &["image", "digest", "HOST/team/app:v2"]).await, empty.digest);
    sides.compare().await;
}
