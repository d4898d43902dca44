//! What changes without a restart: rules and groups, at SIGHUP or when the configuration's file changes, and keys, when
//! their directory does. All or nothing: a file that is wrong changes nothing, which is said loudly.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::gatehouse;
use crate::auth::{Gate, KeyDirectory};
use crate::config::{Auth, Config, ConfigError, DEFAULT_FILE};
use crate::store::AuthEventKind;

/// How often files are looked at.
const PACE: Duration = Duration::from_secs(2);
/// How often keys are read though nothing has changed: those that were replaced are needed for a time only.
const READ_KEYS: Duration = Duration::from_secs(5 * 60);

/// Where the configuration came from.
pub struct ConfigSource {
    /// The file, if one was named.
    pub file: Option<PathBuf>,
}

impl ConfigSource {
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

    fn modified(&self) -> Option<SystemTime> {
        let file = self.file.clone().unwrap_or_else(|| DEFAULT_FILE.into());
        std::fs::metadata(file).and_then(|data| data.modified()).ok()
    }
}

/// Follows changes.
pub(super) struct Reload {
    source: Arc<ConfigSource>,
    config: Config,
    gate: Arc<Gate>,
    keys: KeyDirectory,
    hangup: Signal,
}

impl Reload {
    /// Of this configuration, for this gate, at each `hangup`.
    pub fn new(source: ConfigSource, config: Config, gate: Arc<Gate>, hangup: Signal) -> Self {
        let keys = gatehouse::key_directory(&config);
        Self { source: Arc::new(source), config, gate, keys, hangup }
    }

    /// Follows changes until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let following = async {
            let mut file = self.source.modified();
            let mut keys = modified(&self.keys);
            let mut keys_read = Instant::now();
            loop {
                let is_told = tokio::select! {
                    _ = self.hangup.recv() => true,
                    () = tokio::time::sleep(PACE) => false,
                };
                let (file_now, keys_now) = (self.source.modified(), modified(&self.keys));
                if is_told || file_now != file {
                    self.read_configuration().await;
                }
                if is_told || keys_now != keys || keys_read.elapsed() >= READ_KEYS {
                    keys_read = Instant::now();
                    self.read_keys().await;
                }
                (file, keys) = (file_now, keys_now);
            }
        };
        stop.run_until_cancelled(following).await;
    }

    async fn read_configuration(&mut self) {
        let source = Arc::clone(&self.source);
        let read = tokio::task::spawn_blocking(move || source.load()).await;
        let config = match read {
            Ok(Ok(config)) => config,
            Ok(Err(error)) => return refused(&error),
            Err(error) => return refused(&error),
        };
        match gatehouse::policy(&config.auth) {
            Ok(policy) => self.gate.set_policy(policy),
            Err(error) => return refused(&error),
        }
        count("accepted");
        tracing::info!(rules = config.auth.rules.len(), "the rules were read again");
        let about = format!("{} rules were read", config.auth.rules.len());
        self.gate.journal().note(AuthEventKind::Policy, None, None, about);
        if without_rules(&config) != without_rules(&self.config) {
            tracing::warn!("more than rules and groups was changed; the rest counts after a restart");
        }
        self.config = config;
    }

    async fn read_keys(&self) {
        let (directory, now) = (self.keys.clone(), self.gate.clock.now());
        let read = tokio::task::spawn_blocking(move || directory.open(now)).await;
        let keys = match read {
            Ok(Ok(keys)) => keys,
            Ok(Err(error)) => return tracing::error!(%error, "the keys cannot be read; those in use stay"),
            Err(error) => return tracing::error!(%error, "reading the keys failed; those in use stay"),
        };
        let in_use = self.gate.issuer.keys();
        if keys.is_same_as(&in_use) {
            return;
        }
        let signing = keys.signing().public().id();
        let about = if signing == in_use.signing().public().id() {
            "a key was prepared or removed".to_owned()
        } else {
            format!("the key {signing} signs")
        };
        tracing::info!(signing, next = keys.next(), "{about}");
        self.gate.journal().note(AuthEventKind::Policy, None, None, about);
        self.gate.issuer.set_keys(keys);
    }
}

/// An open door has nothing to read again, and a hangup must not end it.
pub(super) async fn mind_no_hangup(mut hangup: Signal, stop: CancellationToken) {
    let minding = async {
        while hangup.recv().await.is_some() {
            tracing::info!("told to read rules again, but auth.mode is off; nothing was changed");
        }
    };
    stop.run_until_cancelled(minding).await;
}

fn refused(error: &dyn std::fmt::Display) {
    count("refused");
    tracing::error!(%error, "the new configuration is wrong; the old rules stay in force");
}

/// Describes the metrics of this file to the exporter.
pub(super) fn describe_metrics() {
    metrics::describe_counter!(
        "portreeve_reloads_total",
        "Times that rules and groups were read again, by what came of it"
    );
}

fn count(result: &'static str) {
    metrics::counter!("portreeve_reloads_total", "result" => result).increment(1);
}

fn modified(keys: &KeyDirectory) -> Option<SystemTime> {
    std::fs::metadata(keys.path()).and_then(|data| data.modified()).ok()
}

fn without_rules(config: &Config) -> Config {
    let auth = Auth { rules: Vec::new(), groups: Default::default(), ..config.auth.clone() };
    Config { auth, ..config.clone() }
}
