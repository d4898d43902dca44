//! Failures at one account, from one network, or of one account from one network.

use std::time::Instant;

use crate::auth::fingerprint::Fingerprint;
use crate::auth::network::Network;

/// How many failures there were, and when the last one was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failures {
    pub count: u32,
    pub last: Instant,
}

/// Failures, and what is told of them.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub failures: Failures,
    /// The user whose password is guessed at, or the identifier of the access token; nothing where nobody has the name, which
    /// may be a password then.
    pub named: Option<Box<str>>,
    /// From where, unless it is from anywhere.
    pub network: Option<Network>,
    /// By what the name is known at whose password is guessed.
    pub account: Option<Fingerprint>,
}
