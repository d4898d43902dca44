//! Counts pulls: successful GETs of manifests. A HEAD is no pull, since clients use it to look whether there is something
//! new.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, StatusCode};

use crate::door::{Entry, Exchange, ExchangeOutcome, InvalidOption, Plugin, Prepared};
use crate::oci::Route;
use crate::sync::PullCounts;

pub(super) const ENTRY: Entry = Entry { name: "pulls", options: &[], prepare };

struct Pulls {
    counts: Arc<PullCounts>,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    Ok(Box::new(|parts| Box::new(Pulls { counts: Arc::clone(&parts.pulls) })))
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
