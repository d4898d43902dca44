//! What a transaction changes in memory, beside the file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::store::recent_events::Appended;
use crate::store::{Intent, Missing, Sequence};

/// What a transaction changes beside the file, once it is durable.
#[derive(Debug)]
pub(super) struct Staged {
    /// The last sequence number that was given out before it.
    pub before: Sequence,
    /// The last sequence number that it gave out.
    pub sequence: Sequence,
    /// Whether it wrote anything.
    pub dirty: bool,
    /// The intents that began or changed their state.
    pub intents: BTreeMap<Sequence, Arc<Intent>>,
    /// How many of them began.
    pub begun: usize,
    /// Those of which the callers never heard, and that were removed for that.
    pub abandoned: Vec<Sequence>,
    /// The intents that were let through to be carried.
    pub promoted: Vec<Sequence>,
    /// The intents that ended.
    pub settled: BTreeSet<Sequence>,
    /// The events that were appended.
    pub events: Vec<Appended>,
    /// How much is missing, if that has changed.
    pub missing: Option<Missing>,
}
