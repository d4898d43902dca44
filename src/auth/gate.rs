//! The gate: everything that decides who comes in, put together for the plugin that enforces and for the token endpoint.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use secrecy::SecretString;
use tracing::Level;

use super::accounts::{AccountError, Accounts, Device, LoginKind, LoginLife, ShownPassword};
use super::authenticator::{Authenticator, Login, LoginError};
use super::door_origin::DoorOrigin;
use super::identity::{Credentials, SourceError};
use super::journal::{Journal, Names};
use super::login_failure::{LoginFailure, LoginResult};
use super::proven::Proven;
use super::rules::{Rules, Who};
use super::subject::{Identity, Subject, UserName};
use super::token::{Issuer, Origin, Token};
use super::uploads::UploadMarks;
use crate::clock::Clock;
use crate::oci::Access;
use crate::store::AuthEventKind;

/// What can be changed without a restart: all of it at once, or nothing.
#[derive(Debug, Default)]
pub struct Policy {
    /// Who may do what.
    pub rules: Rules,
    /// The groups of each user, beside those that their source names.
    pub groups: HashMap<String, Vec<String>>,
}

impl Policy {
    /// A caller with the groups that the configuration gives them beside those of their source.
    #[must_use]
    pub fn with_groups(&self, mut identity: Identity) -> Identity {
        if let Some(more) = self.groups.get(identity.name.as_str()) {
            let news = more.iter().filter(|group| !identity.groups.contains(group));
            let news: Vec<String> = news.cloned().collect();
            identity.groups.extend(news);
        }
        identity
    }
}

/// The parts of the gate.
pub struct Gate {
    /// Finds out who it is.
    pub authenticator: Authenticator,
    /// Makes and checks tokens.
    pub issuer: Arc<Issuer>,
    /// Binds uploads to the tokens that opened them.
    pub marks: UploadMarks,
    /// The door's own clock.
    pub clock: Clock,
    /// Scheme and authority by which clients know the door, where that is configured.
    pub external: Option<String>,
    /// How logins continue.
    pub logins: Logins,
    policy: ArcSwap<Policy>,
    /// How often the policy was replaced.
    replaced: AtomicU64,
}

/// What rules and users are at: another one whenever either may have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PolicyVersion {
    replaced: u64,
    users: u64,
}

/// How logins continue without a password.
pub struct Logins {
    /// Where they are kept.
    pub accounts: Arc<Accounts>,
    /// When those end that `docker login` keeps.
    pub life: LoginLife,
    /// When sessions of browsers end.
    pub sessions: LoginLife,
    /// Whether there are pages to sign in at: without them no session counts.
    pub has_pages: bool,
}

impl Logins {
    /// When logins of a kind end.
    pub const fn life_of(&self, kind: LoginKind) -> LoginLife {
        match kind {
            LoginKind::RefreshToken => self.life,
            LoginKind::Session => self.sessions,
        }
    }
}

/// What a gate is made of: see the fields of [`Gate`].
pub struct GateParts {
    /// Finds out who it is.
    pub authenticator: Authenticator,
    /// Makes and checks tokens.
    pub issuer: Arc<Issuer>,
    /// Binds uploads to the tokens that opened them.
    pub marks: UploadMarks,
    /// The door's own clock.
    pub clock: Clock,
    /// Scheme and authority by which clients know the door, where that is configured.
    pub external: Option<String>,
    /// How logins continue.
    pub logins: Logins,
    /// What may be done at first.
    pub policy: Policy,
}

impl Gate {
    /// Puts the gate together.
    pub fn new(parts: GateParts) -> Self {
        let GateParts { authenticator, issuer, marks, clock, external, logins, policy } = parts;
        let policy = ArcSwap::from_pointee(policy);
        let replaced = AtomicU64::new(0);
        Self { authenticator, issuer, marks, clock, external, logins, policy, replaced }
    }

    /// From now on this is what may be done. Tokens that were made before stay good until they expire.
    pub fn set_policy(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
        self.replaced.fetch_add(1, Ordering::Release);
    }

    /// What may be done, as it is now.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// What rules and users are at. Cheap.
    pub(super) fn version(&self) -> PolicyVersion {
        PolicyVersion { replaced: self.replaced.load(Ordering::Acquire), users: self.authenticator.version() }
    }

    /// Who it is, with all their groups.
    ///
    /// # Errors
    /// When the credentials are wrong, or cannot be checked.
    pub async fn login(&self, credentials: &Credentials, address: IpAddr) -> Result<Identity, LoginError> {
        let login = self.checked(credentials, address).await?;
        Ok(self.with_groups(login.identity.as_ref().clone()))
    }

    /// The same of a caller whose login may go on without the password.
    ///
    /// # Errors
    /// When the credentials are wrong, or cannot be checked.
    pub async fn prove(&self, credentials: &Credentials, address: IpAddr) -> Result<Proven, LoginError> {
        // Before anything of the user is looked at.
        let standing = self.logins.accounts.standing_of(&credentials.name).await.map_err(unavailable)?;
        let Login { identity, proof, is_fresh } = self.checked(credentials, address).await?;
        let identity = self.with_groups(identity.as_ref().clone());
        let password = proof.map(|proof| ShownPassword { proof, standing });
        Ok(Proven { identity, password, is_fresh })
    }

    /// Has credentials checked, and notes what came of it.
    async fn checked(&self, credentials: &Credentials, address: IpAddr) -> Result<Login, LoginError> {
        let login = self.authenticator.login(credentials, address).await;
        let failed = |about| {
            self.journal().note_claim(AuthEventKind::LoginFailed, &credentials.name, address, about);
        };
        match &login {
            // What is remembered goes on from a login that was noted.
            Ok(login) if !login.is_fresh => LoginResult::Success.count(),
            Ok(login) => {
                LoginResult::Success.count();
                let name = login.identity.name.as_str();
                self.journal().note(AuthEventKind::Login, Some(name), Some(address), "");
            }
            Err(LoginError::Wrong(failure)) => {
                failure.result().count();
                failed(failure.in_words());
            }
            Err(LoginError::TooMany(_)) => {
                LoginResult::Locked.count();
                failed("after too many failed logins, or too many at once");
            }
            Err(LoginError::Unavailable(_)) => {}
        }
        login
    }

    /// Counts a login with a name that no user can have. Answers how it fails.
    pub fn refuse_impossible_name(&self) -> LoginError {
        let failure = LoginFailure::UnknownUser;
        failure.result().count();
        LoginError::Wrong(failure)
    }

    /// A refresh token for a user who has logged in; none for one who came with an access token, which takes its place.
    ///
    /// # Errors
    /// When the store cannot keep it, or the user was changed meanwhile.
    pub async fn issue_refresh_token(
        &self,
        proven: &Proven,
        device: Device,
    ) -> Result<Option<SecretString>, LoginError> {
        self.keep(LoginKind::RefreshToken, proven, device, None).await
    }

    /// The user of a refresh token.
    ///
    /// # Errors
    /// When it is good no more: its time is over, its user is gone or has another password.
    pub async fn login_by_refresh_token(
        &self,
        token: &SecretString,
        address: IpAddr,
    ) -> Result<Identity, LoginError> {
        let identity = self.user_of(token).await;
        match &identity {
            Ok(_) => LoginResult::Success.count(),
            Err(LoginError::Wrong(failure)) => {
                failure.result().count();
                self.journal().note(AuthEventKind::LoginFailed, None, Some(address), failure.in_words());
            }
            Err(LoginError::TooMany(_) | LoginError::Unavailable(_)) => {}
        }
        identity
    }

    async fn user_of(&self, token: &SecretString) -> Result<Identity, LoginError> {
        let Logins { accounts, life, .. } = &self.logins;
        let login = accounts.find_login(LoginKind::RefreshToken, token, self.service(), *life).await;
        let login = login.map_err(unavailable)?.map_err(LoginError::Wrong)?;
        match self.authenticator.find(login.user()).await? {
            Some(found) if found.proof == login.proof() => {
                accounts.note_login_use(login).await;
                Ok(self.with_groups(found.identity))
            }
            // It stays: a users file that lacks them, or is an old one, may be a mistake that is mended soon.
            Some(_) => Err(LoginError::Wrong(LoginFailure::Revoked)),
            None => Err(LoginError::Wrong(self.authenticator.failure(None, login.user()).await?)),
        }
    }

    /// Whether the user of a token is still there, and may still do this: for uploads that outlive their token.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn still_allows(&self, token: &Token, access: &Access) -> Result<bool, LoginError> {
        let subject = self.subject_of(token).await?;
        Ok(subject.is_some_and(|subject| self.allows(&subject, access)))
    }

    /// Whether a token of the door's was made for a user who is disabled.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn is_of_disabled(&self, token: &Token) -> Result<bool, LoginError> {
        let Some(subject) = &token.subject else { return Ok(false) };
        self.logins.accounts.is_token_of_disabled(subject).await.map_err(unavailable)
    }

    /// For whom a token was made, unless they or what they logged in with is gone.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn subject_of(&self, token: &Token) -> Result<Option<Subject>, LoginError> {
        let Some(name) = &token.subject else { return Ok(Some(Subject::Anonymous)) };
        let Ok(name) = UserName::parse(name) else { return Ok(None) };
        Ok(self.still_known(name, token.origin.as_ref()).await?.map(Subject::Known))
    }

    /// A caller of this name, as the door knows them when they log in: a user, or by the token or login that they showed. None if
    /// they may not, or that is no good any more.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn still_known(
        &self,
        name: UserName,
        origin: Option<&Origin>,
    ) -> Result<Option<Identity>, LoginError> {
        let accounts = &self.logins.accounts;
        match origin {
            Some(Origin::AccessToken(id)) => {
                let bearer = accounts.bearer_of(id).await.map_err(unavailable)?;
                let Some(bearer) = bearer.filter(|bearer| bearer.name == name) else { return Ok(None) };
                let admitted = self.authenticator.admitted(bearer).await?;
                return Ok(admitted.ok().map(|identity| self.with_groups(identity)));
            }
            Some(Origin::Login(key)) => {
                let goes_on = accounts.has_login(LoginKind::RefreshToken, key).await;
                if !goes_on.map_err(unavailable)? {
                    return Ok(None);
                }
            }
            None => {}
        }
        let found = self.authenticator.find(&name).await?;
        Ok(found.map(|found| self.with_groups(found.identity)))
    }

    /// The same with the groups that the configuration gives them beside those of their source.
    pub(super) fn with_groups(&self, identity: Identity) -> Identity {
        self.policy.load().with_groups(identity)
    }

    /// The groups that the configuration gives a user.
    pub fn configured_groups(&self, name: &UserName) -> Vec<String> {
        self.policy.load().groups.get(name.as_str()).cloned().unwrap_or_default()
    }

    /// The groups that rules or the configuration's lists of users name.
    pub fn named_groups(&self) -> BTreeSet<String> {
        let policy = self.policy.load();
        let in_rules = policy.rules.named().filter_map(|who| match who {
            Who::Group(group) => Some(group),
            Who::User(_) | Who::Anonymous | Who::Everybody => None,
        });
        policy.groups.values().flatten().chain(in_rules).cloned().collect()
    }

    /// The users whom rules or the configuration's groups name; a rule may name a robot as well.
    pub fn named_users(&self) -> BTreeSet<UserName> {
        let policy = self.policy.load();
        let in_rules = policy.rules.named().filter_map(|who| match who {
            Who::User(user) => Some(user),
            Who::Group(_) | Who::Anonymous | Who::Everybody => None,
        });
        policy.groups.keys().chain(in_rules).filter_map(|name| UserName::parse(name).ok()).collect()
    }

    /// The journal of the gate.
    pub fn journal(&self) -> &Journal {
        self.logins.accounts.journal()
    }

    /// Whether the caller may do this.
    pub fn allows(&self, subject: &Subject, access: &Access) -> bool {
        let granted = self.grant(subject, std::slice::from_ref(access));
        granted.iter().any(|granted| granted.covers(access))
    }

    /// Whether whoever has not logged in may pull anything.
    pub fn allows_anonymous_pulls(&self) -> bool {
        self.policy.load().rules.allow_anonymous_pulls()
    }

    /// The part of the access that the caller asks for and may have.
    pub fn grant(&self, subject: &Subject, wanted: &[Access]) -> Vec<Access> {
        let policy = self.policy.load();
        let granted = policy.rules.grant(subject, wanted);
        if tracing::enabled!(Level::DEBUG) {
            let user = subject.name().map(UserName::as_str);
            for access in wanted {
                tracing::debug!(user, wanted = %access, "{}", policy.rules.in_words(subject, access));
            }
        }
        granted
    }

    /// What tokens are for.
    pub fn service(&self) -> &str {
        &self.issuer.settings().service
    }

    /// By which address a client knows the door that reached it in this way.
    pub fn door_origin(&self, scheme: &str, host: Option<&str>) -> DoorOrigin {
        DoorOrigin::of(self.external.as_deref(), scheme, host)
    }

    /// Where tokens are to be had, for a client that reached the door in this way.
    pub fn realm(&self, scheme: &str, host: Option<&str>) -> String {
        match (&self.external, host.filter(|host| is_authority(host))) {
            (Some(external), _) => format!("{external}/token"),
            (None, Some(host)) => format!("{scheme}://{host}/token"),
            (None, None) => "/token".to_owned(),
        }
    }
}

#[async_trait]
impl Names for Gate {
    async fn is_known(&self, name: &UserName) -> bool {
        self.authenticator.knows(name).await.unwrap_or(false)
    }
}

pub(super) fn unavailable(error: AccountError) -> LoginError {
    LoginError::Unavailable(SourceError::Unavailable(Arc::new(error)))
}

/// Whether text may stand in a quoted header as the authority of a URL: the client has chosen it.
fn is_authority(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]%".contains(&byte);
    !host.is_empty() && host.len() <= 255 && host.bytes().all(is_allowed)
}
