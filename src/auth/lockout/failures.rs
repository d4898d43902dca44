//! Failures at one account, from one network, or of one account from one network.

use std::time::Instant;

/// How many failures there were, and when the last one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    pub count: u32,
    pub last: Instant,
}
