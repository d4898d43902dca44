//! `store.url` and `store.password`: where the record is kept, and what opens it.

use secrecy::{ExposeSecret, SecretString};

use super::address::StoreUrl;
use super::settings::Settings;
use super::value;

/// The record.
#[derive(Clone, Debug)]
pub struct Store {
    /// `store.url`
    pub url: StoreUrl,
    /// `store.password`: that of the database.
    pub password: Option<SecretString>,
}

impl PartialEq for Store {
    fn eq(&self, other: &Self) -> bool {
        let secret =
            |store: &Self| store.password.as_ref().map(|password| password.expose_secret().to_owned());
        self.url == other.url && secret(self) == secret(other)
    }
}

impl Eq for Store {}

impl Default for Store {
    fn default() -> Self {
        Self { url: StoreUrl::Redb("portreeve.redb".into()), password: None }
    }
}

const PASSWORD: &str = "store.password";

/// Reads where the record is kept. A password goes with a database, and with nothing else.
pub(super) fn read(settings: &mut Settings) -> Store {
    let mut store = Store::default();
    settings.read_into(&mut store.url, "store.url", value::store_url);
    store.password = settings.read(PASSWORD, value::password);
    if settings.has(PASSWORD) && matches!(store.url, StoreUrl::Redb(_)) {
        let sentence =
            format!("`{PASSWORD}` goes with a `store.url` of PostgreSQL only; set that, or remove this");
        settings.complain(settings.origin(PASSWORD), sentence);
    }
    store
}
