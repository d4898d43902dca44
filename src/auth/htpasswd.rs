//! Users from an htpasswd file, as the registry itself reads one: bcrypt only, and a user with another hash cannot log in,
//! which is also how one is shut out for a while. Read again when it changes.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::hashing::{Hashing, StoredHash, Ticket};
use super::identity::{Credentials, Found, IdentitySource, SourceError, Verdict, proof};
use super::subject::{Identity, UserName};
use crate::clock::Timestamp;
use crate::files::{FileVersions, FileWatcher, RereadRequests};
use crate::telemetry::{ReloadResult, Reloaded};

/// The cost of `htpasswd -B`.
pub(super) const DECOY_COST: u32 = 5;
/// The longest file that is read.
const MAXIMUM_BYTES: u64 = 64 * 1024 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// It cannot be read.
    #[error("`auth.htpasswd` {} cannot be read: {source}; name a file that the door can read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A line that is none.
    #[error("`auth.htpasswd` {}, line {line}: {wrong}; `htpasswd -B` makes lines that are right", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which line, counted from one.
        line: usize,
        /// What is wrong.
        wrong: &'static str,
    },
    /// A file that had users and has none now.
    #[error(
        "`auth.htpasswd` {} has no users any more, which is seldom meant; write the users into it, or restart the door to shut \
         all of them out", path.display()
    )]
    NoUsersLeft {
        /// The file.
        path: PathBuf,
    },
}

/// The users of a file.
pub struct Htpasswd {
    path: PathBuf,
    hashing: Hashing,
    users: ArcSwap<Users>,
    version: AtomicU64,
    /// Notified each time the file was read again.
    read: Notify,
    /// How the file was before it was read first.
    loaded: FileVersions,
}

/// What stands in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Their hashes; none for one who cannot log in.
    hashes: HashMap<UserName, Option<String>>,
    /// The hash that takes longest to check, or a cheap one if no user can log in; none if there are no users. A refusal of
    /// any name takes as long as that one.
    decoy: Option<String>,
    /// The lines of users who cannot log in, counted from one.
    shut_out: Vec<usize>,
}

impl Htpasswd {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or a line is none.
    pub fn load(path: PathBuf, hashing: Hashing) -> Result<Self, HtpasswdError> {
        let loaded = FileVersions::of(std::slice::from_ref(&path));
        let users = ArcSwap::from_pointee(read(&path)?);
        Ok(Self { path, hashing, users, version: AtomicU64::new(0), read: Notify::new(), loaded })
    }

    /// Waits until the file was read again, for the one task that follows it. Dropping the future loses nothing.
    pub async fn read_again_notified(&self) {
        self.read.notified().await;
    }

    /// The names that stand in it, those of users who cannot log in as well.
    pub fn names(&self) -> Vec<UserName> {
        self.users.load().hashes.keys().cloned().collect()
    }

    /// Looks at the file again and again until told to stop, and reads it when it has changed or the operator asks for that. One
    /// that cannot be used changes nothing, which is said loudly.
    pub async fn watch(self: Arc<Self>, requests: RereadRequests, stop: CancellationToken) {
        let watching = async {
            let paths = std::slice::from_ref(&self.path);
            let mut watcher = FileWatcher::new(paths, self.loaded.clone(), requests);
            loop {
                watcher.changed().await;
                let users = Arc::clone(&self);
                if let Err(error) = tokio::task::spawn_blocking(move || users.reload()).await {
                    tracing::error!(%error, "reading the htpasswd file failed; the users stay as they were");
                }
            }
        };
        stop.run_until_cancelled(watching).await;
    }

    /// Reads the file again. Blocks.
    fn reload(&self) {
        match self.read_again() {
            Ok(users) => {
                tracing::info!(file = %self.path.display(), users = users.hashes.len(), "the htpasswd file was read again");
                self.users.store(Arc::new(users));
                self.version.fetch_add(1, Ordering::Release);
                self.read.notify_one();
                Reloaded::Users.count(ReloadResult::Accepted, Timestamp::now().as_seconds());
            }
            Err(error) => {
                Reloaded::Users.count(ReloadResult::Refused, Timestamp::now().as_seconds());
                tracing::error!(%error, "the htpasswd file cannot be used; the users stay as they were")
            }
        }
    }

    fn read_again(&self) -> Result<Users, HtpasswdError> {
        let users = read(&self.path)?;
        // A file that is emptied before it is written, or comes from a volume that is not there yet.
        if users.hashes.is_empty() && !self.users.load().hashes.is_empty() {
            return Err(HtpasswdError::NoUsersLeft { path: self.path.clone() });
        }
        Ok(users)
    }
}

/// The names that stand in a file of users.
///
/// # Errors
/// When it cannot be read, or a line is none.
pub fn names_in_file(path: &Path) -> Result<Vec<UserName>, HtpasswdError> {
    Ok(read(path)?.hashes.into_keys().collect())
}

fn read(path: &Path) -> Result<Users, HtpasswdError> {
    let unreadable = |source| HtpasswdError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    if length > MAXIMUM_BYTES {
        return Err(unreadable(std::io::Error::other("it is longer than 64 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let users =
        parse(&text).map_err(|(line, wrong)| HtpasswdError::Line { path: path.to_owned(), line, wrong })?;
    if !users.shut_out.is_empty() {
        let lines = &users.shut_out;
        tracing::warn!(file = %path.display(), ?lines, "users whose hash is not bcrypt's cannot log in");
    }
    Ok(users)
}

/// Reads the lines of a file: `name:hash`, empty ones, and comments. The number of the line that is wrong, and how.
pub fn parse(text: &str) -> Result<Users, (usize, &'static str)> {
    let mut users = Users::default();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |what| (number + 1, what);
        let (name, hash) = line.split_once(':').ok_or(wrong("it has no colon behind a name"))?;
        let name = UserName::parse(name).map_err(|_| wrong("its name is none"))?;
        let cost = cost(hash);
        if cost.is_none() && is_cut(hash, text) {
            return Err(wrong("the file ends in the middle of this hash"));
        }
        if cost.is_none() {
            users.shut_out.push(number + 1);
        }
        // Of two lines of one name the registry takes the last.
        users.hashes.insert(name, cost.map(|_| hash.to_owned()));
    }
    let dearest = users.hashes.values().flatten().max_by_key(|hash| cost(hash));
    let nobodys = || (!users.hashes.is_empty()).then(|| decoy_of(DECOY_COST));
    users.decoy = dearest.cloned().or_else(nobodys);
    Ok(users)
}

/// The first names behind a text, at most so many.
fn first_names<'a>(
    names: impl Iterator<Item = &'a UserName>,
    after: &str,
    limit: usize,
) -> BTreeSet<UserName> {
    let mut first = BTreeSet::new();
    for name in names.filter(|name| name.as_str() > after) {
        if first.len() < limit || first.last().is_some_and(|last| name < last) {
            first.insert(name.clone());
        }
        if first.len() > limit {
            first.pop_last();
        }
    }
    first
}

/// A hash of this cost that no password has.
pub(super) fn decoy_of(cost: u32) -> String {
    format!("$2y${cost:02}$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu")
}

/// What takes as long, together with a hash, as a dearer one. The cost is a power of two, and what two powers differ by is
/// the sum of those between them.
fn up_to(hash: &str, dearest: &str) -> Vec<StoredHash> {
    let (Some(from), Some(to)) = (cost(hash), cost(dearest)) else { return Vec::new() };
    (from..to).map(|cost| StoredHash::Bcrypt(decoy_of(cost))).collect()
}

/// Whether a hash at the end of a file is the beginning of one of bcrypt's: the file was read before it was written whole.
fn is_cut(hash: &str, text: &str) -> bool {
    const LENGTH: usize = 60;
    let is_last = !hash.is_empty() && text.ends_with(hash);
    let may_begin = |whole: &str| hash.len() < LENGTH && (hash.starts_with(whole) || whole.starts_with(hash));
    is_last && ["$2a$", "$2b$", "$2y$"].into_iter().any(may_begin)
}

/// The cost of a hash; none if it is not bcrypt's.
fn cost(hash: &str) -> Option<u32> {
    let is_bcrypt =
        ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)) && hash.len() == 60;
    let parts = hash.parse::<bcrypt::HashParts>().ok().filter(|_| is_bcrypt)?;
    Some(parts.get_cost())
}

#[async_trait]
impl IdentitySource for Htpasswd {
    async fn verify(&self, credentials: &Credentials, ticket: &Ticket) -> Result<Verdict, SourceError> {
        let users = self.users.load_full();
        let Some(hash) = users.hashes.get(&credentials.name) else { return Ok(Verdict::Unknown) };
        let Some(dearest) = &users.decoy else { return Ok(Verdict::Wrong { is_hashed: false }) };
        let checked = StoredHash::Bcrypt(hash.as_ref().unwrap_or(dearest).clone());
        let others = hash.as_ref().map_or_else(Vec::new, |hash| up_to(hash, dearest));
        let password = credentials.password.clone();
        let is_right = self.hashing.verify_evenly(checked, others, password, ticket).await?;
        Ok(match is_right && hash.is_some() {
            true => Verdict::Right(Identity::new(credentials.name.clone(), Vec::new())),
            false => Verdict::Wrong { is_hashed: true },
        })
    }

    async fn find(&self, name: &UserName) -> Result<Option<Found>, SourceError> {
        let users = self.users.load();
        let found =
            |hash: &String| Found { identity: Identity::new(name.clone(), Vec::new()), proof: proof(hash) };
        Ok(users.hashes.get(name).and_then(Option::as_ref).map(found))
    }

    async fn shuts_out(&self, name: &UserName) -> Result<bool, SourceError> {
        Ok(self.users.load().hashes.get(name).is_some_and(Option::is_none))
    }

    async fn knows(&self, name: &UserName) -> Result<bool, SourceError> {
        Ok(self.users.load().hashes.contains_key(name))
    }

    async fn names(&self, after: &str, limit: usize) -> Result<BTreeSet<UserName>, SourceError> {
        let (users, after) = (self.users.load_full(), after.to_owned());
        // They are in no order, and may be a million.
        let looking = tokio::task::spawn_blocking(move || first_names(users.hashes.keys(), &after, limit));
        looking.await.map_err(|error| SourceError::Unavailable(Arc::new(error)))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    async fn decoy(&self) -> Result<Option<StoredHash>, SourceError> {
        Ok(self.users.load().decoy.clone().map(StoredHash::Bcrypt))
    }
}

#[cfg(test)]
mod tests;
