//! How a sweep asks: again where the registry was in trouble, and not at all any more when it is down.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as Guarded, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Mutex;

use super::adaptive_limit::AdaptiveLimit;
use crate::oci::{Reference, RepositoryName};
use crate::registry::{BodyError, PageLimit, RegistryClient, RegistryError};
use crate::store::{HintedReference, Source, Store, StoreError};
use crate::sync::membership::LeaseHolder;
use crate::sync::{HintQueue, Judge, Verified, Verifier, VerifyError};

/// How often one question is asked before its trouble counts.
const ATTEMPTS: usize = 3;

/// How long it may take to find out whether the registry is a cache.
const LOOK: Duration = Duration::from_secs(5);

/// How many references of one repository are verified at once: many more than may be asked about at once, since those that
/// differ wait for the store, which makes many durable as quickly as one. How much they hold is bounded by the transport.
/// Each repository has its own, so that one that gives no answers takes nothing from the others.
pub(super) const VERIFICATIONS: usize = 64;

/// What a sweep works with.
pub(super) struct Questions {
    pub store: Arc<dyn Store>,
    /// That of sweeping: without it nothing is recorded.
    pub lease: Arc<LeaseHolder>,
    pub registry: Arc<RegistryClient>,
    pub verifier: Verifier,
    pub limit: Arc<AdaptiveLimit>,
    pub judge: Arc<Judge>,
    /// Where what is not believed yet is left to be looked at again.
    pub hints: Arc<HintQueue>,
    /// Asks past the limit whether the registry is there at all.
    pub probe: RegistryClient,
    /// Held by the one that looks for all whose questions failed.
    pub looking: Mutex<()>,
    /// Whether it is known if the registry looks like a cache.
    pub looked_for_a_cache: AtomicBool,
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
    /// Verifies a reference. Each attempt that the registry does not answer counts in `failed`.
    pub(super) async fn verify(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        failed: &AtomicUsize,
    ) -> Result<Verified, Unanswered> {
        let asking = || async {
            let answer = self.verifier.verify(repository, reference, Source::Swept).await;
            if matches!(answer, Err(VerifyError::Registry(_))) {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            answer
        };
        self.ask(asking).await
    }

    /// Asks for a page of a listing, and again where the registry was in trouble: for fewer names, where it may have been
    /// too many.
    pub(super) async fn ask_for_page<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        limit: PageLimit,
        asking: impl Fn(PageLimit) -> F,
    ) -> Result<T, Unanswered> {
        let limit = Guarded::new(limit);
        let lock = || limit.lock().unwrap_or_else(PoisonError::into_inner);
        let asking = || async {
            let asked = *lock();
            let answer = asking(asked).await;
            if let Err(error) = &answer
                && let Some(smaller) = asked.smaller_after(error)
            {
                *lock() = smaller;
            }
            Ok(answer?)
        };
        self.ask_while(may_pass_on_a_page, asking).await
    }

    /// Asks, and again where the registry was in trouble. The limit is kept beneath, by the transport.
    pub(super) async fn ask<T, F: Future<Output = Result<T, VerifyError>>>(
        &self,
        asking: impl Fn() -> F,
    ) -> Result<T, Unanswered> {
        self.ask_while(may_pass, asking).await
    }

    async fn ask_while<T, F: Future<Output = Result<T, VerifyError>>>(
        &self,
        may_pass: impl Fn(&RegistryError) -> bool,
        asking: impl Fn() -> F,
    ) -> Result<T, Unanswered> {
        let mut attempts = 1;
        loop {
            // Another door may sweep by now, if this one stood still since it has asked last.
            self.lease.held().map_err(|error| Unanswered::Abort(Abort::Store(error)))?;
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
    pub(super) async fn is_there(&self) -> bool {
        for backend in self.probe.backends().all() {
            if self.probe.probe(backend).await.is_registry() {
                self.limit.reset_failures();
                return true;
            }
        }
        false
    }

    /// Warns, once, if the registry looks like a pull-through cache and is swept as if it were none: each deep sweep has it
    /// download what its origin holds then.
    pub(super) async fn look_for_a_cache(&self) {
        if self.registry.is_cache() || self.looked_for_a_cache.load(Ordering::Relaxed) {
            return;
        }
        match tokio::time::timeout(LOOK, self.probe.looks_like_a_cache()).await {
            Ok(Ok(is_cache)) => {
                self.looked_for_a_cache.store(true, Ordering::Relaxed);
                if is_cache {
                    tracing::warn!(
                        "the registry looks like a pull-through cache, which fetches from its origin whatever a sweep asks \
                         about; set registry.kind = \"proxy\" if it is one"
                    );
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "whether the registry is a cache is not known"),
            Err(_elapsed) => {
                tracing::debug!("whether the registry is a cache is not known: it takes too long")
            }
        }
    }

    /// Whether it is the registry that fails, and not only what it is asked about: a damaged repository ends no sweep.
    async fn is_down(&self) -> bool {
        if !self.limit.may_be_down() {
            return false;
        }
        let _looking = self.looking.lock().await;
        // Somebody else may have looked meanwhile.
        self.limit.may_be_down() && !self.is_there().await
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
        RegistryError::Malformed { .. }
        | RegistryError::NotSigned { .. }
        | RegistryError::NoBackend { .. } => false,
    }
}

/// A page that is too long may be shorter the next time.
fn may_pass_on_a_page(error: &RegistryError) -> bool {
    matches!(error, RegistryError::Broken { .. }) || may_pass(error)
}
