//! The record, as `portreeve check` finds it: in a store that it opens, or by the door that has it open.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::report::{Mark, Report, capitalized};
use crate::config::Config;
use crate::registry::RegistryClient;
use crate::server::door_client::{Client, Readiness};
use crate::server::flaw_report::FlawReport;
use crate::server::missing_report::MissingReport;
use crate::server::registry_access::broken_keys_in_store;
use crate::server::start_error::StartError;
use crate::server::sync_output::Summary;
use crate::server::{socket, store_setup};
use crate::store::{Flaw, OpenError, Store};
use crate::sync::{Comparison, RecordedNames, SweepOutcome, compare};

/// Whether the running door takes traffic.
pub(super) async fn check_readiness(door: &Client, report: &mut Report) {
    match door.readiness().await {
        Ok(Readiness { is_ready: true, words }) => {
            report.note(true, format!("The running door says: {words}."))
        }
        Ok(Readiness { is_ready: false, words }) => {
            report.note(false, format!("The running door says: {words}."))
        }
        Err(error) => report.note(false, format!("{error}.")),
    }
}

/// What the running door knows of it.
pub(super) async fn check_last_sweep(door: &Client, report: &mut Report) {
    match door.sweeps().await.map(|sweeps| sweeps.last) {
        Ok(Some(last)) => report.note(
            last.outcome == SweepOutcome::Complete,
            format!("The last sweep of the running door, at {}: {}.", last.ended_at, Summary(&last)),
        ),
        Ok(None) => report.note(true, "The running door has not ended a sweep yet."),
        Err(error) => report.note(false, format!("{error}.")),
    }
}

/// Whether the record keeps what the registry denies.
pub(super) fn check_missing<E: fmt::Display>(missing: Result<MissingReport, E>, report: &mut Report) {
    match missing {
        Ok(missing) if missing.missing.is_none() => {}
        Ok(missing) => report.note(false, format!("{missing}.")),
        Err(error) => report.note(false, format!("What is held is not known: {error}.")),
    }
}

/// What is wrong with what is held, as far as the record alone tells. That tags are held is told apart.
pub(super) fn check_flaws<E: fmt::Display>(flaws: Result<Vec<FlawReport>, E>, report: &mut Report) {
    match flaws {
        Ok(flaws) => {
            for found in flaws {
                // A repository that was emptied is nothing to worry about.
                let is_odd = found.flaw != Flaw::EmptyRepository;
                report.note(if is_odd { Mark::Warning } else { Mark::Good }, format!("{found}."));
            }
        }
        Err(error) => {
            report
                .note(false, format!("Whether something is wrong with what is held is not known: {error}."));
        }
    }
}

/// Whether record and registry name the same.
pub(super) async fn check_agreement(
    record: &dyn RecordedNames,
    registry: Option<&RegistryClient>,
    is_cache: bool,
    report: &mut Report,
) {
    let Some(registry) = registry else {
        if is_cache {
            return;
        }
        report.note(
            Mark::Warning,
            "Whether store and registry agree is not known, since the registry's catalog cannot be read.",
        );
        return;
    };
    match compare(record, registry).await {
        Ok(Comparison { repositories, tags, missing: 0, unlisted: 0 }) => report.note(
            true,
            format!("Store and registry agree by name: {tags} tags in {repositories} repositories."),
        ),
        Ok(Comparison { repositories, tags, missing, unlisted }) => report.note(
            Mark::Warning,
            format!(
                "The registry lists {tags} tags in {repositories} repositories; the store does not know {missing} of \
                 them, and knows {unlisted} others. A sweep asks the registry about each of them and records the answer, \
                 so that only tags stay different that it lists without having them, or has without listing them: a door \
                 makes one when it starts, `portreeve sync` makes one now."
            ),
        ),
        Err(error) => report.note(false, format!("Store and registry cannot be compared: {error}.")),
    }
}

/// What there is of a store.
pub(super) enum Record {
    /// It is open here.
    Open(Arc<dyn Store>),
    /// A door has it.
    InUse,
    /// There is none, or none that can be used.
    None,
}

/// Says what becomes of a store that is not where it is to be. A running door may still have it open.
async fn check_absent_store(config: &Config, path: &Path, report: &mut Report) -> Record {
    let store = path.display();
    let door = Client::new(&socket::path(config));
    if let Ok(door) = door
        && door.readiness().await.is_ok()
    {
        report
            .note(false, format!("The store {store} is not there, and a door is running that had it open."));
        return Record::InUse;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    if path.is_symlink() {
        report.misconfigured(format!("The store {store} is a symbolic link to a file that is not there."));
    } else if let Some(cause) = directory.and_then(|directory| std::fs::metadata(directory).err()) {
        let cause = Box::new(cause);
        let unusable = OpenError::Unusable { path: path.to_owned(), attempted: "create", cause };
        report.refuse(&StartError::Store(unusable.into()));
    } else {
        report.note(true, format!("The store {store} will be made at the first start."));
    }
    Record::None
}

/// Opens the store to look into it, if it is there and not in use.
pub(super) async fn check_store(config: &Config, report: &mut Report) -> Record {
    if let Some(path) = store_setup::absent_file(&config.store) {
        return check_absent_store(config, path, report).await;
    }
    match store_setup::open_to_read(&config.store) {
        Ok(store) => {
            report.note(true, format!("The store {} can be opened.", config.store.url));
            if store.is_lost_with_one_server() {
                let doubt = capitalized(store_setup::LOST_WITH_ONE_SERVER);
                report.note(Mark::Warning, format!("{doubt}."));
            }
            if let Some(error) = broken_keys_in_store(config, &store).await {
                report.refuse(&StartError::Keys(error));
            }
            Record::Open(store)
        }
        Err(error) if error.is_absence() => {
            report.note(true, format!("The store {} will be made at the first start.", config.store.url));
            Record::None
        }
        Err(error) => {
            if let Some(path) = error.in_use() {
                report.note(true, format!("The store {} is in use by a running door.", path.display()));
                return Record::InUse;
            }
            report.refuse(&StartError::Store(error));
            Record::None
        }
    }
}
