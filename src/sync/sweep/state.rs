//! What the door that sweeps knows of its sweeps, and in which form it shows others what it is at.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::past::PastSweeps;
use super::progress::{FinishedSweep, Progress, RunningSweep};
use crate::clock::Timestamp;

/// What the sweeps of a door are at, as long as it is the one that sweeps.
#[derive(Default)]
pub(super) struct State {
    pub running: Option<Arc<Progress>>,
    pub kept: Option<Kept>,
    pub next: Option<Timestamp>,
}

impl State {
    pub(super) fn activity(&self) -> Activity {
        Activity { running: self.running.as_ref().map(|progress| progress.running()), next_at: self.next }
    }
}

/// How the last sweep ended, and what is remembered of those before it: kept together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    #[serde(flatten)]
    pub last: FinishedSweep,
    #[serde(default)]
    pub past: PastSweeps,
}

/// What it is at, as other doors are shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Activity {
    pub running: Option<RunningSweep>,
    pub next_at: Option<Timestamp>,
}

/// What the sweeps are at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepStatus {
    /// The one that is under way.
    pub running: Option<RunningSweep>,
    /// The last one that ended.
    pub last: Option<FinishedSweep>,
    /// Those that ended of late, that one among them.
    #[serde(default)]
    pub past: PastSweeps,
    /// When the next one is due.
    pub next_at: Option<Timestamp>,
    /// Since when sweeps are numbered: another time means another record, whose numbers are others.
    pub numbered_since: Timestamp,
}

/// Plain data always has a form in JSON; what is empty reads as nothing.
pub(super) fn encode(shown: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(shown).unwrap_or_default()
}

/// What a door has shown or kept, if this one can read it: the other may be of another version.
pub(super) fn decode<T: DeserializeOwned>(shown: Option<&[u8]>) -> Option<T> {
    let decoded = serde_json::from_slice(shown?);
    decoded.inspect_err(|error| tracing::debug!(%error, "what is shown of sweeps cannot be read")).ok()
}
