//! Three doors on one PostgreSQL beside one door on a file: manifest PUTs, answers from the record, sweeps; and how long it
//! takes to take over what a dead door carried.
//!
//! ```text
//! cargo bench --bench several_doors
//! cargo bench --bench several_doors -- --seconds 5 --only writes
//! ```
//!
//! Needs Debian's `postgresql` (version 15) and `docker-registry`, and root or another user that PostgreSQL runs as. The
//! database waits for its disk, as it does by default. Doors, registry, database and load share the machine's cores, so compare
//! what one run measured, not absolute figures. Prints tables in Markdown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports to whoever runs it")]

mod adoption;
mod answers;
#[path = "../support/door.rs"]
#[allow(dead_code, reason = "other benchmarks want more of it")]
mod door;
#[path = "../support/filled.rs"]
#[allow(dead_code, reason = "other benchmarks want more of it")]
mod filled;
#[path = "../support/load.rs"]
#[allow(dead_code, reason = "other benchmarks want more of it")]
mod load;
#[path = "../support/median.rs"]
mod median;
#[path = "../../tests/support/postgres.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "the tests' own, who end when they have none"
)]
mod postgres;
#[path = "../support/scripted.rs"]
mod scripted;
mod sweeps;
mod writes;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use door::SharedDatabase;
use postgres::{Database, Extras, PASSWORD, Server};

/// Why a run failed, in words for whoever started it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures doors that share a PostgreSQL.
#[derive(Parser)]
#[command(name = "several_doors")]
struct Options {
    /// How long each of five turns lasts.
    #[arg(long, default_value_t = 2.0, value_name = "N")]
    seconds: f64,
    /// How many repositories of ten tags the registry has that is swept; where lists are asked for there is a tenth of them, of a
    /// hundred tags each.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    repositories: usize,
    /// Measure this only; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Measure>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Measure {
    /// Manifest PUTs.
    Writes,
    /// Answers from the record.
    Answers,
    /// Sweeps.
    Sweeps,
    /// What a dead door carried.
    Adoption,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        // `cargo test --all-targets` runs benchmarks too, where minutes of load have no place.
        println!("run this as `cargo bench --bench several_doors`");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("several_doors: {fault}");
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
    let server = Server::listening(Extras {
        settings: "fsync = on\nmax_wal_size = 1GB\nshared_buffers = 128MB\n",
        access: "host all all 127.0.0.1/32 scram-sha-256\n",
        ..Extras::default()
    });
    let turn = Duration::from_secs_f64(options.seconds);
    let wanted = |measure| options.only.is_empty() || options.only.contains(&measure);
    // The client of the adoption is a store of this process, which has threads of its own.
    if wanted(Measure::Adoption) {
        adoption::measure(&server)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if wanted(Measure::Writes) {
            writes::measure(&server, turn).await?;
        }
        if wanted(Measure::Answers) {
            answers::measure(&server, options.repositories / 10, turn).await?;
        }
        if wanted(Measure::Sweeps) {
            sweeps::measure(&server, options.repositories).await?;
        }
        Ok(())
    })
}

/// How doors find a database.
fn shared(database: &Database) -> SharedDatabase {
    SharedDatabase { url: database.url(), password: PASSWORD.to_owned() }
}
