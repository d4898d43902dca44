//! Password hashes, and the few threads that compute them: a flood of logins must not take the processors from everybody.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::{mpsc, oneshot};

use super::sensitive::Sensitive;

/// How many passwords wait to be checked, at most. Whoever comes then is told to come again.
const WAITING: usize = 256;

/// How much the threads step back (nice(1)).
const NICE: i32 = 10;

/// A password hash as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum StoredHash {
    /// bcrypt, as in an htpasswd file.
    Bcrypt(String),
    /// argon2id in PHC form, as in the store.
    Argon2(String),
}

impl std::fmt::Debug for StoredHash {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Bcrypt(_) => "Bcrypt(…)",
            Self::Argon2(_) => "Argon2(…)",
        })
    }
}

/// Why a password was not checked.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many wait.
    #[error("too many passwords wait to be checked")]
    Busy,
    /// The hash is none.
    #[error("the kept hash cannot be used: {0}")]
    Hash(String),
    /// The threads are gone.
    #[error("passwords are not checked any more")]
    Stopped,
}

type Job = Box<dyn FnOnce() + Send>;

/// Threads that compute hashes. They end when the last handle is dropped.
#[derive(Clone)]
pub struct Hashing(mpsc::Sender<Job>);

impl Hashing {
    /// So many threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel::<Job>(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new().name(format!("hashing-{number}")).spawn(move || {
                step_back();
                loop {
                    // Only one waits in the channel at a time; the others wait for the lock.
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
                    match job {
                        Some(job) => job(),
                        None => return,
                    }
                }
            })?;
        }
        Ok(Self(sender))
    }

    /// Whether a password has this hash. Dropping the future does not stop a computation that has begun.
    ///
    /// # Errors
    /// When too many wait, or the hash is none.
    pub async fn verify(&self, hash: StoredHash, password: Sensitive) -> Result<bool, HashingError> {
        self.run(move || verify(&hash, password.reveal().as_bytes())).await?
    }

    /// The hash under which a password is kept in the store.
    ///
    /// # Errors
    /// When too many wait, or the system has no random numbers.
    pub async fn hash(&self, password: Sensitive) -> Result<StoredHash, HashingError> {
        self.run(move || hash(password.reveal())).await?
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody waits for one whose client has left.
            if !sender.is_closed() {
                let _ = sender.send(job());
            }
        });
        self.0.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => HashingError::Busy,
            mpsc::error::TrySendError::Closed(_) => HashingError::Stopped,
        })?;
        receiver.await.map_err(|_| HashingError::Stopped)
    }
}

/// Lets every other thread go first: a hash takes milliseconds, and whoever waits for one waits for it anyway.
fn step_back() {
    // Without a process it is the calling thread (setpriority(2), "C library/kernel differences").
    let stepped = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, now.max(NICE)));
    if let Err(error) = stepped {
        tracing::debug!(%error, "hashes are computed as urgently as everything else");
    }
}

fn verify(hash: &StoredHash, password: &[u8]) -> Result<bool, HashingError> {
    let unusable = |error: &dyn std::fmt::Display| HashingError::Hash(error.to_string());
    match hash {
        StoredHash::Bcrypt(hash) => bcrypt::verify(password, hash).map_err(|error| unusable(&error)),
        StoredHash::Argon2(hash) => {
            let hash = PasswordHash::new(hash).map_err(|error| unusable(&error))?;
            Ok(Argon2::default().verify_password(password, &hash).is_ok())
        }
    }
}

/// Computes the hash under which a password is kept in the store: argon2id with the library's parameters, which are those
/// that OWASP recommends. Blocks for some ten milliseconds.
///
/// # Errors
/// When the system has no random numbers.
pub fn hash(password: &str) -> Result<StoredHash, HashingError> {
    let hash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|error| HashingError::Hash(error.to_string()))?;
    Ok(StoredHash::Argon2(hash.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_kinds_of_hashes_know_their_password_and_no_other() {
        let hashing = Hashing::start(2).unwrap();
        let bcrypt = StoredHash::Bcrypt(bcrypt::hash("secret", 4).unwrap());
        let argon2 = hashing.hash(Sensitive::new("secret")).await.unwrap();
        for hash in [bcrypt, argon2] {
            assert!(hashing.verify(hash.clone(), Sensitive::new("secret")).await.unwrap());
            assert!(!hashing.verify(hash.clone(), Sensitive::new("secrets")).await.unwrap());
            assert!(!format!("{hash:?}").contains('$'));
        }
    }

    #[tokio::test]
    async fn what_is_no_hash_is_an_error_and_stops_nothing() {
        let hashing = Hashing::start(1).unwrap();
        for hash in [StoredHash::Bcrypt("$2y$05$x".to_owned()), StoredHash::Argon2("plain".to_owned())] {
            let answer = hashing.verify(hash, Sensitive::new("plain")).await;
            assert!(matches!(answer, Err(HashingError::Hash(_))));
        }
        assert!(hashing.hash(Sensitive::new("x")).await.is_ok());
    }

    #[tokio::test]
    async fn hashing_steps_back_and_nothing_else_does() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let hashing = Hashing::start(1).unwrap();
        assert_eq!(hashing.run(priority).await.unwrap(), before.max(NICE));
        assert_eq!(priority(), before);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let hashing = Hashing::start(1).unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let blocked = tokio::spawn({
            let hashing = hashing.clone();
            async move { hashing.run(move || held.recv().is_ok()).await }
        });
        let mut waiting = Vec::new();
        let refused = loop {
            assert!(waiting.len() <= WAITING + 1, "it never says no");
            let next = hashing.run(|| true);
            let mut next = Box::pin(next);
            match futures_util::poll!(&mut next) {
                std::task::Poll::Pending => waiting.push(next),
                std::task::Poll::Ready(answer) => break answer,
            }
            tokio::task::yield_now().await;
        };
        assert!(matches!(refused, Err(HashingError::Busy)));
        release.send(()).unwrap();
        assert!(blocked.await.unwrap().unwrap());
        for waiting in waiting {
            assert!(waiting.await.unwrap());
        }
    }
}
