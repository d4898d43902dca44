//! What a siege has to leave in order, and whether it did.

use std::fmt;
use std::time::Duration;

use crate::clients::{Done, Report, Work};
use crate::footprint::Footprint;

/// The slowest first login, in milliseconds: the 99th percentile.
const LOGIN: u64 = 2000;
/// The slowest probe, in milliseconds.
const PROBE: u64 = 1000;
/// By what a pull or push may be slower than without a siege, in the 99th percentile.
const SLOWER: u64 = 3;
/// Percentiles below this, in milliseconds, are the noise of a machine that carries the attackers, the door, and a registry that
/// serves some hundred of their downloads; most of all if the door was built without optimisation.
const NOISE: u64 = if cfg!(debug_assertions) { 300 } else { 40 };
/// Where a login or a probe takes more than this part of its limit without a siege, the machine is busy with something else, and
/// the limit is as many times what it takes then.
const BUSY: u64 = 10;
/// The most memory, in MiB. By config/README.md it could be 1.6 GiB with as many connections and requests as the attackers have; a door
/// that takes more than this has lost one of its bounds.
const MEMORY: u64 = 512;

/// All that was seen.
pub struct Verdict {
    /// The footprint before.
    pub settled: Footprint,
    /// The largest one during the siege.
    pub most: Footprint,
    /// The one at last, and how long it took.
    pub recovered: (Footprint, Duration),
    /// What clients did before.
    pub before: Report,
    /// Beside the attackers.
    pub during: Report,
    /// And afterwards.
    pub after: Report,
    /// Whether the audit kept what it must.
    pub kept: Result<(), String>,
    /// What the attackers did.
    pub reports: String,
}

impl Verdict {
    /// What is not in order.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (time, report) in [("before", &self.before), ("during", &self.during), ("after", &self.after)] {
            for (work, done) in report {
                if done.failed > 0 || done.took.is_empty() {
                    let failures_told = done.failures.join("; ");
                    failures.push(format!(
                        "{work:?} {time} the siege failed {} times: {failures_told}",
                        done.failed
                    ));
                }
            }
        }
        for (work, done) in &self.during {
            let alone = |percentile: fn(&Done) -> u64| {
                percentile(&self.before[work]).max(percentile(&self.after[work]))
            };
            let (slowest, most) = match work {
                Work::Login | Work::LoginBesideStale => (done.p99(), LOGIN.max(BUSY * alone(Done::p99))),
                Work::Ready | Work::Metrics => {
                    (done.took.max(), PROBE.max(BUSY * alone(|done| done.took.max())))
                }
                Work::Pull | Work::Push => (done.p99(), SLOWER * alone(Done::p99).max(NOISE)),
            };
            if slowest > most {
                failures.push(format!("{work:?} takes {slowest} ms beside the attackers, more than {most}"));
            }
        }
        if self.most.memory > MEMORY {
            failures.push(format!("the door took {} MiB, more than {MEMORY}", self.most.memory));
        }
        let (recovered, within) = self.recovered;
        if !recovered.is_about(self.settled) {
            failures
                .push(format!("after {within:?} the door had {recovered:?}, and before {:?}", self.settled));
        }
        failures.extend(self.kept.clone().err());
        failures
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.reports.trim_end())?;
        for (time, report) in [("before", &self.before), ("during", &self.during), ("after", &self.after)] {
            for (work, done) in report {
                writeln!(formatter, "{time:>6} {:>16}: {done}", format!("{work:?}"))?;
            }
        }
        let (recovered, within) = self.recovered;
        writeln!(
            formatter,
            "before {:?}, at most {:?}, {within:.1?} later {recovered:?}",
            self.settled, self.most
        )?;
        let failures = self.failures();
        let count = failures.len();
        failures.iter().try_for_each(|failure| writeln!(formatter, "NOT IN ORDER: {failure}"))?;
        write!(formatter, "siege: {}", if count == 0 { "all in order" } else { "not all in order" })
    }
}
