//! Counts pulls: successful GETs of manifests. A HEAD is no pull, since clients use it to look whether there is something
//! new.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};
use serde::Deserialize;

use crate::door::{Entry, Exchange, ExchangeOutcome, Invalid, Parts, Plugin};
use crate::oci::Route;
use crate::sync::PullCounts;

pub(super) const ENTRY: Entry = Entry { name: "pulls", build };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Pulls {
    counts: Arc<PullCounts>,
}

fn build(table: &toml::Table, parts: &Parts) -> Result<Box<dyn Plugin>, Invalid> {
    let Options {} = Invalid::or_options(ENTRY.name, table)?;
    Ok(Box::new(Pulls { counts: Arc::clone(&parts.pulls) }))
}

#[async_trait]
impl Plugin for Pulls {
    async fn on_end(&self, exchange: &Exchange, outcome: &ExchangeOutcome) {
        let is_pull = exchange.request.method == Method::GET
            && outcome.status == Some(StatusCode::OK)
            && outcome.cause.is_none();
        if !is_pull {
            return;
        }
        if let Some(Route::ManifestRead { repository, reference }) = exchange.route() {
            self.counts.note(repository.clone(), reference.clone(), self.counts.now());
        }
    }
}
