//! Sweeps as the store knows them: which are asked for, what numbers they have, and what is kept of the one that is under way.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How thorough a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepKind {
    /// Compares names.
    Shallow,
    /// Also asks for the digest of every tag, and about every recorded manifest.
    Deep,
}

/// Which sweeps are asked for, and how they are numbered. Numbers begin at 1 and only ever grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepQueue {
    /// The number of the last sweep that began; zero before the first one.
    pub number: u64,
    /// What was asked for since it began: the most thorough of it.
    pub requested: Option<SweepKind>,
    /// What kind that last one is, if somebody has asked for it and it has not ended. It is still asked for then.
    pub unfinished: Option<SweepKind>,
    /// Since when sweeps are numbered: another record has another time. Nothing before anybody asked for one or one began.
    pub numbered_since: Option<Timestamp>,
}

impl SweepQueue {
    /// Whether a sweep is asked for that has not ended, or not begun.
    pub const fn is_waiting(&self) -> bool {
        self.requested.is_some() || self.unfinished.is_some()
    }
}

/// A sweep that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestedSweep {
    /// The number that it will have. One that serves it with others has a higher one.
    pub number: u64,
    /// [`SweepQueue::numbered_since`].
    pub numbered_since: Timestamp,
}

/// A sweep that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BegunSweep {
    /// Its number.
    pub number: u64,
    /// How thorough it is.
    pub kind: SweepKind,
    /// Where it begins.
    pub start: SweepStart,
}

/// Where a sweep begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepStart {
    /// At the beginning: whoever asked for it wants to know how everything is from then on.
    Anew,
    /// Where the sweep with this very number was cut.
    Again,
    /// Where the last one of its kind was cut or has failed: it is due, and nobody has asked for it.
    Due,
}

/// What is to be kept of a sweep that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepUpdate {
    /// The checkpoint, instead of the last one; the store does not look into it.
    pub checkpoint: Vec<u8>,
    /// Whether the marks that were kept before are forgotten.
    pub forgets_marks: bool,
    /// More marks.
    pub marks: Vec<u64>,
}

/// What is kept of a sweep over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptSweep {
    /// The last checkpoint.
    pub checkpoint: Vec<u8>,
    /// All marks, in the order in which they were kept.
    pub marks: Vec<u64>,
}

/// What doors that do not sweep know of sweeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// What is asked for, and the numbers.
    pub queue: SweepQueue,
    /// What the door that sweeps is at, as it has shown; the store does not look into it.
    pub activity: Option<Vec<u8>>,
    /// How the last sweep has ended, as kept with that end; the store does not look into it.
    pub finished: Option<Vec<u8>>,
}
