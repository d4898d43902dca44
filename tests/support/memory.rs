//! What a process holds in memory, as the system sees it.

use super::door::Door;

/// A mebibyte.
pub const MIB: u64 = 1024 * 1024;

/// The most that the door has had resident since [`forget_peak`], in bytes.
pub fn peak(door: &Door) -> u64 {
    status(door, "VmHWM:")
}

/// What the door has resident now, in bytes.
pub fn resident(door: &Door) -> u64 {
    status(door, "VmRSS:")
}

/// Begins to look for the peak anew, and answers what the door has resident now (proc_pid_clear_refs(5)).
pub fn forget_peak(door: &Door) -> u64 {
    std::fs::write(format!("/proc/{}/clear_refs", door.pid()), "5").unwrap();
    resident(door)
}

fn status(door: &Door, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", door.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1024
}
