//! The configuration: plain data, read from defaults, file and environment, wholly checked before anything starts.
//!
//! Each layer overrides the one below: built-in defaults, the file, then variables `PORTREEVE__SECTION__KEY`. Keys that
//! are not known are refused, and everything that is wrong is reported at once. Only the command line and a reload load
//! it; each module is given the part that concerns it.

mod address;
mod answers;
mod auth;
mod clock;
mod environment;
mod error;
mod file;
mod keys;
mod limits;
mod log;
mod notifications;
mod pages;
mod places;
mod registry;
mod registry_auth;
mod secret_files;
mod sessions;
mod settings;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod value;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use url::{Host, Url};

pub use address::{BackendUrl, InvalidUrl, StoreUrl};
pub use answers::{Answers, AnswersFrom};
pub use auth::{Algorithm, Auth, AuthRule, Principal, UserSource, VerifiedBy};
pub use clock::Clock;
pub use error::{ConfigError, Problem};
pub use keys::{KEYS, Key, SECRETS};
pub use limits::Limits;
pub use log::{Log, LogFormat, LogLevel};
pub use notifications::Notifications;
pub use pages::Pages;
pub use registry::{Registry, RegistryHost, RegistryKind};
pub use registry_auth::{BasicLogin, RegistryAuth};
pub use sessions::Sessions;
pub use store::{Store, StoreTls};
pub use tls::Tls;

use error::Origin;
use places::Places;
use settings::Settings;

/// The files of which the first is read that is there, when none is named.
pub const SEARCHED_FILES: [&str; 2] = ["portreeve.toml", "/etc/portreeve/portreeve.toml"];

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `listen`
    pub listen: Listen,
    /// `limits`
    pub limits: Limits,
    /// `external_url`: how clients reach the door, a URL without a path; from each request if absent.
    pub external_url: Option<Url>,
    /// `registry`
    pub registry: Registry,
    /// `store`
    pub store: Store,
    /// `sync`
    pub sync: Sync,
    /// `answers`
    pub answers: Answers,
    /// `auth`
    pub auth: Auth,
    /// `pages.session_idle` and `pages.session_lifetime`
    pub sessions: Sessions,
    /// `clock`
    pub clock: Clock,
    /// `notifications`
    pub notifications: Notifications,
    /// `pages`
    pub pages: Pages,
    /// `server`
    pub server: Server,
    /// `log`
    pub log: Log,
    /// `plugins`: each plugin's own table, which the plugin checks.
    pub plugins: BTreeMap<String, toml::Table>,
    places: Places,
}

/// Where the door listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `listen.door`: for clients, the API and pages.
    pub door: SocketAddr,
    /// `listen.admin`: for metrics and health; never to be exposed.
    pub admin: SocketAddr,
    /// `listen.tls`: TLS on the door; plain if absent.
    pub tls: Option<Tls>,
    /// `listen.client_timeout`: how long a client may stand still in the middle of a transfer; above zero, at most a day.
    pub client_timeout: Duration,
}

/// The sweeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// `sync.interval`: the time between two shallow sweeps; zero for none, at most a day.
    pub interval: Duration,
    /// `sync.deep_interval`: the time between two deep sweeps; zero for none, at most a day.
    pub deep_interval: Duration,
    /// `sync.concurrency`: the most questions that a sweep has under way at once; at most 1,024.
    pub concurrency: NonZeroUsize,
    /// `sync.settling`: how long an observed write is believed more than an answer that contradicts it; zero for not at
    /// all, at most an hour.
    pub settling: Duration,
    /// `sync.removal_limit`: how much of the record may be found to be gone within an hour, in per cent.
    pub removal_limit: u8,
    /// `sync.removal_patience`: how long what is held has to stay away until it is believed to be gone; at most ten years.
    pub removal_patience: Duration,
}

/// The process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `server.threads`: worker threads, at most 1,024.
    pub threads: NonZeroUsize,
    /// `server.grace`: the time that running transfers get when the door is told to stop; zero for none, at most a day.
    pub grace: Duration,
    /// `server.lame_duck`: how long the door goes on when it is told to stop, while `/readyz` sends new clients elsewhere; zero for
    /// none, at most a day.
    pub lame_duck: Duration,
    /// `server.socket`: the Unix socket by which commands reach a running door; beside the store if absent.
    pub socket: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen {
                door: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 5000)),
                admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 5080)),
                tls: None,
                client_timeout: Duration::from_mins(5),
            },
            limits: Limits::default(),
            external_url: None,
            registry: Registry::default(),
            store: Store::default(),
            sync: Sync {
                interval: Duration::from_mins(5),
                deep_interval: Duration::from_hours(1),
                concurrency: const { NonZeroUsize::new(8).unwrap() },
                settling: Duration::from_mins(1),
                removal_limit: 10,
                removal_patience: Duration::from_hours(24),
            },
            answers: Answers::default(),
            auth: Auth::default(),
            sessions: Sessions::default(),
            clock: Clock::default(),
            notifications: Notifications::default(),
            pages: Pages::default(),
            server: Server {
                threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
                grace: Duration::from_secs(30),
                lame_duck: Duration::ZERO,
                socket: None,
            },
            log: Log::default(),
            plugins: BTreeMap::new(),
            places: Places::default(),
        }
    }
}

impl Config {
    /// Reads the configuration: defaults, then `file`, if there is one, then `environment`, of which only variables
    /// `PORTREEVE_…` count.
    ///
    /// # Errors
    /// When the file cannot be read or anything in it or in the environment is wrong: everything at once.
    pub fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        match file.map(|path| (path, std::fs::read_to_string(path))) {
            None => {}
            Some((path, Ok(text))) => {
                settings.places.file = Some(path.to_owned());
                file::apply(&mut settings, path, &text);
            }
            Some((path, Err(error))) => settings.complain(
                Origin::File(path.to_owned()),
                format!("the configuration file cannot be read ({error}); name a readable one with --config"),
            ),
        }
        environment::apply(&mut settings, environment);
        Self::read(settings)
    }

    /// What it was read from, such as `portreeve.toml and 2 environment variables`.
    pub fn read_from(&self) -> impl std::fmt::Display + '_ {
        &self.places
    }

    /// The file it was read from, if there was one.
    pub fn file(&self) -> Option<&Path> {
        self.places.file.as_deref()
    }

    /// Whether the file says nothing at all.
    pub fn is_file_empty(&self) -> bool {
        self.places.is_file_empty()
    }

    /// Whether the file, and not the environment, gave a key.
    pub fn is_in_file(&self, key: &str) -> bool {
        self.places.is_in_file(key)
    }

    /// Something that is wrong with what was configured, found by who uses it. `path` is a key, `auth.rules[0]` for the
    /// first rule, or an option of a plugin; `sentence` names it and the fault, and ends in what would be right.
    pub fn problem(&self, path: &str, sentence: impl Into<String>) -> Problem {
        self.places.problem(path, sentence)
    }

    /// Reads the settings by their types; what was not given stays at its default.
    fn read(mut settings: Settings) -> Result<Self, ConfigError> {
        secret_files::read(&mut settings);
        let mut config = Self::default();
        settings.read_into(&mut config.listen.door, "listen.door", value::socket_address);
        settings.read_into(&mut config.listen.admin, "listen.admin", value::socket_address);
        settings.read_into(
            &mut config.listen.client_timeout,
            "listen.client_timeout",
            value::positive_duration,
        );
        settings.read_into(&mut config.sync.interval, "sync.interval", value::duration);
        settings.read_into(&mut config.sync.deep_interval, "sync.deep_interval", value::duration);
        settings.read_into(&mut config.sync.concurrency, "sync.concurrency", value::count);
        settings.read_into(&mut config.sync.settling, "sync.settling", value::short_duration);
        settings.read_into(&mut config.sync.removal_limit, "sync.removal_limit", value::percentage);
        settings.read_into(&mut config.sync.removal_patience, "sync.removal_patience", value::long_duration);
        settings.read_into(&mut config.server.threads, "server.threads", value::count);
        settings.read_into(&mut config.server.grace, "server.grace", value::duration);
        settings.read_into(&mut config.server.lame_duck, "server.lame_duck", value::duration);
        config.answers = answers::read(&mut settings);
        config.limits = limits::read(&mut settings);
        config.log = log::read(&mut settings);
        config.registry = registry::read(&mut settings);
        config.auth = auth::read(&mut settings);
        config.sessions = sessions::read(&mut settings);
        config.store = store::read(&mut settings);
        config.clock = clock::read(&mut settings);
        config.server.socket = settings.read("server.socket", value::path);
        config.notifications = notifications::read(&mut settings);
        config.pages = pages::read(&mut settings);
        config.external_url = settings.read("external_url", value::origin_url);
        config.listen.tls = tls::read(&mut settings, ["listen.tls.cert", "listen.tls.key"]);
        config.check_addresses(&mut settings);
        config.plugins = std::mem::take(&mut settings.plugins);
        config.places = std::mem::take(&mut settings.places);
        if settings.problems.is_empty() { Ok(config) } else { Err(ConfigError::new(settings.problems)) }
    }

    /// Finds listeners that would take each other's port, and a door that would be its own registry.
    fn check_addresses(&self, settings: &mut Settings) {
        let Listen { door, admin, .. } = self.listen;
        if overlap(door, admin.ip(), admin.port()) {
            let key = if settings.has("listen.admin") { "listen.admin" } else { "listen.door" };
            let sentence = format!(
                "`listen.door` {door} and `listen.admin` {admin} cannot share a port; give one of them another port"
            );
            settings.complain(settings.origin(key), sentence);
        }
        for backend in &self.registry.backends {
            let loops = match backend.host() {
                Host::Ipv4(ip) => ip.is_loopback() && overlap(door, IpAddr::V4(*ip), backend.port()),
                Host::Ipv6(ip) => ip.is_loopback() && overlap(door, IpAddr::V6(*ip), backend.port()),
                Host::Domain(domain) => {
                    domain == "localhost" && overlap(door, Ipv4Addr::LOCALHOST.into(), backend.port())
                }
            };
            if loops {
                let key = if settings.has("registry.url") { "registry.url" } else { "listen.door" };
                let sentence = format!(
                    "`registry.url` {backend} leads back to the door, which listens on {door}; name the registry's \
                     own address"
                );
                settings.complain(settings.origin(key), sentence);
            }
        }
    }
}

/// Whether a listener on `listener` also takes `port` of `ip`. Port 0 is whatever is free.
fn overlap(listener: SocketAddr, ip: IpAddr, port: u16) -> bool {
    port != 0
        && listener.port() == port
        && (listener.ip() == ip || listener.ip().is_unspecified() || ip.is_unspecified())
}
