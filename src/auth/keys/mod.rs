//! The keys that tokens are signed with and checked by, and what keeps them: files in a directory, or the store that doors
//! share (`stored`, in one row, `kept`).
//!
//! In a directory each key has three files, named by the time since which it signs: `.key` (the private key, PKCS #8 in
//! PEM, for its owner alone), `.crt` (a certificate for the registry's `rootcertbundle`) and `.jwk` (the public key). The
//! newest signs. Of a key that was replaced only the public part is kept, until no token can be left that it signed.
//! `next.*` is a key that signs nothing yet, so that those who verify tokens can learn of it before. A backup has the files as they
//! are (`beside`).

mod beside;
mod crypto;
mod file;
mod kept;
mod place;
mod sealing;
mod signing;
mod stored;

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;

pub use file::KeyFileError;
pub use place::KeyPlace;
pub use signing::KeyAlgorithm;
pub(super) use signing::{KeyError, PublicKey, SigningKey};
pub use stored::StoredKeys;

use crate::clock::Timestamp;
use crate::store::StoreError;

/// How many replaced keys stay in the directory whose tokens are over.
const MOST_OLD: usize = 16;

/// The keys in use.
#[derive(Debug)]
pub struct KeyRing {
    signing: SigningKey,
    /// The one that is to sign next.
    next: Option<PublicKey>,
    /// Those that were replaced, newest first, with when they were.
    replaced: Vec<(PublicKey, Timestamp)>,
}

/// What was made by a door that starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeKeys {
    /// A secret.
    pub secret: bool,
    /// A key that signs.
    pub keys: bool,
    /// There was a secret and no key: a door ran here that needed none.
    pub is_first_use: bool,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// A file.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The cryptography.
    #[error("auth.keys: {0}")]
    Key(#[from] KeyError),
    /// The store has none, and none are to be made.
    #[error(
        "there are no keys in the store; start the door first, or name another configuration with --config"
    )]
    NoneInStore,
    /// What the store has is none.
    #[error(
        "the keys in the store cannot be used: {0}; restore a backup of the database, or name a directory in auth.keys"
    )]
    Damaged(Box<str>),
    /// What the store has is encrypted.
    #[error(
        "the keys in the store are encrypted; give this door the `store.keys_secret_file` that the others have"
    )]
    Sealed,
    /// It is encrypted by another secret.
    #[error(
        "the keys in the store are encrypted by another secret; give this door the `store.keys_secret_file` that the others have"
    )]
    SealedOtherwise,
    /// The store failed.
    #[error("the keys in the store cannot be had: {0}")]
    Store(#[from] StoreError),
    /// It was not carried to its end.
    #[error("reading the keys failed: {0}")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// The directory with the keys.
#[derive(Clone, Debug)]
pub struct KeyDirectory {
    path: PathBuf,
    algorithm: KeyAlgorithm,
    /// How long a key that was replaced is still needed.
    keep: Duration,
}

impl KeyDirectory {
    /// A directory in which new keys are of this algorithm. One that was replaced is kept as long as a token may live.
    pub fn new(path: PathBuf, algorithm: KeyAlgorithm, keep: Duration) -> Self {
        crypto::install();
        Self { path, algorithm, keep }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what is missing of the secret and, where `with_keys`, of the keys. For a door that starts, and for nothing else:
    /// with other keys than before, tokens that were handed out are refused, and so are the door's own by a registry.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn make_missing(&self, with_keys: bool, now: Timestamp) -> Result<MadeKeys, KeyRingError> {
        file::make_directory(&self.path)?;
        let (had_secret, had_keys) = (file::has_secret(&self.path), !file::names(&self.path)?.is_empty());
        let made = MadeKeys {
            secret: !had_secret,
            keys: with_keys && !file::has_signing(&self.path)?,
            is_first_use: had_secret && !had_keys,
        };
        if made.secret {
            file::make_secret(&self.path)?;
        }
        if made.keys {
            self.install(&SigningKey::generate(self.algorithm)?, now)?;
        }
        Ok(made)
    }

    /// The keys, of which the first one is made if there is none: [`make_missing`](Self::make_missing) and
    /// [`follow`](Self::follow).
    ///
    /// # Errors
    /// When a file cannot be read or written, or others than its owner can read a private key.
    pub fn open(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        self.make_missing(true, now)?;
        self.follow(now)
    }

    /// The keys that are there; forgets those whose tokens have all expired. For a door that runs.
    ///
    /// # Errors
    /// When there are none, a file cannot be read or removed, or others than its owner can read a private key.
    pub fn follow(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        let ring = self.look(now)?;
        self.forget_old(now)?;
        Ok(ring)
    }

    /// The keys that are there. Changes nothing.
    ///
    /// # Errors
    /// When there are none, a file cannot be read, or others than its owner can read a private key.
    pub fn look(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        file::check_directory(&self.path)?;
        let (since, signing) = file::read_signing(&self.path)?;
        let next = self.next(&signing)?.map(|next| next.public().clone());
        let mut replaced = Vec::new();
        for (name, replaced_at) in self.replaced(since)? {
            if now.since(replaced_at) <= self.keep {
                replaced.push((file::read_public(&self.path, name)?, replaced_at));
            }
        }
        Ok(KeyRing { signing, next, replaced })
    }

    /// A secret for marks that hold across restarts, and across the doors that share this directory.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read.
    pub fn secret(&self) -> Result<[u8; 32], KeyRingError> {
        file::check_directory(&self.path)?;
        Ok(file::secret(&self.path)?)
    }

    /// The certificates of the keys that sign now and next, in PEM: what a registry's `rootcertbundle` has to hold.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn certificates(&self) -> Result<String, KeyRingError> {
        let (_, signing) = file::read_signing(&self.path)?;
        let next = self.next(&signing)?;
        let keys = std::iter::once(&signing).chain(&next);
        Ok(keys.map(|key| file::certificate_pem(key.certificate())).collect())
    }

    /// Makes the key that is to sign next, unless there is one. It signs nothing before [`rotate`](Self::rotate).
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn prepare(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        let ring = self.follow(now)?;
        if ring.next.is_some() {
            return Ok(ring);
        }
        file::write_next(&self.path, &SigningKey::generate(self.algorithm)?)?;
        self.follow(now)
    }

    /// The prepared key signs from now on, or a new one if none is prepared.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn rotate(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        let ring = self.follow(now)?;
        let next = match self.next(&ring.signing)? {
            Some(next) => next,
            None => SigningKey::generate(self.algorithm)?,
        };
        self.install(&next, now)?;
        file::remove_next(&self.path)?;
        self.follow(now)
    }

    fn install(&self, key: &SigningKey, now: Timestamp) -> Result<(), KeyRingError> {
        // Two keys of one moment would be one.
        let newest = file::names(&self.path)?.into_iter().next_back();
        let since = newest.map_or(now, |newest| now.max(newest.after()));
        Ok(file::write(&self.path, file::Name::new(since), key)?)
    }

    /// The prepared key. One that signs already was left over when a rotation was interrupted.
    fn next(&self, signing: &SigningKey) -> Result<Option<SigningKey>, KeyRingError> {
        let next = file::read_next(&self.path)?;
        Ok(next.filter(|next| next.public().id() != signing.public().id()))
    }

    /// The keys that were replaced, newest first, with when they were.
    fn replaced(&self, signing: file::Name) -> Result<Vec<(file::Name, Timestamp)>, KeyRingError> {
        let mut replaced_at = signing.time();
        let older = file::names(&self.path)?.into_iter().rev().filter(|name| *name < signing);
        Ok(older.map(|name| (name, std::mem::replace(&mut replaced_at, name.time()))).collect())
    }

    /// Removes the private parts of keys that were replaced, and everything of those that are too many.
    fn forget_old(&self, now: Timestamp) -> Result<(), KeyRingError> {
        let (since, _) = file::read_signing(&self.path)?;
        let mut old = 0;
        for (name, replaced_at) in self.replaced(since)? {
            if now.since(replaced_at) > self.keep {
                // Its tokens are over. By a clock that has leapt they only seem to be: the public part is needed again when
                // that is mended, so that not the time decides when it is removed for good.
                old += 1;
            }
            if old > MOST_OLD {
                file::remove(&self.path, name)?;
            } else {
                file::remove_private(&self.path, name)?;
            }
        }
        Ok(())
    }
}

impl KeyRing {
    /// The key that signs.
    pub fn signing(&self) -> &SigningKey {
        &self.signing
    }

    /// The key with this identifier; and since when it signs nothing more, if it was replaced.
    pub fn with_id(&self, id: &str) -> Option<(&PublicKey, Option<Timestamp>)> {
        let in_use = std::iter::once(self.signing.public()).chain(&self.next).map(|key| (key, None));
        let replaced = self.replaced.iter().map(|(key, at)| (key, Some(*at)));
        in_use.chain(replaced).find(|(key, _)| key.id() == id)
    }

    /// Whether these are the same keys with the same parts.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let parts = |ring: &Self| {
            let replaced = ring.replaced.iter().map(|(key, at)| (key.id().to_owned(), *at));
            (
                ring.signing.public().id().to_owned(),
                ring.next().map(str::to_owned),
                replaced.collect::<Vec<_>>(),
            )
        };
        parts(self) == parts(other)
    }

    /// All public keys (RFC 7517).
    pub fn jwks(&self) -> JwkSet {
        JwkSet { keys: self.public().map(|key| key.jwk().clone()).collect() }
    }

    /// The identifier of the key that is to sign next, if one is prepared.
    pub fn next(&self) -> Option<&str> {
        self.next.as_ref().map(PublicKey::id)
    }

    /// Of doors that share a directory one may have begun already to sign with the next key.
    fn public(&self) -> impl Iterator<Item = &PublicKey> {
        let replaced = self.replaced.iter().map(|(key, _)| key);
        std::iter::once(self.signing.public()).chain(&self.next).chain(replaced)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const KEEP: Duration = Duration::from_secs(100);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1000)
    }

    fn directory(root: &tempfile::TempDir, algorithm: KeyAlgorithm) -> KeyDirectory {
        KeyDirectory::new(root.path().join("keys"), algorithm, KEEP)
    }

    #[test]
    fn the_first_key_is_made_once_and_only_its_owner_can_read_it() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::Es256);
        let first = keys.open(at(1)).unwrap();
        let again = keys.open(at(50)).unwrap();
        assert_eq!(first.signing().public().id(), again.signing().public().id());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(keys.path()), 0o700);
        for entry in std::fs::read_dir(keys.path()).unwrap() {
            let path = entry.unwrap().path();
            let expected = if path.extension().unwrap() == "jwk" || path.extension().unwrap() == "crt" {
                0o644
            } else {
                0o600
            };
            assert_eq!(mode(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn a_secret_that_others_can_read_and_a_directory_that_others_can_write_to_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::Es256);
        assert!(keys.secret().unwrap_err().to_string().contains("there are no keys at"));
        keys.make_missing(false, at(1)).unwrap();
        let secret = keys.secret().unwrap();
        assert_eq!(keys.secret().unwrap(), secret);
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&keys.path().join("uploads.secret"), 0o644);
        assert!(keys.secret().unwrap_err().to_string().contains("chmod 600"));
        set(&keys.path().join("uploads.secret"), 0o600);
        set(keys.path(), 0o770);
        assert!(keys.open(at(1)).unwrap_err().to_string().contains("chmod 700"));
    }

    #[test]
    fn a_private_key_that_others_can_read_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::Es256);
        keys.open(at(1)).unwrap();
        let entries = std::fs::read_dir(keys.path()).unwrap().map(|entry| entry.unwrap().path());
        let private = entries.into_iter().find(|path| path.extension().unwrap() == "key").unwrap();
        std::fs::set_permissions(&private, std::fs::Permissions::from_mode(0o640)).unwrap();
        let told = keys.open(at(2)).unwrap_err().to_string();
        assert!(told.contains("chmod 600") && told.contains(private.to_str().unwrap()), "{told}");
    }

    #[test]
    fn a_key_that_was_replaced_is_known_until_its_tokens_are_gone_and_signs_nothing() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::Es256);
        let old = keys.open(at(1)).unwrap().signing().public().id().to_owned();
        let ring = keys.rotate(at(1_000)).unwrap();
        assert_ne!(ring.signing().public().id(), old);
        assert!(ring.with_id(&old).is_some());
        assert_eq!(ring.jwks().keys.len(), 2);
        let private = || {
            let entries = std::fs::read_dir(keys.path()).unwrap();
            entries.filter(|entry| entry.as_ref().unwrap().path().extension().unwrap() == "key").count()
        };
        assert_eq!(private(), 1);
        assert!(keys.open(at(1_100)).unwrap().with_id(&old).is_some());
        assert!(keys.open(at(1_101)).unwrap().with_id(&old).is_none());
        assert_eq!(keys.open(at(1_101)).unwrap().jwks().keys.len(), 1);
    }

    #[test]
    fn a_clock_that_was_ahead_for_a_while_costs_no_key_and_old_ones_are_few() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::EdDsa);
        let old = keys.open(at(1)).unwrap().signing().public().id().to_owned();
        keys.rotate(at(1_000)).unwrap();
        assert!(keys.open(at(1_000_000)).unwrap().with_id(&old).is_none());
        assert!(keys.open(at(1_001)).unwrap().with_id(&old).is_some());
        for number in 0..30 {
            keys.rotate(at(2_000 + number)).unwrap();
        }
        keys.open(at(1_000_000)).unwrap();
        assert_eq!(file::names(keys.path()).unwrap().len(), 1 + MOST_OLD);
    }

    #[test]
    fn a_prepared_key_is_published_and_certified_but_signs_nothing_before_it_is_told_to() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::Es256);
        let old = keys.open(at(1)).unwrap().signing().public().id().to_owned();
        let ring = keys.prepare(at(10)).unwrap();
        let next = ring.next().unwrap().to_owned();
        assert_eq!(ring.signing().public().id(), old);
        assert!(ring.with_id(&next).is_some());
        assert_eq!(ring.jwks().keys.len(), 2);
        assert_eq!(keys.certificates().unwrap().matches("BEGIN CERTIFICATE").count(), 2);
        assert_eq!(keys.prepare(at(20)).unwrap().next(), Some(next.as_str()), "one at a time");
        // However long ago it was prepared, the tokens of the old one begin to run out now.
        let ring = keys.rotate(at(1_000)).unwrap();
        assert_eq!((ring.signing().public().id(), ring.next()), (next.as_str(), None));
        assert!(ring.with_id(&old).is_some());
        assert!(keys.open(at(1_100)).unwrap().with_id(&old).is_some());
        assert!(keys.open(at(1_101)).unwrap().with_id(&old).is_none());
        assert_eq!(keys.certificates().unwrap().matches("BEGIN CERTIFICATE").count(), 1);
    }

    #[test]
    fn a_rotation_that_was_interrupted_leaves_no_key_that_is_signing_and_next_at_once() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::Es256);
        keys.open(at(0)).unwrap();
        keys.prepare(at(1)).unwrap();
        let next = file::read_next(keys.path()).unwrap().unwrap();
        // As it stands before the prepared files are removed.
        keys.install(&next, at(2)).unwrap();
        let ring = keys.open(at(3)).unwrap();
        assert_eq!((ring.signing().public().id(), ring.next()), (next.public().id(), None));
        assert_ne!(keys.rotate(at(4)).unwrap().signing().public().id(), next.public().id());
    }

    #[test]
    fn keys_of_every_algorithm_come_back_from_their_files() {
        for algorithm in [KeyAlgorithm::Es256, KeyAlgorithm::EdDsa, KeyAlgorithm::Rs256] {
            let root = tempfile::tempdir().unwrap();
            let keys = directory(&root, algorithm);
            let made = keys.open(at(1)).unwrap();
            let read = keys.open(at(2)).unwrap();
            assert_eq!(made.signing().public().id(), read.signing().public().id());
            assert_eq!(made.signing().public().algorithm(), algorithm);
            assert_eq!(made.signing().certificate(), read.signing().certificate());
        }
    }

    #[test]
    fn only_what_is_told_to_make_keys_makes_some_and_a_look_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::EdDsa);
        for attempt in [keys.look(at(1)), keys.follow(at(1)), keys.prepare(at(1)), keys.rotate(at(1))] {
            let told = attempt.unwrap_err().to_string();
            assert!(told.contains("there are no keys at") && told.contains("start the door first"), "{told}");
        }
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        let made = |with_keys| keys.make_missing(with_keys, at(1)).unwrap();
        let nothing = MadeKeys { secret: false, keys: false, is_first_use: true };
        assert_eq!(made(false), MadeKeys { secret: true, is_first_use: false, ..nothing });
        assert_eq!(made(true), MadeKeys { keys: true, ..nothing });
        assert_eq!(made(true), MadeKeys { is_first_use: false, ..nothing });
        // A rotation that was interrupted leaves a private key that is to go.
        let signing = file::read_signing(keys.path()).unwrap().1;
        keys.install(&signing, at(2)).unwrap();
        let files = || std::fs::read_dir(keys.path()).unwrap().count();
        let before = files();
        assert_eq!(keys.look(at(3)).unwrap().jwks().keys.len(), 2);
        assert_eq!(files(), before);
        keys.follow(at(3)).unwrap();
        assert_eq!(files(), before - 1);
    }

    #[test]
    fn two_keys_of_one_moment_are_two() {
        let root = tempfile::tempdir().unwrap();
        let keys = directory(&root, KeyAlgorithm::EdDsa);
        keys.open(at(1)).unwrap();
        assert_eq!(keys.rotate(at(1)).unwrap().jwks().keys.len(), 2);
    }
}
