//! Where keys are kept: in a directory, or in the store that doors share.

use std::fmt;
use std::path::Path;

use super::{KeyDirectory, KeyRing, KeyRingError, MadeKeys, StoredKeys};
use crate::clock::Timestamp;

/// Keys, wherever they are kept.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// In files.
    Directory(KeyDirectory),
    /// In the store.
    Store(StoredKeys),
}

impl KeyPlace {
    /// Makes what is missing of the secret and, where `with_keys`, of the keys. For a door that starts, and for nothing else:
    /// with other keys than before, tokens that were handed out are refused, and so are the door's own by a registry.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub async fn make_missing(&self, with_keys: bool, now: Timestamp) -> Result<MadeKeys, KeyRingError> {
        match self {
            Self::Directory(directory) => directory.make_missing(with_keys, now),
            Self::Store(keys) => keys.make_missing(with_keys, now).await,
        }
    }

    /// The keys that are there; forgets those whose tokens have all expired. For a door that runs.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub async fn follow(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        match self {
            Self::Directory(directory) => {
                let directory = directory.clone();
                tokio::task::spawn_blocking(move || directory.follow(now)).await?
            }
            // They are forgotten when another one takes their place.
            Self::Store(keys) => keys.look(now).await,
        }
    }

    /// The keys that are there. Changes nothing.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub async fn look(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        match self {
            Self::Directory(directory) => directory.look(now),
            Self::Store(keys) => keys.look(now).await,
        }
    }

    /// A secret for marks that hold across restarts, and across the doors that share the keys.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn secret(&self) -> Result<[u8; 32], KeyRingError> {
        match self {
            Self::Directory(directory) => directory.secret(),
            Self::Store(keys) => keys.secret().await,
        }
    }

    /// The certificates of the keys that sign now and next, in PEM: what a registry's `rootcertbundle` has to hold.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub async fn certificates(&self) -> Result<String, KeyRingError> {
        match self {
            Self::Directory(directory) => directory.certificates(),
            Self::Store(keys) => keys.certificates().await,
        }
    }

    /// Makes the key that is to sign next, unless there is one. It signs nothing before [`rotate`](Self::rotate).
    ///
    /// # Errors
    /// When there are none, or they cannot be read or written.
    pub async fn prepare(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        match self {
            Self::Directory(directory) => directory.prepare(now),
            Self::Store(keys) => keys.prepare(now).await,
        }
    }

    /// The prepared key signs from now on, or a new one if none is prepared.
    ///
    /// # Errors
    /// When there are none, or they cannot be read or written.
    pub async fn rotate(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        match self {
            Self::Directory(directory) => directory.rotate(now),
            Self::Store(keys) => keys.rotate(now).await,
        }
    }

    /// The directory, if it is one.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory) => Some(directory.path()),
            Self::Store(_) => None,
        }
    }
}

/// As it stands behind "in".
impl fmt::Display for KeyPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(formatter, "{}", directory.path().display()),
            Self::Store(_) => formatter.write_str("the store"),
        }
    }
}
