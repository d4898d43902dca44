//! How sweeps are to be.

use std::num::NonZeroUsize;
use std::time::Duration;

/// How sweeps are to be.
#[derive(Clone, Copy, Debug)]
pub struct SweepSettings {
    /// Between two shallow sweeps; zero for none.
    pub interval: Duration,
    /// Between two deep sweeps; zero for none.
    pub deep_interval: Duration,
    /// The most questions under way at the registry.
    pub concurrency: NonZeroUsize,
    /// What the jitter begins with: different for each door, so that several do not sweep at once.
    pub seed: u64,
}
