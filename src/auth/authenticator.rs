//! Who asks: credentials in, a subject out. Asks the sources in their order, remembers what came of it, and brakes those who
//! guess.
//!
//! What was proven of late passes whatever others do beside it, and what was refused is refused again without a look: neither
//! is a guess. All else is, and waits for what the [`Lockout`] says.

mod memory;
mod users;

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use secrecy::{ExposeSecret as _, SecretString};

use self::memory::{Circumstances, Memory};
use super::fingerprint::{Fingerprint, Fingerprints};
use super::hashing::{Hashing, HashingError, StoredHash, Ticket};
use super::htpasswd::{DECOY_COST, decoy_of};
use super::identity::{Credentials, Found, IdentitySource, SourceError, Verdict};
use super::lockout::{Attempt, Lockout, Target};
use super::login_failure::LoginFailure;
use super::network::Network;
use super::subject::{Identity, UserName};
use crate::telemetry::LogThrottle;

/// How long is remembered who credentials belong to, without asking the sources whether that has changed. An access token
/// that expires meanwhile goes on for as long.
const REMEMBER: Duration = Duration::from_mins(1);
/// Of how many.
const REMEMBERED: u64 = 10_000;

/// Asks the sources.
pub struct Authenticator {
    sources: Vec<Arc<dyn IdentitySource>>,
    hashing: Hashing,
    lockout: Lockout,
    fingerprints: Fingerprints,
    memory: Memory,
    /// Who came from where with what: who sends the same several times at once makes one attempt.
    remembered: Cache<(Network, Mark), Verified>,
    /// Whose they are, from wherever: the same from many places costs one hash. It says nothing of another hash than the one
    /// that they were checked against.
    asked: Cache<(Fingerprint, Circumstances), Arc<Identity>>,
}

/// What credentials are remembered by, and what the sources were at.
type Mark = (Fingerprint, u64);

/// Who credentials belong to.
#[derive(Clone)]
struct Verified {
    identity: Arc<Identity>,
    proof: Option<String>,
}

/// A login that succeeded.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// What the password is known by that was found right; nothing of an access token.
    pub proof: Option<String>,
    /// Whether the sources were asked; else it was remembered.
    pub is_fresh: bool,
}

/// Why a login fails.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The credentials are refused. What this says is for the client, and does not say why.
    #[error("the user name or the password is wrong")]
    Wrong(LoginFailure),
    /// Too many failures, or too many attempts at once.
    #[error("too many failed logins, or too many at once; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// A source cannot be asked.
    #[error("logins cannot be checked now: {0}")]
    Unavailable(#[from] SourceError),
}

impl LoginError {
    /// For the log: why.
    pub fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::Wrong(failure) => failure.in_words().into(),
            Self::TooMany(_) | Self::Unavailable(_) => self.to_string().into(),
        }
    }

    /// For the log: why, with the name if somebody has it.
    pub fn about(&self, name: &UserName) -> String {
        match self {
            Self::Wrong(failure) => failure.about(name),
            Self::TooMany(_) | Self::Unavailable(_) => self.to_string(),
        }
    }

    /// The same for another request that waited for it.
    fn shared(&self) -> Self {
        match self {
            Self::Wrong(failure) => Self::Wrong(*failure),
            Self::TooMany(wait) => Self::TooMany(*wait),
            Self::Unavailable(cause) => Self::Unavailable(cause.clone()),
        }
    }
}

/// Credentials, and all that they are looked at by.
struct Claim<'a> {
    credentials: &'a Credentials,
    network: Network,
    fingerprint: Fingerprint,
    version: u64,
    now: Instant,
}

impl Authenticator {
    /// Asks these sources in this order; `longest` is the longest delay after failures.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new(
        sources: Vec<Arc<dyn IdentitySource>>,
        hashing: Hashing,
        longest: Duration,
    ) -> std::io::Result<Self> {
        let fingerprints = Fingerprints::new()?;
        Ok(Self {
            sources,
            hashing,
            lockout: Lockout::new(longest, fingerprints.clone()),
            fingerprints,
            memory: Memory::new((longest * 2).max(REMEMBER)),
            remembered: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build(),
            asked: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build(),
        })
    }

    /// Who it is. Dropping the future leaves the attempt counted as a failure if its password was being hashed.
    ///
    /// # Errors
    /// When the credentials are wrong, or cannot be checked.
    pub async fn login(&self, credentials: &Credentials, address: IpAddr) -> Result<Login, LoginError> {
        if !credentials.are_possible() {
            return Err(LoginError::Wrong(LoginFailure::WrongSecret));
        }
        let Credentials { name, password } = credentials;
        let texts = [name.as_str().as_bytes(), password.expose_secret().as_bytes()];
        let claim = Claim {
            credentials,
            network: Network::of(address),
            fingerprint: self.fingerprints.of("credentials", &texts),
            version: self.version(),
            now: Instant::now(),
        };
        let entry = self.remembered.entry((claim.network, (claim.fingerprint, claim.version)));
        let entry = entry.or_try_insert_with(self.look(&claim)).await.map_err(|error| error.shared())?;
        let is_fresh = entry.is_fresh();
        let Verified { identity, proof } = entry.into_value();
        Ok(Login { identity, proof, is_fresh })
    }

    async fn look(&self, claim: &Claim<'_>) -> Result<Verified, LoginError> {
        match self.sources.iter().find_map(|source| source.token(claim.credentials)) {
            Some(id) => {
                let identity = self.look_at_token(claim, id).await?;
                Ok(Verified { identity, proof: None })
            }
            None => self.look_at_password(claim).await,
        }
    }

    async fn look_at_password(&self, claim: &Claim<'_>) -> Result<Verified, LoginError> {
        let Claim { credentials, network, fingerprint, version, now } = *claim;
        // Before the password is checked: what is checked against a newer hash than this one is not taken for proven.
        let found = self.find(&credentials.name).await?;
        let circumstances = self.circumstances(found.as_ref(), version);
        let failure = self.failure(found.as_ref(), &credentials.name).await?;
        // The same password and the same hash as before need no look.
        let proof = found.as_ref().map(|found| found.proof.clone());
        if let Some(found) = found
            && self.memory.proven(network, fingerprint, circumstances, now) == Some(circumstances)
        {
            return Ok(Verified { identity: Arc::new(found.identity), proof: Some(found.proof) });
        }
        if self.memory.refused(fingerprint, circumstances, now) == Some(circumstances) {
            return Err(LoginError::Wrong(failure));
        }
        let attempt = self.lockout.begin(network, Target::Password(&credentials.name), fingerprint, now);
        let mut attempt = attempt.map_err(LoginError::TooMany)?;
        if failure != LoginFailure::UnknownUser {
            attempt = attempt.named(credentials.name.as_str());
        }
        if !attempt.delay.is_zero() {
            tokio::time::sleep(attempt.delay).await;
        }
        let asked = self.asked.entry((fingerprint, circumstances));
        let asked = asked.or_try_insert_with(self.ask_as_found(claim, circumstances, attempt.ticket())).await;
        let asked = asked.map(moka::Entry::into_value).map_err(|error| match error.shared() {
            LoginError::Wrong(_) => LoginError::Wrong(failure),
            error => error,
        });
        // Nobody else's hash than the one that was found first: see `ask_as_found`.
        Ok(Verified { identity: self.end(claim, attempt, circumstances, asked)?, proof })
    }

    /// Why the password of this name is refused, if it is. Looked up before it is known whether it is, so that no reason
    /// takes longer than another.
    pub(super) async fn failure(
        &self,
        found: Option<&Found>,
        name: &UserName,
    ) -> Result<LoginFailure, SourceError> {
        if found.is_some() {
            return Ok(LoginFailure::WrongPassword);
        }
        for source in &self.sources {
            if source.is_disabled(name).await? {
                return Ok(LoginFailure::Disabled);
            }
        }
        Ok(LoginFailure::UnknownUser)
    }

    fn circumstances(&self, found: Option<&Found>, version: u64) -> Circumstances {
        match found {
            Some(found) => Circumstances::User(self.fingerprints.of("proof", &[found.proof.as_bytes()])),
            None => Circumstances::Unknown(version),
        }
    }

    /// Asks while the user has this hash: an answer that may be another hash's is none.
    async fn ask_as_found(
        &self,
        claim: &Claim<'_>,
        circumstances: Circumstances,
        ticket: &Ticket,
    ) -> Result<Arc<Identity>, LoginError> {
        let asked = self.ask(claim.credentials, ticket).await;
        let found = self.find(&claim.credentials.name).await?;
        if self.circumstances(found.as_ref(), claim.version) != circumstances {
            return Err(SourceError::Changed(claim.credentials.name.clone()).into());
        }
        asked
    }

    /// A token costs no hash, so one that passes is simply looked at again.
    async fn look_at_token(&self, claim: &Claim<'_>, id: &str) -> Result<Arc<Identity>, LoginError> {
        let Claim { credentials, network, fingerprint, version, now } = *claim;
        let circumstances = Circumstances::Token(version);
        let is_known = self.memory.proven(network, fingerprint, circumstances, now).is_some()
            || self.memory.refused(fingerprint, circumstances, now).is_some();
        let ticket = Ticket::new(network);
        if is_known {
            return match self.ask(credentials, &ticket).await {
                Ok(identity) => {
                    self.memory.prove(network, fingerprint, circumstances, now);
                    Ok(identity)
                }
                Err(error) => {
                    if matches!(error, LoginError::Wrong(_)) {
                        self.memory.refuse(fingerprint, circumstances, now);
                    }
                    Err(error)
                }
            };
        }
        let attempt = self.lockout.begin(network, Target::Token(id), fingerprint, now);
        let mut attempt = attempt.map_err(LoginError::TooMany)?;
        if is_token_id(id) {
            attempt = attempt.named(id);
        }
        let asked = self.ask(credentials, &ticket).await;
        self.end(claim, attempt, circumstances, asked)
    }

    /// Remembers what came of an attempt.
    fn end(
        &self,
        claim: &Claim<'_>,
        attempt: Attempt<'_>,
        circumstances: Circumstances,
        asked: Result<Arc<Identity>, LoginError>,
    ) -> Result<Arc<Identity>, LoginError> {
        let Claim { network, fingerprint, now, .. } = *claim;
        match &asked {
            Ok(_) => {
                attempt.succeeded();
                if !matches!(circumstances, Circumstances::Unknown(_)) {
                    self.memory.prove(network, fingerprint, circumstances, now);
                }
            }
            Err(LoginError::Wrong(_)) => match self.memory.refuse(fingerprint, circumstances, now) {
                true => attempt.failed(),
                false => attempt.came_to_nothing(),
            },
            // Whether that counts depends on how far it came: who fills the threads must not guess for nothing.
            Err(_) => drop(attempt),
        }
        asked
    }

    /// Asks until a source knows the name. A refusal costs one hash of each source that has users, whatever is wrong, so
    /// that no caller learns by the clock which names there are.
    async fn ask(&self, credentials: &Credentials, ticket: &Ticket) -> Result<Arc<Identity>, LoginError> {
        let mut left = Vec::new();
        let mut is_hashed = false;
        for (place, source) in self.sources.iter().enumerate() {
            let verdict =
                if is_hashed { Verdict::Unknown } else { source.verify(credentials, ticket).await? };
            match verdict {
                Verdict::Unknown => left.extend(source.decoy().await?),
                Verdict::Wrong { is_hashed: false } => {
                    return Err(LoginError::Wrong(LoginFailure::WrongPassword));
                }
                Verdict::Refused(failure) => return Err(LoginError::Wrong(failure)),
                Verdict::Wrong { is_hashed: true } => is_hashed = true,
                Verdict::Right(identity) if self.is_shut_out_before(place, &identity.name).await? => {
                    if identity.limits.is_some() {
                        return Err(LoginError::Wrong(LoginFailure::Disabled));
                    }
                    // The right password takes as long to refuse as a wrong one.
                    is_hashed = true;
                }
                Verdict::Right(identity) => {
                    return self.admitted(identity).await?.map(Arc::new).map_err(LoginError::Wrong);
                }
            }
        }
        if left.is_empty() && !is_hashed {
            left.push(StoredHash::Bcrypt(decoy_of(DECOY_COST)));
        }
        for decoy in left {
            let password = credentials.password.clone();
            self.hashing.verify(decoy, password, ticket).await.map_err(SourceError::from)?;
        }
        Err(LoginError::Wrong(LoginFailure::WrongPassword))
    }

    /// Whether a source that is asked before this one shuts the name out, whatever was shown.
    async fn is_shut_out_before(&self, place: usize, name: &UserName) -> Result<bool, SourceError> {
        for source in self.sources.iter().take(place) {
            if source.shuts_out(name).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A user who has proved who they are, if that is enough; else why it is not.
    pub(super) async fn admitted(
        &self,
        mut identity: Identity,
    ) -> Result<Result<Identity, LoginFailure>, SourceError> {
        let Some(limits) = &identity.limits else { return Ok(Ok(identity)) };
        let namesake = self.find(&identity.name).await?;
        match (limits.is_own, namesake) {
            (true, None) => Ok(Ok(identity)),
            // What a robot does must not look like a user's doing.
            (true, Some(_)) => {
                // Robots try again and again.
                static THROTTLE: LogThrottle = LogThrottle::new();
                if let Some(times) = THROTTLE.count() {
                    tracing::warn!(name = %identity.name, times, "a robot has a user's name and is not let in; make its token anew under another");
                }
                Ok(Err(LoginFailure::Disabled))
            }
            // A personal token is nothing without its owner, who may come from any source.
            (false, owner) => {
                let Some(owner) = owner else { return Ok(Err(self.failure(None, &identity.name).await?)) };
                identity.groups = owner.identity.groups;
                Ok(Ok(identity))
            }
        }
    }

    /// Computes the hash under which a new password is kept, with those of logins.
    ///
    /// # Errors
    /// When too many wait.
    pub async fn hash(&self, password: SecretString, address: IpAddr) -> Result<String, HashingError> {
        self.hashing.hash(password, &Ticket::new(Network::of(address))).await
    }

    /// Which names and networks are braked.
    pub(super) const fn lockout(&self) -> &Lockout {
        &self.lockout
    }

    /// Another number whenever users or what they show may have changed.
    pub(super) fn version(&self) -> u64 {
        self.sources.iter().map(|source| source.version()).fold(0, u64::wrapping_add)
    }
}

/// Whether a text has the form of an access token's identifier, which may be told: it is no part of any secret.
fn is_token_id(text: &str) -> bool {
    const DIGITS: usize = 16;
    text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

#[cfg(test)]
mod tests;
