//! Real clients log in, push, pull and are refused, before a registry that is open behind the door and before one that
//! verifies tokens itself.

use std::time::{Duration, Instant};

use crate::support::door::Door;
use crate::support::engine::Engine;
use crate::support::guard::{Guard, password};
use crate::support::image::Image;
use crate::support::registry::Registry;
use crate::support::state::truth;
use crate::support::throttle::SlowLine;
use crate::support::tool::Tool;

/// What a program said that has to have failed.
pub(crate) async fn refused(tool: &Tool, arguments: &[&str]) -> String {
    let output = tool.attempt(arguments).await;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{arguments:?} was not refused: {said}");
    said
}

/// Who, with their password, for tools that want both in one argument.
fn credentials(user: &str) -> String {
    format!("{user}:{}", password(user))
}

async fn docker_logs_in_pushes_pulls_and_is_refused(door: &Door) {
    let engine = Engine::start().await;
    let docker = &engine.docker;
    engine.import_base("base").await;
    let address = door.address().to_string();
    let name = format!("{address}/team/app:one");
    docker.run(&["tag", "base", &name]).await;
    refused(docker, &["push", &name]).await;
    let wrong = refused(docker, &["login", "--username", "alice", "--password", "wrong", &address]).await;
    assert!(wrong.contains("the user name or the password is wrong"), "{wrong}");

    docker.run(&["login", "--username", "alice", "--password", &password("alice"), &address]).await;
    docker.run(&["push", &name]).await;
    docker.run(&["rmi", &name]).await;
    docker.run(&["pull", &name]).await;
    // Layers of one repository are mounted into another that is theirs as well, and uploaded to one from where they may not
    // be read.
    let second = format!("{address}/team/second:one");
    docker.run(&["tag", &name, &second]).await;
    let said = docker.run(&["push", &second]).await;
    assert!(said.contains("Mounted from team/app"), "{said}");
    docker.run(&["logout", &address]).await;
    docker.run(&["login", "--username", "mounter", "--password", &password("mounter"), &address]).await;
    let third = format!("{address}/home/mounter/third:one");
    docker.run(&["tag", &name, &third]).await;
    let said = docker.run(&["push", &third]).await;
    assert!(!said.contains("Mounted") && said.contains("Pushed"), "{said}");
    docker.run(&["logout", &address]).await;

    docker.run(&["login", "--username", "reader", "--password", &password("reader"), &address]).await;
    docker.run(&["pull", &name]).await;
    let said = refused(docker, &["push", &name]).await;
    assert!(said.contains("denied") && said.contains("reader may not pull and push"), "{said}");
    docker.run(&["logout", &address]).await;
    refused(docker, &["pull", &name]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_before_an_open_registry() {
    let guard = Guard::new();
    let registry = Registry::start().await;
    let door = guard.door(registry.url()).start().await;
    docker_logs_in_pushes_pulls_and_is_refused(&door).await;
    assert_eq!(truth(&registry.url()).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_before_a_registry_that_verifies_tokens() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    docker_logs_in_pushes_pulls_and_is_refused(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn k7_docker_and_skopeo_mind_no_clock_that_differs_from_theirs() {
    for offset in ["1h", "-1h"] {
        let guard = Guard::new();
        let registry = Registry::start_verifying(&guard.trust()).await;
        let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").set("CLOCK__OFFSET", offset);
        let door = door.start().await;
        docker_logs_in_pushes_pulls_and_is_refused(&door).await;
        skopeo_copies_and_deletes(&door).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn k8_docker_pushes_a_layer_for_longer_than_its_token_is_good() {
    const TTL: Duration = Duration::from_secs(5);
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").set("AUTH__TOKEN_TTL", "5s");
    let door = door.start().await;
    let line = SlowLine::start(door.address(), 100 * 1024).await;
    let engine = Engine::start().await;
    let docker = &engine.docker;
    engine.import_base("base").await;
    let address = line.address().to_string();
    let name = format!("{address}/team/app:slow");
    docker.run(&["tag", "base", &name]).await;
    docker.run(&["login", "--username", "alice", "--password", &password("alice"), &address]).await;
    let begun = Instant::now();
    docker.run(&["push", &name]).await;
    assert!(begun.elapsed() > TTL + TTL / 2, "the line was not slow enough to show anything");
    docker.run(&["rmi", &name]).await;
    docker.run(&["pull", &name]).await;
}

/// containerd asks for tokens by POST, as buildkit and a Docker engine with containerd's store do.
#[tokio::test(flavor = "multi_thread")]
async fn containerd_before_a_registry_that_verifies_tokens() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    let engine = Engine::start().await;
    engine.import_base("base").await;
    let ctr = engine.containerd();
    let archive = ctr.home().join("base.tar");
    let archive = archive.to_str().unwrap();
    let name = format!("{}/team/app:one", door.address());
    engine.docker.run(&["tag", "base", &name]).await;
    engine.docker.run(&["save", "--output", archive, &name]).await;
    ctr.run(&["images", "import", archive]).await;
    let (alice, reader) = (credentials("alice"), credentials("reader"));
    let push = ["images", "push", "--plain-http", "--user"];
    refused(&ctr, &[&push[..], &["alice:wrong", &name]].concat()).await;
    refused(&ctr, &[&push[..], &[reader.as_str(), &name]].concat()).await;
    ctr.run(&[&push[..], &[alice.as_str(), &name]].concat()).await;
    ctr.run(&["images", "remove", "--sync", &name]).await;
    let fetch = ["content", "fetch", "--plain-http"];
    refused(&ctr, &[&fetch[..], &[name.as_str()]].concat()).await;
    ctr.run(&[&fetch[..], &["--user", &reader, &name]].concat()).await;
}

async fn skopeo_copies_and_deletes(door: &Door) {
    let skopeo = Tool::new("skopeo", "skopeo");
    let image = Image::small(1);
    super::super::clients::write_layout(&skopeo.home().join("layout"), &image, std::slice::from_ref(&image));
    let there = format!("docker://{}/team/app:1", door.address());
    let (alice, reader) = (credentials("alice"), credentials("reader"));
    let push = ["copy", "--dest-tls-verify=false", "oci:layout:both", there.as_str()];
    refused(&skopeo, &push).await;
    refused(&skopeo, &[&push[..1], &["--dest-creds", &reader], &push[1..]].concat()).await;
    skopeo.run(&[&push[..1], &["--dest-creds", &alice], &push[1..]].concat()).await;
    let pull = ["inspect", "--tls-verify=false", there.as_str()];
    refused(&skopeo, &pull).await;
    skopeo.run(&[&pull[..1], &["--creds", &reader], &pull[1..]].concat()).await;
    let delete = ["delete", "--tls-verify=false", there.as_str()];
    refused(&skopeo, &[&delete[..1], &["--creds", &reader], &delete[1..]].concat()).await;
    skopeo.run(&[&delete[..1], &["--creds", &alice], &delete[1..]].concat()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_before_an_open_registry() {
    let guard = Guard::new();
    let registry = Registry::start().await;
    let door = guard.door(registry.url()).start().await;
    skopeo_copies_and_deletes(&door).await;
    assert_eq!(truth(&registry.url()).await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_before_a_registry_that_verifies_tokens() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    skopeo_copies_and_deletes(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_public_is_pulled_without_credentials() {
    let guard = Guard::new();
    let registry = Registry::start().await;
    Image::small(1).push(&registry.url(), "public/app", "1").await;
    let door = guard.door(registry.url()).start().await;
    let skopeo = Tool::new("skopeo", "skopeo");
    let there = format!("docker://{}/public/app:1", door.address());
    skopeo.run(&["copy", "--src-tls-verify=false", &there, "oci:copy:1"]).await;
    skopeo.run(&["inspect", "--tls-verify=false", "--creds", &credentials("stranger"), &there]).await;
    let engine = Engine::start().await;
    engine.import_base("base").await;
    let name = format!("{}/public/docker:1", door.address());
    engine.docker.run(&["tag", "base", &name]).await;
    let admin = ["login", "--username", "admin", "--password", &password("admin")];
    engine.docker.run(&[&admin[..], &[&door.address().to_string()]].concat()).await;
    engine.docker.run(&["push", &name]).await;
    engine.docker.run(&["logout", &door.address().to_string()]).await;
    engine.docker.run(&["rmi", &name]).await;
    engine.docker.run(&["pull", &name]).await;
    let denied = refused(&engine.docker, &["push", &name]).await;
    assert!(denied.contains("denied") || denied.contains("unauthorized"), "{denied}");
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_and_podman_before_a_registry_that_verifies_tokens() {
    let guard = Guard::new();
    let registry = Registry::start_verifying(&guard.trust()).await;
    let door = guard.door(registry.url()).set("REGISTRY__AUTH", "token").start().await;
    buildah_pushes_and_podman_pulls(&door).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_and_podman_before_an_open_registry() {
    let guard = Guard::new();
    let registry = Registry::start().await;
    let door = guard.door(registry.url()).start().await;
    buildah_pushes_and_podman_pulls(&door).await;
}

async fn buildah_pushes_and_podman_pulls(door: &Door) {
    let storage = tempfile::tempdir().unwrap();
    let path = |name: &str| storage.path().join(name).to_str().unwrap().to_owned();
    let (root, runroot) = (path("root"), path("runroot"));
    let always = ["--root", &root, "--runroot", &runroot, "--storage-driver", "vfs"];
    let buildah = Tool::new("buildah", "buildah").always(&always);
    let podman = Tool::new("podman", "podman").always(&always);
    let name = format!("{}/team/built:one", door.address());
    let container = buildah.run(&["from", "scratch"]).await;
    std::fs::write(buildah.home().join("file"), "built\n").unwrap();
    buildah.run(&["copy", &container, "file", "/file"]).await;
    buildah.run(&["commit", "--rm", &container, &name]).await;
    refused(&buildah, &["push", "--tls-verify=false", &name]).await;
    buildah.run(&["push", "--tls-verify=false", "--creds", &credentials("alice"), &name]).await;
    podman.run(&["rmi", "--force", &name]).await;
    refused(&podman, &["pull", "--tls-verify=false", &name]).await;
    let address = door.address().to_string();
    let login = ["login", "--tls-verify=false", "--username", "reader", "--password"];
    podman.run(&[&login[..], &[&password("reader"), &address]].concat()).await;
    podman.run(&["pull", "--tls-verify=false", &name]).await;
    refused(&podman, &["push", "--tls-verify=false", &name]).await;
}
