//! How a sweep asks: again where the registry was in trouble, and not at all any more when it is down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use tokio::sync::{Mutex, Semaphore};

use super::pace::Pace;
use crate::oci::{Reference, RepositoryName};
use crate::registry::{BodyError, RegistryClient, RegistryError};
use crate::store::{HintedReference, Source, Store, StoreError};
use crate::sync::{HintQueue, Judge, Verified, Verifier, VerifyError};

/// How often one question is asked before its trouble counts.
const ATTEMPTS: usize = 3;

/// How many references are verified at once: many more than may be asked about at once, since those that differ wait for
/// the store, which makes many durable as quickly as one. How much they hold is bounded by the transport.
pub(super) const VERIFICATIONS: usize = 192;

/// What a sweep works with.
pub(super) struct Questions {
    pub store: Arc<dyn Store>,
    pub registry: Arc<RegistryClient>,
    pub verifier: Verifier,
    pub pace: Arc<Pace>,
    pub judge: Arc<Judge>,
    /// Where what is not believed yet is left to be looked at again.
    pub hints: Arc<HintQueue>,
    /// A place for each reference that is being verified.
    pub places: Semaphore,
    /// Asks past the pace whether the registry is there at all.
    pub probe: RegistryClient,
    /// Held by the one that looks for all whose questions failed.
    pub looking: Mutex<()>,
}

/// Why a whole sweep ends before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Abort {
    /// The record cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry does not answer any more.
    #[error("the registry is down: {0}")]
    Down(String),
}

/// Why one question has no answer.
pub(super) enum Unanswered {
    /// The sweep ends.
    Abort(Abort),
    /// The registry gave no clear answer to this one.
    Registry(RegistryError),
    /// Clients are writing to this very reference: what they do is seen anyway.
    Busy,
    /// Clients wrote to it just now, and the answer says otherwise: it is left as a hint.
    Unsettled,
}

impl Questions {
    /// Verifies a reference, when there is a place for it. Each attempt that the registry does not answer counts in
    /// `failed`.
    pub async fn verify(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        failed: &AtomicUsize,
    ) -> Result<Verified, Unanswered> {
        // Never closed; were it, there would be no bound.
        let _place = self.places.acquire().await;
        let asking = || async {
            let answer = self.verifier.verify(repository, reference, Source::Swept).await;
            if matches!(answer, Err(VerifyError::Registry(_))) {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            answer
        };
        self.ask(asking).await
    }

    /// Asks, and again where the registry was in trouble. The pace is kept beneath, by the transport.
    pub async fn ask<T, F: Future<Output = Result<T, VerifyError>>>(
        &self,
        asking: impl Fn() -> F,
    ) -> Result<T, Unanswered> {
        let mut attempts = 1;
        loop {
            let error = match asking().await {
                Ok(answer) => return Ok(answer),
                Err(VerifyError::Registry(error)) => error,
                Err(VerifyError::Store(error)) => return Err(Unanswered::Abort(Abort::Store(error))),
                Err(VerifyError::Busy { .. }) => return Err(Unanswered::Busy),
                Err(VerifyError::Unsettled { repository, reference, .. }) => {
                    // A sweep does not wait for it. Where it cannot be kept, the next sweep sees it.
                    let about = HintedReference { repository, reference };
                    if let Err(error) = self.hints.add(vec![about]).await {
                        tracing::debug!(%error, "what is to be looked at again cannot be kept as a hint");
                    }
                    return Err(Unanswered::Unsettled);
                }
            };
            if self.is_down().await {
                return Err(down(&error));
            }
            if attempts == ATTEMPTS || !may_pass(&error) {
                // It has been silent for several times its limit.
                if matches!(error, RegistryError::TimedOut { .. }) && !self.is_there().await {
                    return Err(down(&error));
                }
                return Err(Unanswered::Registry(error));
            }
            attempts += 1;
        }
    }

    /// Whether the registry answers at all, whatever becomes of the questions about what it holds.
    pub async fn is_there(&self) -> bool {
        for backend in self.probe.backends().all() {
            if self.probe.probe(backend).await.is_registry() {
                self.pace.reassure();
                return true;
            }
        }
        false
    }

    /// Whether it is the registry that fails, and not only what it is asked about: a damaged repository ends no sweep.
    async fn is_down(&self) -> bool {
        if !self.pace.is_doubtful() {
            return false;
        }
        let _looking = self.looking.lock().await;
        // Somebody else may have looked meanwhile.
        self.pace.is_doubtful() && !self.is_there().await
    }
}

fn down(error: &RegistryError) -> Unanswered {
    Unanswered::Abort(Abort::Down(error.to_string()))
}

/// Whether the registry may answer if it is asked again.
fn may_pass(error: &RegistryError) -> bool {
    match error {
        RegistryError::Unreachable { .. } | RegistryError::TimedOut { .. } => true,
        RegistryError::Broken { source, .. } => !matches!(source, BodyError::TooLong(_)),
        RegistryError::Refused { status, .. } => {
            status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
        }
        RegistryError::Malformed { .. } => false,
    }
}
