//! The section `registry`, but for how the door shows itself to the registry.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::address::BackendUrl;
use super::error::Origin;
use super::registry_auth::{self, RegistryAuth};
use super::settings::{Given, Settings, kind, text};
use super::value::{self, quoted, wrong_url};

/// The registry behind the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// `registry.url`: interchangeable backends, at least one, each different.
    pub backends: Vec<BackendUrl>,
    /// `registry.kind`
    pub kind: RegistryKind,
    /// `registry.exclusive`: whether nothing but the door writes to the registry.
    pub is_exclusive: bool,
    /// `registry.timeout`: the wait for a connection or for an answer to begin; above zero, at most a day.
    pub timeout: Duration,
    /// `registry.host`: which `Host` the registry sees.
    pub host: RegistryHost,
    /// `registry.commit_timeout`: the wait for the answer to what ends an upload and to a manifest write, while the
    /// registry shows signs of life; not shorter than `timeout`, at most a day.
    pub commit_timeout: Duration,
    /// `registry.ca`: a PEM file with the authorities whose certificates the registry is believed by; the system's if absent.
    pub ca: Option<PathBuf>,
    /// `registry.auth`, with `registry.username` and `registry.password`
    pub auth: RegistryAuth,
}

/// What the registry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryKind {
    /// `"registry"`: it holds what was pushed to it.
    #[default]
    Registry,
    /// `"proxy"`: a pull-through cache of another registry.
    Proxy,
}

/// Which `Host` the registry sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistryHost {
    /// Its own name, from `registry.url`.
    #[default]
    Backend,
    /// The name by which the client knows the door.
    Keep,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            backends: BackendUrl::parse("http://127.0.0.1:5001").into_iter().collect(),
            kind: RegistryKind::default(),
            is_exclusive: false,
            timeout: Duration::from_secs(30),
            host: RegistryHost::default(),
            commit_timeout: Duration::from_mins(15),
            ca: None,
            auth: RegistryAuth::None,
        }
    }
}

/// Reads the section `registry`.
pub(super) fn read(settings: &mut Settings) -> Registry {
    let mut registry = Registry::default();
    settings.read_into(&mut registry.backends, "registry.url", backends);
    settings.read_into(&mut registry.kind, "registry.kind", registry_kind);
    settings.read_into(&mut registry.is_exclusive, "registry.exclusive", value::boolean);
    settings.read_into(&mut registry.timeout, "registry.timeout", value::positive_duration);
    settings.read_into(&mut registry.commit_timeout, "registry.commit_timeout", value::positive_duration);
    settings.read_into(&mut registry.host, "registry.host", registry_host);
    registry.ca = settings.read("registry.ca", value::path);
    registry.auth = registry_auth::read(settings);
    registry.check_timeouts(settings);
    registry
}

impl Registry {
    /// Finds a commit that would have less time than a question; a default makes room by itself.
    fn check_timeouts(&mut self, settings: &mut Settings) {
        let Self { timeout, commit_timeout, .. } = *self;
        if commit_timeout < timeout {
            if settings.has("registry.commit_timeout") {
                let sentence = format!(
                    "`registry.commit_timeout` {} is shorter than `registry.timeout` {}; make it at least as long",
                    humantime::format_duration(commit_timeout),
                    humantime::format_duration(timeout)
                );
                settings.complain(settings.origin("registry.commit_timeout"), sentence);
            }
            self.commit_timeout = timeout;
        }
    }
}

/// What the registry is.
fn registry_kind(given: &Given) -> Result<RegistryKind, String> {
    const REMEDY: &str = "write \"registry\", or \"proxy\" for a pull-through cache";
    match text(given, REMEDY)? {
        "registry" => Ok(RegistryKind::Registry),
        "proxy" => Ok(RegistryKind::Proxy),
        other => Err(format!("is {}; {REMEDY}", quoted(other))),
    }
}

/// Which `Host` the registry sees.
fn registry_host(given: &Given) -> Result<RegistryHost, String> {
    let remedy = "write \"backend\" or \"keep\"";
    match text(given, remedy)? {
        "backend" => Ok(RegistryHost::Backend),
        "keep" => Ok(RegistryHost::Keep),
        other => Err(format!("is {}; {remedy}", quoted(other))),
    }
}

/// The backends of the registry: at least one, each different. The environment separates them by commas, or writes a
/// TOML array.
fn backends(given: &Given) -> Result<Vec<BackendUrl>, String> {
    let remedy = "write \"http://HOST:PORT\", or an array of such URLs";
    let array;
    let texts: Vec<&Value> = match (&given.value, &given.origin) {
        (Value::String(text), Origin::Variable(_)) => {
            array = if text.trim_start().starts_with('[') {
                match text.parse() {
                    Ok(Value::Array(array)) => array,
                    _ => return Err(format!("begins with `[` but is no array; {remedy}")),
                }
            } else {
                text.split(',').map(|part| Value::String(part.trim().to_owned())).collect()
            };
            array.iter().collect()
        }
        (value @ Value::String(_), _) => vec![value],
        (Value::Array(array), _) => array.iter().collect(),
        (other, _) => return Err(format!("is {}; {remedy}", kind(other))),
    };
    let mut backends = Vec::with_capacity(texts.len());
    for value in texts {
        let Value::String(text) = value else {
            return Err(format!("has {} in its array; {remedy}", kind(value)));
        };
        let backend = BackendUrl::parse(text).map_err(|invalid| wrong_url(text, &invalid, remedy))?;
        if backends.contains(&backend) {
            return Err(format!("names {backend} twice; name each backend once"));
        }
        backends.push(backend);
    }
    if backends.is_empty() { Err(format!("is an empty array; {remedy}")) } else { Ok(backends) }
}
