//! Pulls and looks, counted in memory and written to the record now and then: no pull ever waits for the store, and a crash
//! loses the counts of some seconds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::resolved_tags::ResolvedTags;
use crate::clock::{Clock, Timestamp};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::{Pull, Store, StoreError};
use crate::telemetry::{CounterFamily, FailureLog};

pub(super) static PULLS: CounterFamily =
    CounterFamily { name: "portreeve_pulls_total", help: "Manifests that clients have pulled", labels: &[] };

pub(super) static PULLS_NOT_COUNTED: CounterFamily = CounterFamily {
    name: "portreeve_pulls_not_counted_total",
    help: "Pulls that were too many different ones to be counted in the record",
    labels: &[],
};

/// How often the counts are written.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// The most names that are counted between two flushes. Pulls of further ones are not counted, and that is.
const MAXIMUM: usize = 65_536;

/// How many are written at once, so that no client's write waits long behind them.
const PART: usize = 1_000;

/// What was pulled.
type Pulled = (RepositoryName, Reference);

/// What is counted of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Count {
    /// How often it was pulled.
    pulls: u64,
    /// When last, if it was.
    last_pull: Option<Timestamp>,
    /// When it was last pulled or looked at.
    last_seen: Timestamp,
}

impl Count {
    fn add(&mut self, other: Self) {
        self.pulls = self.pulls.saturating_add(other.pulls);
        self.last_pull = self.last_pull.max(other.last_pull);
        self.last_seen = self.last_seen.max(other.last_seen);
    }
}

type Counts = HashMap<Pulled, Count>;

/// Counts by what was pulled.
pub struct PullCounts {
    counts: Mutex<Counts>,
    /// Which tags clients have looked at of late.
    resolved: ResolvedTags,
    /// It is half full.
    crowded: Notify,
    clock: Clock,
    /// All of them.
    pulls: Counter,
    failures: FailureLog,
}

impl Default for PullCounts {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
            resolved: ResolvedTags::default(),
            crowded: Notify::default(),
            clock: Clock::default(),
            pulls: PULLS.with([]),
            failures: FailureLog::new(),
        }
    }
}

impl PullCounts {
    /// Counts whose times are those of this clock.
    pub fn by(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// The time by the door's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has pulled a manifest. Who asks which digest a tag has, and then pulls that, has pulled the tag.
    pub fn note(&self, client: IpAddr, repository: &RepositoryName, reference: &Reference) {
        self.pulls.increment(1);
        let now = self.now();
        let resolved = match reference {
            Reference::Digest(digest) => self.resolved.tag(client, repository, digest).map(Reference::Tag),
            Reference::Tag(_) => None,
        };
        let pulled = (repository.clone(), resolved.unwrap_or_else(|| reference.clone()));
        self.add(pulled, Count { pulls: 1, last_pull: Some(now), last_seen: now });
    }

    /// A client has looked at a tag, without pulling its manifest; at this digest, if it was told one.
    pub fn see(&self, client: IpAddr, repository: &RepositoryName, tag: &Tag, digest: Option<&Digest>) {
        if let Some(digest) = digest {
            self.resolved.remember(client, repository, digest, tag);
        }
        let seen = (repository.clone(), Reference::Tag(tag.clone()));
        self.add(seen, Count { pulls: 0, last_pull: None, last_seen: self.now() });
    }

    /// Somebody tells of a pull: it moves the time of the last one, and is not counted.
    pub fn hear(&self, repository: RepositoryName, reference: Reference, when: Timestamp) {
        self.add((repository, reference), Count { pulls: 0, last_pull: Some(when), last_seen: when });
    }

    fn add(&self, pulled: Pulled, count: Count) {
        let mut counts = self.counts();
        if counts.len() == MAXIMUM / 2 {
            self.crowded.notify_one();
        }
        let is_full = counts.len() >= MAXIMUM;
        match counts.get_mut(&pulled) {
            Some(sum) => sum.add(count),
            None if is_full => PULLS_NOT_COUNTED.with([]).increment(count.pulls.max(1)),
            None => {
                counts.insert(pulled, count);
            }
        }
    }

    /// Writes what was counted to the record. What cannot be written is kept for the next time.
    async fn flush(&self, store: &dyn Store) {
        let counts = std::mem::take(&mut *self.counts());
        let counts: Vec<_> = counts.into_iter().collect();
        let mut parts = counts.chunks(PART);
        while let Some(part) = parts.next() {
            if let Err(error) = record(store, part).await {
                if self.failures.failed(&error) {
                    tracing::warn!(%error, "pulls cannot be recorded now; they are kept");
                }
                for (pulled, count) in part.iter().chain(parts.flatten()).cloned() {
                    self.add(pulled, count);
                }
                return;
            }
        }
        if !counts.is_empty() && self.failures.worked() {
            tracing::info!("pulls are recorded again");
        }
    }
}

/// Records some pulls, all at once. A pull by digest counts for the repository, and is the last pull of the tags that
/// point to it now: which of them led the client to it is not known.
async fn record(store: &dyn Store, counts: &[(Pulled, Count)]) -> Result<(), StoreError> {
    let mut pulls = Vec::with_capacity(counts.len());
    for ((repository, reference), Count { pulls: count, last_pull, last_seen }) in counts {
        let pull = |tag, count| Pull {
            repository: repository.clone(),
            tag,
            count,
            last_pull: *last_pull,
            last_seen: *last_seen,
        };
        match reference {
            Reference::Tag(tag) => pulls.push(pull(Some(tag.clone()), *count)),
            Reference::Digest(digest) => {
                pulls.push(pull(None, *count));
                let tags = store.tags_of(repository, digest).await?;
                pulls.extend(tags.into_iter().map(|tag| pull(Some(tag), 0)));
            }
        }
    }
    store.record_pulls(pulls).await
}

/// Writes the counts to the record again and again, and a last time when told to stop.
pub async fn flush_pulls(counts: Arc<PullCounts>, store: Arc<dyn Store>, stop: CancellationToken) {
    // Never cut while it writes.
    loop {
        tokio::select! {
            () = tokio::time::sleep(FLUSH_EVERY) => {}
            () = counts.crowded.notified() => {}
            () = stop.cancelled() => {}
        }
        counts.flush(store.as_ref()).await;
        if stop.is_cancelled() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Manifest, MediaType};
    use crate::store::{Change, Guard, Ledger as _, MemoryStore, Records as _, Source};

    fn latest() -> Reference {
        Reference::parse("latest").unwrap()
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn at(milliseconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(milliseconds)
    }

    /// One pull at this time.
    fn note(counts: &PullCounts, repository: &str, now: u64) {
        let pulled = (RepositoryName::parse(repository).unwrap(), latest());
        counts.add(pulled, Count { pulls: 1, last_pull: Some(at(now)), last_seen: at(now) });
    }

    #[test]
    fn pulls_of_one_name_add_up_and_the_last_time_counts() {
        let counts = PullCounts::default();
        for now in [5, 9, 7] {
            note(&counts, "a", now);
        }
        let sums: Vec<_> = counts.counts().values().copied().collect();
        assert_eq!(sums, [Count { pulls: 3, last_pull: Some(at(9)), last_seen: at(9) }]);
    }

    #[test]
    fn a_pull_by_digest_is_one_of_the_tag_that_the_same_client_has_just_looked_at() {
        let counts = PullCounts::default();
        let name = RepositoryName::parse("team/app").unwrap();
        let (digest, tag) = (Digest::sha256(b"{}"), Tag::parse("v1").unwrap());
        let by_digest = Reference::Digest(digest.clone());
        counts.note(CLIENT, &name, &by_digest);
        counts.see(CLIENT, &name, &tag, Some(&digest));
        counts.note(CLIENT, &name, &by_digest);
        counts.note("192.0.2.1".parse().unwrap(), &name, &by_digest);
        let pulls = |reference: Reference| counts.counts()[&(name.clone(), reference)].pulls;
        assert_eq!((pulls(by_digest), pulls(Reference::Tag(tag))), (2, 1));
    }

    #[test]
    fn names_beyond_the_most_are_not_kept() {
        let counts = PullCounts::default();
        for number in 0..MAXIMUM + 10 {
            note(&counts, &format!("r{number}"), 1);
        }
        note(&counts, "r0", 2);
        assert_eq!(counts.counts().len(), MAXIMUM);
        let first = (RepositoryName::parse("r0").unwrap(), latest());
        assert_eq!(counts.counts()[&first].pulls, 2);
    }

    #[tokio::test]
    async fn a_pull_by_digest_is_the_last_pull_of_the_tags_that_point_to_it_and_of_no_other() {
        let store = MemoryStore::default();
        let name = RepositoryName::parse("team/app").unwrap();
        let put = |content: &'static [u8], tags: &[&str]| Change::ManifestPut {
            repository: name.clone(),
            manifest: Arc::new(Manifest::unread(content.into(), MediaType::from_header("x/y"))),
            tags: tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
        };
        let changes = vec![put(b"{}", &["v1", "latest"]), put(b"[]", &["v2"])];
        let guard = Guard { reference: None, since: store.sequence().await.unwrap(), lease: None };
        store.record(changes, Source::Swept, guard, Timestamp::from_milliseconds(1)).await.unwrap();
        let counts = PullCounts::default();
        let (pulled, heard) = (at(7), at(8));
        let by_digest = (name.clone(), Reference::Digest(Digest::sha256(b"{}")));
        counts.add(by_digest, Count { pulls: 1, last_pull: Some(pulled), last_seen: pulled });
        counts.hear(name.clone(), Reference::parse("v1").unwrap(), heard);
        counts.flush(&store).await;
        let mut found = Vec::new();
        for tag in ["latest", "v1", "v2"] {
            let record = store.tag(&name, &Tag::parse(tag).unwrap()).await.unwrap().unwrap();
            found.push((record.last_pull, record.pulls));
        }
        assert_eq!(found, [(Some(pulled), 0), (Some(heard), 0), (None, 0)]);
        let repository = store.repository(&name).await.unwrap().unwrap();
        assert_eq!((repository.pulls, repository.last_pull), (1, Some(heard)));
    }
}
