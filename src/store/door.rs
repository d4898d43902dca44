//! Doors that share a record: their lives, and what one of them does for all.
//!
//! A door is taken for dead by another that has not seen its beat move for long, by that one's own clock. What it announced
//! in the life that is over is not its own any more, and each of its writes is refused until it has begun another.

use serde::{Deserialize, Serialize};

/// One door of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DoorId(pub u64);

/// One life of a door. A store with one door knows a single incarnation, the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation {
    /// Which door.
    pub door: DoorId,
    /// Which of its lives; only ever greater.
    pub epoch: u64,
}

/// How often a door was heard in its current life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The life.
    pub incarnation: Incarnation,
    /// Grows with each beat.
    pub count: u64,
}

/// What one door at a time does for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeaseName {
    /// Sweeping.
    Sweep,
    /// Asking about writes whose outcome is not known.
    Verify,
    /// Following hints.
    Hints,
    /// Reading what images say of themselves.
    Images,
}

impl LeaseName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sweep, Self::Verify, Self::Hints, Self::Images];
}

/// The right to do something for all doors, until it is given back or its holder is taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What for.
    pub name: LeaseName,
    /// How often it has changed hands.
    pub epoch: u64,
}
