//! The record of what the registry holds, and its history.
//!
//! The traits in `roles` speak of the domain, never of tables. What becomes of a write, its outcome or an answer of the registry is
//! decided by the `ledger`; a backend says what it holds and takes what was decided, in one transaction. Only `sync/` writes;
//! `web/` reads.

mod account;
mod auth_event;
mod blob;
mod change;
#[cfg(test)]
mod contract;
mod copy;
mod day;
mod deleted_manifest;
mod door;
mod epoch;
mod event;
mod event_range;
mod flaw;
mod group;
mod hint;
mod image;
mod intent;
mod ledger;
#[cfg(test)]
mod memory;
mod metrics;
mod postgres;
mod pull;
mod recent;
mod recent_events;
mod record;
mod redb;
mod retry;
mod roles;
mod row;
#[cfg(test)]
mod sample;
mod sweep;
mod tombstone;
mod trouble;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

pub use account::{Account, AccountChange, AccountKind, Expect};
pub use auth_event::{AuthEvent, AuthEventKind, NameMask, Quotas, Retention};
pub use blob::{BlobPlace, BlobRecord, SizedDigest};
pub use change::{Actor, Change, Source};
pub use copy::{
    Beside, BesideError, CheckNews, Checked, Copied, ExportError, FileBeside, Finding, FindingKind,
    FormError, ImportError, ImportStage, NewRecord, WholeRecord, check_exported, check_record, export_record,
    import_record,
};
pub use day::{ByHour, DayRecord, Totals};
pub use door::{Beat, DoorId, Incarnation, Lease, LeaseName};
pub use epoch::{Epoch, History, InvalidEpoch};
pub use event::{Event, EventKind, UnknownEventKind};
pub use event_range::{EventOrder, EventRange, TimeSpan};
pub use flaw::{Flaw, FlawCounts, FlawRecord, Flawed};
pub use hint::{Hint, HintedReference, Queued};
pub use image::{FoundImage, ReadImage, UnreadImage};
pub use intent::{Intent, IntentState, Write};
#[cfg(test)]
pub use memory::{Fate, MemoryMedium, MemoryStore, Steps};
pub use metrics::describe_metrics;
pub use postgres::{PostgresAddress, PostgresOpenError, PostgresStore, TlsFiles};
pub use pull::Pull;
pub use record::{
    ManifestRecord, Missing, MissingMark, Page, PageRequest, RepositoryRecord, Statistics, TagRecord,
};
pub use redb::{OpenError, RedbStore};
pub use retry::Retry;
pub use roles::{
    Accounts, AuthLog, Clocks, Doors, Events, Health, Hints, Images, Ledger, Numbers, Pulls, Records, Store,
    SweepState,
};
pub use sweep::{
    BegunSweep, KeptSweep, RequestedSweep, SweepKind, SweepQueue, SweepReport, SweepStart, SweepUpdate,
};
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
/// the question was asked, and no client is writing to it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The reference the question was about; absent if it was about the repository as a whole. Guards compare it exactly;
    /// a guard on a digest is also touched by any event about that digest under a tag.
    pub reference: Option<Reference>,
    /// [`Ledger::sequence`] before the question was asked.
    pub since: Sequence,
    /// The lease under which it was asked, if it takes one: a door that has lost it records nothing.
    pub lease: Option<Lease>,
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
    /// The other doors have taken this one for dead. Nothing was written; what it announced before is theirs to ask about.
    #[error("this door was taken for dead by the others, and has to join them again")]
    Fenced,
    /// Something is not as the caller expected it to be, so nothing was done.
    #[error("it was changed meanwhile")]
    Conflict,
    /// The store is shutting down.
    #[error("the store is closed")]
    Closed,
}
