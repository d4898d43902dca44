//! The process's memory, processor time, descriptors and start, under the names that Prometheus clients commonly use.
//!
//! `metrics-process` (2.4.3) is not this: it counts processor time in whole seconds, or has it as a gauge.

use std::fs;

use super::sample::Sample;

/// The unit of times in `/proc`: `USER_HZ`, which is 100 on every architecture that Linux still runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The values that can be read; none of those that cannot, as where there is no `/proc`.
pub(super) fn samples() -> impl Iterator<Item = Sample> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let times = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let system = fs::read_to_string("/proc/stat").unwrap_or_default();
    let gauge = |name, help, value: Option<f64>| {
        value.map(|value| Sample { name, help, kind: "gauge", labels: "", value })
    };
    let processor = stat_field(&times, 14).zip(stat_field(&times, 15));
    [
        gauge(
            "process_resident_memory_bytes",
            "Memory in use, as far as it is in RAM",
            labelled(&status, "VmRSS:").map(|kibibytes| kibibytes * 1024.0),
        ),
        processor.map(|(user, system)| Sample {
            name: "process_cpu_seconds_total",
            help: "Processor time used, in the process and for it in the kernel",
            kind: "counter",
            labels: "",
            value: (user + system) / TICKS_PER_SECOND,
        }),
        gauge("process_open_fds", "Open files and sockets", open_files()),
        gauge(
            "process_start_time_seconds",
            "When the process started, in seconds since 1970 UTC",
            labelled(&system, "btime")
                .zip(stat_field(&times, 22))
                .map(|(boot, start)| boot + start / TICKS_PER_SECOND),
        ),
    ]
    .into_iter()
    .flatten()
}

/// The number behind a label at the beginning of a line.
fn labelled(text: &str, label: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat` by its number in proc(5). The second one, the program's name, may hold spaces and
/// parentheses, so counting begins behind it.
fn stat_field(text: &str, number: usize) -> Option<f64> {
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn open_files() -> Option<f64> {
    // The directory that is being read is one of them.
    let count = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4 99 0 0 0 250 50 0 0 20 0 1 0 342540 3133440";
        assert_eq!(stat_field(text, 14), Some(250.0));
        assert_eq!(stat_field(text, 15), Some(50.0));
        assert_eq!(stat_field(text, 22), Some(342_540.0));
        assert_eq!(stat_field(text, 2), None);
    }
}
