//! Hints: what another suggests to look at, such as the registry by its notifications. Nothing of a hint is believed but
//! that a look may be worth it; the registry is asked, as for everything else.
//!
//! The store is the `queue`, so that nothing is lost at a restart. `web/` adds to it; `plans` says which hint is looked at
//! when, and `follow` does so: the engine runs [`follow_hints`].
//!
//! One door at a time follows hints, the one that holds the lease. It reads all that are kept once, when it takes the lease,
//! and plans them in memory: which of many that are due comes next depends on the repositories that are being looked at, and
//! an index by time in the store would cost each hint two rows more to write. What it plans is put down in the store, as
//! `postponed`, so that a door that takes the lease over goes on with it, as does this one after a restart.

mod follow;
mod plans;
mod postponed;
mod queue;
#[cfg(test)]
mod sample;

pub use follow::follow_hints;
pub(super) use plans::FOLLOWED;
pub use queue::HintQueue;
