//! `portreeve check`: tries what the configuration names, and says in plain words what is wrong.

mod record;
mod registry;
mod report;

use tokio::runtime;

use self::record::{Record, check_agreement, check_last_sweep, check_missing, check_readiness, check_store};
use self::registry::check_registry;
use self::report::Mark;
pub use self::report::Report;
use super::door_client::Client;
use super::missing_report::MissingReport;
use super::socket;
use crate::config::{Config, RegistryKind, Tls};
use crate::door::Certificates;
use crate::sync::NamesInStore;

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
            "No rule gives the action \"admin\": no user sees the door's status and audit, or starts a sweep, by the API; \
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
                check_missing(MissingReport::in_store(store.as_ref()).await, &mut report);
                check_agreement(&NamesInStore(store.as_ref()), registry.as_ref(), is_cache, &mut report)
                    .await;
                store.close();
            }
            Record::InUse => match Client::new(&socket::path(&config)) {
                Ok(door) => {
                    check_readiness(&door, &mut report).await;
                    check_last_sweep(&door, &mut report).await;
                    check_missing(door.missing_report().await, &mut report);
                    check_agreement(&door, registry.as_ref(), is_cache, &mut report).await;
                }
                Err(error) => report.note(false, format!("{error}.")),
            },
            Record::None => {}
        }
    });
    report
}
