//! How fast the catalog is answered from a record of ten thousand repositories and from one of a million; and what a thousand
//! followers of a thousand events a second cost.
//!
//! ```text
//! cargo bench --bench answers
//! cargo bench --bench answers -- --only followers
//! ```
//!
//! The door has one worker thread, and shares the machine's cores with the load and with a scripted registry. What the
//! registry itself answers stands in `side_by_side`. Prints tables in Markdown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports to whoever runs it")]

mod catalog;
#[path = "../support/door.rs"]
mod door;
mod followers;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/median.rs"]
mod median;
#[path = "../support/scripted.rs"]
mod scripted;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Why a run failed, in words for whoever started it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures what the door answers from its record.
#[derive(Parser)]
#[command(name = "answers")]
struct Options {
    /// How many repositories the larger record has.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    repositories: usize,
    /// How long each of five turns lasts, and a fifth of the time that events are made for.
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    seconds: f64,
    /// Measure this only.
    #[arg(long, value_name = "NAME")]
    only: Option<Measure>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Pages of the catalog.
    Catalog,
    /// Followers of events.
    Followers,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        // `cargo test --all-targets` runs benchmarks too, where minutes of load have no place.
        println!("run this as `cargo bench --bench answers`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("answers: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Fault> {
    if !(0.1..=600.0).contains(&options.seconds) {
        return Err("--seconds must be between 0.1 and 600".into());
    }
    // All clients of this run use the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let turn = Duration::from_secs_f64(options.seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if options.only != Some(Measure::Followers) {
            catalog::measure(options.repositories, turn).await?;
        }
        if options.only != Some(Measure::Catalog) {
            followers::measure(turn * 5).await?;
        }
        Ok(())
    })
}
