//! Password hashes, and the few threads that compute them: a flood of logins must not take the processors from everybody, nor
//! one network the threads from all others.

mod queue;
#[cfg(test)]
mod tests;

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::oneshot;

use self::queue::{FairQueue, QueueLimits, Standing};
use super::network::Network;

/// How many passwords wait to be checked, at most. A caller who comes then is told to come again.
const WAITING: usize = 1024;
/// How many of one network.
const WAITING_OF_ONE: usize = 128;
/// How many of one network are checked at once, at most.
const RUNNING_OF_ONE: usize = 4;

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
#[derive(Clone, Debug, thiserror::Error)]
pub enum HashingError {
    /// Too many wait.
    #[error("too many passwords wait to be checked")]
    Busy,
    /// The hash that is kept is none of bcrypt.
    #[error("the kept hash cannot be used: {0}")]
    Bcrypt(#[source] Arc<bcrypt::BcryptError>),
    /// The hash that is kept is none in PHC form.
    #[error("the kept hash cannot be used: {0}")]
    Phc(#[source] argon2::password_hash::phc::Error),
    /// A new hash cannot be computed.
    #[error("no hash can be computed: {0}")]
    Compute(#[source] argon2::password_hash::Error),
    /// The threads are gone.
    #[error("passwords are not checked any more")]
    Stopped,
}

/// Who a hash is computed for.
#[derive(Clone, Debug)]
pub struct Ticket {
    network: Network,
    standing: Standing,
    /// Whether a hash was computed, or is.
    pub(super) has_begun: Arc<AtomicBool>,
}

impl Ticket {
    /// For a caller from this network.
    pub fn new(network: Network) -> Self {
        Self { network, standing: Standing::Clean, has_begun: Arc::default() }
    }

    /// For a caller from a network with recent failures: their turn comes after that of others.
    pub(super) fn after_failures(network: Network) -> Self {
        Self { standing: Standing::Failed, ..Self::new(network) }
    }

    /// Whether its turn comes after that of others.
    #[cfg(test)]
    pub(super) fn comes_later(&self) -> bool {
        self.standing == Standing::Failed
    }
}

struct Job {
    run: Box<dyn FnOnce() + Send>,
    is_wanted: Box<dyn Fn() -> bool + Send>,
}

impl queue::Job for Job {
    fn is_wanted(&self) -> bool {
        (self.is_wanted)()
    }
}

/// Threads that compute hashes, for one network after the other. They end when the last handle is dropped.
#[derive(Clone)]
pub struct Hashing(Arc<Handle>);

/// Tells the threads to end when the last copy of it is dropped.
struct Handle(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    queue: FairQueue<Job>,
    is_over: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.state().is_over = true;
        self.0.news.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what waits until all is over.
    fn work(&self) {
        let mut state = self.state();
        while !state.is_over {
            let Some((network, job)) = state.queue.next() else {
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            // A library that panics must not take the thread from everybody.
            if std::panic::catch_unwind(AssertUnwindSafe(job.run)).is_err() {
                tracing::error!("computing a hash failed");
            }
            state = self.state();
            state.queue.done(network);
            // What waited for this network's turn may run now, in whichever thread.
            self.news.notify_one();
        }
    }
}

impl Hashing {
    /// So many threads.
    ///
    /// # Errors
    /// When the system gives none.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(1);
        let limits = QueueLimits {
            waiting: WAITING,
            waiting_of_one: WAITING_OF_ONE,
            // One network never has the last thread.
            running_of_one: (threads - 1).clamp(1, RUNNING_OF_ONE),
        };
        let state = Mutex::new(State { queue: FairQueue::new(limits), is_over: false });
        let shared = Arc::new(Shared { state, news: Condvar::new() });
        let handle = Handle(Arc::clone(&shared));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("hashing-{number}")).spawn(move || {
                step_back();
                shared.work();
            })?;
        }
        Ok(Self(Arc::new(handle)))
    }

    /// Whether a password has this hash. Dropping the future does not stop a computation that has begun.
    ///
    /// # Errors
    /// When too many wait, or the hash is none.
    pub async fn verify(
        &self,
        hash: StoredHash,
        password: SecretString,
        ticket: &Ticket,
    ) -> Result<bool, HashingError> {
        self.verify_evenly(hash, Vec::new(), password, ticket).await
    }

    /// Whether a password has this hash. If it does not, these others are computed too, so that a refusal takes as long as
    /// that of a user with a dearer hash.
    ///
    /// # Errors
    /// When too many wait, or a hash is none.
    pub async fn verify_evenly(
        &self,
        hash: StoredHash,
        others: Vec<StoredHash>,
        password: SecretString,
        ticket: &Ticket,
    ) -> Result<bool, HashingError> {
        let job = move || {
            let password = password.expose_secret().as_bytes();
            let is_right = verify(&hash, password)?;
            if !is_right {
                for other in &others {
                    verify(other, password)?;
                }
            }
            Ok(is_right)
        };
        self.run(job, ticket).await?
    }

    /// Computes the hash under which a new password is kept, as [`hash`] does, when it is its turn.
    ///
    /// # Errors
    /// When too many wait, or the system has no random numbers.
    pub async fn hash(&self, password: SecretString, ticket: &Ticket) -> Result<String, HashingError> {
        self.run(move || hash(password.expose_secret()), ticket).await?
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        ticket: &Ticket,
    ) -> Result<T, HashingError> {
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let has_begun = Arc::clone(&ticket.has_begun);
        let is_wanted = {
            let sender = Arc::clone(&sender);
            move || is_awaited(&sender)
        };
        let run = move || {
            // A hash whose client has left is not computed.
            if is_awaited(&sender) {
                has_begun.store(true, Ordering::Release);
                let done = job();
                if let Some(sender) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    let _ = sender.send(done);
                }
            }
        };
        let job = Job { run: Box::new(run), is_wanted: Box::new(is_wanted) };
        let shared = &self.0.0;
        shared
            .state()
            .queue
            .push(ticket.network, ticket.standing, job)
            .map_err(|queue::Full| HashingError::Busy)?;
        shared.news.notify_one();
        receiver
            .await
            .map_err(|_| if shared.state().is_over { HashingError::Stopped } else { HashingError::Busy })
    }
}

type Answer<T> = Arc<Mutex<Option<oneshot::Sender<T>>>>;

fn is_awaited<T>(answer: &Answer<T>) -> bool {
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    answer.as_ref().is_some_and(|sender| !sender.is_closed())
}

/// Lets every other thread go first: a hash takes milliseconds, and the caller who waits for one waits for it anyway.
fn step_back() {
    // Without a process it is the calling thread (setpriority(2), "C library/kernel differences").
    let stepped = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, now.max(NICE)));
    if let Err(error) = stepped {
        tracing::debug!(%error, "hashes are computed as urgently as everything else");
    }
}

fn verify(hash: &StoredHash, password: &[u8]) -> Result<bool, HashingError> {
    match hash {
        StoredHash::Bcrypt(hash) => {
            bcrypt::verify(password, hash).map_err(|error| HashingError::Bcrypt(Arc::new(error)))
        }
        StoredHash::Argon2(hash) => {
            let hash = PasswordHash::new(hash).map_err(HashingError::Phc)?;
            Ok(Argon2::default().verify_password(password, &hash).is_ok())
        }
    }
}

/// Computes the hash under which a password is kept in the store: argon2id with the library's parameters, which are those
/// that OWASP recommends. Blocks for some ten milliseconds.
///
/// # Errors
/// When the system has no random numbers.
pub fn hash(password: &str) -> Result<String, HashingError> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(HashingError::Compute)?;
    Ok(hash.to_string())
}
