//! A random walk: whatever happens at the registry, through the door and around it, the answers from the record equal the
//! registry's where it answers at all, and the specification where it does not.
//!
//! `PORTREEVE_SEED` repeats a walk, `PORTREEVE_WALK_STEPS` says how long it is (40).

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use reqwest::header::{ACCEPT, IF_NONE_MATCH};
use serde_json::{Value, json};

use super::{House, all_names, ask};
use crate::support::http::delete;
use crate::support::image::Image;
use crate::support::random::{Random, seed};
use crate::support::state::{ACCEPT_ALL, catalog};
use crate::support::sweep::sweep_through;

const REPOSITORIES: [&str; 5] = ["a", "a-b", "a.b/c", "a/b", "z"];
const TAGS: [&str; 6] = ["latest", "Latest", "v1", "v1.2", "_x", "0"];
/// What clients accept: everything, the images of one of the two worlds, or nothing that they say.
const ACCEPTED: [&str; 5] = [
    ACCEPT_ALL,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json;q=0.9, text/plain",
    "*/*",
];

/// Everything that may be at the registry.
struct World {
    images: Vec<Image>,
    /// Which image each artifact is about.
    about: BTreeMap<String, String>,
}

impl World {
    fn new() -> Self {
        let plain: Vec<Image> = (0..3).map(Image::small).chain((3..5).map(Image::docker)).collect();
        let artifacts: Vec<(Image, String)> = (0..4)
            .map(|number: u64| {
                let subject = &plain[number as usize % 2];
                (Image::about(subject, number), subject.digest.clone())
            })
            .collect();
        let about =
            artifacts.iter().map(|(image, subject)| (image.digest.clone(), subject.clone())).collect();
        let mut images = plain.clone();
        images.extend(artifacts.into_iter().map(|(image, _)| image));
        images.push(Image::index(&[&plain[0], &plain[1]]));
        images.push(Image::docker_list(&[&plain[3], &plain[4]]));
        Self { images, about }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_any_walk_the_answers_from_the_record_equal_the_registrys() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().unwrap());
    let seed = number("PORTREEVE_SEED").unwrap_or_else(seed);
    let steps = number("PORTREEVE_WALK_STEPS").unwrap_or(40);
    eprintln!("PORTREEVE_SEED={seed}");
    let mut random = Random::new(seed);
    let house = House::with(|builder| builder.set("REGISTRY__EXCLUSIVE", "true")).await;
    let world = World::new();
    for repository in REPOSITORIES {
        for image in &world.images {
            image.push_blobs(&house.registry.url(), repository).await;
        }
    }
    for step in 0..steps {
        let what = step_at(&house, &world, &mut random).await;
        sweep_through(&house.door, true).await;
        let what = format!("step {step}, {what}");
        compare_lists(&house, &mut random, &what).await;
        compare_manifests(&house, &world, &mut random, &what).await;
        compare_referrers(&house, &world, &what).await;
    }
    for route in ["catalog", "tags", "manifest_read", "referrers"] {
        assert!(house.record_answers(route).await > 0.0, "{route}");
    }
}

/// One thing that happens, in words.
async fn step_at(house: &House, world: &World, random: &mut Random) -> String {
    let (is_through, repository) = (random.below(2) == 0, *random.one_of(&REPOSITORIES));
    let base = if is_through { house.door.url() } else { house.registry.url() };
    let image = random.one_of(&world.images);
    let way = if is_through { "through" } else { "around" };
    if random.below(3) == 0 {
        let status = delete(&base, repository, &image.digest).await.status();
        return format!("deleted {} in {repository} {way} the door: {status}", image.digest);
    }
    // What an index names has to be there, as 3.x wants it.
    for child in &world.images {
        if serde_json::from_slice::<Value>(&image.manifest).unwrap()["manifests"]
            .as_array()
            .is_some_and(|children| children.iter().any(|named| named["digest"] == json!(child.digest)))
        {
            assert_eq!(child.put(&base, repository, &child.digest).await.status(), 201);
        }
    }
    // What is put around the door without a tag no list names, so that no sweep can find it.
    let reference =
        if is_through && random.below(3) == 0 { &image.digest } else { *random.one_of::<&str>(&TAGS) };
    let status = image.put(&base, repository, reference).await.status();
    assert_eq!(status, 201, "{reference}");
    format!("put {} as {repository}:{reference} {way} the door", image.digest)
}

async fn compare_lists(house: &House, random: &mut Random, what: &str) {
    let (door, registry) = (house.door.url(), house.registry.url());
    let count = 1 + random.below(7);
    let mut listed = catalog(&registry).await;
    listed.sort_unstable();
    assert_eq!(all_names(&door, &format!("/v2/_catalog?n={count}"), "repositories").await, listed, "{what}");
    let last = format!("{}{}", random.one_of(&REPOSITORIES), random.one_of(&["", "/", "-", "~"]));
    let rest = all_names(&door, &format!("/v2/_catalog?last={last}"), "repositories").await;
    let expected: Vec<_> = listed.iter().filter(|name| **name > last).cloned().collect();
    assert_eq!(rest, expected, "{what}, last={last}");
    for repository in &listed {
        let path = format!("/v2/{repository}/tags/list");
        let of_registry = ask(Method::GET, &format!("{registry}{path}"), &[]).await;
        let mut tags = match of_registry.status.as_u16() {
            // A repository without a tag.
            404 => Vec::new(),
            _ if of_registry.json()["tags"].is_null() => Vec::new(),
            _ => of_registry.names("tags"),
        };
        tags.sort_unstable();
        let of_door = ask(Method::GET, &format!("{door}{path}"), &[]).await;
        assert_eq!(of_door.json(), json!({"name": repository, "tags": tags}), "{what}");
        assert_eq!(of_door.header("content-type"), Some("application/json; charset=utf-8"));
        assert_eq!(all_names(&door, &format!("{path}?n={count}"), "tags").await, tags, "{what}");
        let last = format!("{}{}", random.one_of(&TAGS), random.one_of(&["", ".", "~"]));
        let expected: Vec<_> = tags.into_iter().filter(|tag| *tag > last).collect();
        assert_eq!(
            all_names(&door, &format!("{path}?last={last}&n={count}"), "tags").await,
            expected,
            "{what}"
        );
    }
}

async fn compare_manifests(house: &House, world: &World, random: &mut Random, what: &str) {
    let (door, registry) = (house.door.url(), house.registry.url());
    let repository = *random.one_of(&REPOSITORIES);
    let digests = world.images.iter().map(|image| image.digest.as_str());
    for reference in digests.chain(TAGS) {
        let path = format!("/v2/{repository}/manifests/{reference}");
        let accepted = *random.one_of(&ACCEPTED);
        for method in [Method::GET, Method::HEAD] {
            let headers = [(ACCEPT, accepted)];
            let mut of_registry = ask(method.clone(), &format!("{registry}{path}"), &headers).await;
            let mut of_door = ask(method.clone(), &format!("{door}{path}"), &headers).await;
            if of_registry.status == 404 {
                // Its words differ by version, and are the registry's through the door as well.
                of_registry.body.clear();
                of_door.body.clear();
            }
            assert_eq!(of_door, of_registry, "{what}: {method} {path}, {accepted}");
            if let Some(digest) = of_door.header("docker-content-digest") {
                let known = format!("\"{digest}\"");
                let headers = [(ACCEPT, accepted), (IF_NONE_MATCH, &known)];
                let unchanged = ask(method.clone(), &format!("{door}{path}"), &headers).await;
                assert_eq!((unchanged.status.as_u16(), unchanged.body.as_str()), (304, ""), "{what}");
            }
        }
    }
}

async fn compare_referrers(house: &House, world: &World, what: &str) {
    let (door, registry) = (house.door.url(), house.registry.url());
    for repository in REPOSITORIES {
        let mut present = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (artifact, subject) in &world.about {
            let url = format!("{registry}/v2/{repository}/manifests/{artifact}");
            if ask(Method::HEAD, &url, &[(ACCEPT, ACCEPT_ALL)]).await.status == 200 {
                present.entry(subject).or_default().insert(artifact);
            }
        }
        for image in &world.images[..3] {
            let url = format!("{door}/v2/{repository}/referrers/{}", image.digest);
            let answer = ask(Method::GET, &url, &[]).await;
            assert_eq!(answer.status, 200, "{what}: {url}");
            let index = answer.json();
            let listed: Vec<_> = index["manifests"]
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["digest"].as_str().unwrap())
                .collect();
            let expected: Vec<_> =
                present.get(image.digest.as_str()).into_iter().flatten().copied().collect();
            assert_eq!(listed, expected, "{what}: {url}");
        }
    }
}
