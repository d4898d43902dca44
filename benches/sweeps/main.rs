//! How fast sweeps are, what they cost the pushes beside them, and how soon a change behind the door is recorded.
//!
//! ```text
//! cargo bench --bench sweeps
//! cargo bench --bench sweeps -- --repositories 1000 --only scripted
//! ```
//!
//! Needs Debian's `docker-registry`. The door, the registry and the load share the machine's cores, so compare what one
//! run measured, not absolute figures. Prints tables in Markdown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports to whoever runs it")]

mod client;
#[path = "../support/door.rs"]
mod door;
#[path = "../support/filled.rs"]
mod filled;
mod measures;
#[path = "../support/median.rs"]
mod median;
#[path = "../support/scripted.rs"]
mod scripted;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

/// Why a run failed, in words for whoever started it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures sweeps.
#[derive(Parser)]
#[command(name = "sweeps")]
struct Options {
    /// How many repositories the real registry has; the scripted one has ten times as many.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    repositories: usize,
    /// Measure this only; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Measure>,
    /// Given by cargo; without a meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Deep and shallow sweeps of a registry that answers at once.
    Scripted,
    /// The first sweep of a real registry, beside a bare client that asks the same.
    First,
    /// Pushes through the door with and without a sweep.
    Beside,
    /// From a change behind the door to its record.
    Behind,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Fault> {
    // All clients of this run use the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wanted = |measure| options.only.is_empty() || options.only.contains(&measure);
    runtime.block_on(async {
        if wanted(Measure::Scripted) {
            measures::scripted(options.repositories * 10).await?;
        }
        if wanted(Measure::First) {
            measures::first(options.repositories).await?;
        }
        if wanted(Measure::Beside) {
            measures::beside(options.repositories).await?;
        }
        if wanted(Measure::Behind) {
            measures::behind().await?;
        }
        Ok(())
    })
}
