//! What the door's process takes: memory and descriptors.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// By how much memory may be above what it was, in MiB, 60 s after a siege: what the allocator keeps of what was used, which is
/// not more after a longer one.
const MEMORY_KEPT: u64 = 128;
/// By how many descriptors a door may be above what it had: pooled connections to the registry.
const DESCRIPTORS_KEPT: u64 = 32;

/// At one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Footprint {
    /// Memory of its own, in MiB: pages of mapped files are not counted.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Samples until it is stopped.
pub struct Watch {
    stop: CancellationToken,
    most: JoinHandle<Footprint>,
}

impl Footprint {
    /// That of this process; nothing if it has ended.
    pub fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self {
            memory: kib.map_or(0, |kib| kib.parse::<u64>().unwrap() / 1024),
            descriptors: descriptors as u64,
        }
    }

    fn or_more(self, other: Self) -> Self {
        Self { memory: self.memory.max(other.memory), descriptors: self.descriptors.max(other.descriptors) }
    }

    /// Whether this is about what it was at first.
    pub fn is_about(self, settled: Self) -> bool {
        self.memory <= settled.memory + MEMORY_KEPT
            && self.descriptors <= settled.descriptors + DESCRIPTORS_KEPT
    }
}

/// Watches a process.
pub fn watch(pid: u32) -> Watch {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let most = tokio::spawn(async move {
        let mut most = Footprint::of(pid);
        while stopped.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some() {
            most = most.or_more(Footprint::of(pid));
        }
        most
    });
    Watch { stop, most }
}

impl Watch {
    /// The most that was seen.
    pub async fn stop(self) -> Footprint {
        self.stop.cancel();
        self.most.await.unwrap()
    }
}
