//! Intents whose outcome is not known: asked about again and again until it cannot change any more.
//!
//! The store is the queue, so nothing is lost at a restart. A registry that has taken a write may still be at it long
//! after the door gave up waiting; so an intent is not settled by the first answer, but once answers have been had over
//! a whole `registry.timeout`. Registries are done by then, but for a commit that takes minutes; so what was settled is
//! looked at now and then until `registry.commit_timeout` has passed, as long as the door itself would have waited. These
//! late looks are not durable: what a registry finishes even later, or while the door restarts, is found by hints and
//! sweeps.
//!
//! One door at a time asks, the one that holds the lease. After each pass it puts down in the store when what it has asked
//! about is due next, so that a door that takes the lease over goes on with that. How long the registry may still be at a
//! write is counted anew by each door, on its own clock.
//!
//! `handover` is where carriers leave what they could not settle, `settle` the task that asks, by the `schedule`, which
//! `questions` an intent raises; `late` has the late looks.

mod handover;
mod late;
mod questions;
mod schedule;
mod settle;

pub use handover::UnknownIntents;
pub(super) use settle::SettleSettings;
pub use settle::{FirstPass, settle_unknown};
