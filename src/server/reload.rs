//! What changes without a restart: rules, groups and secrets, when the configuration's file changes, and keys, when their directory
//! does, or what the store has of them; both at SIGHUP, as well as users and certificates, whose files are watched where they are used. All or nothing: a
//! file that is wrong changes nothing, which is said loudly.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio::signal::unix::Signal;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::auth_setup;
use crate::auth::{Gate, Issuer, KeyPlace};
use crate::clock::{Clock, Timestamp};
use crate::config::{Auth, Config, ConfigError, Notifications, RegistryAuth, SEARCHED_FILES};
use crate::files::{FileVersions, FileWatcher, RereadRequests};
use crate::registry::RegistryCredentials;
use crate::store::AuthEventKind;
use crate::telemetry::{FailureLog, ReloadResult, Reloaded};
use crate::web::NotificationSecret;

/// How often keys are read though nothing has changed: those that were replaced are needed for a time only.
const READ_KEYS: Duration = Duration::from_mins(5);

/// How often keys are looked for in a store that other doors share.
const LOOK_INTO_STORE: Duration = Duration::from_secs(1);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct ConfigSource {
    /// The file; none as long as none was named and none is where one is looked for.
    file: Option<PathBuf>,
}

impl ConfigSource {
    /// The file that was named, else the first of [`SEARCHED_FILES`] that is there.
    pub fn find(named: Option<PathBuf>) -> Self {
        // A link that leads nowhere, or a file that cannot be looked at, must not be passed over in silence.
        let is_there = |path: &PathBuf| match path.symlink_metadata() {
            Ok(_) => true,
            Err(error) => !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        };
        let named = named.filter(|path| !path.as_os_str().is_empty());
        let searched = || SEARCHED_FILES.iter().map(PathBuf::from).find(is_there);
        Self { file: named.or_else(searched) }
    }

    /// Reads it. Variables of the environment count as they were when the process began.
    ///
    /// # Errors
    /// When anything in it is wrong.
    pub fn load(&self) -> Result<Config, ConfigError> {
        // A variable that is not UTF-8 is kept in a form that the configuration refuses by name.
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        Config::load(self.file.as_deref(), environment)
    }

    /// The file, or those of which one may come to be there.
    fn paths(&self) -> Vec<PathBuf> {
        match &self.file {
            Some(file) => vec![file.clone()],
            None => SEARCHED_FILES.iter().map(PathBuf::from).collect(),
        }
    }

    /// Reads what took the place of `former`. A file that was there stays the one to read: it is not searched for again.
    fn reload(&self, former: &Config) -> Result<Config, ReloadError> {
        let source = if self.file.is_some() { self.clone() } else { Self::find(None) };
        let config = source.load()?;
        match former.file() {
            Some(file) if config.is_file_empty() && !former.is_file_empty() => {
                Err(ReloadError::Emptied { file: file.to_owned() })
            }
            _ => Ok(config),
        }
    }
}

/// Why a changed configuration is not used.
#[derive(Debug, thiserror::Error)]
enum ReloadError {
    /// Something in it is wrong, or its file is gone.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file that had settings in it and has none now.
    #[error(
        "{} is empty now, which is seldom meant; write the settings into it, or restart the door to do without them", file.display()
    )]
    Emptied {
        /// The file.
        file: PathBuf,
    },
}

/// Follows changes.
pub(super) struct Reload {
    source: ConfigSource,
    config: Config,
    parts: ReloadedParts,
    keys: KeyPlace,
    /// Whether the keys could be read.
    key_failures: FailureLog,
    requests: RereadRequests,
}

/// What is given new rules, keys and secrets.
pub(super) struct ReloadedParts {
    /// None for an open door.
    pub gate: Option<Arc<Gate>>,
    /// None where nothing has tokens.
    pub issuer: Option<Arc<Issuer>>,
    /// What the registry is shown.
    pub credentials: Arc<RegistryCredentials>,
    /// None where no notifications are taken.
    pub notifications: Option<NotificationSecret>,
}

impl Reload {
    /// Of this configuration, for these parts, when files change and at each of the `requests`.
    pub(super) fn new(
        source: ConfigSource,
        config: Config,
        keys: KeyPlace,
        parts: ReloadedParts,
        requests: RereadRequests,
    ) -> Self {
        Self { source, config, parts, keys, key_failures: FailureLog::new(), requests }
    }

    /// Follows changes until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let following = async {
            let watcher =
                |paths: &[PathBuf]| FileWatcher::new(paths, FileVersions::of(paths), self.requests.clone());
            let mut file = watcher(&self.source.paths());
            let mut keys = self.keys.directory().map(|directory| watcher(&[directory.to_owned()]));
            let mut keys_read = Instant::now();
            loop {
                tokio::select! {
                    _ = file.changed() => {
                        self.read_configuration().await;
                        continue;
                    }
                    () = may_have_changed(keys.as_mut()) => {}
                    () = tokio::time::sleep_until(keys_read + READ_KEYS) => {}
                }
                keys_read = Instant::now();
                self.read_keys().await;
            }
        };
        stop.run_until_cancelled(following).await;
    }

    async fn read_configuration(&mut self) {
        let (source, former) = (self.source.clone(), self.config.clone());
        let read = tokio::task::spawn_blocking(move || source.reload(&former)).await;
        let config = match read {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return refused(&error),
            Err(error) => return refused(&error),
        };
        let policy = match auth_setup::policy(&config) {
            Ok(policy) => policy,
            Err(error) => return refused(&error),
        };
        self.replace_secrets(&config);
        if let Some(gate) = &self.parts.gate {
            gate.set_policy(policy);
            let about = format!("{} rules were read", config.auth.rules.len());
            gate.journal().note(AuthEventKind::Policy, None, None, about);
        }
        count(Reloaded::Rules, ReloadResult::Accepted);
        tracing::info!(rules = config.auth.rules.len(), "the rules were read again");
        if without_reloaded(&config) != without_reloaded(&self.config) {
            tracing::warn!(
                "more than rules, groups and secrets was changed; the rest counts after a restart"
            );
        }
        self.source.file = config.file().map(Path::to_owned);
        self.config = config;
    }

    /// The registry and senders of notifications know these from now on. Whether there is a secret at all counts from a start
    /// on.
    fn replace_secrets(&self, config: &Config) {
        if let RegistryAuth::Basic(login) = &config.registry.auth {
            self.parts.credentials.replace_basic(&login.username, login.password.expose_secret());
        }
        if let (Some(kept), Some(secret)) = (&self.parts.notifications, &config.notifications.secret) {
            kept.replace(secret.expose_secret());
        }
    }

    async fn read_keys(&self) {
        let Some(issuer) = &self.parts.issuer else { return };
        let now = Clock::shifted(self.config.clock.offset).now();
        let keys = match self.keys.follow(now).await {
            Ok(keys) => keys,
            Err(error) => {
                // A store is asked so often that the same is said once.
                if self.key_failures.failed(&error) || self.keys.directory().is_some() {
                    count(Reloaded::Keys, ReloadResult::Refused);
                    tracing::error!(%error, "the keys cannot be read; those in use stay");
                }
                return;
            }
        };
        let (in_use, has_failed) = (issuer.keys(), self.key_failures.worked());
        let is_same = keys.is_same_as(&in_use);
        if !is_same || has_failed || self.keys.directory().is_some() {
            count(Reloaded::Keys, ReloadResult::Accepted);
        }
        if is_same {
            return;
        }
        let signing = keys.signing().public().id();
        let about = if signing == in_use.signing().public().id() {
            "a key was prepared or removed".to_owned()
        } else {
            format!("the key {signing} signs")
        };
        tracing::info!(signing, next = keys.next(), "{about}");
        if let Some(gate) = &self.parts.gate {
            gate.journal().note(AuthEventKind::Policy, None, None, about);
        }
        issuer.set_keys(keys);
    }
}

/// Waits until the files of keys have changed, or until it is time to look into the store for them.
async fn may_have_changed(files: Option<&mut FileWatcher>) {
    match files {
        Some(files) => {
            files.changed().await;
        }
        None => tokio::time::sleep(LOOK_INTO_STORE).await,
    }
}

/// At each SIGHUP has everything read anew that can change while the door runs. The signal never ends the door.
pub(super) async fn pass_on_hangups(mut hangup: Signal, reread: watch::Sender<()>, stop: CancellationToken) {
    let passing_on = async {
        while hangup.recv().await.is_some() {
            tracing::info!(
                "SIGHUP: users, rules, keys and certificates are read again, as far as there are any"
            );
            reread.send_replace(());
        }
    };
    stop.run_until_cancelled(passing_on).await;
}

fn refused(error: &dyn std::fmt::Display) {
    count(Reloaded::Rules, ReloadResult::Refused);
    tracing::error!(%error, "the new configuration is wrong; the old rules stay in force");
}

fn count(what: Reloaded, result: ReloadResult) {
    what.count(result, Timestamp::now().as_seconds());
}

/// The configuration without what counts at once.
fn without_reloaded(config: &Config) -> Config {
    let mut rest = config.clone();
    rest.auth = Auth { rules: Vec::new(), groups: Default::default(), ..rest.auth };
    if let RegistryAuth::Basic(login) = &mut rest.registry.auth {
        login.username.clear();
        login.password = "".into();
    }
    rest.notifications = Notifications { secret: rest.notifications.secret.map(|_| "".into()) };
    rest
}
