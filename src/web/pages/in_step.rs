//! Whether the record is in step with the registry, in one line.

use super::super::status::Status;
use super::super::status_source::ServiceState;
use super::format::{Number, Time, counted};
use super::visit::Visit;
use crate::sync::SweepOutcome;

/// Whether the record is in step, in one line.
pub(super) struct InStep {
    /// `good`, `warning` or `bad`: the class of the line.
    pub level: &'static str,
    /// The icon in front of it.
    pub icon: &'static str,
    pub words: String,
    /// When the record was last compared.
    pub compared: Option<Time>,
}

impl InStep {
    /// As the status of the door says.
    pub(super) fn new(status: &Status, visit: &Visit) -> Self {
        let (level, words) = in_words(status);
        let icon = match level {
            GOOD => "circle-check",
            WARNING => "circle-alert",
            _ => "triangle-alert",
        };
        let compared = status.sweep.last.as_ref().map(|sweep| visit.time(sweep.ended_at));
        Self { level, icon, words, compared }
    }
}

const GOOD: &str = "good";
const WARNING: &str = "warning";
const BAD: &str = "bad";

fn in_words(status: &Status) -> (&'static str, String) {
    if let Some(trouble) = &status.store.trouble {
        return (BAD, format!("The record cannot be written: {trouble}"));
    }
    // Such as credentials that a registry refuses which can be reached.
    if let Some(trouble) = &status.registry.trouble {
        return (BAD, format!("Not compared now: {trouble}"));
    }
    let missing = &status.store.missing;
    if !missing.is_none() {
        let (tags, manifests) = (counted(missing.tags, "tag"), counted(missing.manifests, "manifest"));
        return (WARNING, format!("The registry denies {tags} and {manifests} that the record keeps"));
    }
    let Some(last) = &status.sweep.last else {
        return match &status.sweep.running {
            Some(running) => {
                let done = Number(running.repositories_done);
                (
                    WARNING,
                    format!(
                        "Being compared with the registry for the first time: {done} repositories so far"
                    ),
                )
            }
            None => (WARNING, "Not yet compared with the registry".to_owned()),
        };
    };
    if last.outcome != SweepOutcome::Complete {
        let cause = last.cause.as_deref().unwrap_or("some of it could not be compared");
        return (WARNING, format!("Last compared in part: {cause}"));
    }
    if status.open_intents > 0 {
        let open = counted(status.open_intents, "write");
        return (GOOD, format!("In step with the registry, {open} under way"));
    }
    match status.state {
        ServiceState::Starting | ServiceState::Stopping => (WARNING, "The door starts or stops".to_owned()),
        ServiceState::Ready | ServiceState::Degraded => match last.found {
            0 => (GOOD, "In step with the registry".to_owned()),
            found => (GOOD, format!("In step with the registry, {} mended", counted(found, "difference"))),
        },
    }
}
