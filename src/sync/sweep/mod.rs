//! The sweep: walks the registry's catalog and tag lists, and verifies whatever differs from the record.
//!
//! What a listing names is compared; what it does not name is asked about directly, for no listing is trusted to be
//! whole. A shallow sweep finds tags that came or went; a deep one also asks for the digest of every tag, and about every
//! recorded manifest. Both use [`Verifier`](super::Verifier), so that a sweep can neither remove by silence nor override
//! what is newer.
//!
//! [`Sweeper`] runs them one after the other (`schedule`, each of them `running`) when they are due (`timetable`) or asked
//! for, from where the last one was cut (`place`), and shows how far each is (`progress`; to other doors as `state` says, to
//! metrics by `gauges`). `walk` goes through the repositories, of which the `catalog` is one list; one of them is the business
//! of `repository`. Every question waits for a permit of the `adaptive_limit`, which `limited_transport` sees to; `troubles`
//! tells a repository's trouble from the registry's. What was swept is remembered in bounded memory (`sync/listing/`), and by
//! `checkpoint` over a restart; what the last ones found by `past`; `completeness` says whether one was ever complete.

mod adaptive_limit;
mod catalog;
mod checkpoint;
mod completeness;
mod gauges;
mod limited_transport;
mod past;
mod place;
mod progress;
mod questions;
mod recording;
mod repository;
mod running;
mod schedule;
mod settings;
mod state;
#[cfg(test)]
mod tests;
mod timetable;
mod troubles;
mod walk;

pub use completeness::RecordCompleteness;
pub(in crate::sync) use gauges::describe as describe_metrics;
pub use gauges::show_intervals as show_sweep_intervals;
pub use past::{PastSweep, PastSweeps, SweepDay};
pub use progress::{CatalogState, FinishedSweep, Outcome, Phase, Problem, RunningSweep};
pub use recording::Recording;
pub use schedule::Sweeper;
pub use settings::SweepSettings;
pub use state::SweepStatus;
