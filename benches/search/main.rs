//! How long a search over many tags takes, and sorted lists of them; how long it takes to fill what they are answered from, and
//! how much memory that is.
//!
//! ```text
//! cargo bench --bench search
//! cargo bench --bench search -- --tags 100000
//! ```
//!
//! Fills a store of its own, which takes some minutes for a million tags. Prints tables in Markdown.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command that reports to whoever runs it")]

mod filled;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use hdrhistogram::Histogram;
use portreeve::clock::Timestamp;
use portreeve::oci::RepositoryName;
use portreeve::search::{MEMORY, Query, Search, Sees, SortOrder, TagFilter, TagQuestion, TagSort};
use portreeve::store::{PageRequest, RedbStore, Store};

/// Why a run failed, in words for whoever started it.
type Fault = Box<dyn std::error::Error + Send + Sync>;

/// How much is answered at once.
const PART: usize = 100;

/// Measures searches.
#[derive(Parser)]
#[command(name = "search")]
struct Options {
    /// How many tags the record has, a hundred in each repository.
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    tags: usize,
    /// How often each question is asked.
    #[arg(long, default_value_t = 200, value_name = "N")]
    times: usize,
    /// Given by cargo; without a meaning here.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let measured = match runtime {
        Ok(runtime) => runtime.block_on(run(&options)),
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

async fn run(options: &Options) -> Result<(), Fault> {
    let directory = tempfile::tempdir()?;
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(directory.path().join("store.redb"))?);
    eprintln!("filling a store with {} tags", options.tags);
    let begun = Instant::now();
    filled::fill(&*store, options.tags / filled::TAGS).await?;
    eprintln!("filled in {:.0} s", begun.elapsed().as_secs_f64());
    let search = Search::new(Arc::clone(&store), MEMORY);
    let before = resident()?;
    let begun = Instant::now();
    find(&search, "v", everything()).await?;
    let tags = store.statistics().await?.tags;
    println!("\n| {tags} tags | |\n| --- | --- |");
    println!("| the first question, s | {:.2} |", begun.elapsed().as_secs_f64());
    println!("| memory with what was read of the store, MiB | {:.0} |", resident()? - before);
    searches(&search, options.times).await?;
    lists(&search, options.times).await?;
    store.close();
    Ok(())
}

async fn searches(search: &Search, times: usize) -> Result<(), Fault> {
    println!("\n| search, {times} times each | found | p50 ms | p99 ms | longest ms |");
    println!("| --- | --- | --- | --- | --- |");
    let mut all = Histogram::<u64>::new(3)?;
    let queries = [
        "v",
        "1",
        ".",
        "-",
        "app",
        "app00",
        "v1.4",
        "main",
        "main-abc",
        "release-2026",
        "latest",
        "team07/app",
        "absent",
        "app00007:v",
        "sha256:0",
        "sha256:00ff",
        "deadbe",
        "00ff00ff00ff",
    ];
    for query in queries {
        let mut taken = Histogram::<u64>::new(3)?;
        let mut found = 0;
        for _ in 0..times {
            let begun = Instant::now();
            found = find(search, query, everything()).await?;
            note(&mut taken, begun)?;
        }
        row(&format!("`{query}`"), found, &taken);
        all.add(&taken)?;
    }
    row("all of these (target p99 ≤ 10)", all.len().try_into()?, &all);
    let mut taken = Histogram::<u64>::new(3)?;
    let mut found = 0;
    for _ in 0..times {
        let begun = Instant::now();
        found = find(search, "v", team("team07/")).await?;
        note(&mut taken, begun)?;
    }
    row("`v`, by one who sees a hundredth", found, &taken);
    Ok(())
}

async fn lists(search: &Search, times: usize) -> Result<(), Fault> {
    println!("\n| tags of all repositories, {times} times each | found | p50 ms | p99 ms | longest ms |");
    println!("| --- | --- | --- | --- | --- |");
    let old = TagFilter { pushed_before: Some(Timestamp::from_milliseconds(0)), ..TagFilter::default() };
    let all = TagFilter::default;
    let unused = TagFilter { pulled_before: Some(Timestamp::now()), ..TagFilter::default() };
    for (what, sort, order, filter) in [
        ("by name", TagSort::Name, SortOrder::Ascending, all()),
        ("by name, from the end", TagSort::Name, SortOrder::Descending, all()),
        ("by time, newest first", TagSort::PushedAt, SortOrder::Descending, all()),
        ("by size, largest first", TagSort::Size, SortOrder::Descending, all()),
        ("never pulled, oldest first", TagSort::PushedAt, SortOrder::Ascending, unused),
        ("none fits", TagSort::Name, SortOrder::Ascending, old),
    ] {
        let mut taken = Histogram::<u64>::new(3)?;
        let mut found = 0;
        for _ in 0..times {
            let question = TagQuestion { sort, order, filter: filter.clone() };
            let begun = Instant::now();
            let page = PageRequest { after: None, limit: PART };
            found = search.tags(question, page, everything()).await?.items.len();
            note(&mut taken, begun)?;
        }
        row(what, found, &taken);
    }
    Ok(())
}

async fn find(search: &Search, query: &str, sees: Sees) -> Result<usize, Fault> {
    let query: Query = query.parse()?;
    Ok(search.find(query, PageRequest { after: None, limit: PART }, sees).await?.items.len())
}

fn everything() -> Sees {
    Box::new(|_| true)
}

/// One who sees what a team has.
fn team(prefix: &'static str) -> Sees {
    Box::new(move |name: &RepositoryName| name.as_str().starts_with(prefix))
}

fn note(taken: &mut Histogram<u64>, begun: Instant) -> Result<(), Fault> {
    Ok(taken.record(u64::try_from(begun.elapsed().as_micros())?)?)
}

fn row(what: &str, found: usize, taken: &Histogram<u64>) {
    let [p50, p99, longest] = [taken.value_at_quantile(0.5), taken.value_at_quantile(0.99), taken.max()]
        .map(|value| value as f64 / 1_000.0);
    println!("| {what} | {found} | {p50:.2} | {p99:.2} | {longest:.2} |");
}

/// The memory of this process that is in use, in MiB.
fn resident() -> Result<f64, Fault> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    Ok(kilobytes.ok_or("the system does not tell how much memory is in use")? / 1_024.0)
}
