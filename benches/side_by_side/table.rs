//! The tables in Markdown.

use std::fmt::Write as _;

use crate::measure::{Figures, Resources};
use crate::memory::{Memory, TRANSFERS_EACH_WAY};
use crate::opening::Opening;
use crate::proxies::Way;
use crate::report::{Measured, Report};
use crate::targets::targets;

/// MiB in bytes.
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// All tables of a report, ready to be put into a document.
pub fn markdown(report: &Report) -> String {
    let machine = &report.machine;
    let settings = &report.settings;
    let mut text = format!(
        "{} cores ({}), Linux {}; {}. Medians of {} rounds of {} s, all ways in turn; small requests over {} \
         connections, blobs one at a time; one worker thread per proxy; portreeve's access log {}. \
         MB and GB are decimal.\n\n",
        machine.cores,
        machine.processor,
        machine.kernel,
        machine.versions.join("; "),
        settings.rounds,
        settings.seconds,
        settings.connections,
        if settings.access_log { "on, the others' off" } else { "off, as the others'" },
    );
    if !report.works.is_empty() {
        text.push_str(&render(&works(report)));
        text.push('\n');
    }
    if !report.memory.is_empty() {
        text.push_str(&render(&memory(report)));
        text.push('\n');
    }
    if let Some(opening) = &report.opening {
        text.push_str(&render(&opened(opening)));
        text.push('\n');
    }
    let verdicts = verdicts(report);
    if verdicts.len() > 1 {
        text.push_str(&render(&verdicts));
    }
    for measured in &report.works {
        for figures in measured.figures.iter().filter(|figures| figures.failed > 0) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "\n{} through {}: {} of {} requests failed: {}",
                measured.work.title(),
                figures.way.name(),
                figures.failed,
                figures.failed + figures.completed,
                figures.failure.as_deref().unwrap_or_default(),
            );
        }
    }
    text
}

type Rows = Vec<Vec<String>>;

fn works(report: &Report) -> Rows {
    let ways: Vec<Way> = Way::ALL
        .into_iter()
        .filter(|way| {
            report.works.iter().any(|measured| measured.figures.iter().any(|figures| figures.way == *way))
        })
        .collect();
    let mut rows = vec![header("work", &ways)];
    for measured in &report.works {
        let mut row = |label: &str, cell: &dyn Fn(&Figures) -> String| {
            let title = measured.work.title();
            let mut cells = vec![format!("{title}, {label}")];
            cells.extend(ways.iter().map(|way| cell_of(measured, *way, cell)));
            rows.push(cells);
        };
        let used = |digits: usize, figure: fn(Resources) -> f64| {
            move |figures: &Figures| {
                figures.resources.map_or_else(|| "–".to_owned(), |used| format!("{:.digits$}", figure(used)))
            }
        };
        if measured.work.moves_blobs() {
            row("MB/s", &|figures| thousands(figures.megabytes_per_second));
            row("proxy CPU s per GB", &used(3, |used| used.cpu_seconds_per_gigabyte));
        } else {
            row("per second", &|figures| thousands(figures.rate));
            row("p50 / p99 ms", &|figures| {
                format!("{:.2} / {:.2}", figures.p50_milliseconds, figures.p99_milliseconds)
            });
            row("proxy CPU s per 10,000", &used(3, |used| used.cpu_seconds_per_10_000));
        }
        row("peak RSS MiB", &used(1, |used| used.peak_resident_bytes as f64 / MEBIBYTE));
    }
    rows
}

fn memory(report: &Report) -> Rows {
    let ways: Vec<Way> = report.memory.iter().map(|memory| memory.way).collect();
    let title = format!("{TRANSFERS_EACH_WAY} pulls and {TRANSFERS_EACH_WAY} pushes of 1 GiB at once");
    let mut rows = vec![header(&title, &ways)];
    let mut row = |label: &str, cell: &dyn Fn(&Memory) -> String| {
        let mut cells = vec![label.to_owned()];
        cells.extend(report.memory.iter().map(cell));
        rows.push(cells);
    };
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / MEBIBYTE);
    row("RSS MiB, idle", &|memory| mebibytes(memory.idle_bytes));
    row("RSS MiB, peak", &|memory| mebibytes(memory.peak_bytes));
    row("RSS MiB, idle afterwards", &|memory| mebibytes(memory.afterwards_bytes));
    row("MB/s, all together", &|memory| thousands(memory.megabytes_per_second));
    row("proxy CPU s per GB", &|memory| format!("{:.3}", memory.cpu_seconds_per_gigabyte));
    rows
}

fn opened(opening: &Opening) -> Rows {
    let title = format!(
        "opening the store, {} tags, {} MiB, after SIGKILL ({} times)",
        thousands(opening.tags as f64),
        thousands(opening.file_bytes as f64 / MEBIBYTE),
        opening.crashes,
    );
    vec![
        vec![title, "portreeve".to_owned()],
        vec!["median ms".to_owned(), format!("{:.1}", opening.median_milliseconds)],
        vec!["longest ms".to_owned(), format!("{:.1}", opening.longest_milliseconds)],
        vec!["open intents found, at most".to_owned(), opening.open_intents.to_string()],
    ]
}

fn verdicts(report: &Report) -> Rows {
    let mut rows = vec![["target", "bound", "measured", "reached"].map(str::to_owned).to_vec()];
    for target in targets(report) {
        rows.push(vec![
            target.name,
            format!("{} {}", target.bound, target.unit),
            format!("{:.2} {}", target.measured, target.unit),
            if target.reached { "yes" } else { "**no**" }.to_owned(),
        ]);
    }
    rows
}

fn header(first: &str, ways: &[Way]) -> Vec<String> {
    let names = ways.iter().map(|way| way.name().to_owned());
    [first.to_owned()].into_iter().chain(names).collect()
}

fn cell_of(measured: &Measured, way: Way, cell: &dyn Fn(&Figures) -> String) -> String {
    measured.figures.iter().find(|figures| figures.way == way).map_or_else(|| "–".to_owned(), cell)
}

/// A whole number with commas.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table in columns that line up in plain text too.
fn render(rows: &Rows) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            text.push_str(&format!("| {} |\n", rules.join(" | ")));
        }
    }
    text
}
