//! Pages of the catalog, in a small record and in a large one, in turn.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;

use crate::Fault;
use crate::door::{Door, House, used};
use crate::load;
use crate::median::median;
use crate::scripted::{self, Holdings, name};

/// How many repositories the smaller record has.
const FEW: usize = 10_000;
const ROUNDS: usize = 5;
const PAGE: usize = 100;
/// What the first of them is to reach.
const RATE: f64 = 10_000.0;
/// So much slower the others may be.
const SLOWER: f64 = 1.5;

/// A door whose record is complete.
struct Filled {
    repositories: usize,
    door: Door,
    /// Where the door's store is.
    _house: House,
}

/// A page that is asked for again and again.
struct Asked<'a> {
    of: &'a Filled,
    place: &'static str,
    path: String,
    rates: Vec<f64>,
    latency: Histogram<u64>,
    count: u64,
    processor: f64,
}

/// Measures them in a record of [`FEW`] repositories and in one of this many.
pub async fn measure(repositories: usize, turn: Duration) -> Result<(), Fault> {
    let few = Filled::start(FEW).await?;
    let many = Filled::start(repositories).await?;
    let mut pages = Vec::new();
    for of in [&few, &many] {
        for (place, before) in
            [("first", 0), ("middle", of.repositories / 2), ("last", of.repositories - PAGE)]
        {
            pages.push(Asked::at(of, place, before).await?);
        }
    }
    for page in &pages {
        load::turn(page.of.door.address(), &page.path, turn / 4).await?;
    }
    for round in 0..ROUNDS {
        for place in 0..pages.len() {
            // Each round begins with another one, so that none always follows the same.
            let place = (round + place) % pages.len();
            pages[place].measure(turn).await?;
        }
    }
    println!(
        "\n| page of {PAGE} | per second | p50 ms | p99 ms | door CPU s per 10,000 | target | reached |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let slowest =
        pages.iter().filter(|page| page.of.repositories == FEW).map(Asked::rate).fold(f64::MAX, f64::min);
    for page in &pages {
        page.tell(if page.of.repositories == FEW { RATE } else { slowest / SLOWER });
    }
    Ok(())
}

impl Filled {
    async fn start(repositories: usize) -> Result<Self, Fault> {
        let registry = scripted::start(Holdings { repositories, tags: 1 })?;
        let house = House::new(format!("http://{registry}"))?;
        let swept = house.sweep(true)?;
        eprintln!(
            "{repositories} repositories recorded in {:.0} s with {:.0} s of processor and {:.0} MiB: {}; the store has {:.0} MiB",
            swept.elapsed.as_secs_f64(),
            swept.processor,
            swept.memory,
            swept.said,
            house.store_size()?,
        );
        let door = house.serve("0").await?;
        Ok(Self { repositories, door, _house: house })
    }
}

impl<'a> Asked<'a> {
    /// The page behind so many repositories; makes sure that it is what it should be.
    async fn at(of: &'a Filled, place: &'static str, before: usize) -> Result<Self, Fault> {
        let last = before.checked_sub(1).map_or_else(String::new, |last| format!("&last={}", name(last)));
        let path = format!("/v2/_catalog?n={PAGE}{last}");
        let page = of.door.get(&path).await?;
        let names: Vec<&str> =
            page["repositories"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let expected: Vec<String> = (before..before + PAGE).map(name).collect();
        if names != expected {
            return Err(format!("{path} was answered with {page}").into());
        }
        let latency = Histogram::new(3)?;
        Ok(Self { of, place, path, rates: Vec::new(), latency, count: 0, processor: 0.0 })
    }

    async fn measure(&mut self, time: Duration) -> Result<(), Fault> {
        let before = used(self.of.door.process())?.0;
        let turn = load::turn(self.of.door.address(), &self.path, time).await?;
        self.processor += used(self.of.door.process())?.0 - before;
        self.rates.push(turn.per_second);
        self.count += turn.count;
        self.latency.add(turn.latency)?;
        Ok(())
    }

    /// The median of its turns.
    fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    fn tell(&self, target: f64) {
        let milliseconds = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        let reached = if self.rate() >= target { "yes" } else { "**no**" };
        println!(
            "| {} of {} repositories | {:.0} | {:.2} | {:.2} | {:.3} | ≥ {target:.0} | {reached} |",
            self.place,
            self.of.repositories,
            self.rate(),
            milliseconds(0.5),
            milliseconds(0.99),
            self.processor * 10_000.0 / self.count as f64,
        );
    }
}
