//! A bare client that asks a registry what a first sweep has to ask: every page of the catalog, every list of tags, every
//! tag's manifest.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use portreeve::oci::MANIFEST_ACCEPT;
use serde_json::Value;

use crate::Fault;

/// Walks a registry with so many questions at once. Answers how long it took, and how many tags it met.
pub async fn walk(url: &str, concurrency: usize) -> Result<(Duration, usize), Fault> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    let mut next = Some(format!("{url}/v2/_catalog?n=1000"));
    let mut names = Vec::new();
    while let Some(page) = next {
        let response = client.get(page).send().await?.error_for_status()?;
        next = response.headers().get("link").and_then(|link| {
            let target = link.to_str().ok()?.split(['<', '>']).nth(1)?;
            Some(format!("{url}{target}"))
        });
        let page: Value = response.json().await?;
        let listed = page["repositories"].as_array().cloned().unwrap_or_default();
        names.extend(listed.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    let client = &client;
    let mut repositories = futures_util::stream::iter(names)
        .map(|name| async move {
            let list = client.get(format!("{url}/v2/{name}/tags/list")).send().await?.error_for_status()?;
            let list: Value = list.json().await?;
            let tags = list["tags"].as_array().cloned().unwrap_or_default();
            for tag in tags.iter().filter_map(Value::as_str) {
                let manifest = client.get(format!("{url}/v2/{name}/manifests/{tag}"));
                manifest.header("accept", MANIFEST_ACCEPT).send().await?.error_for_status()?.bytes().await?;
            }
            Ok::<_, reqwest::Error>(tags.len())
        })
        .buffer_unordered(concurrency);
    let mut tags = 0;
    while let Some(met) = repositories.next().await {
        tags += met?;
    }
    Ok((begun.elapsed(), tags))
}
