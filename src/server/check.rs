//! `portreeve check`: tries what the configuration names, and says in plain words what is wrong.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::runtime;
use url::Url;

use super::door_client::{Client, Readiness};
use super::held::Held;
use super::sync_command::Summary;
use super::{gatehouse, socket};
use crate::config::{Config, RegistryAuth, RegistryKind, StoreUrl, Tls};
use crate::door::Certificates;
use crate::registry::{Backends, ClockReading, Deletion, Inspection, Presence, RegistryClient};
use crate::store::{OpenError, RedbStore};
use crate::sync::{Comparison, RecordedNames, SweepOutcome, compare};

/// What was tried, and how it went: one sentence each.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    mark: Mark,
    sentence: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// As it should be.
    Good,
    /// Not as it should be; the door does its work all the same.
    Warning,
    /// Something has to be done.
    Wrong,
}

impl From<bool> for Mark {
    fn from(good: bool) -> Self {
        if good { Self::Good } else { Self::Wrong }
    }
}

impl Report {
    /// Whether nothing has to be done.
    pub fn is_good(&self) -> bool {
        self.lines.iter().all(|line| line.mark != Mark::Wrong)
    }

    fn note(&mut self, mark: impl Into<Mark>, sentence: impl Into<String>) {
        self.lines.push(Line { mark: mark.into(), sentence: sentence.into() });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            if number > 0 {
                formatter.write_str("\n")?;
            }
            let mark = match line.mark {
                Mark::Good => "ok   ",
                Mark::Warning => "warn ",
                Mark::Wrong => "wrong",
            };
            write!(formatter, "{mark}  {}", line.sentence)?;
        }
        Ok(())
    }
}

/// Tries certificate, registry and store. Changes nothing, except that a store that is not there yet is not made.
pub fn check(config: Config) -> Report {
    let mut report = Report::default();
    if let Some(Tls { certificate, key }) = &config.listen.tls {
        match Certificates::load(certificate.clone(), key.clone()) {
            Ok(_) => report.note(true, "The TLS certificate and its key can be used."),
            Err(error) => report.note(false, format!("{error}.")),
        }
    }
    if config.auth.is_on && !config.auth.rules.iter().any(|rule| rule.admin && !rule.deny) {
        report.note(
            Mark::Warning,
            "No rule gives the action \"admin\": nobody sees the door's status and audit, or starts a sweep, by the API; \
             commands and metrics do without.",
        );
    }
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.note(false, format!("The system does not let anything be tried: {error}."));
            return report;
        }
    };
    runtime.block_on(async {
        let registry = check_registry(&config, &mut report).await;
        // What a cache lists is its origin's.
        let is_cache = config.registry.kind == RegistryKind::Proxy;
        match check_store(&config, &mut report).await {
            Record::Open(store) => {
                check_held(Held::in_store(&store).await, &mut report);
                check_agreement(&*store, registry.as_ref(), is_cache, &mut report).await;
                store.close();
            }
            Record::InUse => match Client::new(&socket::path(&config)) {
                Ok(door) => {
                    check_readiness(&door, &mut report).await;
                    check_last_sweep(&door, &mut report).await;
                    check_held(door.held().await, &mut report);
                    check_agreement(&door, registry.as_ref(), is_cache, &mut report).await;
                }
                Err(error) => report.note(false, format!("{error}.")),
            },
            Record::None => {}
        }
    });
    report
}

/// Tries every backend, and what the registry lets the door do. Answers the client if it may be swept.
async fn check_registry(config: &Config, report: &mut Report) -> Option<RegistryClient> {
    let urls = config.registry.backends.iter().filter_map(|backend| Url::parse(&backend.to_string()).ok());
    let backends = Arc::new(Backends::new(urls));
    let client = match RegistryClient::new(Arc::clone(&backends), config.registry.timeout) {
        Ok(client) => client,
        Err(error) => {
            report.note(false, format!("The client to the registry cannot be set up: {error}."));
            return None;
        }
    };
    let client = match gatehouse::asking(config) {
        Ok(asking) => client.asking(asking),
        Err(error) => {
            report.note(false, format!("{error}."));
            return None;
        }
    };
    let mut answers = false;
    for backend in backends.all() {
        let url = backend.url();
        let presence = client.probe(backend).await;
        backend.note_presence(presence);
        answers |= presence.is_registry();
        let sentence = match presence {
            Presence::Registry => format!("The registry at {url} answers."),
            Presence::Failing(status) => {
                format!("The registry at {url} fails: it answers {status} to /v2/; see its log.")
            }
            Presence::Foreign(status) => format!(
                "What answers at {url} is no registry: it answers {status} to /v2/ as no registry does; set registry.url to \
                 where the registry is."
            ),
            Presence::Silent => {
                format!(
                    "The registry at {url} does not answer; start it, or set registry.url to where it is."
                )
            }
        };
        report.note(presence.is_registry(), sentence);
    }
    if !answers {
        return None;
    }
    match client.inspect().await {
        Ok(inspection) => note_inspection(&inspection, config, report),
        Err(error) => report.note(false, format!("{error}.")),
    }
    match client.try_deletion().await {
        Ok(Deletion::Allowed) => report.note(true, "The registry deletes manifests."),
        Ok(Deletion::Refused(status)) => report.note(
            true,
            format!(
                "The registry does not delete ({status}), so that nothing can be deleted through the door either; \
                 distribution allows it with storage.delete.enabled."
            ),
        ),
        Err(error) => report.note(false, format!("Whether the registry deletes is not known: {error}.")),
    }
    if config.registry.kind == RegistryKind::Proxy {
        report.note(
            true,
            "The registry is a pull-through cache (registry.kind): what was pulled or pushed through the door is swept.",
        );
        return None;
    }
    if client.looks_like_a_cache().await.unwrap_or(false) {
        report.note(
            Mark::Warning,
            "The registry looks like a pull-through cache, which fetches from its origin whatever a sweep asks about; set \
             registry.kind = \"proxy\" if it is one.",
        );
    }
    match client.catalog(None).await {
        Ok(_) => {
            report.note(true, "The registry lists its catalog: it can be swept.");
            Some(client)
        }
        Err(error) => {
            report.note(false, format!(
                "The registry does not list its catalog, so that only repositories that are known already can be swept: \
                 {error}."
            ));
            None
        }
    }
}

fn note_inspection(inspection: &Inspection, config: &Config, report: &mut Report) {
    let Inspection { status, api, clock } = inspection;
    match api {
        Some(api) => report.note(true, format!("The registry speaks {api}.")),
        None => report.note(true, "The registry does not say which API it speaks."),
    }
    match (*status, &config.registry.auth) {
        (status, _) if status.is_success() => {}
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, RegistryAuth::None) => report.note(
            false,
            format!("The registry wants credentials ({status} to /v2/); set registry.auth, so that the door has some."),
        ),
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => report.note(
            false,
            format!("The registry does not take the door's credentials ({status} to /v2/); see registry.auth."),
        ),
        (status, _) => report.note(
            false,
            format!("The registry answers {status} to /v2/; is registry.url where a registry is?"),
        ),
    }
    match clock {
        Some(ClockReading { ahead, bound }) => {
            let warn = config.clock.warn;
            let off = Duration::from_millis(ahead.unsigned_abs());
            let is_beyond = !warn.is_zero() && off.saturating_sub(*bound) > warn;
            let offset = off.as_secs_f64();
            let side = if *ahead < 0 { "behind" } else { "ahead of" };
            let bound = bound.as_secs_f64();
            let sentence = format!(
                "The registry's clock is {offset:.1} s {side} this machine's, give or take {bound:.1} s"
            );
            if is_beyond {
                report.note(
                    Mark::Warning,
                    format!(
                        "{sentence}, more than clock.warn ({}); tokens work all the same, but times in its log and in \
                         the record differ: set the clock right that is wrong.",
                        humantime::format_duration(warn)
                    ),
                );
            } else {
                report.note(true, format!("{sentence}."));
            }
        }
        None => report.note(true, "The registry does not tell its time."),
    }
}

/// Whether the running door takes traffic.
async fn check_readiness(door: &Client, report: &mut Report) {
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
async fn check_last_sweep(door: &Client, report: &mut Report) {
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
fn check_held<E: fmt::Display>(held: Result<Held, E>, report: &mut Report) {
    match held {
        Ok(held) if held.missing.is_none() => {}
        Ok(held) => report.note(false, format!("{held}.")),
        Err(error) => report.note(false, format!("What is held is not known: {error}.")),
    }
}

/// Whether record and registry name the same.
async fn check_agreement(
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
enum Record {
    /// It is open here.
    Open(Box<RedbStore>),
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
        report.note(false, format!("The store {store} is a symbolic link to a file that is not there."));
    } else if let Some(directory) = directory.filter(|directory| !directory.is_dir()) {
        let directory = directory.display();
        report.note(false, format!("The store {store} cannot be made: there is no directory {directory}."));
    } else {
        report.note(true, format!("The store {store} will be made at the first start."));
    }
    Record::None
}

/// Opens the store, if it is there and not in use.
async fn check_store(config: &Config, report: &mut Report) -> Record {
    let StoreUrl::Redb(path) = &config.store.url;
    if !path.exists() {
        return check_absent_store(config, path, report).await;
    }
    match RedbStore::open(path) {
        Ok(store) => {
            report.note(true, format!("The store {} can be opened.", path.display()));
            Record::Open(Box::new(store))
        }
        Err(OpenError::InUse { .. }) => {
            report.note(true, format!("The store {} is in use by a running door.", path.display()));
            Record::InUse
        }
        Err(error) => {
            report.note(false, format!("{error}."));
            Record::None
        }
    }
}
