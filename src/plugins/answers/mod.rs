//! Answers lists, referrers and manifests from the record, once a sweep has been complete: so that any registry has pages in
//! order and the referrers of OCI 1.1, and whatever it holds is told without asking it.
//!
//! Only what the record has is answered: what it does not know the registry may know, and is asked. What the record cannot
//! tell, since the store cannot be read, the registry is asked for as well.

mod catalog;
mod conditions;
mod manifest;
mod page;
mod referrers;
mod tags;

use std::sync::Arc;

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, StatusCode};

use self::manifest::Manifests;
use crate::door::{
    AnswerOrigin, Answering, BoxError, Entry, Exchange, Flow, InvalidOption, Plugin, Prepared, Refusal,
    Response, ResponseBody, ResponseHead,
};
use crate::oci::{ErrorCode, Route};
use crate::store::StoreError;
use crate::telemetry::FailureLog;

pub(super) const ENTRY: Entry = Entry { name: "answers", options: &[], prepare };

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

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

/// Why there is no answer from the record.
#[derive(Debug, thiserror::Error)]
enum Unanswered {
    /// The record does not have it, or is not sure of it.
    #[error("the record does not have it")]
    NotRecorded,
    /// The record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The request is wrong.
    #[error("the request is wrong")]
    Refused(Refusal),
    /// The answer cannot be put into words.
    #[error("the answer cannot be made")]
    Head(#[source] BoxError),
}

impl From<Box<pingora_core::Error>> for Unanswered {
    fn from(error: Box<pingora_core::Error>) -> Self {
        Self::Head(error)
    }
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

/// The head of an answer with a body of this type.
fn head(status: StatusCode, content_type: &str) -> Result<ResponseHead, Unanswered> {
    let mut head = ResponseHead::build(status, Some(8))?;
    head.insert_header(CONTENT_TYPE, content_type)?;
    head.insert_header(API_VERSION, "registry/2.0")?;
    head.insert_header("x-content-type-options", "nosniff")?;
    Ok(head)
}

fn response(head: ResponseHead, body: impl Into<ResponseBody>) -> Response {
    Response { head, body: body.into(), origin: AnswerOrigin::Record }
}
