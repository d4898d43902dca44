//! Those who besiege the door: each way of attacking is a number of tasks, from addresses of their own, that go on until the
//! end. They are slow enough for a machine that has to carry both sides: what is tried is whether the door holds, not how
//! fast it is.

mod credentials;
mod field;
mod frames;
mod halves;
mod readers;
mod weights;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ground::{Target, until_told_to_stop};
use field::Field;

/// Within which time all of one kind come.
const ARRIVING: Duration = Duration::from_secs(30);

/// A way of attacking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Logins by invented names, over HTTP/1.1 and HTTP/2.
    Names,
    /// One wrong password of a real user again and again, from many addresses.
    Stale,
    /// Requests without credentials, with text of the attacker's in names and paths, to fill the audit.
    Refusals,
    /// Heads that come byte by byte.
    SlowHeads,
    /// Token forms and manifests that come byte by byte.
    SlowBodies,
    /// Connections on which nothing comes: not even a TLS greeting, or nothing after it, or half of HTTP/2's preface.
    Silence,
    /// HTTP/2 downloads with a window of nothing.
    Windows,
    /// HTTP/1.1 downloads that are not read.
    Readers,
    /// Heads of a megabyte that do not end.
    BigHeads,
    /// Forms of a megabyte that do not end, many on one connection of HTTP/2.
    BigForms,
    /// Manifests of three and a half megabytes from an insider, who lists them, too.
    Manifests,
    /// Requests with as much text for the log as heads take.
    Logs,
}

/// What the tasks of one attack did.
#[derive(Default)]
pub struct Tally {
    /// What was begun: requests, or connections.
    begun: AtomicU64,
    /// What the door answered.
    answered: AtomicU64,
    /// What the door ended, or did not let begin.
    ended: AtomicU64,
}

impl Attack {
    /// As the command line has it.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// How many tasks do it at a time.
    const fn tasks(self) -> u32 {
        match self {
            Self::SlowHeads | Self::Silence => 240,
            Self::SlowBodies | Self::BigHeads => 120,
            Self::Readers => 40,
            Self::Windows => 24,
            Self::Names | Self::Stale | Self::Refusals | Self::Logs => 8,
            Self::BigForms => 4,
            Self::Manifests => 2,
        }
    }

    /// How long each of them rests between two rounds.
    const fn rest(self) -> Duration {
        match self {
            Self::Names | Self::Stale | Self::Refusals => Duration::from_millis(40),
            Self::Logs | Self::Manifests => Duration::from_millis(500),
            Self::SlowHeads
            | Self::SlowBodies
            | Self::Silence
            | Self::Windows
            | Self::Readers
            | Self::BigHeads
            | Self::BigForms => Duration::from_secs(1),
        }
    }

    async fn round(self, field: &Field, number: u32, tally: &Tally) -> Result<(), field::Ended> {
        match self {
            Self::Names => credentials::names(field, number, tally).await,
            Self::Stale => credentials::stale(field, number, tally).await,
            Self::Refusals => credentials::refusals(field, number, tally).await,
            Self::SlowHeads => halves::slow_head(field, number, tally).await,
            Self::SlowBodies => halves::slow_body(field, number, tally).await,
            Self::Silence => halves::silence(field, number, tally).await,
            Self::Windows => readers::without_window(field, number, tally).await,
            Self::Readers => readers::without_reading(field, number, tally).await,
            Self::BigHeads => weights::big_head(field, number, tally).await,
            Self::BigForms => weights::big_forms(field, number, tally).await,
            Self::Manifests => weights::manifests(field, number, tally).await,
            Self::Logs => weights::log_lines(field, number, tally).await,
        }
    }
}

impl Tally {
    pub(self) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    pub(self) fn answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Attacks in these ways, or in all, until told to stop; then says what was done.
#[expect(clippy::print_stdout, reason = "the besieger reads it")]
pub async fn attack(target: Target, only: &[Attack]) {
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let mut tallies = Vec::new();
    for (kind, attack) in Attack::value_variants().iter().copied().enumerate() {
        if !only.is_empty() && !only.contains(&attack) {
            continue;
        }
        let tally = Arc::new(Tally::default());
        tallies.push((attack, Arc::clone(&tally)));
        for number in 0..attack.tasks() {
            let field = Field::new(&target, u8::try_from(kind + 1).unwrap(), number);
            tasks.spawn(stop.clone().run_until_cancelled_owned(go_on(
                attack,
                field,
                number,
                Arc::clone(&tally),
            )));
        }
    }
    tasks.close();
    until_told_to_stop().await;
    stop.cancel();
    tasks.wait().await;
    for (attack, tally) in tallies {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        println!(
            "{:>12}: {} begun, {} answered, {} ended by the door",
            attack.name(),
            read(&tally.begun),
            read(&tally.answered),
            read(&tally.ended)
        );
    }
}

async fn go_on(attack: Attack, field: Field, number: u32, tally: Arc<Tally>) {
    // Not all at the same moment: what the registry does with all of them at once is not what is tried.
    tokio::time::sleep(ARRIVING * number / attack.tasks()).await;
    loop {
        if attack.round(&field, number, &tally).await.is_err() {
            tally.ended.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(attack.rest()).await;
    }
}
