//! Resident memory of a fresh proxy: at rest, with sixteen large transfers at once, and at rest again.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::Fault;
use crate::content::BlobFamily;
use crate::http::Client;
use crate::load;
use crate::proxies::{Proxy, Way};
use crate::registry::Registry;

/// How many transfers there are each way.
pub const TRANSFERS_EACH_WAY: usize = 8;

/// The repository that is pushed to.
const REPOSITORY: &str = "bench/memory";

/// How long a proxy is left alone before its memory at rest is read.
const REST: Duration = Duration::from_secs(1);

/// What a proxy took.
#[derive(Clone, Debug, Serialize)]
pub struct Memory {
    /// Which proxy.
    pub way: Way,
    /// Resident bytes at rest, freshly started.
    pub idle_bytes: u64,
    /// Peak of resident bytes during the transfers.
    pub peak_bytes: u64,
    /// Resident bytes at rest after them.
    pub afterwards_bytes: u64,
    /// Megabytes per second that all transfers together moved, of 1,000,000 bytes.
    pub megabytes_per_second: f64,
    /// CPU seconds of the proxy per 1,000,000,000 bytes.
    pub cpu_seconds_per_gigabyte: f64,
}

/// Measures one way; `None` for the direct one. `pulled` is the path of a blob of the family at the registry.
pub fn measure(
    way: Way,
    registry: &Registry,
    blobs: &BlobFamily,
    pulled: &str,
    directory: &Path,
    access_log: bool,
) -> Result<Option<Memory>, Fault> {
    let proxy = Proxy::start(way, registry.address(), directory, "memory", access_log)?;
    let Some(processes) = proxy.processes() else { return Ok(None) };
    thread::park_timeout(REST);
    let idle_bytes = processes.resident_bytes()?;

    processes.reset_peak()?;
    let cpu_before = processes.cpu_seconds()?;
    let begun = Instant::now();
    let pushed: Vec<_> = (0..TRANSFERS_EACH_WAY).map(|_| blobs.another()).collect();
    thread::scope(|scope| {
        let pulls = (0..TRANSFERS_EACH_WAY).map(|_| {
            scope.spawn(|| load::pull(&mut Client::connect(proxy.address())?, pulled, blobs.size()))
        });
        let pushes = pushed.iter().map(|blob| {
            let proxy = &proxy;
            scope.spawn(move || load::push(&mut Client::connect(proxy.address())?, REPOSITORY, blob))
        });
        let transfers: Vec<_> = pulls.chain(pushes).collect();
        transfers
            .into_iter()
            .try_for_each(|transfer| transfer.join().unwrap_or_else(|_| Err("a transfer panicked".into())))
    })?;
    let elapsed = begun.elapsed();
    let cpu_seconds = processes.cpu_seconds()? - cpu_before;
    let peak_bytes = processes.peak_resident_bytes()?;

    for blob in &pushed {
        registry.remove(REPOSITORY, blob)?;
    }
    thread::park_timeout(REST);
    let bytes = (blobs.size() * 2 * TRANSFERS_EACH_WAY as u64) as f64;
    Ok(Some(Memory {
        way,
        idle_bytes,
        peak_bytes,
        afterwards_bytes: processes.resident_bytes()?,
        megabytes_per_second: bytes / 1e6 / elapsed.as_secs_f64(),
        cpu_seconds_per_gigabyte: cpu_seconds * 1e9 / bytes,
    }))
}
