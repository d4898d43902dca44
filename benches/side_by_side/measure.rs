//! Measuring one kind of work on all ways in turn, and summing up the rounds.

use std::time::Duration;

use serde::Serialize;

use crate::Fault;
use crate::load::Done;
use crate::median::median;
use crate::proxies::{Proxy, Way};

/// How often each way has its turn.
pub const ROUNDS: usize = 5;

/// What one way did with one kind of work.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Which way.
    pub way: Way,
    /// Requests or transfers per second; the median of the rounds, as the next three.
    pub rate: f64,
    /// Megabytes of blobs per second, of 1,000,000 bytes.
    pub megabytes_per_second: f64,
    /// Half of the requests took no longer, in milliseconds.
    pub p50_milliseconds: f64,
    /// 99 of 100 requests took no longer, in milliseconds.
    pub p99_milliseconds: f64,
    /// What the proxy's processes used, and their peak; none for the direct way.
    pub resources: Option<Resources>,
    /// Requests or transfers completed in all rounds.
    pub completed: u64,
    /// Requests that were not answered as they should be.
    pub failed: u64,
    /// What was wrong with one of those.
    pub failure: Option<String>,
}

/// What a proxy used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resources {
    /// CPU seconds per 10,000 requests. Taken over all rounds together, since the kernel counts hundredths of a
    /// second.
    pub cpu_seconds_per_10_000: f64,
    /// CPU seconds per 1,000,000,000 bytes of blobs, likewise.
    pub cpu_seconds_per_gigabyte: f64,
    /// The highest peak of resident memory of all rounds, in bytes.
    pub peak_resident_bytes: u64,
}

/// Lets each way do the work for this time, in turn, [`ROUNDS`] times, after a shorter turn for warming up that does
/// not count.
pub fn in_turn(
    ways: &[Proxy],
    duration: Duration,
    work: &dyn Fn(&Proxy, Duration) -> Result<Done, Fault>,
) -> Result<Vec<Figures>, Fault> {
    for way in ways {
        work(way, duration / 4)?;
    }
    let mut rounds: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
    for round in 0..ROUNDS {
        for turn in 0..ways.len() {
            // Each round begins with another way, so that none always follows the same one.
            let index = (round + turn) % ways.len();
            if let (Some(way), Some(rounds)) = (ways.get(index), rounds.get_mut(index)) {
                rounds.push(Round::measure(way, duration, work)?);
            }
        }
    }
    Ok(ways.iter().zip(rounds).map(|(way, rounds)| summary(way.way, &rounds)).collect())
}

struct Round {
    done: Done,
    cpu_seconds: Option<f64>,
    peak_resident_bytes: Option<u64>,
}

impl Round {
    fn measure(
        way: &Proxy,
        duration: Duration,
        work: &dyn Fn(&Proxy, Duration) -> Result<Done, Fault>,
    ) -> Result<Self, Fault> {
        let Some(processes) = way.processes() else {
            return Ok(Self { done: work(way, duration)?, cpu_seconds: None, peak_resident_bytes: None });
        };
        processes.reset_peak()?;
        let before = processes.cpu_seconds()?;
        let done = work(way, duration)?;
        Ok(Self {
            done,
            cpu_seconds: Some(processes.cpu_seconds()? - before),
            peak_resident_bytes: Some(processes.peak_resident_bytes()?),
        })
    }
}

fn summary(way: Way, rounds: &[Round]) -> Figures {
    let median_of =
        |figure: &dyn Fn(&Done) -> f64| median(rounds.iter().map(|round| figure(&round.done)).collect());
    let seconds = |done: &Done| done.elapsed.as_secs_f64();
    let completed: u64 = rounds.iter().map(|round| round.done.completed).sum();
    let bytes: u64 = rounds.iter().map(|round| round.done.bytes).sum();
    let cpu_seconds: Option<f64> = rounds.iter().map(|round| round.cpu_seconds).sum();
    let peak = rounds.iter().filter_map(|round| round.peak_resident_bytes).max();
    Figures {
        way,
        rate: median_of(&|done| done.completed as f64 / seconds(done)),
        megabytes_per_second: median_of(&|done| done.bytes as f64 / seconds(done) / 1e6),
        p50_milliseconds: median_of(&|done| done.latency.value_at_quantile(0.50) as f64 / 1e3),
        p99_milliseconds: median_of(&|done| done.latency.value_at_quantile(0.99) as f64 / 1e3),
        resources: cpu_seconds.zip(peak).map(|(cpu_seconds, peak_resident_bytes)| Resources {
            cpu_seconds_per_10_000: cpu_seconds * 1e4 / completed as f64,
            cpu_seconds_per_gigabyte: cpu_seconds * 1e9 / bytes as f64,
            peak_resident_bytes,
        }),
        completed,
        failed: rounds.iter().map(|round| round.done.failed).sum(),
        failure: rounds.iter().find_map(|round| round.done.failure.clone()),
    }
}
