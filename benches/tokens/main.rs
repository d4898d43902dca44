//! How fast tokens are made, what it costs to require them, and what a flood of wrong passwords does to everybody else.
//!
//! ```text
//! cargo bench --bench tokens
//! cargo bench --bench tokens -- --seconds 2
//! ```
//!
//! The door has one worker thread; it and the load share the machine's cores. Prints a table in Markdown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports to whoever runs it")]

mod door;
mod load;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::door::{Door, Guarded};
use crate::load::{Load, Measured, backend, flood};

/// Why a run failed, in words for whoever started it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Connections at once.
const CONNECTIONS: usize = 32;
/// Wrong passwords in a second.
const FLOOD: u32 = 200;

/// Measures tokens.
#[derive(Parser)]
#[command(name = "tokens")]
struct Options {
    /// How long each measurement takes, in seconds.
    #[arg(long, default_value_t = 5, value_name = "N")]
    seconds: u64,
    /// Given by cargo; without a meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let measured = match runtime {
        Ok(runtime) => runtime.block_on(run(Duration::from_secs(options.seconds))),
        Err(error) => Err(error.into()),
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{fault}");
            ExitCode::FAILURE
        }
    }
}

async fn run(time: Duration) -> Result<(), Fault> {
    let registry = backend().await?;
    println!("| work | per second | p50 ms | p99 ms | door CPU s per 10,000 | target |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let show = |what: &str, measured: &Measured, target: &str| {
        let Measured { rate, median, slow, processor } = measured;
        println!("| {what} | {rate:.0} | {median:.2} | {slow:.2} | {processor:.3} | {target} |");
    };

    let few = Guarded::new(10, 10)?;
    let door = few.start(&registry, true).await?;
    let tokens = Load::token("user0", "password-of-user0").run(&door, CONNECTIONS, time).await?;
    show("GET /token, 10 users, 10 rules", &tokens, "≥ 10,000/s; p99 ≤ 10 ms");
    let token = Load::fetch_token(&door, "user0", "password-of-user0").await?;
    let guarded = Load::read(Some(&token)).run(&door, CONNECTIONS, time).await?;
    drop(door);

    let many = Guarded::new(10_000, 1_000)?;
    let door = many.start(&registry, true).await?;
    let tokens_of_many = Load::token("user0", "password-of-user0").run(&door, CONNECTIONS, time).await?;
    show("GET /token, 10,000 users, 1,000 rules", &tokens_of_many, "≤ 0.2 s more CPU");
    drop(door);

    let door = few.start(&registry, false).await?;
    let open = Load::read(None).run(&door, CONNECTIONS, time).await?;
    drop(door);
    show("GET of a manifest, open door", &open, "");
    show("the same with a token required", &guarded, "≤ 0.1 s more CPU");

    let door = few.start(&registry, true).await?;
    let valid = Load::token("user0", "password-of-user0");
    let idle = valid.clone().run(&door, 1, time).await?;
    let flooding = tokio::spawn(flood(door.address(), FLOOD));
    let flooded = valid.run(&door, 1, time).await?;
    flooding.abort();
    show("GET /token, one connection", &idle, "");
    show("the same in a flood of 200 wrong passwords/s", &flooded, "p99 ≤ 3 ×");
    Ok(())
}

impl Drop for Door {
    fn drop(&mut self) {
        self.end();
    }
}
