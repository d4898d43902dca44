//! Doors of one record, and their lives.

use serde::{Deserialize, Serialize};

/// One door of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DoorId(pub u64);

/// One life of a door: from its joining the others until they take it for dead. What a door announced in a life that is over
/// is not its own any more. A store with one door knows a single incarnation, the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incarnation {
    /// Which door.
    pub door: DoorId,
    /// Which of its lives; only ever greater.
    pub epoch: u64,
}
