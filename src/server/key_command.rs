//! `portreeve key`: the keys that tokens are signed with. They are files, which a running door follows.

use super::registry_access::key_directory;
use super::start_error::StartError;
use super::store_setup;
use crate::clock::Clock;
use crate::config::{Config, RegistryAuth};

/// Makes the key that is to sign next, so that a registry that verifies tokens can learn of it before. What to say about it.
///
/// # Errors
/// When there is no store or no key yet, or the directory cannot be read or written.
pub fn prepare_key(config: &Config) -> Result<String, KeyCommandError> {
    store_setup::require(&config.store).map_err(StartError::Store)?;
    let keys = key_directory(config);
    let ring = keys.prepare(Clock::shifted(config.clock.offset).now()).map_err(StartError::Keys)?;
    Ok(format!(
        "The key {} in {} signs nothing yet.\nGive a registry that verifies tokens what `portreeve key show \
         --certificate` prints now, restart it, and then run `portreeve key rotate`.",
        ring.next().unwrap_or_default(),
        keys.path().display()
    ))
}

/// Why a command about keys was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum KeyCommandError {
    /// There is no store or no key yet, or the directory cannot be used.
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

/// The prepared key, or a new one, signs from now on; the old one is good until its tokens are gone. What to say about it.
/// Before a registry that verifies tokens a new one only where the operator insists: `is_forced`.
///
/// # Errors
/// When there is no store, no key or no prepared key yet, or the directory cannot be read or written.
pub fn rotate_key(config: &Config, is_forced: bool) -> Result<String, KeyCommandError> {
    store_setup::require(&config.store).map_err(StartError::Store)?;
    let keys = key_directory(config);
    let now = Clock::shifted(config.clock.offset).now();
    let is_prepared = keys.look(now).map_err(StartError::Keys)?.next().is_some();
    if config.registry.auth == RegistryAuth::Token && !is_prepared && !is_forced {
        return Err(KeyCommandError::NotPrepared);
    }
    let ring = keys.rotate(now).map_err(StartError::Keys)?;
    Ok(format!(
        "The key {} in {} signs from now on.\nA running door follows within seconds. A registry that verifies tokens has \
         to know its certificate (`portreeve key show --certificate`).",
        ring.signing().public().id(),
        keys.path().display()
    ))
}

/// The public keys as a JSON Web Key Set, or the certificates of those that sign now and next, for a registry's
/// `rootcertbundle`. Writes nothing.
///
/// # Errors
/// When there is no key yet, or the directory cannot be read.
pub fn show_key(config: &Config, certificate: bool) -> Result<String, KeyCommandError> {
    let keys = key_directory(config);
    let ring = keys.look(Clock::shifted(config.clock.offset).now()).map_err(StartError::Keys)?;
    if certificate {
        return Ok(keys.certificates().map_err(StartError::Keys)?.trim_end().to_owned());
    }
    Ok(serde_json::to_string_pretty(&ring.jwks()).unwrap_or_default())
}
