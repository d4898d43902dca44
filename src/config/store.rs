//! `store.url`, `store.password` and `store.tls`: where the record is kept, and what opens it.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::address::StoreUrl;
use super::settings::{Given, Settings};
use super::tls::{self, Tls};
use super::value;

/// The record.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.url`
    pub url: StoreUrl,
    /// `store.password`: that of the database.
    pub password: Option<SecretString>,
    /// `store.keys_secret`: what the keys in a database are encrypted with; at least 32 bytes.
    pub keys_secret: Option<SecretString>,
    /// `store.tls`
    pub tls: StoreTls,
}

/// Files for connections to the database that are encrypted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// `store.tls.ca`: a PEM file with the authorities by which the database is believed; those of the system if absent.
    pub authorities: Option<PathBuf>,
    /// `store.tls.cert` and `store.tls.key`: by what the database knows the door.
    pub identity: Option<Tls>,
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        let secrets = |store: &Self| {
            [&store.password, &store.keys_secret]
                .map(|secret| secret.as_ref().map(|secret| secret.expose_secret().to_owned()))
        };
        self.url == other.url && self.tls == other.tls && secrets(self) == secrets(other)
    }
}

impl Eq for Store {}

impl Default for Store {
    fn default() -> Self {
        let url = StoreUrl::Redb("portreeve.redb".into());
        Self { url, password: None, keys_secret: None, tls: StoreTls::default() }
    }
}

const PASSWORD: &str = "store.password";
const KEYS_SECRET: &str = "store.keys_secret";
const AUTHORITIES: &str = "store.tls.ca";
const IDENTITY: [&str; 2] = ["store.tls.cert", "store.tls.key"];

/// Reads where the record is kept. What goes with a database goes with nothing else.
pub(super) fn read(settings: &mut Settings) -> Store {
    let mut store = Store::default();
    settings.read_into(&mut store.url, "store.url", value::store_url);
    store.password = settings.read(PASSWORD, value::password);
    store.keys_secret = settings.read(KEYS_SECRET, keys_secret);
    store.tls.authorities = settings.read(AUTHORITIES, value::path);
    store.tls.identity = tls::read(settings, IDENTITY);
    if matches!(store.url, StoreUrl::Redb(_)) {
        for key in [PASSWORD, KEYS_SECRET, AUTHORITIES, IDENTITY[0], IDENTITY[1]] {
            if settings.has(key) {
                let sentence =
                    format!("`{key}` goes with a `store.url` of PostgreSQL only; set that, or remove this");
                settings.complain(settings.origin(key), sentence);
            }
        }
    }
    store
}

/// A secret that nobody tries out, if it is as random as it is long.
fn keys_secret(given: &Given) -> Result<SecretString, String> {
    const SHORTEST: usize = 32;
    let secret = value::password(given)?;
    if secret.expose_secret().len() < SHORTEST {
        return Err("is shorter than 32 characters; write what `openssl rand -hex 32` prints".to_owned());
    }
    Ok(secret)
}
