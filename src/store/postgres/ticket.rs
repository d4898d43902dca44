//! The one row that every transaction takes first, so that commits are in the order of their numbers: the last number, and
//! the sums that are kept up with every change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::{Estimate, Timestamp};
use crate::store::deleted_manifest::Kept;
use crate::store::{AuthEventKind, Missing, Sequence, SweepQueue, Totals};

/// The sums. A later version may add some with a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sums {
    pub totals: Totals,
    pub empty_repositories: u64,
    pub missing: Missing,
    /// What was marked as missing up to this number is accepted as gone.
    pub accepted: Sequence,
    pub open_intents: u64,
    pub events: u64,
    pub tombstones: u64,
    pub deleted: Kept,
    pub hints: u64,
    pub last_hint: u64,
    /// How many there are of each kind.
    pub auth_events: BTreeMap<AuthEventKind, u64>,
    pub last_auth_event: Sequence,
    pub images_read_until: Sequence,
    pub sweeps: SweepQueue,
    pub clock: Option<Estimate>,
    pub time: Option<Timestamp>,
}

impl Sums {
    /// One more, or one less.
    pub(super) fn count(number: &mut u64, before: bool, after: bool) {
        match (before, after) {
            (false, true) => *number = number.saturating_add(1),
            (true, false) => *number = number.saturating_sub(1),
            (false, false) | (true, true) => {}
        }
    }
}
