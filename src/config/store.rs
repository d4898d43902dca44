//! `store.url`, `store.password` and `store.tls`: where the record is kept, and what opens it.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};

use super::address::StoreUrl;
use super::settings::Settings;
use super::{Tls, read_tls, value};

/// The record.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.url`
    pub url: StoreUrl,
    /// `store.password`: that of the database.
    pub password: Option<SecretString>,
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
        let secret =
            |store: &Self| store.password.as_ref().map(|password| password.expose_secret().to_owned());
        self.url == other.url && self.tls == other.tls && secret(self) == secret(other)
    }
}

impl Eq for Store {}

impl Default for Store {
    fn default() -> Self {
        Self { url: StoreUrl::Redb("portreeve.redb".into()), password: None, tls: StoreTls::default() }
    }
}

const PASSWORD: &str = "store.password";
const AUTHORITIES: &str = "store.tls.ca";
const IDENTITY: [&str; 2] = ["store.tls.cert", "store.tls.key"];

/// Reads where the record is kept. What goes with a database goes with nothing else.
pub(super) fn read(settings: &mut Settings) -> Store {
    let mut store = Store::default();
    settings.read_into(&mut store.url, "store.url", value::store_url);
    store.password = settings.read(PASSWORD, value::password);
    store.tls.authorities = settings.read(AUTHORITIES, value::path);
    store.tls.identity = read_tls(settings, IDENTITY);
    if matches!(store.url, StoreUrl::Redb(_)) {
        for key in [PASSWORD, AUTHORITIES, IDENTITY[0], IDENTITY[1]] {
            if settings.has(key) {
                let sentence =
                    format!("`{key}` goes with a `store.url` of PostgreSQL only; set that, or remove this");
                settings.complain(settings.origin(key), sentence);
            }
        }
    }
    store
}
