//! Hints: what somebody suggests to look at, such as the registry by its notifications. Nothing of a hint is believed but
//! that a look may be worth it; the registry is asked, as for everything else.
//!
//! The store is the `queue`, so that nothing is lost at a restart. `web/` adds to it; `plans` says which hint is looked at
//! when, and `follow` does so: the engine runs [`follow_hints`].

mod follow;
mod plans;
mod queue;

pub use follow::follow_hints;
pub use queue::HintQueue;
