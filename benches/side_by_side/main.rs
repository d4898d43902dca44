//! The same work straight at the registry and through nginx, haproxy and portreeve, side by side in one run.
//!
//! ```text
//! cargo bench --bench side_by_side
//! cargo bench --bench side_by_side -- --seconds 5 --only manifest-get --only blob-pull
//! ```
//!
//! Starts a real registry, static files in the shape of one, a place where uploads are thrown away, and each proxy with one worker thread; lets all ways do
//! each kind of work in turn, several times; prints tables in Markdown and writes the figures to
//! `target/bench/side_by_side.json`. Needs Linux, the Debian packages nginx, haproxy and docker-registry, and 12 GB in
//! the directory for temporary files (`TMPDIR`), which should be on a real disk: the registry's and the store's fsync
//! are part of what is measured. The processes share their cores with the load, so compare ratios, not absolute figures.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports to whoever runs it")]

mod content;
mod discard;
mod http;
mod interruption;
mod load;
mod measure;
#[path = "../support/median.rs"]
mod median;
mod memory;
mod opening;
mod process;
mod proxies;
mod registry;
mod report;
mod resources;
mod table;
mod targets;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use content::BlobFamily;
use proxies::{Proxy, Way};
use registry::{REPOSITORY, Registry, StaticFiles};
use report::{Machine, Report, Settings};
use work::{Ground, Work};

/// Why a run failed, in words for whoever started it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Measures portreeve beside nginx, haproxy and no proxy at all.
#[derive(Parser)]
#[command(name = "side_by_side")]
struct Options {
    /// How long each turn lasts; each way has five turns of each kind of work.
    #[arg(long, default_value_t = 1.5, value_name = "N")]
    seconds: f64,
    /// Measure this kind of work only; may be given several times.
    #[arg(long, value_name = "NAME")]
    only: Vec<Work>,
    /// Measure these ways only; may be given several times.
    #[arg(long, value_name = "NAME")]
    through: Vec<Way>,
    /// Switch portreeve's access log off, as it is in the other proxies.
    #[arg(long)]
    without_access_log: bool,
    /// Fill a store and write to it until killed: what this program runs itself with.
    #[arg(long, hide = true, value_name = "FILE")]
    write_store: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if !options.bench {
        // `cargo test --all-targets` runs benchmarks too, where minutes of load have no place.
        println!("run this as `cargo bench --bench side_by_side`");
        return ExitCode::SUCCESS;
    }
    let result = match &options.write_store {
        Some(path) => opening::write(path),
        None => run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("side_by_side: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), Fault> {
    if !(0.1..=600.0).contains(&options.seconds) {
        return Err("--seconds must be between 0.1 and 600".into());
    }
    interruption::listen()?;
    // No client of this run uses TLS, but one is not made without this.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let works: Vec<Work> =
        Work::value_variants().iter().copied().filter(|work| chosen(&options.only, work)).collect();
    let ways: Vec<Way> = Way::ALL.into_iter().filter(|way| chosen(&options.through, way)).collect();
    let settings = Settings {
        seconds: options.seconds,
        rounds: measure::ROUNDS,
        connections: load::CONNECTIONS,
        access_log: !options.without_access_log,
    };
    let mut report = Report::new(Machine::this()?, settings);

    let directory = tempfile::Builder::new().prefix("portreeve-bench-").tempdir()?;
    eprintln!("working in {}", directory.path().display());
    if works.iter().any(|work| *work != Work::Opening) {
        beside_others(&mut report, &works, &ways, directory.path())?;
    }
    if works.contains(&Work::Opening) {
        eprintln!("{}", Work::Opening.title());
        report.opening = Some(opening::measure(directory.path())?);
    }

    println!("{}", table::markdown(&report));
    let file = report.write()?;
    eprintln!("the figures are in {}", file.display());
    Ok(())
}

/// All work that is done beside the other ways.
fn beside_others(report: &mut Report, works: &[Work], ways: &[Way], directory: &Path) -> Result<(), Fault> {
    let registry = Registry::start(directory)?;
    registry.prepare(REPOSITORY)?;
    registry.put_manifest()?;
    if works.iter().any(|work| !matches!(work, Work::Memory | Work::Opening)) {
        in_turn(report, works, ways, &registry, directory)?;
    }
    if works.contains(&Work::Memory) {
        let blobs = BlobFamily::of_mebibytes(1024);
        let pulled = registry.put_blob(&blobs)?;
        let access_log = report.settings.access_log;
        for way in ways {
            eprintln!("{}: {}", Work::Memory.title(), way.name());
            report.memory.extend(memory::measure(*way, &registry, &blobs, &pulled, directory, access_log)?);
        }
    }
    Ok(())
}

/// The work that all ways do in turn.
fn in_turn(
    report: &mut Report,
    works: &[Work],
    ways: &[Way],
    registry: &Registry,
    directory: &Path,
) -> Result<(), Fault> {
    let blobs = BlobFamily::of_mebibytes(256);
    let static_files = StaticFiles::start(directory, &blobs)?;
    let open = |upstream, name| -> Result<Vec<Proxy>, Fault> {
        let start = |way: &Way| Proxy::start(*way, upstream, directory, name, report.settings.access_log);
        ways.iter().map(start).collect()
    };
    if works.iter().any(|work| work.asks_for_lists()) {
        registry.fill_lists()?;
    }
    let to_registry = open(registry.address(), "registry")?;
    if works.iter().any(|work| work.needs_record()) {
        for way in &to_registry {
            way.wait_for_record()?;
        }
    }
    let to_static_files = open(static_files.address(), "static")?;
    let to_discard = open(discard::start()?, "discard")?;
    let ground = Ground {
        registry,
        to_registry: &to_registry,
        static_files: &static_files,
        to_static_files: &to_static_files,
        to_discard: &to_discard,
        blobs: &blobs,
        turn: Duration::from_secs_f64(report.settings.seconds),
    };
    for work in works.iter().filter(|work| !matches!(work, Work::Memory | Work::Opening)) {
        eprintln!("{}", work.title());
        report.add(*work, ground.measure(*work)?);
    }
    Ok(())
}

/// Whether this was asked for; all is where nothing was named.
fn chosen<T: PartialEq>(named: &[T], one: &T) -> bool {
    named.is_empty() || named.contains(one)
}
