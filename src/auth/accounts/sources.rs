//! Users of the store and bearers of access tokens, as sources of identities.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq;

use super::command::TokenShown;
use super::stored::{StoredToken, StoredUser};
use super::tokens::read_action;
use super::{AccountError, Accounts, PREFIX, hash_of};
use crate::auth::hashing::{Hashing, StoredHash, Ticket};
use crate::auth::identity::{Credentials, Found, IdentitySource, SourceError, Verdict, proof};
use crate::auth::login_failure::LoginFailure;
use crate::auth::pattern::Pattern;
use crate::auth::subject::{Identity, Limits, UserName};
use crate::oci::Actions;
use crate::store::{AccountKind, PageRequest};

/// How often the last use of a token is written down.
const NOTE_EVERY: Duration = Duration::from_hours(1);
/// A hash with the parameters of those that are made here. No password has it.
const DECOY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

impl Accounts {
    /// Who bears an access token, if that is one.
    async fn bearer(&self, credentials: &Credentials) -> Result<Option<Verdict>, AccountError> {
        let Some((id, secret)) = parts(credentials) else { return Ok(None) };
        let kept = self.read_with_content::<StoredToken>(AccountKind::AccessToken, id).await?;
        let Some((token, content)) = kept else {
            return Ok(Some(Verdict::Refused(LoginFailure::Revoked)));
        };
        let now = self.clock.now();
        let is_right = bool::from(hash_of(secret).as_bytes().ct_eq(token.secret.as_bytes()));
        if !is_right || token.name != credentials.name {
            return Ok(Some(Verdict::Refused(LoginFailure::WrongSecret)));
        }
        if token.is_expired(now) {
            return Ok(Some(Verdict::Refused(LoginFailure::Expired)));
        }
        if token.last_use.is_none_or(|last| now.since(last) >= NOTE_EVERY) {
            let used = StoredToken { last_use: Some(now), ..token.clone() };
            self.note_use(AccountKind::AccessToken, id, content, &used).await;
        }
        Ok(Some(Verdict::Right(identity_of(token))))
    }

    /// Who bears the access token with this identifier, if there still is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn bearer_of(&self, id: &str) -> Result<Option<Identity>, AccountError> {
        let token = self.read::<StoredToken>(AccountKind::AccessToken, id).await?;
        let now = self.clock.now();
        let token = token.filter(|token| !token.is_expired(now));
        Ok(token.map(identity_of))
    }

    /// The identifier of an access token, if this has the form of one.
    pub fn id_of_access_token(text: &SecretString) -> Option<String> {
        let (id, _secret) = text.expose_secret().strip_prefix(PREFIX)?.split_once('_')?;
        Some(id.to_owned())
    }
}

/// The bearer of an access token, with what it limits them to.
fn identity_of(token: StoredToken) -> Identity {
    let limits = limits(&token.repositories, &token.actions, !token.is_personal);
    Identity { name: token.name, groups: Vec::new(), limits: Some(limits) }
}

fn limits(repositories: &[String], actions: &[String], is_own: bool) -> Limits {
    let actions = actions.iter().filter_map(|action| read_action(action));
    Limits {
        repositories: repositories.iter().filter_map(|text| Pattern::parse(text).ok()).collect(),
        actions: actions.fold(Actions::NONE, Actions::or),
        is_own,
    }
}

impl TokenShown {
    /// What its bearer may do; `is_own` for a robot's.
    pub fn limits(&self, is_own: bool) -> Limits {
        limits(&self.repositories, &self.actions, is_own)
    }
}

/// Identifier and secret of a password that has the form of an access token.
fn parts(credentials: &Credentials) -> Option<(&str, &str)> {
    credentials.password.expose_secret().strip_prefix(PREFIX)?.split_once('_')
}

/// Access tokens, as a source: of passwords that have their form. Asked first, since their owners may come from anywhere.
pub struct AccessTokens(pub Arc<Accounts>);

#[async_trait]
impl IdentitySource for AccessTokens {
    async fn verify(&self, credentials: &Credentials, _: &Ticket) -> Result<Verdict, SourceError> {
        let verdict = self.0.bearer(credentials).await;
        Ok(verdict.map_err(|error| SourceError::Unavailable(Arc::new(error)))?.unwrap_or(Verdict::Unknown))
    }

    async fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
        Ok(None)
    }

    fn token<'a>(&self, credentials: &'a Credentials) -> Option<&'a str> {
        parts(credentials).map(|(id, _)| id)
    }

    async fn knows(&self, name: &UserName) -> Result<bool, SourceError> {
        let of_the_name = |token: &StoredToken| token.name == *name;
        let tokens = self.0.keys_where(AccountKind::AccessToken, of_the_name).await;
        Ok(!tokens.map_err(|error| SourceError::Unavailable(Arc::new(error)))?.is_empty())
    }

    fn is_of_the_store(&self) -> bool {
        true
    }

    fn version(&self) -> u64 {
        self.0.version.load(Ordering::Acquire)
    }
}

/// Users of the store, as a source.
pub struct StoredUsers {
    accounts: Arc<Accounts>,
    hashing: Hashing,
}

impl StoredUsers {
    /// Those of these accounts; passwords are checked by `hashing`.
    pub fn new(accounts: Arc<Accounts>, hashing: Hashing) -> Self {
        Self { accounts, hashing }
    }
}

#[async_trait]
impl IdentitySource for StoredUsers {
    async fn verify(&self, credentials: &Credentials, ticket: &Ticket) -> Result<Verdict, SourceError> {
        let unavailable = |error: AccountError| SourceError::Unavailable(Arc::new(error));
        let user = self.accounts.read::<StoredUser>(AccountKind::User, credentials.name.as_str()).await;
        let Some(user) = user.map_err(unavailable)? else { return Ok(Verdict::Unknown) };
        let hash = StoredHash::Argon2(user.hash);
        let is_right = self.hashing.verify(hash, credentials.password.clone(), ticket).await?;
        Ok(match is_right && !user.is_superseded {
            true => Verdict::Right(Identity::new(credentials.name.clone(), user.groups)),
            false => Verdict::Wrong { is_hashed: true },
        })
    }

    async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError> {
        let user = self.accounts.read::<StoredUser>(AccountKind::User, name.as_str()).await;
        let user = user.map_err(|error| SourceError::Unavailable(Arc::new(error)))?;
        let found = |user: StoredUser| Found {
            proof: proof(&user.hash),
            identity: Identity::new(name.clone(), user.groups),
        };
        Ok(user.filter(|user| !user.is_superseded).map(found))
    }

    async fn is_disabled(&self, name: &UserName) -> Result<bool, SourceError> {
        let user = self.accounts.read::<StoredUser>(AccountKind::User, name.as_str()).await;
        let user = user.map_err(|error| SourceError::Unavailable(Arc::new(error)))?;
        Ok(user.is_some_and(|user| user.is_superseded))
    }

    async fn knows(&self, name: &UserName) -> Result<bool, SourceError> {
        let user = self.accounts.read::<StoredUser>(AccountKind::User, name.as_str()).await;
        Ok(user.map_err(|error| SourceError::Unavailable(Arc::new(error)))?.is_some())
    }

    fn is_of_the_store(&self) -> bool {
        true
    }

    fn version(&self) -> u64 {
        self.accounts.version.load(Ordering::Acquire)
    }

    async fn decoy(&self) -> Result<Option<StoredHash>, SourceError> {
        let page = PageRequest { after: None, limit: 1 };
        let users = self.accounts.store.accounts(AccountKind::User, page).await;
        let users = users.map_err(|error| SourceError::Unavailable(Arc::new(error)))?;
        Ok((!users.items.is_empty()).then(|| StoredHash::Argon2(DECOY.to_owned())))
    }
}
