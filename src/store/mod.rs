//! The record of what the registry holds, and its history.
//!
//! The trait speaks of the domain, never of tables. What becomes of a write, its outcome or an answer of the registry is
//! decided by the `ledger`; a backend says what it holds and takes what was decided, in one transaction. Only `sync/` writes;
//! `web/` reads.

mod account;
mod auth_event;
mod change;
#[cfg(test)]
mod contract;
mod epoch;
mod event;
mod hint;
mod incarnation;
mod intent;
mod ledger;
#[cfg(test)]
mod memory;
mod metrics;
mod pull;
mod recent;
mod record;
mod redb;
mod row;
#[cfg(test)]
mod sample;
mod tombstone;
mod trouble;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use account::{Account, AccountChange, AccountKind, Changed, Expect};
pub use auth_event::{AuthEvent, AuthEventKind, NameMask, Quotas, Retention};
pub use change::{Actor, Change, Source};
pub use epoch::{Epoch, History, InvalidEpoch};
pub use event::{Event, EventKind};
pub use hint::{Hint, HintedReference, Queued};
pub use incarnation::{DoorId, Incarnation};
pub use intent::{Intent, IntentState, Write};
pub use metrics::describe_metrics;
pub use pull::Pull;
pub use record::{
    ManifestRecord, Missing, MissingMark, Page, PageRequest, RepositoryRecord, Statistics, TagRecord,
};
#[cfg(test)]
pub use redb::{MemoryFile, Steps};
pub use redb::{OpenError, RedbStore};
pub use trouble::StoreTrouble;

use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};

/// The position of an event or an intent in the one order of everything the store wrote. Begins at 1, never reused,
/// survives restarts. [`Sequence::ZERO`] stands before everything.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Sequence(u64);

impl Sequence {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// From its number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl std::fmt::Display for Sequence {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What happened to a write that an intent announced.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The registry did it: these changes are recorded as `observed`, by the intent's actor.
    Applied(Vec<Change>),
    /// The same, and the registry has told more that was not in the record. That is recorded first, as `verified`, by
    /// nobody. No guard is asked: the intent stands in the way of everything that could have come in between.
    Amended {
        /// What the registry was found to hold.
        found: Vec<Change>,
        /// What it did.
        applied: Vec<Change>,
    },
    /// The registry did nothing, or verification has recorded what it did: the intent goes, nothing else changes.
    Closed,
}

/// What settling an intent came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The outcome is recorded.
    Recorded {
        /// The references of this intent that something else touched while it was carried: another intent that is still
        /// open, or an event that was recorded meanwhile. Their order at the registry is not known, so each has to
        /// be verified. Where it was an event, the settled intent is kept as one whose outcome is not known; where it was
        /// an open intent, that one will meet this one's events.
        overlapped: Vec<Reference>,
    },
    /// The intent is not there any more, or no longer this door's to settle: nothing is recorded. Another door took this
    /// one for dead, and asks the registry itself.
    Lost,
}

impl Settled {
    /// Recorded, in an order that is known.
    pub const IN_ORDER: Self = Self::Recorded { overlapped: Vec::new() };
}

/// The condition under which an answer of the registry may still be recorded: nothing has touched the reference since
/// the question was asked, and nobody is writing to it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The reference the question was about; absent if it was about the repository as a whole. Guards compare it exactly;
    /// a guard on a digest is also touched by any event about that digest under a tag.
    pub reference: Option<Reference>,
    /// [`Store::sequence`] before the question was asked.
    pub since: Sequence,
}

/// What became of a guarded recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The store already said so; no event.
    Unchanged,
    /// Recorded, as that many events.
    Changed(usize),
    /// The guard refused: something newer touched the reference. Ask again.
    Superseded,
}

/// A write through the door that was recorded lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastWrite {
    /// Its event.
    pub sequence: Sequence,
    /// How long ago it was recorded.
    pub age: Duration,
}

/// What a sweep keeps over a restart; the store does not look into it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptSweep {
    /// The last checkpoint.
    pub checkpoint: Vec<u8>,
    /// All marks, in the order in which they were kept.
    pub marks: Vec<u64>,
}

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The medium failed (no room, not writable, an I/O error), or the file is not where it was opened any more. Nothing
    /// of the request counts as kept; trying again later may succeed without a restart.
    #[error("the store cannot {attempted} now: {cause}")]
    Unavailable {
        /// What was attempted.
        attempted: &'static str,
        /// The cause, with its own words.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Something cannot be read back: the file is damaged or from another program.
    #[error(
        "the store's {what} is damaged: {cause}; restore a backup or let a new store be filled by a sweep"
    )]
    Corrupt {
        /// Which row.
        what: String,
        /// What is wrong with it.
        cause: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}

/// The record of one registry.
///
/// Writing methods return once the write is durable (fsync'd), and are cancel-safe in this sense: when their future is
/// dropped, the write is done whole or not at all. Reads see the last durable state.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Notes durably that a write is to be carried: at once, or once [`Store::until_carried`] says so, if an earlier write
    /// is waiting or carried that must be over first. That is one to the same tag and, where either deletes by digest, any
    /// in the repository. An intent of which the caller did not hear is removed.
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError>;

    /// Waits until an intent that [waits](IntentState::Waiting) is carried, and answers it as it is then; nothing if it is
    /// gone. The caller sets the time.
    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError>;

    /// Records the outcome of a write that this door carries and removes the intent, in one transaction; the next that waited
    /// for it is carried from then on. An intent that was [overtaken] stays. Closing one, in whatever state, reports no overlap.
    ///
    /// [overtaken]: Settled::Recorded
    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError>;

    /// Says that nobody is carrying the intent any more and its outcome is not known: it blocks neither guards nor other
    /// writes from then on.
    async fn mark_unknown(&self, intent: Sequence) -> Result<(), StoreError>;

    /// Records what the registry answered, unless the guard refuses. A change that is already so makes no event.
    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError>;

    /// All open intents, oldest first.
    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError>;

    /// The open intents of a repository, oldest first.
    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError>;

    /// The last sequence number that was given out.
    async fn sequence(&self) -> Result<Sequence, StoreError>;

    /// The last write through the door that was observed, or verified, about this reference, or in the repository at all.
    /// Forgotten after an hour, and sooner where very much is observed. Cheap.
    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite>;

    /// How many tags and manifests were recorded as gone since then that the door did not carry.
    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError>;

    /// How much of what is recorded the registry denies, without that being believed yet. Cheap.
    fn missing(&self) -> Missing;

    /// Keeps the operator's word that what is missing now is gone. Durable.
    async fn accept_removals(&self) -> Result<(), StoreError>;

    /// Up to which number what was marked as missing is accepted as gone.
    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError>;

    /// Repositories of which something is missing, in bytewise order.
    async fn repositories_with_missing(
        &self,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError>;

    /// One repository.
    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError>;

    /// Repositories in bytewise order, those only whose name contains `containing` if that is given.
    async fn repositories(
        &self,
        containing: Option<&str>,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError>;

    /// One tag.
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError>;

    /// The tags of a repository in bytewise order.
    async fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError>;

    /// The names alone of a repository's tags, in bytewise order.
    async fn tag_names(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<Tag, Tag>, StoreError>;

    /// Which of these tags the record does not have in this repository, or holds to be missing at the registry.
    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError>;

    /// The tags of a repository that point to this digest, in bytewise order.
    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError>;

    /// One manifest as recorded.
    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError>;

    /// The manifests of a repository in bytewise order of their digests. A part of the list ends before its number of items
    /// does when they are large.
    async fn manifests(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError>;

    /// The document itself, if the repository has it.
    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError>;

    /// The manifests of a repository whose subject is this digest, in bytewise order of their digests. A part of the list ends
    /// before its number of items does when they are large.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError>;

    /// Events after a position, oldest first, of one repository or of all.
    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError>;

    /// Which history this is.
    async fn history(&self) -> Result<History, StoreError>;

    /// Whether what was read up to a position, in an epoch that [`Store::history`] told no earlier, is part of this history:
    /// not so when an older store was restored since, or when it was another's.
    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError>;

    /// How much there is of everything.
    async fn statistics(&self) -> Result<Statistics, StoreError>;

    /// Adds pulls to the counts of what is recorded. What is not recorded is passed over: a pull records nothing. Makes no
    /// events. Durable.
    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError>;

    /// Keeps hints until they are removed; of several about the same reference only one. All of them or, when there is no
    /// room for so many, none. Answers them with their numbers. Durable.
    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError>;

    /// Hints that are kept, in the order of their repositories and references.
    async fn hints(
        &self,
        page: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError>;

    /// Removes hints, but for those that were given again since. Durable.
    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError>;

    /// Keeps for a later run what a sweep has done so far: its checkpoint instead of the last one, and these marks beside
    /// those kept before. Durable.
    async fn keep_sweep(&self, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError>;

    /// What was kept of a sweep.
    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError>;

    /// Forgets what was kept of a sweep. Durable.
    async fn forget_sweep(&self) -> Result<(), StoreError>;

    /// Makes accounts what they are to be, all at once, or none if one of them is not as expected before. Durable.
    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<Changed, StoreError>;

    /// What is kept of an account.
    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The accounts of a kind in bytewise order.
    async fn accounts(
        &self,
        kind: AccountKind,
        page: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError>;

    /// Keeps what happened at the gate: in the place of what is kept under that number and kind, where a number is given and
    /// it is still there; else under a new number, behind all others. Purges what is too much, of each kind by itself, and
    /// what is too old; where that is very much, a part of it each time. Answers the numbers, in the order of the events. Durable.
    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError>;

    /// What happened at the gate, oldest first, each with its number.
    async fn auth_events(
        &self,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError>;

    /// Keeps for a later run what is known of the registry's clock. Durable.
    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError>;

    /// What was kept of the registry's clock.
    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError>;

    /// Keeps for a later run the last time of the door's clock that has held. What the store lets go of because it is old, is
    /// old by this time. Durable.
    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError>;

    /// What was kept so.
    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Whether a write would succeed now; for readiness. Cheap.
    fn is_writable(&self) -> bool;

    /// Why no write would succeed now, if that is known. Cheap.
    fn trouble(&self) -> Option<StoreTrouble> {
        None
    }
}
