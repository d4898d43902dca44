//! The decisions about the record: what a write that begins, its outcome, and an answer of the registry come to. Each backend
//! is a [`View`], which says what it holds, and a [`Medium`], which takes what was decided; it decides nothing itself.
//!
//! Synchronous, without I/O of its own and without a clock. A decision is written as it is made, so that the next change of
//! the same operation, and the next operation of the same transaction, sees it; a backend that fails in the middle undoes the
//! transaction.
//!
//! `intents` has writes that begin, wait, and end, `answers` what the registry was asked about and the guards of that,
//! `changes` how a change becomes rows and events by way of `effect`; `doors` has the doors that share a record, `sweeps` which sweep is next; `view` is what a backend is, and what is refused; `overlap` says when two writes are about the same thing, and when they must be apart.

mod answers;
mod changes;
mod doors;
mod effect;
mod intents;
mod overlap;
mod sweeps;
mod view;

pub(super) use self::answers::{Answered, record};
pub(super) use self::doors::{LeaseRow, SharedMedium, acquire, adopt, beat, join, release};
pub(super) use self::effect::RowChange;
pub(super) use self::intents::{Beginning, Ended, Postponed, abandon, begin, mark_unknown, postpone, settle};
pub(super) use self::sweeps::{begin_sweep, end_sweep, request_sweep};
use self::view::check_current;
pub(super) use self::view::{Medium, Refused, View};

#[cfg(test)]
mod tests;
