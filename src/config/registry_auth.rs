//! `registry.auth`, `registry.username` and `registry.password`: how the door shows itself to the registry.

use secrecy::{ExposeSecret as _, SecretString};

use super::settings::{Given, Settings, text};
use super::value;

/// `registry.auth`: how the door shows itself to the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistryAuth {
    /// Not at all.
    None,
    /// With a name and a password.
    Basic(BasicLogin),
    /// With tokens of its own.
    Token,
}

/// The name and the password by which the registry knows the door.
#[derive(Clone, Debug)]
pub struct BasicLogin {
    /// `registry.username`
    pub username: String,
    /// `registry.password`
    pub password: SecretString,
}

impl PartialEq for BasicLogin {
    fn eq(&self, other: &Self) -> bool {
        let Self { username, password } = self;
        *username == other.username && password.expose_secret() == other.password.expose_secret()
    }
}

impl Eq for BasicLogin {}

const USERNAME: &str = "registry.username";
const PASSWORD: &str = "registry.password";

/// Reads how the door shows itself to the registry: name and password go with `basic`, and with nothing else.
pub(super) fn read(settings: &mut Settings) -> RegistryAuth {
    let kind = settings.read("registry.auth", kind);
    let username = settings.read(USERNAME, username);
    let password = settings.read(PASSWORD, value::password);
    let is_basic = kind.as_deref() == Some("basic");
    for name in [USERNAME, PASSWORD] {
        if is_basic && !settings.has(name) && !settings.has(&format!("{name}_file")) {
            let sentence = format!("`registry.auth` is \"basic\" but `{name}` is not set; set it");
            settings.complain(settings.origin("registry.auth"), sentence);
        } else if !is_basic && settings.has(name) {
            let sentence =
                format!("`{name}` goes with `registry.auth = \"basic\"` only; set that, or remove this");
            settings.complain(settings.origin(name), sentence);
        }
    }
    match (kind.as_deref(), username, password) {
        (Some("basic"), Some(username), Some(password)) => {
            RegistryAuth::Basic(BasicLogin { username, password })
        }
        (Some("token"), ..) => RegistryAuth::Token,
        _ => RegistryAuth::None,
    }
}

fn kind(given: &Given) -> Result<String, String> {
    match text(given, "write \"none\", \"basic\" or \"token\"")? {
        kind @ ("none" | "basic" | "token") => Ok(kind.to_owned()),
        other => Err(format!("is {other:?}; write \"none\", \"basic\" or \"token\"")),
    }
}

fn username(given: &Given) -> Result<String, String> {
    match text(given, "write a user name")? {
        text if text.is_empty() || text.contains(':') || text.chars().any(char::is_control) => {
            Err("is no user name: it is empty, or has a colon or a control character; write a user name"
                .to_owned())
        }
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn load(text: &str) -> Result<Config, String> {
        let mut settings = Settings::default();
        crate::config::file::apply(&mut settings, Path::new("portreeve.toml"), text);
        Config::read(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn basic_goes_with_a_name_and_a_password_and_they_go_with_nothing_else() {
        let registry = |text: &str| load(&format!("[registry]\n{text}")).map(|config| config.registry.auth);
        let basic = registry("auth = \"basic\"\nusername = \"door\"\npassword = \"secret\"").unwrap();
        assert!(matches!(&basic, RegistryAuth::Basic(login) if login.username == "door"));
        assert!(!format!("{basic:?}").contains("secret"));
        let changed = registry("auth = \"basic\"\nusername = \"door\"\npassword = \"other\"").unwrap();
        assert_ne!(basic, changed, "a reload has to notice it");
        assert!(
            registry("auth = \"basic\"\nusername = \"door\"").unwrap_err().contains("`registry.password`")
        );
        assert!(registry("username = \"door\"").unwrap_err().contains("basic"));
        assert_eq!(registry("auth = \"token\"").unwrap(), RegistryAuth::Token);
        assert!(registry("auth = \"digest\"").unwrap_err().contains("\"digest\""));
    }
}
