//! Counts pulls: successful GETs of manifests. A HEAD is no pull, since clients use it to look whether there is something
//! new, and neither is an answer that nothing has changed; but the tag was seen: a client that has the image asks no more.

use std::sync::Arc;

use http::{Method, StatusCode};

use crate::door::{Entry, Exchange, ExchangeOutcome, InvalidOption, Plugin, Prepared, Refusal, ResponseHead};
use crate::oci::{Reference, Route};
use crate::sync::PullCounts;

pub(super) const ENTRY: Entry = Entry { name: "pulls", options: &[], prepare };

struct Pulls {
    counts: Arc<PullCounts>,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    Ok(Box::new(|parts| Box::new(Pulls { counts: Arc::clone(&parts.pulls) })))
}

impl Plugin for Pulls {
    fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
        let Some(Route::ManifestRead { repository, reference: Reference::Tag(tag) }) = exchange.route()
        else {
            return Ok(());
        };
        // Before the client hears it: it may pull the digest at once.
        let digest = match (head.status, exchange.request.method == Method::HEAD) {
            (StatusCode::OK, true) => {
                head.headers.get("docker-content-digest").and_then(|value| value.to_str().ok())
            }
            (StatusCode::NOT_MODIFIED, _) => None,
            _ => return Ok(()),
        };
        self.counts.see(exchange.client.address, repository, tag, digest);
        Ok(())
    }

    fn on_end(&self, exchange: &Exchange, outcome: &ExchangeOutcome) {
        let is_pull = exchange.request.method == Method::GET
            && outcome.status == Some(StatusCode::OK)
            && outcome.cause.is_none();
        if !is_pull {
            return;
        }
        if let Some(Route::ManifestRead { repository, reference }) = exchange.route() {
            self.counts.note(exchange.client.address, repository, reference);
        }
    }
}
