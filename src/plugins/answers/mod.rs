//! Answers lists, referrers and manifests from the record, once a sweep has been complete: so that any registry has pages in
//! order and the referrers of OCI 1.1, and whatever it holds is told without asking it.
//!
//! Only what the record has is answered: what it does not know the registry may know, and is asked. What the record cannot
//! tell, since the store cannot be read, the registry is asked for as well.

mod answer;
mod catalog;
mod conditions;
mod manifest;
mod page;
mod referrers;
mod tags;

use std::sync::Arc;

use async_trait::async_trait;

use self::answer::Unanswered;
use self::manifest::Manifests;
use crate::door::{Answering, Entry, Exchange, Flow, InvalidOption, Plugin, Prepared, Refusal, Response};
use crate::oci::{ErrorCode, Route};
use crate::telemetry::FailureLog;

pub(super) const ENTRY: Entry = Entry { name: "answers", options: &[], prepare };

struct Answers {
    answering: Arc<Answering>,
    manifests: Manifests,
    /// Why the record cannot be read, while that is so.
    failures: FailureLog,
}

fn prepare(_table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    Ok(Box::new(|parts| {
        let answering = Arc::clone(&parts.answering);
        let manifests = Manifests::new(Arc::clone(&answering.records));
        Box::new(Answers { answering, manifests, failures: FailureLog::new() })
    }))
}

#[async_trait]
impl Plugin for Answers {
    async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        if !self.answering.is_ready() {
            return Ok(Flow::Continue);
        }
        let Some(answered) = self.answer(exchange).await else { return Ok(Flow::Continue) };
        match answered {
            Ok(response) => {
                self.failures.worked();
                Ok(Flow::Respond(Box::new(response)))
            }
            Err(Unanswered::NotRecorded) => Ok(Flow::Continue),
            Err(Unanswered::Store(error)) => {
                if self.failures.failed(&error) {
                    tracing::warn!(%error, "the record cannot be read; the registry answers instead");
                }
                Ok(Flow::Continue)
            }
            Err(Unanswered::Refused(refusal)) => Err(refusal),
            Err(Unanswered::Head(error)) => {
                let message = "the door failed on this request; its log says why";
                Err(Refusal::new(ErrorCode::Unknown, message).because(error))
            }
        }
    }
}

impl Answers {
    /// The answer to a request of a kind that the record answers.
    async fn answer(&self, exchange: &Exchange) -> Option<Result<Response, Unanswered>> {
        let records = &self.answering.records;
        let query = exchange.request.uri.query().unwrap_or_default();
        match exchange.route()? {
            Route::Catalog => Some(catalog::answer(records.as_ref(), &exchange.catalog, query).await),
            Route::Tags { repository } => Some(tags::answer(records, repository, query).await),
            Route::Referrers { repository, digest } => {
                Some(referrers::answer(records.as_ref(), repository, digest, query).await)
            }
            Route::ManifestRead { repository, reference } => {
                let is_exclusive = self.answering.is_exclusive;
                Some(
                    self.manifests
                        .answer(repository, reference, is_exclusive, &exchange.request.headers)
                        .await,
                )
            }
            _ => None,
        }
    }
}
