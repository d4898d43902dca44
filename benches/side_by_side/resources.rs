//! What a process and its children have used, as the kernel counts it in `/proc`.

use std::fs;

use crate::Fault;

/// The unit of CPU time in `/proc/PID/stat`: `USER_HZ`, which is 100 in every Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;

/// A process and all its descendants.
#[derive(Clone, Copy)]
pub struct ProcessTree {
    root: u32,
}

impl ProcessTree {
    /// The tree under this process.
    pub const fn new(root: u32) -> Self {
        Self { root }
    }

    /// CPU time used so far, in user and kernel mode, in seconds.
    pub fn cpu_seconds(self) -> Result<f64, Fault> {
        let mut ticks = 0;
        for process in self.members()? {
            ticks += process.ticks;
        }
        Ok(ticks as f64 / TICKS_PER_SECOND)
    }

    /// Forgets the peak of resident memory: it counts again from now.
    pub fn reset_peak(self) -> Result<(), Fault> {
        for process in self.members()? {
            let path = format!("/proc/{}/clear_refs", process.id);
            fs::write(&path, "5").map_err(|error| format!("cannot write {path}: {error}"))?;
        }
        Ok(())
    }

    /// The peak of resident memory since the last reset, in bytes.
    pub fn peak_resident_bytes(self) -> Result<u64, Fault> {
        self.sum("status", "VmHWM:")
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(self) -> Result<u64, Fault> {
        self.sum("smaps_rollup", "Rss:")
    }

    fn sum(self, file: &str, field: &str) -> Result<u64, Fault> {
        let mut total = 0;
        for process in self.members()? {
            let path = format!("/proc/{}/{file}", process.id);
            let text = fs::read_to_string(&path).map_err(|error| format!("cannot read {path}: {error}"))?;
            let kibibytes: u64 = text
                .lines()
                .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.parse().ok())
                .ok_or_else(|| format!("{path} has no `{field}`"))?;
            total += kibibytes * 1024;
        }
        Ok(total)
    }

    fn members(self) -> Result<Vec<Process>, Fault> {
        let all: Vec<Process> = fs::read_dir("/proc")?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(Process::read)
            .collect();
        let mut members: Vec<Process> =
            all.iter().copied().filter(|process| process.id == self.root).collect();
        if members.is_empty() {
            return Err(format!("process {} is gone", self.root).into());
        }
        let mut next = 0;
        while let Some(parent) = members.get(next).map(|process| process.id) {
            members.extend(all.iter().copied().filter(|process| process.parent == parent));
            next += 1;
        }
        Ok(members)
    }
}

#[derive(Clone, Copy)]
struct Process {
    id: u32,
    parent: u32,
    /// Its own CPU time and that of its children that have ended.
    ticks: u64,
}

impl Process {
    /// `None` when it is gone, as processes that have nothing to do with this run may be at any time.
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the name in parentheses and may hold anything, spaces and parentheses too.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // Counted from the third field, the state: the parent is the 4th, utime, stime, cutime, cstime 14th to 17th.
        let parent = fields.get(1)?.parse().ok()?;
        let ticks = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
        Some(Self { id, parent, ticks })
    }
}
