//! Counts pulls: successful GETs of manifests. A HEAD is no pull, since clients use it to look whether there is something
//! new. Where the registry is a cache, both tell what it holds: some clients ask for the digest of a tag with a HEAD, and
//! then pull that digest.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::door::{Entry, Exchange, Invalid, Outcome, Parts, Plugin, Refusal, ResponseHead};
use crate::oci::{Digest, Route};
use crate::sync::{PullCounts, PulledReferences};

pub(super) const ENTRY: Entry =
    Entry { name: "pulls", summary: "Counts pulls, and notes when the last one was.", build };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Pulls {
    counts: Arc<PullCounts>,
    pulled: Option<Arc<PulledReferences>>,
}

fn build(table: &toml::Table, parts: &Parts) -> Result<Box<dyn Plugin>, Invalid> {
    let Options {} = Invalid::or_options(ENTRY.name, table)?;
    Ok(Box::new(Pulls { counts: Arc::clone(&parts.pulls), pulled: parts.pulled.clone() }))
}

#[async_trait]
impl Plugin for Pulls {
    async fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
        if let Some(pulled) = &self.pulled
            && head.status == StatusCode::OK
            && let Some(Route::ManifestRead { repository, reference }) = exchange.route()
        {
            let digest = head.headers.get("docker-content-digest").and_then(|value| value.to_str().ok());
            let digest = digest.and_then(|digest| Digest::parse(digest).ok());
            pulled.note(repository.clone(), reference.clone(), digest);
        }
        Ok(())
    }

    async fn on_end(&self, exchange: &Exchange, outcome: &Outcome) {
        let is_pull = exchange.request.method == Method::GET
            && outcome.status == Some(StatusCode::OK)
            && outcome.cause.is_none();
        if !is_pull {
            return;
        }
        if let Some(Route::ManifestRead { repository, reference }) = exchange.route() {
            self.counts.note(repository.clone(), reference.clone(), Timestamp::now());
        }
    }
}
