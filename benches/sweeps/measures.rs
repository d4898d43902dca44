//! What is measured, and how it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portreeve::oci::{Digest, MediaType};
use tokio::task::JoinSet;

use crate::door::{Door, House, used};
use crate::filled::{BLOB, Filled, manifest, name};
use crate::median::median;
use crate::{Fault, client, scripted};

/// As many questions at once as the door asks at most by default.
const CONCURRENCY: usize = 8;
const ROUNDS: usize = 3;
/// How many tags each repository of the scripted registry has.
const TAGS: usize = 10;
const CONNECTIONS: usize = 32;

/// Sweeps of a registry that answers at once.
pub async fn scripted(repositories: usize) -> Result<(), Fault> {
    let address = scripted::start(scripted::Holdings { repositories, tags: TAGS })?;
    let house = House::new(format!("http://{address}"))?;
    let tags = (repositories * TAGS) as f64;
    println!(
        "\n| scripted registry, {repositories} repositories × {} tags | tags/s | target | s | processor s | peak RSS MiB | store MiB |",
        TAGS
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (what, deep, target) in [
        ("first deep sweep", true, "≥ 5,000; RSS ≤ 200"),
        ("shallow, nothing changed", false, "≥ 50,000"),
        ("deep, nothing changed", true, ""),
    ] {
        let swept = house.sweep(deep)?;
        let seconds = swept.elapsed.as_secs_f64();
        println!(
            "| {what} | {:.0} | {target} | {seconds:.1} | {:.1} | {:.0} | {:.0} |",
            tags / seconds,
            swept.processor,
            swept.memory,
            house.store_size()?,
        );
        eprintln!("{}", swept.said);
    }
    Ok(())
}

/// The first sweep of a real registry beside a bare client.
pub async fn first(repositories: usize) -> Result<(), Fault> {
    let registry = Filled::start(repositories).await?;
    // Both find the registry's files equally warm.
    client::walk(&registry.url(), CONCURRENCY).await?;
    let (mut bare, mut door) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (own, its) = (used(std::process::id())?.0, registry.processor()?);
        let (elapsed, tags) = client::walk(&registry.url(), CONCURRENCY).await?;
        if tags != repositories {
            return Err(format!("the registry has {tags} tags of {repositories}").into());
        }
        let own = used(std::process::id())?.0 - own;
        bare.push([elapsed.as_secs_f64(), own, registry.processor()? - its]);
        let its = registry.processor()?;
        let swept = House::new(registry.url())?.sweep(false)?;
        eprintln!("{}", swept.said);
        door.push([swept.elapsed.as_secs_f64(), swept.processor, registry.processor()? - its]);
    }
    println!(
        "\n| first sweep of docker-registry, {repositories} repositories, medians of {ROUNDS} | s | processor s | the registry's |"
    );
    println!("| --- | --- | --- | --- |");
    let row = |what: &str, rounds: &[[f64; 3]]| {
        let [elapsed, own, its] = [0, 1, 2].map(|of| median(rounds.iter().map(|round| round[of]).collect()));
        println!("| {what} | {elapsed:.2} | {own:.1} | {its:.1} |");
        elapsed
    };
    let bare = row(&format!("bare client, {CONCURRENCY} questions at once"), &bare);
    let door = row("portreeve sync on an empty store", &door);
    println!("| ratio (target ≤ 1.3) | {:.2} | | |", door / bare);
    Ok(())
}

/// Pushes through the door, with and without sweeps.
pub async fn beside(repositories: usize) -> Result<(), Fault> {
    let registry = Filled::start(repositories).await?;
    let house = House::new(registry.url())?;
    house.sweep(false)?;
    let door = house.serve("0").await?;
    let (mut alone, mut beside, mut swept) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..5 {
        alone.push(pushes(&door, Duration::from_secs(5)).await?);
        let url = format!("{}/api/v1/sync", door.url());
        let before = done(&door).await?;
        reqwest::Client::new().post(&url).send().await?.error_for_status()?;
        beside.push(pushes(&door, Duration::from_secs(5)).await?);
        swept.push(done(&door).await? - before);
        while door.get("/api/v1/status").await?["sweep"]["running"].is_object() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let (alone, beside) = (median(alone), median(beside));
    println!(
        "\n| manifest PUTs through the door, {CONNECTIONS} connections, medians of 5 × 5 s | per second |"
    );
    println!("| --- | --- |");
    println!("| without a sweep | {alone:.0} |");
    println!("| beside a shallow sweep of {repositories} repositories | {beside:.0} |");
    println!("| lost (target ≤ 5 %) | {:.1} % |", (1.0 - beside / alone) * 100.0);
    println!(
        "| repositories that the sweep went through meanwhile, per second | {:.0} |",
        median(swept) / 5.0
    );
    Ok(())
}

/// How many repositories the running sweep, or the last one, has gone through.
async fn done(door: &Door) -> Result<f64, Fault> {
    let sweep = door.get("/api/v1/status").await?["sweep"].take();
    let running = sweep["running"]["repositories_done"].as_f64();
    let last = sweep["last"]["number"]
        .as_f64()
        .map(|number| number * sweep["last"]["repositories"].as_f64().unwrap_or(0.0));
    Ok(last.unwrap_or(0.0) + running.unwrap_or(0.0))
}

/// Pushes over many connections for a while. Answers how many a second succeeded.
async fn pushes(door: &Door, time: Duration) -> Result<f64, Fault> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let completed = Arc::new(AtomicU64::new(0));
    let (begun, mut clients) = (Instant::now(), JoinSet::new());
    for connection in 0..CONNECTIONS {
        let (completed, url) = (Arc::clone(&completed), door.url());
        clients.spawn(async move {
            let client = reqwest::Client::builder().no_proxy().build()?;
            let repository = name(connection);
            while begun.elapsed() < time {
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                put(&client, &url, &repository, &format!("t{}", number % 1_000), &format!("push {number}"))
                    .await?;
                completed.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Fault>(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(completed.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

async fn put(
    client: &reqwest::Client,
    url: &str,
    repository: &str,
    tag: &str,
    text: &str,
) -> Result<(), Fault> {
    let request = client.put(format!("{url}/v2/{repository}/manifests/{tag}"));
    let request = request.header("content-type", MediaType::OCI_MANIFEST).body(manifest(text));
    request.send().await?.error_for_status()?;
    Ok(())
}

/// From a push behind the door to its record.
pub async fn behind() -> Result<(), Fault> {
    const SAMPLES: u64 = 20;
    const INTERVAL: Duration = Duration::from_secs(2);
    let registry = Filled::start(100).await?;
    let house = House::new(registry.url())?;
    house.sweep(false)?;
    let door = house.serve("2s").await?;
    let client = reqwest::Client::new();
    let (repository, mut taken) = (name(7), Vec::new());
    debug_assert!(Digest::sha256(BLOB).as_str().len() > 7);
    for sample in 0..SAMPLES {
        // At any place of the interval.
        tokio::time::sleep(INTERVAL * u32::try_from(sample * 7 % 20)? / 20).await;
        let (tag, begun) = (format!("behind{sample}"), Instant::now());
        put(&client, &registry.url(), &repository, &tag, &tag).await?;
        loop {
            let tags = door.get(&format!("/api/v1/tags?repository={repository}&n=1000")).await?;
            let has = |items: &Vec<serde_json::Value>| items.iter().any(|item| item["tag"] == tag.as_str());
            if tags["items"].as_array().is_some_and(has) {
                break;
            }
            if begun.elapsed() > INTERVAL * 10 {
                return Err(format!("{tag} is not recorded").into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        taken.push(begun.elapsed().as_secs_f64());
    }
    let longest = taken.iter().copied().fold(0.0, f64::max);
    println!("\n| from a push behind the door to its record, sync.interval = 2s, {SAMPLES} samples | s |");
    println!("| --- | --- |");
    println!(
        "| median | {:.2} |\n| longest (target ≤ 2 and the sweep's length) | {longest:.2} |",
        median(taken)
    );
    Ok(())
}
