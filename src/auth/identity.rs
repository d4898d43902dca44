//! Where users come from: a file, the store, and in time directories and other services. All stand behind one trait.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use super::hashing::{HashingError, StoredHash, Ticket};
use super::login_failure::LoginFailure;
use super::subject::{Identity, UserName};

/// The longest password that is looked at. Access tokens have 60 bytes, and bcrypt knows the first 72.
const MAXIMUM_PASSWORD_BYTES: usize = 4096;

/// A name with a password.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who they say they are.
    pub name: UserName,
    /// What is to prove it.
    pub password: SecretString,
}

impl Credentials {
    /// From a name and a password.
    pub fn new(name: UserName, password: &str) -> Self {
        Self { name, password: SecretString::from(password) }
    }

    pub(super) fn are_possible(&self) -> bool {
        is_possible_password(self.password.expose_secret())
    }
}

/// Whether any user may have such a password: none has a NUL, and none more than 4,096 bytes. To bcrypt a password is the same
/// as with a NUL and all of itself once more behind it, so that one would have many forms.
pub fn is_possible_password(password: &str) -> bool {
    password.len() <= MAXIMUM_PASSWORD_BYTES && !password.contains('\0')
}

/// What a source says of credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does not know the name; the next source is asked.
    Unknown,
    /// It knows the name, and the password is wrong, or the user may not log in. No other source is asked.
    Wrong {
        /// Whether that took a password's hash to find out.
        is_hashed: bool,
    },
    /// What was shown is no good, which took no password's hash to find out. No other source is asked.
    Refused(LoginFailure),
    /// It is them.
    Right(Identity),
}

/// A user who was found by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Who it is.
    pub identity: Identity,
    /// Another text when their password is another one.
    pub proof: String,
}

/// Why a source has no verdict.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SourceError {
    /// Too many logins at once.
    #[error(transparent)]
    Hashing(#[from] HashingError),
    /// The account changed while the password was checked: the verdict may be about another password.
    #[error("the account of {0} was changed just now")]
    Changed(UserName),
    /// It cannot be asked.
    #[error(transparent)]
    Unavailable(Arc<dyn std::error::Error + Send + Sync>),
}

/// What a password's hash is known by elsewhere.
pub(super) fn proof(hash: &str) -> String {
    hex::encode(&Sha256::digest(hash)[..16])
}

/// A source of identities.
#[async_trait]
pub trait IdentitySource: Send + Sync {
    /// What it says of credentials. Hashes are computed with the ticket.
    async fn verify(&self, credentials: &Credentials, ticket: &Ticket) -> Result<Verdict, SourceError>;

    /// A user by name, without proof: for a refresh token. None if they are not known or may not log in any more.
    async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError>;

    /// Whether it knows the name as one that may not log in, whatever the sources after it say.
    async fn shuts_out(&self, _name: &UserName) -> Result<bool, SourceError> {
        Ok(false)
    }

    /// Whether it knows the name as one that may not log in: for the log, and for nothing that decides.
    async fn is_disabled(&self, name: &UserName) -> Result<bool, SourceError> {
        self.shuts_out(name).await
    }

    /// The name that stands in the password, if it is an access token, which cannot be guessed: its failures count for that
    /// name.
    fn token<'a>(&self, _credentials: &'a Credentials) -> Option<&'a str> {
        None
    }

    /// Whether it has this name, also of a user who may not log in.
    async fn knows(&self, name: &UserName) -> Result<bool, SourceError> {
        Ok(self.find(name).await?.is_some())
    }

    /// The names of its users behind a text, those of users who may not log in as well, in bytewise order and at most so many;
    /// none where it does not list them.
    async fn names(&self, _after: &str, _limit: usize) -> Result<BTreeSet<UserName>, SourceError> {
        Ok(BTreeSet::new())
    }

    /// Whether its users are changed here: accounts of the store. All others are changed where they are kept.
    fn is_of_the_store(&self) -> bool {
        false
    }

    /// Another number whenever what it says may have changed: answers that were remembered are forgotten then.
    fn version(&self) -> u64 {
        0
    }

    /// A hash that takes as long to check as those of its users, if it has any: an unknown name must take as long to
    /// refuse as a wrong password.
    async fn decoy(&self) -> Result<Option<StoredHash>, SourceError> {
        Ok(None)
    }
}
