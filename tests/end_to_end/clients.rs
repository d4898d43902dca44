//! Real clients push and pull through the door; what they report, what the registry holds and what is recorded is the
//! same.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::door::Door;
use crate::support::engine::Engine;
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::{State, all, record, truth};
use crate::support::tool::Tool;

/// Fails unless registry and record both hold exactly these tags: repository, tag, digest.
async fn assert_exactly(door: &Door, registry: &Registry, tags: &[(&str, &str, &str)]) {
    let expected: State = tags
        .iter()
        .map(|(repository, tag, digest)| {
            (((*repository).to_owned(), (*tag).to_owned()), (*digest).to_owned())
        })
        .collect();
    assert_eq!(truth(&registry.url()).await, expected, "what the registry holds");
    assert_eq!(record(&door.url()).await, expected, "what is recorded");
}

/// The recorded manifest.
async fn manifest(door: &Door, repository: &str, digest: &str) -> Value {
    door.get_json(&format!("/api/v1/manifests?repository={repository}&digest={digest}")).await
}

/// Kind, tag and source of each event of a repository.
async fn history(door: &Door, repository: &str) -> Vec<(String, Option<String>, String)> {
    let events = all(&door.url(), &format!("/api/v1/events?repository={repository}&n=1000")).await;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    events
        .iter()
        .map(|event| (text(&event["kind"]).unwrap(), text(&event["tag"]), text(&event["source"]).unwrap()))
        .collect()
}

fn length(list: &Value) -> usize {
    list.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_pushes_and_pulls() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let engine = Engine::start().await;
    let docker = &engine.docker;
    engine.import_base("base").await;
    std::fs::write(docker.home().join("file"), "a second layer\n").unwrap();
    let name = format!("{}/team/app:one", door.address());
    docker.run(&["create", "--name", "next", "--network", "none", "base", "/bin/sh"]).await;
    docker.run(&["cp", "file", "next:/file"]).await;
    let identity = docker.run(&["commit", "next", &name]).await;

    let said = docker.run(&["push", &name]).await;
    let digest = said.split("digest: ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_exactly(&door, &registry, &[("team/app", "one", &digest)]).await;
    let recorded = manifest(&door, "team/app", &digest).await;
    assert_eq!(recorded["media_type"], "application/vnd.docker.distribution.manifest.v2+json");
    assert_eq!((length(&recorded["layers"]), recorded["config"]["digest"].as_str()), (2, Some(&*identity)));

    docker.run(&["rm", "next"]).await;
    docker.run(&["rmi", "--force", &name, "base"]).await;
    docker.run(&["pull", &name]).await;
    assert_eq!(docker.run(&["inspect", "--format", "{{.Id}}", &name]).await, identity);
    let by_digest = format!("{}/team/app@{digest}", door.address());
    docker.run(&["pull", &by_digest]).await;

    // A second tag of the same image: nothing but a manifest is sent.
    let second = format!("{}/team/app:two", door.address());
    docker.run(&["tag", &name, &second]).await;
    docker.run(&["push", &second]).await;
    assert_exactly(&door, &registry, &[("team/app", "one", &digest), ("team/app", "two", &digest)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_an_index_with_all_its_platforms_and_deletes_it() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let skopeo = Tool::new("skopeo", "skopeo");
    let images = [Image::small(1), Image::small(2)];
    let index = Image::index(&[&images[0], &images[1]]);
    write_layout(&skopeo.home().join("layout"), &index, &images);
    let there = format!("docker://{}/team/both:1", door.address());

    let push = ["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", "--digestfile", "digest"];
    skopeo.run(&[&push[..], &["oci:layout:both", &there]].concat()).await;
    let reported = std::fs::read_to_string(skopeo.home().join("digest")).unwrap();
    assert_eq!(reported.trim(), index.digest);
    assert_exactly(&door, &registry, &[("team/both", "1", &index.digest)]).await;

    let recorded = manifest(&door, "team/both", &index.digest).await;
    assert_eq!(recorded["kind"], "index");
    let children = recorded["children"].as_array().unwrap();
    let platforms: Vec<_> = children.iter().map(|child| child["platform"]["architecture"].clone()).collect();
    assert_eq!(platforms, ["amd64", "arm64"]);
    for image in &images {
        let child = manifest(&door, "team/both", &image.digest).await;
        assert_eq!((child["kind"].as_str(), length(&child["layers"])), (Some("image"), 1));
    }
    let tags = door.get_json("/api/v1/tags?repository=team/both").await;
    assert_eq!(tags["items"][0]["platforms"], json!(["linux/amd64", "linux/arm64"]));

    let pull = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false"];
    skopeo.run(&[&pull[..], &[&there, "oci:copy:both"]].concat()).await;
    let copied = std::fs::read(skopeo.home().join("copy/index.json")).unwrap();
    let copied: Value = serde_json::from_slice(&copied).unwrap();
    assert_eq!(copied["manifests"][0]["digest"], index.digest.as_str());

    skopeo.run(&["delete", "--tls-verify=false", &there]).await;
    assert_exactly(&door, &registry, &[]).await;
    let (kind, _, source) = history(&door, "team/both").await.pop().unwrap();
    assert_eq!((kind.as_str(), source.as_str()), ("manifest_deleted", "observed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_and_podman_push_and_pull() {
    let registry = Registry::start().await;
    let door = Door::builder(registry.url()).start().await;
    let storage = tempfile::tempdir().unwrap();
    let path = |name: &str| storage.path().join(name).to_str().unwrap().to_owned();
    let (root, runroot) = (path("root"), path("runroot"));
    let always = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
    let buildah = Tool::new("buildah", "buildah").always(&always);
    let podman = Tool::new("podman", "podman").always(&always);
    let built = format!("{}/build/app:one", door.address());
    let passed_on = format!("{}/pod/app:two", door.address());

    let container = buildah.run(&["from", "scratch"]).await;
    std::fs::write(buildah.home().join("file"), "built\n").unwrap();
    buildah.run(&["copy", &container, "file", "/file"]).await;
    buildah.run(&["commit", "--rm", &container, &built]).await;
    buildah.run(&["push", "--tls-verify=false", "--digestfile", "digest", &built]).await;
    let digest = std::fs::read_to_string(buildah.home().join("digest")).unwrap();
    assert_exactly(&door, &registry, &[("build/app", "one", &digest)]).await;
    let identity = buildah.run(&["inspect", "--type", "image", "--format", "{{.FromImageID}}", &built]).await;
    buildah.run(&["rmi", "--all", "--force"]).await;
    assert_eq!(buildah.run(&["pull", "--tls-verify=false", &built]).await, identity);

    buildah.run(&["rmi", "--all", "--force"]).await;
    assert_eq!(podman.run(&["pull", "--tls-verify=false", &built]).await, identity);
    podman.run(&["tag", &built, &passed_on]).await;
    podman.run(&["push", "--tls-verify=false", "--digestfile", "digest", &passed_on]).await;
    let passed_on_digest = std::fs::read_to_string(podman.home().join("digest")).unwrap();
    let both = [("build/app", "one", digest.as_str()), ("pod/app", "two", passed_on_digest.as_str())];
    assert_exactly(&door, &registry, &both).await;
    podman.run(&["rmi", "--all", "--force"]).await;
    assert_eq!(podman.run(&["pull", "--tls-verify=false", &passed_on]).await, identity);

    for repository in ["build/app", "pod/app"] {
        let history = history(&door, repository).await;
        assert!(history.iter().all(|(_, _, source)| source == "observed"), "{history:?}");
    }
}

/// Writes an OCI image layout that holds an index, tagged `both`, and its images.
pub(crate) fn write_layout(directory: &Path, index: &Image, images: &[Image]) {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let write = |digest: &str, bytes: &[u8]| {
        std::fs::write(blobs.join(digest.strip_prefix("sha256:").unwrap()), bytes).unwrap();
    };
    write(&index.digest, &index.manifest);
    for image in images {
        write(&image.digest, &image.manifest);
        for (digest, bytes) in &image.blobs {
            write(digest, bytes);
        }
    }
    let entry = json!({
        "mediaType": index.media_type, "digest": index.digest, "size": index.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": "both"},
    });
    let list = json!({"schemaVersion": 2, "manifests": [entry]});
    std::fs::write(directory.join("index.json"), list.to_string()).unwrap();
    std::fs::write(directory.join("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}).to_string()).unwrap();
}
