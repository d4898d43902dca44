//! `portreeve key`: the keys that tokens are signed with, in files or in the store, where a running door follows them.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;

use super::registry_access::{key_directory, key_place};
use super::start_error::StartError;
use super::store_setup;
use crate::auth::{KeyPlace, KeyRing, KeyRingError};
use crate::clock::Clock;
use crate::config::{Config, RegistryAuth};
use crate::store::Store;

/// Within which time every door that shares a store has looked at the keys in it.
const FOLLOWED: Duration = Duration::from_secs(3);

/// Where the keys are, and the store if they are in it.
struct Keys {
    place: KeyPlace,
    store: Option<Arc<dyn Store>>,
}

impl Keys {
    /// Those of a configuration. A store is opened only if they are in it: whoever looks takes nothing from a door.
    fn of(config: &Config) -> Result<Self, StartError> {
        if let Some(directory) = key_directory(config) {
            return Ok(Self { place: KeyPlace::Directory(directory), store: None });
        }
        let store = store_setup::open_existing(&config.store)?;
        Ok(Self { place: key_place(config, &store)?, store: Some(store) })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(store) = &self.store {
            store.close();
        }
    }
}

/// Runs a command to its end.
fn run<T>(command: impl Future<Output = Result<T, KeyCommandError>>) -> Result<T, KeyCommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    runtime.block_on(command)
}

/// Makes the key that is to sign next, so that a registry that verifies tokens can learn of it before. What to say about it.
///
/// # Errors
/// When there is no store or no key yet, or the keys cannot be read or written.
pub fn prepare_key(config: &Config) -> Result<String, KeyCommandError> {
    store_setup::require(&config.store).map_err(StartError::Store)?;
    let keys = Keys::of(config)?;
    let now = Clock::shifted(config.clock.offset).now();
    let ring = run(async { Ok(keys.place.prepare(now).await?) })?;
    Ok(format!(
        "The key {} in {} signs nothing yet.\nGive a registry that verifies tokens what `portreeve key show \
         --certificate` prints now, restart it, and then run `portreeve key rotate`.",
        ring.next().unwrap_or_default(),
        keys.place
    ))
}

/// Why a command about keys was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum KeyCommandError {
    /// There is no store or no key yet, or the keys cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The registry would refuse tokens of a key that it has never heard of.
    #[error(
        "no key is prepared, and the registry verifies tokens: it would refuse those of a key that it does not know. Run \
         `portreeve key prepare`, give the registry what `portreeve key show --certificate` prints, and rotate then; or say \
         --force. Nothing was changed"
    )]
    NotPrepared,
}

impl From<KeyRingError> for KeyCommandError {
    fn from(error: KeyRingError) -> Self {
        Self::Start(StartError::Keys(error))
    }
}

/// The prepared key, or a new one, signs from now on; the old one is good until its tokens are gone. What to say about it.
/// Before a registry that verifies tokens a new one only where the operator insists: `is_forced`.
///
/// # Errors
/// When there is no store, no key or no prepared key yet, or the keys cannot be read or written.
pub fn rotate_key(config: &Config, is_forced: bool) -> Result<String, KeyCommandError> {
    store_setup::require(&config.store).map_err(StartError::Store)?;
    let keys = Keys::of(config)?;
    let clock = Clock::shifted(config.clock.offset);
    let ring = run(async {
        let is_prepared = keys.place.look(clock.now()).await?.next().is_some();
        if config.registry.auth == RegistryAuth::Token && !is_prepared && !is_forced {
            return Err(KeyCommandError::NotPrepared);
        }
        rotate(&keys, is_prepared, clock).await
    })?;
    Ok(format!(
        "The key {} in {} signs from now on.\nA running door follows within seconds. A registry that verifies tokens has \
         to know its certificate (`portreeve key show --certificate`).",
        ring.signing().public().id(),
        keys.place
    ))
}

/// Of doors that share a store one signs with the new key before another has looked: so it is there before it signs.
async fn rotate(keys: &Keys, is_prepared: bool, clock: Clock) -> Result<KeyRing, KeyCommandError> {
    if keys.store.is_some() && !is_prepared {
        keys.place.prepare(clock.now()).await?;
        tokio::time::sleep(FOLLOWED).await;
    }
    Ok(keys.place.rotate(clock.now()).await?)
}

/// The public keys as a JSON Web Key Set, or the certificates of those that sign now and next, for a registry's
/// `rootcertbundle`. Changes nothing.
///
/// # Errors
/// When there is no key yet, or the keys cannot be read.
pub fn show_key(config: &Config, certificate: bool) -> Result<String, KeyCommandError> {
    let keys = Keys::of(config)?;
    run(async {
        let ring = keys.place.look(Clock::shifted(config.clock.offset).now()).await?;
        if certificate {
            return Ok(keys.place.certificates().await?.trim_end().to_owned());
        }
        Ok(serde_json::to_string_pretty(&ring.jwks()).unwrap_or_default())
    })
}
