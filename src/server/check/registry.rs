//! The registry, as `portreeve check` finds it.

use std::sync::Arc;
use std::time::Duration;

use super::report::{Mark, Report, capitalized};
use crate::auth::KeyRing;
use crate::clock::Clock;
use crate::config::{Config, RegistryAuth, RegistryKind};
use crate::registry::{
    ClockReading, CredentialsProblem, Deletion, HttpTransport, Inspection, ProbeResult, RegistryClient,
};
use crate::server::registry_access::{KeysFor, RegistryAccess, is_absence, key_directory, key_place};
use crate::server::start_error::StartError;
use crate::server::store_setup;

/// Tries every backend, and what the registry lets the door do. Answers the client if the registry may be swept.
pub(super) async fn check_registry(config: &Config, report: &mut Report) -> Option<RegistryClient> {
    let client = match client(config).await {
        Ok(client) => client,
        Err(StartError::Keys(error)) if is_absence(&error) => {
            report.note(
                true,
                "The keys will be made at the first start: the registry cannot be asked with them yet.",
            );
            return None;
        }
        Err(StartError::Store(error)) if error.is_absence() => {
            report.note(
                true,
                "The keys will be made at the first start: the registry cannot be asked with them yet.",
            );
            return None;
        }
        // What is wrong with the configuration was said; what is wrong with the store will be.
        Err(StartError::Config(_) | StartError::Keys(_) | StartError::Store(_)) => return None,
        Err(error) => {
            report.refuse(&error);
            return None;
        }
    };
    if !check_backends(&client, report).await {
        return None;
    }
    match client.inspect().await {
        Ok(inspection) => note_inspection(&inspection, config, report),
        Err(error) => report.note(false, format!("{error}.")),
    }
    check_deletion(&client, report).await;
    check_catalog(client, config, report).await
}

async fn client(config: &Config) -> Result<RegistryClient, StartError> {
    let keys = match KeysFor::Registry.are_needed(config) {
        true => Some(keys(config).await?),
        false => None,
    };
    let RegistryAccess { settings, authorities, .. } = RegistryAccess::build(config, None, keys)?;
    let transport = HttpTransport::new(settings.timeout, authorities.as_ref())?;
    Ok(RegistryClient::new(settings, Arc::new(transport)))
}

async fn keys(config: &Config) -> Result<KeyRing, StartError> {
    let now = Clock::shifted(config.clock.offset).now();
    if let Some(directory) = key_directory(config) {
        return Ok(directory.look(now)?);
    }
    let store = store_setup::open_to_read(&config.store)?;
    let place = key_place(config, &store)?;
    let ring = place.look(now).await;
    store.close();
    Ok(ring?)
}

/// Tries every backend. Answers whether a registry is behind any of them.
async fn check_backends(client: &RegistryClient, report: &mut Report) -> bool {
    let mut answers = false;
    for backend in client.backends().all() {
        let url = backend.url();
        let result = client.probe(backend).await;
        backend.note_probe(result);
        answers |= result.is_registry();
        let sentence = match result {
            ProbeResult::Registry => format!("The registry at {url} answers."),
            ProbeResult::Failing(status) => {
                format!("The registry at {url} fails: it answers {status} to /v2/; see its log.")
            }
            ProbeResult::Foreign(status) => format!(
                "What answers at {url} is no registry: it answers {status} to /v2/ as no registry does; set registry.url to \
                 where the registry is."
            ),
            ProbeResult::Silent(Some(fault)) => {
                format!("The registry at {url} {fault}; {}.", fault.remedy())
            }
            ProbeResult::Silent(None) => {
                format!(
                    "The registry at {url} does not answer; start it, or set registry.url to where it is."
                )
            }
        };
        report.note(result.is_registry(), sentence);
    }
    answers
}

async fn check_deletion(client: &RegistryClient, report: &mut Report) {
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
}

/// Whether the registry lists what it has. Answers the client if so.
async fn check_catalog(
    client: RegistryClient,
    config: &Config,
    report: &mut Report,
) -> Option<RegistryClient> {
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
    let has_credentials = config.registry.auth != RegistryAuth::None;
    if let Some(problem) = CredentialsProblem::of(*status, has_credentials) {
        report.note(false, format!("{}.", capitalized(&problem.to_string())));
    } else if !status.is_success() {
        report.note(
            false,
            format!("The registry answers {status} to /v2/; is registry.url where a registry is?"),
        );
    }
    note_clock(clock.as_ref(), config.clock.warn, report);
}

/// How far the registry's clock is off, and whether that is more than `warn`.
fn note_clock(clock: Option<&ClockReading>, warn: Duration, report: &mut Report) {
    match clock {
        Some(ClockReading { ahead, bound }) => {
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
