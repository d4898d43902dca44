//! How a sweep asks: in its turn, again where the registry was in trouble, and not at all any more when it is down.

use std::sync::Arc;

use http::StatusCode;

use super::pace::{Pace, Question, Reply};
use crate::registry::{BodyError, RegistryClient, RegistryError};
use crate::store::{Store, StoreError};
use crate::sync::{Verifier, VerifyError};

/// How often one question is asked before its trouble counts.
const ATTEMPTS: usize = 3;

/// What a sweep works with.
pub(super) struct Questions {
    pub store: Arc<dyn Store>,
    pub registry: Arc<RegistryClient>,
    pub verifier: Arc<Verifier>,
    pub pace: Pace,
    /// The most questions under way.
    pub concurrency: usize,
}

/// Why a whole sweep ends before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Abort {
    /// The record cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry does not answer any more.
    #[error("the registry is down: {0}")]
    Down(RegistryError),
}

/// Why one question has no answer.
pub(super) enum Unanswered {
    /// The sweep ends.
    Abort(Abort),
    /// The registry gave no clear answer to this one.
    Registry(RegistryError),
    /// Clients are writing to this very reference: what they do is seen anyway.
    Busy,
}

impl Questions {
    /// Asks when it is time to, and again where the registry was in trouble.
    pub async fn ask<T, F: Future<Output = Result<T, VerifyError>>>(
        &self,
        question: Question,
        asking: impl Fn() -> F,
    ) -> Result<T, Unanswered> {
        let mut attempts = 1;
        loop {
            let turn = self.pace.turn(question).await;
            let error = match asking().await {
                Ok(answer) => {
                    turn.note(Reply::Answered);
                    return Ok(answer);
                }
                Err(VerifyError::Registry(error)) => error,
                Err(VerifyError::Store(error)) => return Err(Unanswered::Abort(Abort::Store(error))),
                Err(VerifyError::Busy { .. }) => return Err(Unanswered::Busy),
            };
            let reply = reply(&error);
            turn.note(reply);
            if reply == Reply::Answered {
                return Err(Unanswered::Registry(error));
            }
            if self.pace.is_hopeless() {
                return Err(Unanswered::Abort(Abort::Down(error)));
            }
            if attempts == ATTEMPTS {
                return Err(Unanswered::Registry(error));
            }
            attempts += 1;
        }
    }
}

/// What an error tells about the registry: that it is in trouble, so that it should be asked less and may answer later;
/// that it failed on this question; or nothing, since an unwelcome answer is one.
fn reply(error: &RegistryError) -> Reply {
    match error {
        RegistryError::Unreachable { .. } => Reply::Trouble(None),
        RegistryError::TimedOut { .. } => Reply::Fault,
        RegistryError::Broken { source: BodyError::TimedOut(_) | BodyError::Broken(_), .. } => Reply::Fault,
        RegistryError::Refused { status, retry_after, .. } => match *status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Reply::Trouble(*retry_after),
            status if status.is_server_error() => Reply::Fault,
            _ => Reply::Answered,
        },
        RegistryError::Broken { source: BodyError::TooLong(_), .. } | RegistryError::Malformed { .. } => {
            Reply::Answered
        }
    }
}
