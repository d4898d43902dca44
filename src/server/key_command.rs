//! `portreeve key`: the keys that tokens are signed with. They are files, which a running door follows.

use super::registry_access::key_directory;
use super::start_error::StartError;
use crate::clock::Clock;
use crate::config::Config;

/// Makes the key that is to sign next, so that a registry that verifies tokens can learn of it before. What to say about it.
///
/// # Errors
/// When the directory cannot be read or written.
pub fn prepare_key(config: &Config) -> Result<String, StartError> {
    let keys = key_directory(config);
    let ring = keys.prepare(Clock::shifted(config.clock.offset).now())?;
    Ok(format!(
        "The key {} in {} signs nothing yet.\nGive a registry that verifies tokens what `portreeve key show \
         --certificate` prints now, restart it, and then run `portreeve key rotate`.",
        ring.next().unwrap_or_default(),
        keys.path().display()
    ))
}

/// The prepared key, or a new one, signs from now on; the old one is good until its tokens are gone. What to say about it.
///
/// # Errors
/// When the directory cannot be read or written.
pub fn rotate_key(config: &Config) -> Result<String, StartError> {
    let keys = key_directory(config);
    let ring = keys.rotate(Clock::shifted(config.clock.offset).now())?;
    Ok(format!(
        "The key {} in {} signs from now on.\nA running door follows within seconds. A registry that verifies tokens has \
         to know its certificate (`portreeve key show --certificate`).",
        ring.signing().public().id(),
        keys.path().display()
    ))
}

/// The public keys as a JSON Web Key Set, or the certificates of those that sign now
/// and next, for a registry's `rootcertbundle`. The
/// first key is made if there is none.
///
/// # Errors
/// When the directory cannot be read or written.
pub fn show_key(config: &Config, certificate: bool) -> Result<String, StartError> {
    let keys = key_directory(config);
    let ring = keys.open(Clock::shifted(config.clock.offset).now())?;
    if certificate {
        return Ok(keys.certificates()?.trim_end().to_owned());
    }
    Ok(serde_json::to_string_pretty(&ring.jwks()).unwrap_or_default())
}
