//! What a backend is to the ledger: what it holds, and what takes the rows of a decision; and what the ledger refuses.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::effect::RowChange;
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, RepositoryName, Tag};
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Tombstone};
use crate::store::{Event, Incarnation, Intent, IntentState, Lease, Missing, Sequence, StoreError};

/// The most intents that may be open at once. Far more than writes can be under way; what lies beyond is a registry
/// that has left no outcome known for a long time, and memory has to end somewhere.
pub(super) const MAXIMUM_OPEN_INTENTS: usize = 65_536;

/// Why the ledger does not do what it was asked. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::store) enum Refused {
    /// There are too many open intents.
    #[error(
        "{} writes without a known outcome wait to be verified: the registry must answer first",
        MAXIMUM_OPEN_INTENTS
    )]
    TooManyIntents,
    /// The door was taken for dead, or has lost the lease under which it acted.
    #[error("this door was taken for dead by the others")]
    Fenced,
}

impl Refused {
    /// As the caller is told who attempted this.
    pub(crate) fn into_error(self, attempted: &'static str) -> StoreError {
        match self {
            Self::TooManyIntents => StoreError::Unavailable { attempted, cause: Arc::new(self) },
            Self::Fenced => StoreError::Fenced,
        }
    }
}

/// Refuses what a door asks for that was taken for dead.
pub(super) fn check_current<V: View>(view: &V, door: Incarnation) -> Result<Result<(), Refused>, V::Error> {
    Ok(if view.is_current(door)? { Ok(()) } else { Err(Refused::Fenced) })
}

/// What a backend holds within one transaction, with all that was written in it before.
pub(in crate::store) trait View {
    /// Why something cannot be read or written.
    type Error;

    /// The last number that was given out.
    fn last(&self) -> Sequence;

    /// The number that the next intent or event gets.
    fn next(&self) -> Sequence {
        self.last().next()
    }

    /// Whether this is the current life of its door.
    fn is_current(&self, door: Incarnation) -> Result<bool, Self::Error>;

    /// Whether this door holds the lease still.
    fn holds(&self, door: Incarnation, lease: Lease) -> Result<bool, Self::Error>;

    /// How many intents are open.
    fn open_intents(&self) -> usize;

    /// The open intent with this number.
    fn intent(&self, sequence: Sequence) -> Result<Option<Arc<Intent>>, Self::Error>;

    /// All intents that are open in a repository, oldest first.
    fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Arc<Intent>>, Self::Error>;

    /// A repository's row.
    fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRow>, Self::Error>;

    /// A manifest's row, if the repository has it, and what it says.
    fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(ManifestRow, Document)>, Self::Error>;

    /// A tag's row.
    fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRow>, Self::Error>;

    /// All tags that point to a manifest.
    fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, Self::Error>;

    /// A blob's row.
    fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<BlobRow>, Self::Error>;

    /// What is left of something that went.
    fn tombstone(
        &self,
        repository: &RepositoryName,
        buried: &Buried,
    ) -> Result<Option<Tombstone>, Self::Error>;

    /// What is left of tags that pointed to a manifest.
    fn tombstones_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<(Tag, Tombstone)>, Self::Error>;

    /// Shows the events of a repository behind `since`, oldest first, until `look` breaks.
    fn events_since(
        &self,
        repository: &RepositoryName,
        since: Sequence,
        look: impl FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), Self::Error>;
}

/// What takes the rows of a decision, in the same transaction.
pub(in crate::store) trait Medium: View {
    /// Adds an intent whose number is [`View::next`].
    fn add_intent(&mut self, intent: Intent) -> Result<(), Self::Error>;

    /// Changes the state of an open intent.
    fn set_intent_state(&mut self, intent: &Intent, state: IntentState) -> Result<(), Self::Error>;

    /// Removes an intent.
    fn remove_intent(&mut self, sequence: Sequence) -> Result<(), Self::Error>;

    /// Writes one row, or removes it. `now` tells how old tombstones are.
    fn write(
        &mut self,
        repository: &RepositoryName,
        row: RowChange,
        now: Timestamp,
    ) -> Result<(), Self::Error>;

    /// Counts how much is missing in all, when that of a repository changes.
    fn count_missing(&mut self, before: Missing, after: Missing) -> Result<(), Self::Error>;

    /// Appends an event whose number is [`View::next`].
    fn append(&mut self, event: Event) -> Result<(), Self::Error>;
}
