//! Who asks: credentials in, a subject out. Asks the sources in their order, remembers for a short while whom they knew, and
//! brakes those who guess.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::sync::Cache;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use super::hashing::{Hashing, StoredHash};
use super::identity::{Credentials, Found, IdentitySource, SourceError, Verdict};
use super::lockout::Lockout;
use super::subject::{Identity, UserName};

/// How long a verified password is remembered.
const REMEMBER: Duration = Duration::from_secs(60);
/// How many are remembered.
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
    known: Cache<[u8; 32], Known>,
    forgotten: AtomicU64,
}

#[derive(Clone)]
struct Known {
    identity: Arc<Identity>,
    /// What the sources were at.
    version: u64,
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
            known: Cache::builder().max_capacity(REMEMBERED).time_to_live(REMEMBER).build(),
            forgotten: AtomicU64::new(0),
        })
    }

    /// Who it is.
    ///
    /// # Errors
    /// When it is nobody, or that cannot be found out.
    pub async fn login(
        &self,
        credentials: &Credentials,
        address: IpAddr,
    ) -> Result<Arc<Identity>, LoginError> {
        let version = self.version();
        let mark = self.mark(credentials);
        if let Some(known) = self.known.get(&mark).filter(|known| known.version == version) {
            return Ok(known.identity);
        }
        self.lockout.admit(address, &credentials.name, Instant::now()).map_err(LoginError::TooMany)?;
        match self.ask(credentials).await? {
            Some(identity) => {
                self.lockout.note_success(address, &credentials.name);
                let identity = Arc::new(identity);
                self.known.insert(mark, Known { identity: Arc::clone(&identity), version });
                Ok(identity)
            }
            None => {
                self.lockout.note_failure(address, &credentials.name, Instant::now());
                Err(LoginError::Wrong)
            }
        }
    }

    async fn ask(&self, credentials: &Credentials) -> Result<Option<Identity>, SourceError> {
        for source in &self.sources {
            match source.verify(credentials).await? {
                Verdict::Unknown => {}
                Verdict::Wrong => return Ok(None),
                Verdict::Right(mut identity) => {
                    // A personal token is nothing without its owner, who may come from any source.
                    if identity.limits.as_ref().is_some_and(|limits| !limits.is_own) {
                        let Some(owner) = self.find(&identity.name).await? else { return Ok(None) };
                        identity.groups = owner.identity.groups;
                    }
                    return Ok(Some(identity));
                }
            }
        }
        // As much work as for a name that is known, so that nobody learns by the clock which names are.
        let decoy = self.sources.iter().find_map(|source| source.decoy());
        let decoy = decoy.unwrap_or_else(|| StoredHash::Bcrypt(DECOY.to_owned()));
        self.hashing.verify(decoy, credentials.password.clone()).await?;
        Ok(None)
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

    /// Forgets whom it knew: somebody was removed or has another password.
    pub fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::Release);
    }

    fn version(&self) -> u64 {
        let sources = self.sources.iter().map(|source| source.version());
        sources.fold(self.forgotten.load(Ordering::Acquire), u64::wrapping_add)
    }

    /// What credentials are remembered by: says nothing about them to who does not have the key of this process.
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
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;

    use super::*;

    /// Knows users whose password is their name, and counts how often it is asked.
    #[derive(Default)]
    struct Counting {
        users: Vec<&'static str>,
        asked: AtomicUsize,
        version: AtomicU64,
        is_down: bool,
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
                return Ok(Verdict::Wrong);
            }
            Ok(Verdict::Right(Identity::new(name.clone(), Vec::new())))
        }

        async fn find(&self, _: &UserName) -> Result<Option<Found>, SourceError> {
            Ok(None)
        }

        fn version(&self) -> u64 {
            self.version.load(Ordering::Relaxed)
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
        Ok(authenticator.login(&credentials, address).await?.name.to_string())
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
    async fn a_right_password_is_remembered_until_something_changes_and_a_wrong_one_is_not() {
        let source = counting(&["alice"]);
        let authenticator = authenticator(&[&source]);
        let asked = || source.asked.load(Ordering::Relaxed);
        for _ in 0..3 {
            login(&authenticator, "alice", "alice").await.unwrap();
        }
        assert_eq!(asked(), 1);
        for expected in 2..4 {
            login(&authenticator, "alice", "wrong").await.unwrap_err();
            assert_eq!(asked(), expected);
        }
        source.version.store(1, Ordering::Relaxed);
        login(&authenticator, "alice", "alice").await.unwrap();
        assert_eq!(asked(), 4);
        authenticator.forget();
        login(&authenticator, "alice", "alice").await.unwrap();
        assert_eq!(asked(), 5);
    }

    #[tokio::test]
    async fn who_fails_too_often_is_not_even_asked_about_and_others_are() {
        let source = counting(&["alice", "bob"]);
        let authenticator = authenticator(&[&source]);
        for _ in 0..4 {
            login(&authenticator, "alice", "wrong").await.unwrap_err();
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
