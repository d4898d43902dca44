//! The section `auth`.

mod rules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use self::rules::{AuthRule, Principal};

use self::rules::{groups, rules, structured, texts};
use super::settings::{Given, Settings, kind, text};
use super::value;

/// The section `auth`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// `auth.mode`: whether tokens are required.
    pub is_on: bool,
    /// `auth.htpasswd`: a file of users.
    pub htpasswd: Option<PathBuf>,
    /// `auth.sources`: where users come from, in the order in which they are asked; each at most once.
    pub sources: Vec<UserSource>,
    /// `auth.issuer`: the `iss` of tokens.
    pub issuer: String,
    /// `auth.service`: their `aud`, and the `service` that clients ask for.
    pub service: String,
    /// `auth.token_ttl`: how long a token is good; at least a second, at most a day.
    pub token_ttl: Duration,
    /// `auth.leeway`: how long an expired token is still taken; at most a day.
    pub leeway: Duration,
    /// `auth.upload_grace`: how long an upload may go on after its token has expired; at most a day.
    pub upload_grace: Duration,
    /// `auth.refresh_idle`: after which time without use a login ends that goes on without its password.
    pub refresh_idle: Duration,
    /// `auth.refresh_lifetime`: after which time it ends in any case.
    pub refresh_lifetime: Duration,
    /// `auth.events_age`: how long what happened at the gate is kept.
    pub events_age: Duration,
    /// `auth.lockout`: the longest delay after failed logins; zero for none, at most a day.
    pub lockout: Duration,
    /// `auth.keys`: the directory with the keys; beside the store if absent.
    pub keys: Option<PathBuf>,
    /// `auth.algorithm`: what new keys sign with.
    pub algorithm: Algorithm,
    /// `auth.verified_by`: what a registry knows the keys by.
    pub verified_by: VerifiedBy,
    /// `auth.groups`: names of users by group.
    pub groups: BTreeMap<String, Vec<String>>,
    /// `[[auth.rules]]`
    pub rules: Vec<AuthRule>,
}

/// Where users come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSource {
    /// `htpasswd`: the file that `auth.htpasswd` names.
    Htpasswd,
    /// `store`: those that `portreeve user` adds.
    Store,
}

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// `es256`
    Es256,
    /// `eddsa`
    EdDsa,
    /// `rs256`
    Rs256,
}

/// What a registry that verifies tokens knows their keys by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// `rootcertbundle`: certificates, which tokens carry.
    Certificates,
    /// `jwks`: a JSON Web Key Set.
    KeySet,
}

impl Default for Auth {
    fn default() -> Self {
        const HOURS_OF_A_DAY: u64 = 24;
        Self {
            is_on: false,
            htpasswd: None,
            sources: vec![UserSource::Htpasswd, UserSource::Store],
            issuer: "portreeve".to_owned(),
            service: "portreeve".to_owned(),
            token_ttl: Duration::from_mins(5),
            leeway: Duration::from_mins(1),
            upload_grace: Duration::from_hours(HOURS_OF_A_DAY),
            refresh_idle: Duration::from_hours(30 * HOURS_OF_A_DAY),
            refresh_lifetime: Duration::from_hours(180 * HOURS_OF_A_DAY),
            events_age: Duration::from_hours(90 * HOURS_OF_A_DAY),
            lockout: Duration::from_mins(15),
            keys: None,
            algorithm: Algorithm::Es256,
            verified_by: VerifiedBy::Certificates,
            groups: BTreeMap::new(),
            rules: Vec::new(),
        }
    }
}

/// Reads the section `auth`.
pub(super) fn read(settings: &mut Settings) -> Auth {
    let mut auth = Auth::default();
    settings.read_into(&mut auth.is_on, "auth.mode", mode);
    settings.read_into(&mut auth.sources, "auth.sources", sources);
    settings.read_into(&mut auth.issuer, "auth.issuer", name);
    settings.read_into(&mut auth.service, "auth.service", name);
    settings.read_into(&mut auth.token_ttl, "auth.token_ttl", ttl);
    settings.read_into(&mut auth.leeway, "auth.leeway", value::duration);
    settings.read_into(&mut auth.upload_grace, "auth.upload_grace", value::duration);
    settings.read_into(&mut auth.refresh_idle, "auth.refresh_idle", value::long_duration);
    settings.read_into(&mut auth.refresh_lifetime, "auth.refresh_lifetime", value::long_duration);
    settings.read_into(&mut auth.events_age, "auth.events_age", value::long_duration);
    settings.read_into(&mut auth.lockout, "auth.lockout", value::duration);
    settings.read_into(&mut auth.algorithm, "auth.algorithm", algorithm);
    settings.read_into(&mut auth.verified_by, "auth.verified_by", verified_by);
    settings.read_into(&mut auth.groups, "auth.groups", groups);
    auth.rules = rules(settings);
    auth.htpasswd = settings.read("auth.htpasswd", value::path);
    auth.keys = settings.read("auth.keys", value::path);
    auth
}

fn mode(given: &Given) -> Result<bool, String> {
    match text(given, "write \"on\" or \"off\"")? {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(format!("is {other:?}; write \"on\" or \"off\"")),
    }
}

fn algorithm(given: &Given) -> Result<Algorithm, String> {
    let remedy = "write \"es256\", \"eddsa\" or \"rs256\"";
    match text(given, remedy)? {
        "es256" => Ok(Algorithm::Es256),
        "eddsa" => Ok(Algorithm::EdDsa),
        "rs256" => Ok(Algorithm::Rs256),
        other => Err(format!("is {other:?}; {remedy}")),
    }
}

fn verified_by(given: &Given) -> Result<VerifiedBy, String> {
    let remedy = "write \"rootcertbundle\" or \"jwks\", as the registry's `auth.token` has it";
    match text(given, remedy)? {
        "rootcertbundle" => Ok(VerifiedBy::Certificates),
        "jwks" => Ok(VerifiedBy::KeySet),
        other => Err(format!("is {other:?}; {remedy}")),
    }
}

/// A name that stands in tokens and, in quotes, in a header.
fn name(given: &Given) -> Result<String, String> {
    let remedy = "write 1 to 255 characters of printable ASCII without quotes and backslashes";
    let text = text(given, remedy)?;
    let is_allowed = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
    if text.is_empty() || text.len() > 255 || !text.bytes().all(is_allowed) {
        return Err(format!("is no name; {remedy}"));
    }
    Ok(text.to_owned())
}

fn ttl(given: &Given) -> Result<Duration, String> {
    match value::duration(given)? {
        ttl if ttl < Duration::from_secs(1) => {
            Err("is shorter than a second, which is what tokens count in; write a longer one, such as \"5m\""
                .to_owned())
        }
        ttl => Ok(ttl),
    }
}

fn sources(given: &Given) -> Result<Vec<UserSource>, String> {
    let remedy = "write a list with \"htpasswd\", \"store\" or both, the one that is asked first in front";
    let list = structured(given, remedy)?;
    let names = texts(&list).ok_or_else(|| format!("is {}; {remedy}", kind(&list)))?;
    let mut sources = Vec::new();
    for name in &names {
        let source = match name.as_str() {
            "htpasswd" => UserSource::Htpasswd,
            "store" => UserSource::Store,
            other => return Err(format!("has {other:?} in it; {remedy}")),
        };
        if sources.contains(&source) {
            return Err(format!("has {name:?} twice; {remedy}"));
        }
        sources.push(source);
    }
    if sources.is_empty() { Err(format!("is empty; {remedy}")) } else { Ok(sources) }
}
