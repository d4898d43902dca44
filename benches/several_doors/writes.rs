//! Manifest PUTs through one door on a file, and through three doors on one database.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hdrhistogram::Histogram;
use hyper::{Request, StatusCode};
use portreeve::oci::MediaType;
use tokio::task::JoinSet;

use crate::door::{Door, House, used};
use crate::filled::{self, Filled};
use crate::load::{CONNECTIONS, Connection};
use crate::median::median;
use crate::postgres::Server;
use crate::scripted::{self, Holdings};
use crate::{Fault, shared};

const ROUNDS: usize = 5;
const DOORS: usize = 3;
/// So many of the pushes of one door on a file three doors on a database are to take.
const TARGET: f64 = 0.7;
/// So many repositories are pushed to.
const REPOSITORIES: usize = 32;

/// A way to push.
struct Way {
    what: &'static str,
    doors: Vec<Door>,
    rates: Vec<f64>,
    /// In microseconds.
    latency: Histogram<u64>,
    count: u64,
    processor: f64,
    /// Groups of writes, and writes in them.
    groups: [f64; 2],
    /// Where the doors' records are.
    _houses: Vec<House>,
}

/// Measures both, in front of a real registry and of one that answers at once.
pub async fn measure(server: &Server, turn: Duration) -> Result<(), Fault> {
    let registry = Filled::start(REPOSITORIES).await?;
    before(server, "docker-registry", &registry.url(), turn).await?;
    let scripted = scripted::start(Holdings { repositories: 0, tags: 0 })?;
    before(server, "a registry that answers at once", &format!("http://{scripted}"), turn).await
}

async fn before(server: &Server, which: &str, registry: &str, turn: Duration) -> Result<(), Fault> {
    let database = server.database();
    let one = vec![House::new(registry)?];
    let several = (0..DOORS).map(|_| House::sharing(registry, shared(&database)));
    let several = several.collect::<Result<Vec<_>, _>>()?;
    let mut ways = [
        Way::start("one door on a file", one).await?,
        Way::start("three doors on PostgreSQL", several).await?,
    ];
    for way in &ways {
        way.push(turn / 4).await?;
    }
    for round in 0..ROUNDS {
        for place in 0..ways.len() {
            // Each round begins with the other one.
            let place = (round + place) % ways.len();
            ways[place].measure(turn).await?;
        }
    }
    println!(
        "\n| manifest PUT before {which}, {CONNECTIONS} connections | per second | p50 ms | p99 ms | doors' CPU s per 10,000 | groups per second | writes per group |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for way in &ways {
        way.tell(turn * u32::try_from(ROUNDS)?);
    }
    let ratio = ways[1].rate() / ways[0].rate();
    let reached = if ratio >= TARGET { "reached" } else { "**not reached**" };
    println!("\nThree doors take {ratio:.2} of what one takes (target ≥ {TARGET}: {reached}).");
    Ok(())
}

impl Way {
    async fn start(what: &'static str, houses: Vec<House>) -> Result<Self, Fault> {
        let mut doors = Vec::new();
        for house in &houses {
            doors.push(house.serve("0").await?);
        }
        let latency = Histogram::new(3)?;
        let (rates, groups) = (Vec::new(), [0.0; 2]);
        Ok(Self { what, doors, rates, latency, count: 0, processor: 0.0, groups, _houses: houses })
    }

    /// Pushes over [`CONNECTIONS`] connections, spread over the doors, each time another manifest under another tag.
    async fn push(&self, time: Duration) -> Result<Histogram<u64>, Fault> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let begun = Instant::now();
        let mut clients = JoinSet::new();
        for (number, door) in (0..CONNECTIONS).zip(self.doors.iter().cycle()) {
            let door = door.address();
            clients.spawn(async move {
                let mut connection = Connection::open(Ipv4Addr::LOCALHOST, door).await?;
                let mut latency = Histogram::<u64>::new(3)?;
                let repository = filled::name(number % REPOSITORIES);
                while begun.elapsed() < time {
                    let tag = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
                    let request = Request::put(format!("/v2/{repository}/manifests/{tag}"));
                    let request = request.header("content-type", MediaType::OCI_MANIFEST);
                    let asked = Instant::now();
                    let answer = connection.send(request, Bytes::from(filled::manifest(&tag))).await?;
                    if answer.status() != StatusCode::CREATED {
                        return Err(format!("a push was answered with {}", answer.status()).into());
                    }
                    latency.record(u64::try_from(asked.elapsed().as_micros())?)?;
                }
                Ok::<_, Fault>(latency)
            });
        }
        let mut latency = Histogram::<u64>::new(3)?;
        while let Some(client) = clients.join_next().await {
            latency.add(client??)?;
        }
        Ok(latency)
    }

    async fn measure(&mut self, time: Duration) -> Result<(), Fault> {
        let (processor, groups) = (self.processor()?, self.groups_so_far().await?);
        let begun = Instant::now();
        let latency = self.push(time).await?;
        self.rates.push(latency.len() as f64 / begun.elapsed().as_secs_f64());
        self.count += latency.len();
        self.latency.add(latency)?;
        self.processor += self.processor()? - processor;
        let groups_after = self.groups_so_far().await?;
        for ((sum, after), before) in self.groups.iter_mut().zip(groups_after).zip(groups) {
            *sum += after - before;
        }
        Ok(())
    }

    /// Processor seconds of its doors so far.
    fn processor(&self) -> Result<f64, Fault> {
        let mut sum = 0.0;
        for door in &self.doors {
            sum += used(door.process())?.0;
        }
        Ok(sum)
    }

    /// Groups of writes that were made durable so far, and writes in them.
    async fn groups_so_far(&self) -> Result<[f64; 2], Fault> {
        let mut groups = [0.0; 2];
        for door in &self.doors {
            groups[0] += door.metric("portreeve_store_writes_per_commit_count").await?;
            groups[1] += door.metric("portreeve_store_writes_per_commit_sum").await?;
        }
        Ok(groups)
    }

    /// The median of its turns.
    fn rate(&self) -> f64 {
        median(self.rates.clone())
    }

    /// Prints its row. Its turns took this time together.
    fn tell(&self, time: Duration) {
        let milliseconds = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1_000.0;
        println!(
            "| {} | {:.0} | {:.1} | {:.1} | {:.2} | {:.0} | {:.1} |",
            self.what,
            self.rate(),
            milliseconds(0.5),
            milliseconds(0.99),
            self.processor * 1e4 / self.count as f64,
            self.groups[0] / time.as_secs_f64(),
            self.groups[1] / self.groups[0],
        );
    }
}
