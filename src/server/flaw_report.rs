//! What is wrong with what is held, as far as the record alone tells, in the words of `portreeve check`.

use std::fmt;

use serde::Deserialize;

use super::door_client::{Client, DoorError};
use crate::store::{Flaw, FlawCounts, Health, PageRequest, StoreError};

/// How many of a kind are named.
const NAMED: usize = 10;

/// Those kinds that an operator wants to know of. What is untagged may be meant so.
const TOLD: [Flaw; 4] = [Flaw::MissingChildren, Flaw::MissingSubject, Flaw::LostTag, Flaw::EmptyRepository];

/// What has one flaw.
pub(super) struct FlawReport {
    pub(super) flaw: Flaw,
    count: u64,
    /// The first of them.
    names: Vec<String>,
}

#[derive(Deserialize)]
struct ListPart {
    items: Vec<FlawPart>,
}

#[derive(Deserialize)]
struct FlawPart {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl FlawPart {
    fn name(self) -> String {
        let Self { repository, tag, digest } = self;
        match (tag, digest) {
            (Some(tag), _) => format!("{repository}:{tag}"),
            (None, Some(digest)) => format!("{repository}@{digest}"),
            (None, None) => repository,
        }
    }
}

/// What has flaws in a store that is open here.
pub(super) async fn in_store(store: &dyn Health) -> Result<Vec<FlawReport>, StoreError> {
    let counts = store.flaw_counts().await?;
    let mut reports = Vec::new();
    for (flaw, count) in found(&counts) {
        let page = store.flawed(flaw, PageRequest { after: None, limit: NAMED }).await?;
        let names = page.items.into_iter().map(|record| record.about.to_string()).collect();
        reports.push(FlawReport { flaw, count, names });
    }
    Ok(reports)
}

impl Client {
    /// What has flaws in the store of the running door.
    pub(super) async fn flaw_reports(&self) -> Result<Vec<FlawReport>, DoorError> {
        let attempted = "tell what is wrong with what is held";
        let counts: FlawCounts = self.ask(attempted, self.http.get("http://door/api/v1/health")).await?;
        let mut reports = Vec::new();
        for (flaw, count) in found(&counts) {
            let url = format!("http://door/api/v1/health?kind={}&n={NAMED}", flaw.as_str());
            let ListPart { items } = self.ask(attempted, self.http.get(url)).await?;
            reports.push(FlawReport { flaw, count, names: items.into_iter().map(FlawPart::name).collect() });
        }
        Ok(reports)
    }
}

fn found(counts: &FlawCounts) -> impl Iterator<Item = (Flaw, u64)> + use<> {
    let counts = *counts;
    TOLD.into_iter().map(move |flaw| (flaw, counts.of(flaw))).filter(|(_, count)| *count > 0)
}

impl fmt::Display for FlawReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { flaw, count, names } = self;
        let what = match flaw {
            Flaw::MissingChildren => "Indexes of which the repository lacks manifests",
            Flaw::MissingSubject => "Manifests about others that the repository lacks",
            Flaw::LostTag => "Tags that the registry denies",
            Flaw::EmptyRepository => "Repositories that hold nothing",
            Flaw::Untagged => "Manifests to which nothing leads",
        };
        write!(formatter, "{what}: {count} ({}", names.join(", "))?;
        let is_part = usize::try_from(*count).is_ok_and(|count| count > names.len());
        formatter.write_str(if is_part { " and others)" } else { ")" })
    }
}
