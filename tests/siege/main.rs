//! The door under siege: floods of everything at once from many addresses, while other clients log in, push and pull as if
//! nothing was going on.
//!
//! ```text
//! cargo test --locked --test siege                      # a minute, as in tests/run.sh
//! cargo test --release --locked --test siege -- --seconds 3600    # a long one
//! cargo test --locked --test siege -- --only names --only heads
//! ```
//!
//! A real registry and a real door behind TLS are started. First the clients work alone, then beside the attackers, then
//! alone again. The attackers are a process of their own, of the lowest priority, since they stand for other machines.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test ends where something is not as it should be, and says so"
)]

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod support;

mod attackers;
mod clients;
mod footprint;
mod ground;
mod verdict;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::Instant;

use attackers::Attack;
use clients::Clients;
use footprint::Footprint;
use ground::Ground;
use verdict::Verdict;

/// How long they work between two looks at what the door has given back.
const MOMENT: Duration = Duration::from_secs(2);
/// Within which time memory and descriptors have to be back.
const BACK: Duration = Duration::from_secs(60);

/// Besieges a door.
#[derive(Parser)]
#[command(name = "siege")]
struct Options {
    /// How long the siege lasts.
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
    /// How long the clients work alone, before the siege and after it.
    #[arg(long, default_value_t = 15, value_name = "N")]
    alone: u64,
    /// Attack in this way only; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Attack>,
    /// Attack what this describes: what this program runs itself with.
    #[arg(long, hide = true, value_name = "JSON")]
    target: Option<String>,
    /// A filter of `cargo test NAME`: this runs if it is part of "siege".
    #[arg(hide = true)]
    filter: Option<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.filter.is_some_and(|filter| !"siege".contains(&filter)) {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match options.target {
        Some(target) => {
            runtime.block_on(attackers::attack(serde_json::from_str(&target).unwrap(), &options.only));
            ExitCode::SUCCESS
        }
        None => {
            let [length, alone] = [options.seconds, options.alone].map(Duration::from_secs);
            runtime.block_on(besiege(length, alone, &options.only))
        }
    }
}

async fn besiege(length: Duration, alone: Duration, only: &[Attack]) -> ExitCode {
    let ground = Ground::prepare().await;
    let clients = Clients::new(&ground);
    eprintln!("siege: warming up");
    clients.work(Duration::from_secs(3)).await;
    let settled = Footprint::of(ground.door.pid());
    eprintln!("siege: the clients alone");
    let before = clients.work(alone).await;
    eprintln!("siege: {} s of attacks", length.as_secs());
    let attackers = ground.send_attackers(only);
    let watch = footprint::watch(ground.door.pid());
    let during = clients.work(length).await;
    let most = watch.stop().await;
    let reports = attackers.stop().await;
    let kept = ground.kept_in_audit().await;
    eprintln!("siege: the clients alone again");
    let over = Instant::now();
    let after = clients.work(alone).await;
    // A door that does nothing gives nothing back, either.
    let mut recovered = Footprint::of(ground.door.pid());
    while !recovered.is_about(settled) && over.elapsed() < BACK {
        clients.work(MOMENT).await;
        recovered = Footprint::of(ground.door.pid());
    }
    let recovered = (recovered, over.elapsed());
    let verdict = Verdict { settled, most, recovered, before, during, after, kept, reports };
    eprintln!("{verdict}");
    if verdict.failures().is_empty() {
        return ExitCode::SUCCESS;
    }
    ground.show_log();
    ExitCode::FAILURE
}
