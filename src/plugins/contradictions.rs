//! Tells what the registry answered clients about manifests, so that an answer that contradicts the record leads to a look at the
//! registry.

use std::sync::Arc;

use http::StatusCode;

use crate::door::{Entry, Exchange, InvalidOption, Plugin, Prepared, Refusal, ResponseHead};
use crate::oci::{Digest, Route};
use crate::sync::{SeenAnswer, SeenAnswers};

pub(super) const ENTRY: Entry = Entry { name: "contradictions", options: &[], prepare };

struct Contradictions {
    seen: Arc<SeenAnswers>,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    Ok(Box::new(|parts| Box::new(Contradictions { seen: Arc::clone(&parts.seen) })))
}

impl Plugin for Contradictions {
    fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
        // What the door answers from the record does not contradict it.
        if !exchange.forwarding.is_forwarded {
            return Ok(());
        }
        let Some(Route::ManifestRead { repository, reference }) = exchange.route() else { return Ok(()) };
        let named = || {
            let value = head.headers.get("docker-content-digest")?;
            Digest::parse(value.to_str().ok()?).ok()
        };
        let digest = match head.status {
            StatusCode::NOT_FOUND => None,
            StatusCode::OK => match named() {
                Some(digest) => Some(digest),
                None => return Ok(()),
            },
            _ => return Ok(()),
        };
        self.seen.note(SeenAnswer { repository: repository.clone(), reference: reference.clone(), digest });
        Ok(())
    }
}
