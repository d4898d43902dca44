//! Who asks: credentials in, a subject out. Asks the sources in their order, remembers for a short while what they said, and
//! brakes those who guess.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use moka::future::Cache;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::hashing::{Hashing, StoredHash};
use super::identity::{Credentials, Found, IdentitySource, SourceError, Verdict};
use super::lockout::Lockout;
use super::subject::{Identity, UserName};

/// How long is remembered what came of credentials. An access token that expires meanwhile goes on for as long.
const REMEMBER: Duration = Duration::from_secs(60);
/// Of how many.
const REMEMBERED: u64 = 10_000;
/// What is checked for a name that nobody knows, if no source has users: bcrypt at the cost of `htpasswd -B`. No password
/// has it.
const DECOY: &str = "$2y$05$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu";

/// Asks the sources.
pub struct Authenticator {
    sources: Vec<Arc<dyn IdentitySource>>,
    hashing: Hashing,
    lockout: Lockout,
    /// For remembering passwords without keeping them.
    key: hmac::Key,
    /// What came of credentials, good or not: who sends the same again, or several times at once, makes one attempt.
    remembered: Cache<Mark, Option<Arc<Identity>>>,
}

/// What credentials are remembered by, and what the sources were at.
type Mark = ([u8; 32], u64);

/// Somebody who has logged in.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// Whether the sources were asked; else it was remembered.
    pub is_fresh: bool,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Name or password is wrong; which of them is not said.
    #[error("the user name or the password is wrong")]
    Wrong,
    /// Too many failures.
    #[error("too many failed logins; try again in {} s", .0.as_secs().max(1))]
    TooMany(Duration),
    /// A source cannot be asked.
    #[error("logins cannot be checked now: {0}")]
    Unavailable(#[from] SourceError),
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
        let mut secret = [0; 32];
        SystemRandom::new()
            .fill(&mut secret)
            .map_err(|_| std::io::Error::other("the system has no random numbers"))?;
        Ok(Self {
            sources,
            hashing,
            lockout: Lockout::new(longest),
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret),
            remembered: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build(),
        })
    }

    /// Who it is. Dropping the future leaves the attempt counted as a failure.
    ///
    /// # Errors
    /// When it is nobody, or that cannot be found out.
    pub async fn login(&self, credentials: &Credentials, address: IpAddr) -> Result<Login, LoginError> {
        // Also before what is remembered is looked at: it would tell a guesser who has to wait which guess is right.
        self.lockout.admit(address, &credentials.name, Instant::now()).map_err(LoginError::TooMany)?;
        let mark = (self.mark(credentials), self.version());
        let attempt = self.remembered.entry(mark).or_try_insert_with(self.attempt(credentials, address));
        let entry = attempt.await.map_err(|error| match &*error {
            LoginError::Wrong => LoginError::Wrong,
            LoginError::TooMany(wait) => LoginError::TooMany(*wait),
            LoginError::Unavailable(cause) => SourceError::Unavailable(cause.to_string()).into(),
        })?;
        let is_fresh = entry.is_fresh();
        Ok(Login { identity: entry.into_value().ok_or(LoginError::Wrong)?, is_fresh })
    }

    /// Asks the sources, which is an attempt that counts.
    async fn attempt(
        &self,
        credentials: &Credentials,
        address: IpAddr,
    ) -> Result<Option<Arc<Identity>>, LoginError> {
        let attempt = self.lockout.begin(address, &credentials.name, Instant::now());
        let attempt = attempt.map_err(LoginError::TooMany)?;
        if !attempt.delay.is_zero() {
            tokio::time::sleep(attempt.delay).await;
        }
        match self.ask(credentials).await {
            Ok(Some(identity)) => {
                attempt.succeeded();
                Ok(Some(Arc::new(identity)))
            }
            Ok(None) => Ok(None),
            Err(error) => {
                attempt.came_to_nothing();
                Err(error.into())
            }
        }
    }

    /// Asks until a source knows the name. Whoever is refused costs one hash of each source that has users, whatever is
    /// wrong, so that nobody learns by the clock which names there are.
    async fn ask(&self, credentials: &Credentials) -> Result<Option<Identity>, SourceError> {
        let mut left = Vec::new();
        let mut is_hashed = false;
        for source in &self.sources {
            let verdict = if is_hashed { Verdict::Unknown } else { source.verify(credentials).await? };
            match verdict {
                Verdict::Unknown => left.extend(source.decoy().await?),
                Verdict::Wrong { is_hashed: false } => return Ok(None),
                Verdict::Wrong { is_hashed: true } => is_hashed = true,
                Verdict::Right(identity) => return self.admitted(identity).await,
            }
        }
        if left.is_empty() && !is_hashed {
            left.push(StoredHash::Bcrypt(DECOY.to_owned()));
        }
        for decoy in left {
            self.hashing.verify(decoy, credentials.password.clone()).await?;
        }
        Ok(None)
    }

    /// Somebody who has proved who they are, if that is enough.
    pub(super) async fn admitted(&self, mut identity: Identity) -> Result<Option<Identity>, SourceError> {
        let Some(limits) = &identity.limits else { return Ok(Some(identity)) };
        let namesake = self.find(&identity.name).await?;
        match (limits.is_own, namesake) {
            (true, None) => Ok(Some(identity)),
            // What a robot does must not look like a user's doing.
            (true, Some(_)) => {
                tracing::warn!(name = %identity.name, "a robot has a user's name and is not let in; make its token anew under another");
                Ok(None)
            }
            // A personal token is nothing without its owner, who may come from any source.
            (false, owner) => {
                let Some(owner) = owner else { return Ok(None) };
                identity.groups = owner.identity.groups;
                Ok(Some(identity))
            }
        }
    }

    /// Somebody by name, without proof, from the first source that knows it.
    ///
    /// # Errors
    /// When a source cannot be asked.
    pub async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError> {
        for source in &self.sources {
            if let Some(found) = source.find(name).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn version(&self) -> u64 {
        self.sources.iter().map(|source| source.version()).fold(0, u64::wrapping_add)
    }

    /// Says nothing about the credentials to who does not have the key of this process.
    fn mark(&self, Credentials { name, password }: &Credentials) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // A name has no colon, so that no two credentials look the same.
        for part in [name.as_str(), ":", password.reveal()] {
            context.update(part.as_bytes());
        }
        let mut mark = [0; 32];
        mark.copy_from_slice(context.sign().as_ref());
        mark
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Knows users whose password is their name, and counts how often it is asked.
    #[derive(Default)]
    struct Counting {
        users: Vec<&'static str>,
        asked: AtomicUsize,
        version: AtomicU64,
        is_down: bool,
        /// Whether a wrong password costs it a hash.
        hashes: bool,
        /// What is checked in its name for others.
        decoy: Option<&'static str>,
    }

    #[async_trait]
    impl IdentitySource for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        async fn verify(&self, credentials: &Credentials) -> Result<Verdict, SourceError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.is_down {
                return Err(SourceError::Unavailable("down".to_owned()));
            }
            let Credentials { name, password } = credentials;
            if !self.users.contains(&name.as_str()) {
                return Ok(Verdict::Unknown);
            }
            if password.reveal() != name.as_str() {
                return Ok(Verdict::Wrong { is_hashed: self.hashes });
            }
            Ok(Verdict::Right(Identity::new(name.clone(), Vec::new())))
        }

        async fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
            Ok(None)
        }

        fn version(&self) -> u64 {
            self.version.load(Ordering::Relaxed)
        }

        async fn decoy(&self) -> Result<Option<StoredHash>, SourceError> {
            Ok(self.decoy.map(|hash| StoredHash::Bcrypt(hash.to_owned())))
        }
    }

    fn counting(users: &[&'static str]) -> Arc<Counting> {
        Arc::new(Counting { users: users.to_vec(), ..Counting::default() })
    }

    fn authenticator(sources: &[&Arc<Counting>]) -> Authenticator {
        let sources = sources.iter().map(|source| Arc::clone(source) as Arc<dyn IdentitySource>).collect();
        Authenticator::new(sources, Hashing::start(1).unwrap(), Duration::from_secs(60)).unwrap()
    }

    async fn login(authenticator: &Authenticator, name: &str, password: &str) -> Result<String, LoginError> {
        let credentials = Credentials::new(UserName::parse(name).unwrap(), password);
        let address = IpAddr::from([192, 0, 2, 1]);
        Ok(authenticator.login(&credentials, address).await?.identity.name.to_string())
    }

    #[tokio::test]
    async fn the_first_source_that_knows_a_name_decides() {
        let (first, second) = (counting(&["alice"]), counting(&["alice", "bob"]));
        let both = authenticator(&[&first, &second]);
        assert_eq!(login(&both, "bob", "bob").await.unwrap(), "bob");
        assert_eq!(login(&both, "alice", "alice").await.unwrap(), "alice");
        assert!(matches!(login(&both, "alice", "wrong").await, Err(LoginError::Wrong)));
        assert_eq!(second.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn k1_a_wrong_password_and_an_unknown_user_are_answered_alike() {
        let source = counting(&["alice"]);
        let authenticator = authenticator(&[&source]);
        let wrong = login(&authenticator, "alice", "wrong").await.unwrap_err().to_string();
        let unknown = login(&authenticator, "mallory", "wrong").await.unwrap_err().to_string();
        assert_eq!(wrong, unknown);
    }

    #[tokio::test]
    async fn k1_whoever_is_refused_costs_a_hash_of_each_source_whatever_is_wrong() {
        // A hash that cannot be checked shows that somebody tried.
        const NOTICED: Option<&str> = Some("no hash");
        let source = |users: &[&'static str], decoy| {
            Arc::new(Counting { users: users.to_vec(), hashes: true, decoy, ..Counting::default() })
        };
        let is_noticed = async |first, second, name: &str| {
            let (first, second) = (source(&["alice"], first), source(&["bob"], second));
            matches!(
                login(&authenticator(&[&first, &second]), name, "wrong").await,
                Err(LoginError::Unavailable(_))
            )
        };
        for (name, hashed_by_first, hashed_by_second) in
            [("alice", true, false), ("bob", false, true), ("nobody", false, false)]
        {
            // Its own users' passwords are checked by the source itself.
            assert_eq!(is_noticed(NOTICED, None, name).await, !hashed_by_first, "{name}");
            assert_eq!(is_noticed(None, NOTICED, name).await, !hashed_by_second, "{name}");
        }
    }

    #[tokio::test]
    async fn what_came_of_a_password_is_remembered_until_something_changes() {
        let source = counting(&["alice"]);
        let authenticator = authenticator(&[&source]);
        let asked = || source.asked.load(Ordering::Relaxed);
        for _ in 0..3 {
            login(&authenticator, "alice", "alice").await.unwrap();
        }
        assert_eq!(asked(), 1);
        // A script with an old password is no guesser, however often it tries.
        for _ in 0..10 {
            assert!(matches!(login(&authenticator, "alice", "wrong").await, Err(LoginError::Wrong)));
        }
        assert_eq!(asked(), 2);
        source.version.store(1, Ordering::Relaxed);
        login(&authenticator, "alice", "alice").await.unwrap();
        login(&authenticator, "alice", "wrong").await.unwrap_err();
        assert_eq!(asked(), 4);
    }

    #[tokio::test]
    async fn the_same_credentials_at_once_are_one_attempt_and_only_the_first_is_fresh() {
        let source = counting(&["alice"]);
        let authenticator = authenticator(&[&source]);
        let credentials = Credentials::new(UserName::parse("alice").unwrap(), "alice");
        let address = IpAddr::from([192, 0, 2, 1]);
        let logins = (0..20).map(|_| authenticator.login(&credentials, address));
        let logins = futures_util::future::join_all(logins).await;
        assert_eq!(logins.into_iter().filter(|login| login.as_ref().unwrap().is_fresh).count(), 1);
        assert_eq!(source.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn who_has_to_wait_does_not_learn_from_what_is_remembered() {
        let source = counting(&["alice"]);
        let authenticator = authenticator(&[&source]);
        login(&authenticator, "alice", "alice").await.unwrap();
        for number in 0..4 {
            login(&authenticator, "alice", &format!("wrong {number}")).await.unwrap_err();
        }
        assert!(matches!(login(&authenticator, "alice", "alice").await, Err(LoginError::TooMany(_))));
    }

    #[tokio::test]
    async fn who_fails_too_often_is_not_even_asked_about_and_others_are() {
        let source = counting(&["alice", "bob"]);
        let authenticator = authenticator(&[&source]);
        for number in 0..4 {
            login(&authenticator, "alice", &format!("wrong {number}")).await.unwrap_err();
        }
        let asked = source.asked.load(Ordering::Relaxed);
        assert!(matches!(login(&authenticator, "alice", "alice").await, Err(LoginError::TooMany(_))));
        assert_eq!(source.asked.load(Ordering::Relaxed), asked);
        login(&authenticator, "bob", "bob").await.unwrap();
    }

    #[tokio::test]
    async fn a_source_that_is_down_lets_nobody_in_and_counts_as_no_failure() {
        let down = Arc::new(Counting { is_down: true, ..Counting::default() });
        let authenticator = authenticator(&[&down]);
        for _ in 0..10 {
            let refused = login(&authenticator, "alice", "alice").await;
            assert!(matches!(refused, Err(LoginError::Unavailable(_))));
        }
    }

    #[test]
    fn the_decoy_is_a_hash_that_no_password_has() {
        assert!(!bcrypt::verify("", DECOY).unwrap());
        assert!(DECOY.parse::<bcrypt::HashParts>().is_ok());
    }
}
