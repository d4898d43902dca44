//! How this process reaches the registry: its backends, its credentials, the keys of its tokens, and whose time counts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use url::Url;

use super::start_error::StartError;
use crate::auth::{
    Issuer, KeyAlgorithm, KeyDirectory, KeyFileError, KeyPlace, KeyRing, KeyRingError, RegistryTokens,
    StoredKeys, TokenSettings,
};
use crate::clock::{Clock, ClockOffset, Estimate};
use crate::config::{
    self, Algorithm, BasicLogin, Config, ConfigError, Problem, RegistryAuth, StoreUrl, VerifiedBy,
};
use crate::registry::{
    Authorities, Backends, RegistryClient, RegistryCredentials, RegistryKind, RegistrySettings,
};
use crate::store::Store;

/// The access to the registry, and what signs tokens.
pub(super) struct RegistryAccess {
    /// What clients to the registry are made from.
    pub settings: RegistrySettings,
    /// Whose certificates the registry is believed by; the system's authorities if absent.
    pub authorities: Option<Authorities>,
    /// Signs the tokens of the door and those for the registry; none where neither has any.
    pub issuer: Option<Arc<Issuer>>,
}

/// What keys are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeysFor {
    /// For clients and for the registry, as far as either has tokens.
    Door,
    /// For a registry that verifies tokens alone: no client is let in.
    Registry,
}

impl KeysFor {
    /// Whether a process with this configuration has use for keys.
    pub(super) fn are_needed(self, config: &Config) -> bool {
        match self {
            Self::Door => needs_keys(config),
            Self::Registry => config.registry.auth == RegistryAuth::Token,
        }
    }
}

impl RegistryAccess {
    /// From the configuration, what an earlier run knew of the registry's clock, and keys where they are needed. Makes nothing,
    /// and asks nothing.
    ///
    /// # Errors
    /// When a URL cannot be used.
    pub(super) fn build(
        config: &Config,
        known: Option<Estimate>,
        keys: Option<KeyRing>,
    ) -> Result<Self, StartError> {
        let authorities = authorities(config).map_err(|problem| ConfigError::new(vec![problem]))?;
        let clock = Clock::shifted(config.clock.offset);
        let offset = Arc::new(known.map_or_else(ClockOffset::default, ClockOffset::remembered));
        let issuer = keys.map(|keys| Arc::new(Issuer::new(token_settings(config), keys, clock)));
        let credentials =
            match (&config.registry.auth, &issuer) {
                (RegistryAuth::Basic(BasicLogin { username, password }), _) => {
                    RegistryCredentials::basic(username, password.expose_secret())
                }
                (RegistryAuth::Token, Some(issuer)) => RegistryCredentials::Token(Box::new(
                    RegistryTokens::new(Arc::clone(issuer), clock, Arc::clone(&offset)),
                )),
                (RegistryAuth::None | RegistryAuth::Token, _) => RegistryCredentials::None,
            };
        let kind = match config.registry.kind {
            config::RegistryKind::Registry => RegistryKind::Registry,
            config::RegistryKind::Proxy => RegistryKind::Proxy,
        };
        let urls = config.registry.backends.iter().map(|backend| Url::parse(&backend.to_string()));
        let settings = RegistrySettings {
            backends: Arc::new(Backends::new(urls.collect::<Result<Vec<_>, _>>()?)),
            kind,
            credentials: Arc::new(credentials),
            clock,
            offset,
            timeout: config.registry.timeout,
            commit_timeout: config.registry.commit_timeout,
        };
        Ok(Self { settings, authorities, issuer })
    }
}

/// The authorities that `registry.ca` names.
///
/// # Errors
/// When its file cannot be used.
pub(super) fn authorities(config: &Config) -> Result<Option<Authorities>, Problem> {
    let load = |path: PathBuf| {
        Authorities::load(path)
            .map_err(|error| config.problem("registry.ca", format!("`registry.ca` {error}")))
    };
    config.registry.ca.clone().map(load).transpose()
}

/// Reads the registry's clock before the first token is made for it. A backend that does not answer is asked by the health
/// checks, before anything else can be asked of it.
pub(super) async fn read_clock(registry: &RegistryClient, settings: &RegistrySettings) {
    if let RegistryCredentials::Token(_) = &*settings.credentials
        && let Some(backend) = registry.backends().all().first()
    {
        backend.note_probe(registry.probe(backend).await);
    }
}

/// Whether a door has use for keys.
pub(super) fn needs_keys(config: &Config) -> bool {
    config.auth.is_on || config.registry.auth == RegistryAuth::Token
}

/// What is wrong with the keys in a directory, or with the secret beside them. What is not there yet is made by a door that starts.
pub(super) fn broken_keys(config: &Config) -> Option<Problem> {
    let directory = key_directory(config)?;
    let now = Clock::shifted(config.clock.offset).now();
    let keys = if needs_keys(config) { directory.look(now).err() } else { None };
    let error = keys.filter(|error| !is_absence(error)).or_else(|| directory.secret().err());
    error.filter(|error| !is_absence(error)).map(|error| config.problem("auth.keys", error.to_string()))
}

/// The same of keys in the store.
pub(super) async fn broken_keys_in_store(config: &Config, store: &Arc<dyn Store>) -> Option<KeyRingError> {
    let place = match key_place(config, store) {
        Ok(place @ KeyPlace::Store(_)) => place,
        Ok(KeyPlace::Directory(_)) => return None,
        Err(error) => return Some(error),
    };
    let now = Clock::shifted(config.clock.offset).now();
    let keys = if needs_keys(config) { place.look(now).await.err() } else { None };
    let error = match keys.filter(|error| !is_absence(error)) {
        Some(error) => Some(error),
        None => place.secret().await.err(),
    };
    error.filter(|error| !is_absence(error))
}

/// Whether there are no keys yet.
pub(super) const fn is_absence(error: &KeyRingError) -> bool {
    matches!(error, KeyRingError::File(KeyFileError::Absent { .. }) | KeyRingError::NoneInStore)
}

/// Where the keys are: as configured, else beside the file of the store, or in its database.
///
/// # Errors
/// Never: the library that encrypts cannot say so.
pub(super) fn key_place(config: &Config, store: &Arc<dyn Store>) -> Result<KeyPlace, KeyRingError> {
    if let Some(directory) = key_directory(config) {
        return Ok(KeyPlace::Directory(directory));
    }
    let (algorithm, keep) = key_settings(config);
    let keys = StoredKeys::new(Arc::clone(store) as _, algorithm, keep);
    Ok(KeyPlace::Store(match &config.store.keys_secret {
        Some(secret) => keys.sealed_by(secret)?,
        None => keys,
    }))
}

/// The directory of the keys, unless they are in the store.
pub(super) fn key_directory(config: &Config) -> Option<KeyDirectory> {
    let path = match (&config.auth.keys, &config.store.url) {
        (Some(path), _) => path.clone(),
        (None, url @ StoreUrl::Redb(_)) => url.beside("keys"),
        (None, StoreUrl::Postgres(_)) => return None,
    };
    let (algorithm, keep) = key_settings(config);
    Some(KeyDirectory::new(path, algorithm, keep))
}

/// What new keys are, and how long replaced ones are needed.
fn key_settings(config: &Config) -> (KeyAlgorithm, Duration) {
    let algorithm = match config.auth.algorithm {
        Algorithm::Es256 => KeyAlgorithm::Es256,
        Algorithm::EdDsa => KeyAlgorithm::EdDsa,
        Algorithm::Rs256 => KeyAlgorithm::Rs256,
    };
    // Uploads go on with tokens that have expired, so their keys are needed as long.
    (algorithm, config.auth.token_ttl + config.auth.leeway + config.auth.upload_grace)
}

fn token_settings(config: &Config) -> TokenSettings {
    TokenSettings {
        issuer: config.auth.issuer.clone(),
        service: config.auth.service.clone(),
        ttl: config.auth.token_ttl,
        leeway: config.auth.leeway,
        carries_certificate: config.auth.verified_by == VerifiedBy::Certificates,
    }
}
