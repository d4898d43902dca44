//! Hints that wait to be followed.

use async_trait::async_trait;

use crate::store::{Hint, HintedReference, Lease, Page, PageRequest, Queued, StoreError};

/// Hints, kept until they were followed.
#[async_trait]
pub trait Hints: Send + Sync + 'static {
    /// Keeps hints until they are removed; of several about the same reference only the last one, which is due at once. All of
    /// them or, when there is no room for so many, none. Answers them with their numbers. Durable.
    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError>;

    /// Hints that are kept, in the order of their repositories and references.
    async fn hints(
        &self,
        page: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError>;

    /// Puts down what these hints say of when they are looked at next, but for those that are gone or were given again since.
    /// Durable.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if the lease is lost.
    async fn postpone_hints(&self, lease: Lease, hints: Vec<Hint>) -> Result<(), StoreError>;

    /// Removes hints, but for those that were given again since. Durable.
    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError>;
}
