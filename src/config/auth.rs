//! The sections `auth`, `clock`, and how the door shows itself to the registry.

mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use self::rules::{groups, rules, structured, texts};
use super::secret::Secret;
use super::settings::{Given, Settings, kind};
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

/// One of `[[auth.rules]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthRule {
    /// For whom; at least one.
    pub who: Vec<Principal>,
    /// Patterns of repository names.
    pub repositories: Vec<String>,
    /// `pull`
    pub pull: bool,
    /// `push`
    pub push: bool,
    /// `delete`
    pub delete: bool,
    /// `catalog`
    pub catalog: bool,
    /// `admin`
    pub admin: bool,
    /// Whether it forbids.
    pub deny: bool,
}

/// For whom a rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User(String),
    /// `group:NAME`
    Group(String),
    /// `anonymous`: everybody, with credentials or without.
    Anonymous,
    /// `*`: everybody who has logged in.
    Everybody,
}

/// `registry.auth`: how the door shows itself to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryAuth {
    /// Not at all.
    None,
    /// With a name and a password.
    Basic {
        /// `registry.username`
        username: String,
        /// `registry.password`
        password: Secret,
    },
    /// With tokens of its own.
    Token,
}

/// The section `clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// `clock.warn`: how far the registry's clock may be off before that is said; zero for never, at most a day.
    pub warn: Duration,
    /// `clock.offset`: milliseconds by which the door's clock is ahead of the system's. For tests.
    pub offset: i64,
}

impl Default for Auth {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self {
            is_on: false,
            htpasswd: None,
            sources: vec![UserSource::Htpasswd, UserSource::Store],
            issuer: "portreeve".to_owned(),
            service: "portreeve".to_owned(),
            token_ttl: minutes(5),
            leeway: minutes(1),
            upload_grace: minutes(24 * 60),
            refresh_idle: minutes(30 * 24 * 60),
            refresh_lifetime: minutes(180 * 24 * 60),
            events_age: minutes(90 * 24 * 60),
            lockout: minutes(15),
            keys: None,
            algorithm: Algorithm::Es256,
            verified_by: VerifiedBy::Certificates,
            groups: BTreeMap::new(),
            rules: Vec::new(),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self { warn: Duration::from_secs(5), offset: 0 }
    }
}

/// Reads the section `auth`.
pub(super) fn read(settings: &mut Settings) -> Auth {
    let mut auth = Auth::default();
    let mut set = super::Setter(settings);
    set.to(&mut auth.is_on, "auth.mode", mode);
    set.to(&mut auth.sources, "auth.sources", sources);
    set.to(&mut auth.issuer, "auth.issuer", name);
    set.to(&mut auth.service, "auth.service", name);
    set.to(&mut auth.token_ttl, "auth.token_ttl", ttl);
    set.to(&mut auth.leeway, "auth.leeway", value::duration);
    set.to(&mut auth.upload_grace, "auth.upload_grace", value::duration);
    set.to(&mut auth.refresh_idle, "auth.refresh_idle", value::long_duration);
    set.to(&mut auth.refresh_lifetime, "auth.refresh_lifetime", value::long_duration);
    set.to(&mut auth.events_age, "auth.events_age", value::long_duration);
    set.to(&mut auth.lockout, "auth.lockout", value::duration);
    set.to(&mut auth.algorithm, "auth.algorithm", algorithm);
    set.to(&mut auth.verified_by, "auth.verified_by", verified_by);
    set.to(&mut auth.groups, "auth.groups", groups);
    set.to(&mut auth.rules, "auth.rules", rules);
    auth.htpasswd = settings.read("auth.htpasswd", value::path);
    auth.keys = settings.read("auth.keys", value::path);
    auth
}

/// Reads the section `clock`.
pub(super) fn read_clock(settings: &mut Settings) -> Clock {
    let mut clock = Clock::default();
    let mut set = super::Setter(settings);
    set.to(&mut clock.warn, "clock.warn", value::duration);
    set.to(&mut clock.offset, "clock.offset", offset);
    clock
}

/// Reads how the door shows itself to the registry: name and password go with `basic`, and with nothing else.
pub(super) fn read_registry(settings: &mut Settings) -> RegistryAuth {
    const NAMES: [&str; 2] = ["registry.username", "registry.password"];
    let kind = settings.read("registry.auth", |given| {
        match text(given, "write \"none\", \"basic\" or \"token\"")? {
            kind @ ("none" | "basic" | "token") => Ok(kind.to_owned()),
            other => Err(format!("is {other:?}; write \"none\", \"basic\" or \"token\"")),
        }
    });
    let username = settings.read(NAMES[0], |given| match text(given, "write a user name")? {
        text if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) => {
            Err("is no user name: it is empty, or has a colon or a control character; write a user name"
                .to_owned())
        }
        text => Ok(text.to_owned()),
    });
    let password = settings.read(NAMES[1], |given| match text(given, "write a password")? {
        text if text.is_empty() || text.chars().any(char::is_control) => {
            Err("is no password: it is empty, or has a control character; write a password".to_owned())
        }
        text => Ok(Secret::new(text)),
    });
    match kind.as_deref() {
        Some("basic") => {
            for name in NAMES {
                if !settings.has(name) {
                    let sentence = format!("`registry.auth` is \"basic\" but `{name}` is not set; set it");
                    settings.complain(settings.origin("registry.auth"), sentence);
                }
            }
            match (username, password) {
                (Some(username), Some(password)) => RegistryAuth::Basic { username, password },
                _ => RegistryAuth::None,
            }
        }
        kind => {
            for name in NAMES {
                if settings.has(name) {
                    let sentence = format!(
                        "`{name}` goes with `registry.auth = \"basic\"` only; set that, or remove this"
                    );
                    settings.complain(settings.origin(name), sentence);
                }
            }
            if kind == Some("token") { RegistryAuth::Token } else { RegistryAuth::None }
        }
    }
}

fn text<'a>(given: &'a Given, remedy: &str) -> Result<&'a str, String> {
    match &given.value {
        Value::String(text) => Ok(text),
        other => Err(format!("is {}; {remedy}", kind(other))),
    }
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

/// A duration with a sign, in milliseconds.
fn offset(given: &Given) -> Result<i64, String> {
    let remedy =
        "write a duration of at most a day, with a minus where the clock is to be behind, such as \"-1h\"";
    let all = text(given, remedy)?;
    let (sign, size) = match all.strip_prefix('-') {
        Some(size) => (-1, size),
        None => (1, all.strip_prefix('+').unwrap_or(all)),
    };
    let size = humantime::parse_duration(size)
        .ok()
        .filter(|size| *size <= Duration::from_secs(24 * 60 * 60))
        .and_then(|size| i64::try_from(size.as_millis()).ok());
    size.map(|size| sign * size).ok_or_else(|| format!("is {all:?}, which is no such duration; {remedy}"))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;
    use super::*;

    fn load(text: &str) -> Result<Config, String> {
        let mut settings = Settings::default();
        super::super::file::apply(&mut settings, Path::new("portreeve.toml"), text);
        Config::read(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_and_groups_are_read_from_the_file() {
        let text = r#"
            [auth]
            mode = "on"
            [auth.groups]
            ci = ["alice", "bob"]
            [[auth.rules]]
            who = "group:ci"
            repositories = ["team/**", "ci/*"]
            actions = "*"
            [[auth.rules]]
            who = ["*", "anonymous", "alice"]
            repositories = "secret/**"
            actions = ["pull", "catalog"]
            deny = true
        "#;
        let auth = load(text).unwrap().auth;
        assert!(auth.is_on);
        assert_eq!(auth.groups["ci"], ["alice", "bob"]);
        let first = &auth.rules[0];
        assert_eq!(first.who, [Principal::Group("ci".to_owned())]);
        assert_eq!(first.repositories, ["team/**", "ci/*"]);
        assert!(first.pull && first.push && first.delete && !first.catalog && !first.deny);
        let second = &auth.rules[1];
        let who = [Principal::Everybody, Principal::Anonymous, Principal::User("alice".to_owned())];
        assert_eq!(second.who, who);
        assert!(second.pull && !second.push && second.catalog && second.deny);
    }

    #[test]
    fn administrators_are_told_by_an_action_of_their_own() {
        let rule =
            |text: &str| load(&format!("[[auth.rules]]\n{text}")).map(|config| config.auth.rules[0].clone());
        let admin = rule("who = \"group:ops\"\nactions = \"admin\"").unwrap();
        assert!(admin.admin && !admin.catalog && !admin.pull && admin.repositories.is_empty());
        let all = rule("who = \"alice\"\nrepositories = \"**\"\nactions = \"*\"").unwrap();
        assert!(!all.admin && !all.catalog, "`*` is for repositories");
        // Nobody can be let do it without logging in, and everybody can be kept from it.
        assert!(rule("who = \"anonymous\"\nactions = \"admin\"\ndeny = true").unwrap().admin);
    }

    #[test]
    fn the_environment_writes_rules_as_toml() {
        let rules = r#"[{ who = "*", repositories = "**", actions = ["pull"] }]"#;
        let variables = [("PORTREEVE__AUTH__RULES".to_owned(), rules.to_owned())];
        let config = Config::load(Some(Path::new("/dev/null")), variables.into_iter()).unwrap();
        assert_eq!(config.auth.rules.len(), 1);
    }

    #[test]
    fn a_wrong_rule_is_told_by_its_number_and_what_is_wrong() {
        for (rule, told) in [
            (r#"repositories = "a""#, "`who` is missing"),
            (r#"who = "a b""#, "no user name"),
            (r#"who = "group:""#, "without a name"),
            (r#"who = "*""#, "`actions` is missing"),
            ("who = \"*\"\nactions = \"admn\"", "did you mean \"admin\"?"),
            ("who = \"*\"\nactions = [\"pull\", \"pul\"]", "did you mean \"pull\"?"),
            ("who = \"*\"\nactions = \"Admin\"", "did you mean \"admin\"?"),
            ("who = \"*\"\nactions = \"\"", "none of"),
            ("who = \"anonymous\"\nactions = \"admin\"", "\"anonymous\""),
            ("who = [\"alice\", \"anonymous\"]\nactions = [\"catalog\", \"admin\"]", "\"anonymous\""),
            ("who = \"*\"\nactions = \"pull\"", "`repositories` is missing"),
            ("who = \"*\"\nactions = \"read\"", "\"read\""),
            ("who = \"*\"\nactions = 7", "`actions` is neither"),
            ("who = \"*\"\nwhose = \"*\"", "`whose`"),
            ("who = \"*\"\nactions = \"catalog\"\ndeny = \"yes\"", "`deny` is a string"),
        ] {
            let refused = load(&format!("[[auth.rules]]\n{rule}")).unwrap_err();
            assert!(refused.contains("number 1") && refused.contains(told), "{rule}: {refused}");
        }
    }

    #[test]
    fn an_offset_has_a_sign() {
        let offset = |text: &str| load(&format!("clock.offset = {text:?}")).map(|config| config.clock.offset);
        assert_eq!(offset("1h"), Ok(3_600_000));
        assert_eq!(offset("-1m"), Ok(-60_000));
        assert_eq!(offset("0"), Ok(0));
        for wrong in ["", "-", "--1s", "2 days", "1"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn basic_goes_with_a_name_and_a_password_and_they_go_with_nothing_else() {
        let registry = |text: &str| load(&format!("[registry]\n{text}")).map(|config| config.registry.auth);
        let basic = registry("auth = \"basic\"\nusername = \"door\"\npassword = \"secret\"").unwrap();
        assert!(matches!(&basic, RegistryAuth::Basic { username, .. } if username == "door"));
        assert!(!format!("{basic:?}").contains("secret"));
        assert!(
            registry("auth = \"basic\"\nusername = \"door\"").unwrap_err().contains("`registry.password`")
        );
        assert!(registry("username = \"door\"").unwrap_err().contains("basic"));
        assert_eq!(registry("auth = \"token\"").unwrap(), RegistryAuth::Token);
        assert!(registry("auth = \"digest\"").unwrap_err().contains("\"digest\""));
    }
}
