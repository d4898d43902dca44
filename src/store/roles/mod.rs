//! What a store is asked for, by roles: each caller holds the one that it uses. [`Store`] is all of them.
//!
//! Methods that write return once the write is durable (fsync'd), and are cancel-safe in this sense: when their future is
//! dropped, the write is done whole or not at all. Reads see the last durable state.

mod accounts;
mod auth_log;
mod clocks;
mod doors;
mod events;
mod health;
mod hints;
mod images;
mod ledger;
mod numbers;
mod pulls;
mod records;
mod sweep_state;

pub use self::accounts::Accounts;
pub use self::auth_log::AuthLog;
pub use self::clocks::Clocks;
pub use self::doors::Doors;
pub use self::events::Events;
pub use self::health::Health;
pub use self::hints::Hints;
pub use self::images::Images;
pub use self::ledger::Ledger;
pub use self::numbers::Numbers;
pub use self::pulls::Pulls;
pub use self::records::Records;
pub use self::sweep_state::SweepState;
use super::{StoreError, StoreTrouble, WholeRecord};

/// The record of one registry, and all that is kept beside it.
pub trait Store:
    Ledger
    + Records
    + Events
    + Hints
    + SweepState
    + Accounts
    + AuthLog
    + Pulls
    + Images
    + Health
    + Numbers
    + Clocks
    + Doors
{
    /// Whether a write would succeed now; for readiness. Cheap.
    fn is_writable(&self) -> bool;

    /// Why no write would succeed now, if that is known. Cheap.
    fn trouble(&self) -> Option<StoreTrouble> {
        None
    }

    /// Whether what was acknowledged is lost with a server of its database, as far as was known when it was opened: the server has
    /// no synchronous standby.
    fn is_lost_with_one_server(&self) -> bool {
        false
    }

    /// The whole record as it is now, of a store that only this process can read; nothing of one that others can open as well.
    ///
    /// # Errors
    /// When it cannot be read.
    fn whole(&self) -> Result<Option<WholeRecord>, StoreError> {
        Ok(None)
    }

    /// Stops taking requests, finishes those that wait, and lets go of the medium. Blocks until that is done; a second call does
    /// nothing.
    fn close(&self);
}
