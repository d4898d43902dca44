//! What portreeve is to reach, and whether it did.

use serde::Serialize;

use crate::measure::{Figures, Resources};
use crate::proxies::Way;
use crate::report::Report;
use crate::work::Work;

/// One thing to reach.
#[derive(Serialize)]
pub struct Target {
    /// In words.
    pub name: String,
    /// The bound.
    pub bound: f64,
    /// What was measured, in the same unit.
    pub measured: f64,
    /// The unit; for ratios what portreeve is compared with.
    pub unit: &'static str,
    /// Whether it is reached.
    pub reached: bool,
}

/// MiB in bytes.
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// All targets of which this run measured both sides.
pub fn targets(report: &Report) -> Vec<Target> {
    let rate: fn(&Figures) -> Option<f64> = |figures| Some(figures.rate);
    let throughput: fn(&Figures) -> Option<f64> = |figures| Some(figures.megabytes_per_second);
    let per_gigabyte: fn(&Figures) -> Option<f64> =
        |figures| resources(figures, |used| used.cpu_seconds_per_gigabyte);
    let per_10_000: fn(&Figures) -> Option<f64> =
        |figures| resources(figures, |used| used.cpu_seconds_per_10_000);
    let compared = |work: Work, other: Way, figure: fn(&Figures) -> Option<f64>| -> Option<f64> {
        let own = figure(report.figures(work, Way::Portreeve)?)?;
        Some(own / figure(report.figures(work, other)?)?)
    };

    let mut targets = Vec::new();
    for work in [Work::BlobPull, Work::StaticPull, Work::BlobPush, Work::DiscardedPush] {
        let ratio = compared(work, Way::Haproxy, per_gigabyte);
        targets.extend(at_most(format!("{}, CPU per GB", work.title()), 1.0, ratio, "× haproxy"));
        let ratio = compared(work, Way::Haproxy, throughput);
        targets.extend(at_least(format!("{}, throughput", work.title()), 1.0, ratio, "× haproxy"));
    }
    for work in [Work::ManifestGet, Work::StaticGet] {
        let ratio = compared(work, Way::Haproxy, per_10_000);
        targets.extend(at_most(
            format!("{}, CPU per 10,000 requests", work.title()),
            1.5,
            ratio,
            "× haproxy",
        ));
    }
    for (work, bound) in [(Work::DigestGet, 30.0), (Work::DigestHead, 30.0), (Work::TagsPage, 100.0)] {
        let ratio = compared(work, Way::Direct, rate);
        targets.extend(at_least(format!("{}, rate", work.title()), bound, ratio, "× direct"));
    }
    for work in [Work::DigestGet, Work::DigestHead] {
        let ratio = compared(work, Way::Haproxy, per_10_000);
        targets.extend(at_most(
            format!("{}, CPU per 10,000 requests", work.title()),
            1.0,
            ratio,
            "× haproxy",
        ));
    }
    let pages = report.figures(Work::CatalogPage, Way::Portreeve).and_then(rate);
    targets.extend(at_least(format!("{}, rate", Work::CatalogPage.title()), 10_000.0, pages, "per second"));
    let name = format!("{} with durable record, rate", Work::ManifestPut.title());
    targets.extend(at_least(name, 0.85, compared(Work::ManifestPut, Way::Nginx, rate), "× nginx"));

    if let Some(memory) = report.memory.iter().find(|memory| memory.way == Way::Portreeve) {
        let peak = Some(memory.peak_bytes as f64 / MEBIBYTE);
        targets.extend(at_most(format!("{}, peak RSS", Work::Memory.title()), 64.0, peak, "MiB"));
        targets.extend(at_most(
            "idle RSS".to_owned(),
            32.0,
            Some(memory.idle_bytes as f64 / MEBIBYTE),
            "MiB",
        ));
    }
    if let Some(opening) = &report.opening {
        let name = format!("{} with {} tags after SIGKILL, median", Work::Opening.title(), opening.tags);
        targets.extend(at_most(name, 50.0, Some(opening.median_milliseconds), "ms"));
    }
    targets
}

fn resources(figures: &Figures, figure: impl Fn(Resources) -> f64) -> Option<f64> {
    figures.resources.map(figure)
}

fn at_most(name: String, bound: f64, measured: Option<f64>, unit: &'static str) -> Option<Target> {
    let measured = measured?;
    Some(Target { name: format!("{name} at most"), bound, measured, unit, reached: measured <= bound })
}

fn at_least(name: String, bound: f64, measured: Option<f64>, unit: &'static str) -> Option<Target> {
    let measured = measured?;
    Some(Target { name: format!("{name} at least"), bound, measured, unit, reached: measured >= bound })
}
