//! Everything that a configuration names and that is there before the door is: plugins, rules, users, certificate, ports.
//! `serve` builds the door from it, and `check` tries it, by the same function, so that they find the same to be wrong.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use super::auth_setup::PreparedAuth;
use super::registry_access;
use super::start_error::StartError;
use crate::config::{Config, ConfigError, Problem, Tls};
use crate::door::{Certificates, Listener};
use crate::plugins::{self, PreparedPlugins};

/// What a configuration names, read.
pub(super) struct Preparation {
    pub plugins: PreparedPlugins,
    /// None for an open door.
    pub auth: Option<PreparedAuth>,
    /// None for a door without TLS.
    pub certificates: Option<Arc<Certificates>>,
}

impl Preparation {
    /// Reads what the configuration names. Changes nothing.
    ///
    /// # Errors
    /// Everything that cannot be used, at once.
    pub(super) fn of(config: &Config) -> Result<Self, StartError> {
        let mut problems = Vec::new();
        let plugins = plugins::prepare(&config.plugins).map_err(|wrong| {
            problems.extend(wrong.iter().map(|wrong| config.problem(&wrong.path(), wrong.to_string())));
        });
        let auth = match PreparedAuth::of(config) {
            Ok(auth) => Ok(auth),
            Err(StartError::Config(error)) => {
                problems.extend(error.problems().iter().cloned());
                Err(())
            }
            Err(error) => return Err(error),
        };
        let certificates = certificates(config).map_err(|problem| problems.push(problem));
        problems.extend(registry_access::authorities(config).err());
        problems.extend(registry_access::broken_keys(config));
        match (plugins, auth, certificates) {
            (Ok(plugins), Ok(auth), Ok(certificates)) if problems.is_empty() => {
                Ok(Self { plugins, auth, certificates })
            }
            _ => Err(ConfigError::new(problems).into()),
        }
    }
}

fn certificates(config: &Config) -> Result<Option<Arc<Certificates>>, Problem> {
    let Some(Tls { certificate, key }) = &config.listen.tls else { return Ok(None) };
    Certificates::load(certificate.clone(), key.clone())
        .map(|certificates| Some(Arc::new(certificates)))
        .map_err(|error| config.problem(error.key(), error.to_string()))
}

/// The bound ports.
pub(super) struct Listeners {
    pub door: Listener,
    pub admin: Listener,
}

impl Listeners {
    /// Binds the ports.
    ///
    /// # Errors
    /// Every port that cannot be bound.
    pub(super) fn bind(config: &Config) -> Result<Self, Vec<UnboundPort>> {
        let door = bind("listen.door", config.listen.door);
        let admin = bind("listen.admin", config.listen.admin);
        match (door, admin) {
            (Ok(door), Ok(admin)) => Ok(Self { door, admin }),
            (door, admin) => Err([door.err(), admin.err()].into_iter().flatten().collect()),
        }
    }
}

fn bind(key: &'static str, address: SocketAddr) -> Result<Listener, UnboundPort> {
    Listener::bind(address).map_err(|source| UnboundPort { key, address, source })
}

/// An address that cannot be bound.
#[derive(Debug, thiserror::Error)]
#[error("`{key}` {address} cannot be bound: {source}; {}", remedy_for(.source))]
pub(super) struct UnboundPort {
    key: &'static str,
    address: SocketAddr,
    source: io::Error,
}

impl UnboundPort {
    /// Where it was to be bound.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether something listens there already.
    pub(super) fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }

    /// Where it is configured, and what is wrong.
    pub(super) fn problem(&self, config: &Config) -> Problem {
        config.problem(self.key, self.to_string())
    }
}

fn remedy_for(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there: stop it or choose another port",
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need privileges: choose another port or grant them"
        }
        io::ErrorKind::AddrNotAvailable => {
            "that address is not this machine's: choose one that is, or 0.0.0.0"
        }
        _ => "choose another address",
    }
}
