//! Tells what clients were answered about manifests, so that an answer that contradicts the record leads to a look at the
//! registry.

use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use serde::Deserialize;

use crate::door::{Entry, Exchange, Invalid, Parts, Plugin, Refusal, ResponseHead};
use crate::oci::{Digest, Route};
use crate::sync::{SeenAnswer, SeenAnswers};

pub(super) const ENTRY: Entry = Entry { name: "answers", build };

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {}

struct Answers {
    seen: Arc<SeenAnswers>,
}

fn build(table: &toml::Table, parts: &Parts) -> Result<Box<dyn Plugin>, Invalid> {
    let Options {} = Invalid::or_options(ENTRY.name, table)?;
    Ok(Box::new(Answers { seen: Arc::clone(&parts.seen) }))
}

#[async_trait]
impl Plugin for Answers {
    async fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
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
