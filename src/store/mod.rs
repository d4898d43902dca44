//! The record of what the registry holds, and its history.
//!
//! The traits in `roles` speak of the domain, never of tables. What becomes of a write, its outcome or an answer of the registry is
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
mod intent;
mod ledger;
#[cfg(test)]
mod memory;
mod metrics;
mod pull;
mod recent;
mod record;
mod redb;
mod roles;
mod row;
#[cfg(test)]
mod sample;
mod tombstone;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

pub use account::{Account, AccountChange, AccountKind, Expect};
pub use auth_event::{AuthEvent, AuthEventKind, NameMask, Quotas, Retention};
pub use change::{Actor, Change, Source};
pub use epoch::{Epoch, History, InvalidEpoch};
pub use event::{Event, EventKind};
pub use hint::{Hint, HintedReference, Queued};
pub use intent::{Intent, IntentState, Write};
#[cfg(test)]
pub use memory::{MemoryMedium, MemoryStore, Steps};
pub use metrics::describe_metrics;
pub use pull::Pull;
pub use record::{
    ManifestRecord, Missing, MissingMark, Page, PageRequest, RepositoryRecord, Statistics, TagRecord,
};
pub use redb::{OpenError, RedbStore};
pub use roles::{Accounts, AuthLog, Clocks, Events, Hints, Ledger, Pulls, Records, Store, SweepState};
pub use trouble::StoreTrouble;

use crate::oci::Reference;

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

/// What settling an intent found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The references of this intent that something else touched while it was open: another intent that is still
    /// open, or an event that was recorded since it began. Their order at the registry is not known, so each has to
    /// be verified. Where it was an event, the settled intent is kept, to be doubted and asked about; where it was an
    /// open intent, that one will meet this one's events.
    pub overlapped: Vec<Reference>,
}

/// The condition under which an answer of the registry may still be recorded: nothing has touched the reference since
/// the question was asked, and nobody is writing to it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The reference the question was about; absent if it was about the repository as a whole. Guards compare it exactly;
    /// a guard on a digest is also touched by any event about that digest under a tag.
    pub reference: Option<Reference>,
    /// [`Ledger::sequence`] before the question was asked.
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
    /// This door was taken for dead by another one of the same store: its writes are refused until it has a new epoch.
    #[error(
        "another door has taken this one for dead and its writes over; it writes again once it has a new epoch"
    )]
    Fenced,
    /// Something is not as the caller expected it to be, so nothing was done.
    #[error("it was changed meanwhile")]
    Conflict,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
