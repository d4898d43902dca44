//! What a door makes that starts for the first time: a store, and keys. No command makes them, so that a path with a slip
//! of the pen in it ends in a refusal, and not in a second, empty record.

use std::sync::Arc;

use tokio::runtime::Runtime;

use super::registry_access::{key_place, needs_keys};
use super::start_error::StartError;
use super::store_setup::{self, Opened};
use crate::auth::MadeKeys;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;

/// Opens the store and makes what is missing of it and of the keys, which is said in the log. Blocks while it does.
///
/// # Errors
/// When the store or the keys cannot be used.
pub(super) fn open_or_make(config: &Config, runtime: &Runtime) -> Result<Arc<dyn Store>, StartError> {
    let Opened { store, is_new } = store_setup::open_or_make(&config.store)?;
    if is_new {
        match store_setup::file(&config.store) {
            Some(path) => tracing::info!("made a new store at {}", path.display()),
            None => tracing::info!("made a new store in the database {}", config.store.url),
        }
    }
    if store.is_lost_with_one_server() {
        tracing::info!("{}", store_setup::LOST_WITH_ONE_SERVER);
    }
    runtime.block_on(make_missing_keys(config, &store, is_new))?;
    Ok(store)
}

async fn make_missing_keys(
    config: &Config,
    store: &Arc<dyn Store>,
    is_new_store: bool,
) -> Result<(), StartError> {
    let place = key_place(config, store)?;
    let now = Clock::shifted(config.clock.offset).now();
    let made = place.make_missing(needs_keys(config), now).await?;
    // A store without its keys is one that was restored without them, or a door that looks for them elsewhere than before.
    let were_there = !is_new_store && !made.is_first_use;
    match made {
        MadeKeys { keys: true, .. } if were_there => tracing::warn!(
            "made new keys in {place}, though the store was there before: tokens signed by its former keys are refused, and a \
             registry that verifies tokens has to be given `portreeve key show --certificate`; if that is not meant, stop the \
             door and restore the keys, or mend auth.keys"
        ),
        MadeKeys { keys: true, .. } => tracing::info!("made new keys in {place}"),
        MadeKeys { secret: true, .. } if were_there => tracing::warn!(
            "made a new secret in {place}, though the store was there before: uploads that were under way cannot go on"
        ),
        MadeKeys { secret: true, .. } => tracing::info!("made a new secret for upload URLs in {place}"),
        MadeKeys { .. } => {}
    }
    Ok(())
}
