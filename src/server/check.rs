//! `portreeve check`: tries what the configuration names, and says in plain words what is wrong.

mod configuration;
mod record;
mod registry;
mod report;

use tokio::runtime;

use self::configuration::{check_intentions, check_listeners, check_preparation};
use self::record::{
    Record, check_agreement, check_flaws, check_last_sweep, check_missing, check_readiness, check_store,
};
use self::registry::check_registry;
pub use self::report::Report;
use super::door_client::Client;
use super::flaw_report;
use super::known_accounts::KnownAccounts;
use super::missing_report::MissingReport;
use super::preparation::Preparation;
use super::socket;
use crate::config::{Config, RegistryKind};
use crate::sync::NamesInStore;

/// Tries everything that the configuration names: what `serve` reads before it starts, by the same function, then the ports,
/// the registry and the store. Writes nothing.
pub fn check(config: &Config) -> Report {
    let mut report = Report::default();
    let prepared = check_preparation(config, &mut report);
    let socket = socket::path(config);
    let door_runs = socket::is_answered(&socket);
    check_listeners(config, door_runs, &mut report);
    if let Some(Preparation { auth, .. }) = prepared {
        // What keeps the store from being asked is said where it is tried.
        let known = KnownAccounts::of(config, auth.as_ref()).ok();
        check_intentions(config, known.as_ref(), &mut report);
    }
    let runtime = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.note(false, format!("The system does not let anything be tried: {error}."));
            return report;
        }
    };
    runtime.block_on(async {
        let registry = check_registry(config, &mut report).await;
        // What a cache lists is its origin's.
        let is_cache = config.registry.kind == RegistryKind::Proxy;
        match check_store(config, &mut report).await {
            Record::Open(store) => {
                check_missing(MissingReport::in_store(store.as_ref()).await, &mut report);
                check_flaws(flaw_report::in_store(store.as_ref()).await, &mut report);
                check_agreement(&NamesInStore(store.as_ref()), registry.as_ref(), is_cache, &mut report)
                    .await;
                store.close();
            }
            Record::InUse => match Client::new(&socket) {
                Ok(door) => {
                    check_readiness(&door, &mut report).await;
                    check_last_sweep(&door, &mut report).await;
                    check_missing(door.missing_report().await, &mut report);
                    check_flaws(door.flaw_reports().await, &mut report);
                    check_agreement(&door, registry.as_ref(), is_cache, &mut report).await;
                }
                Err(error) => report.note(false, format!("{error}.")),
            },
            Record::None => {}
        }
    });
    report
}
