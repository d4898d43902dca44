//! What clients got through the door from a pull-through cache: that is how anything in it becomes known. What is not
//! recorded, or recorded otherwise, becomes a hint; the registry is asked, as for every hint.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::hints::HintQueue;
use crate::oci::{Digest, Reference, RepositoryName};
use crate::store::{HintedReference, Queued, Store, StoreError};

/// The most different references that wait to be looked at. Further ones are found when they are pulled again.
const MAXIMUM: usize = 10_000;
/// How many become hints at once.
const PART: usize = 500;
/// The pause after the store failed, or had no room for hints.
const PAUSE: Duration = Duration::from_secs(5);

/// What was pulled, and with which digest it was answered, if that is known.
type Pulled = HashMap<(RepositoryName, Reference), Option<Digest>>;

/// What was pulled of late and has not been looked at.
#[derive(Default)]
pub struct PulledReferences {
    pulled: Mutex<Pulled>,
    wake: Notify,
}

impl PulledReferences {
    fn pulled(&self) -> MutexGuard<'_, Pulled> {
        self.pulled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client got a manifest, or its digest. Never waits.
    pub fn note(&self, repository: RepositoryName, reference: Reference, digest: Option<Digest>) {
        let about = (repository, reference);
        let mut pulled = self.pulled();
        if pulled.len() >= MAXIMUM && !pulled.contains_key(&about) {
            metrics::counter!("portreeve_pulls_not_looked_at_total").increment(1);
            return;
        }
        pulled.insert(about, digest);
        drop(pulled);
        self.wake.notify_one();
    }
}

/// Makes hints of what is pulled and not recorded, until told to stop. What was pulled just before is found when it is
/// pulled again.
pub async fn record_pulled(
    pulled: Arc<PulledReferences>,
    store: Arc<dyn Store>,
    hints: Arc<HintQueue>,
    stop: CancellationToken,
) {
    let looking = async {
        loop {
            pulled.wake.notified().await;
            let seen: Vec<_> = std::mem::take(&mut *pulled.pulled()).into_iter().collect();
            for part in seen.chunks(PART) {
                match look(part, store.as_ref(), &hints).await {
                    Ok(Queued::Kept) => continue,
                    Ok(Queued::Full) => {
                        tracing::warn!(
                            "there are too many hints: what is pulled now is recorded when it is pulled again"
                        );
                    }
                    Err(error) => {
                        tracing::warn!(%error, "what is pulled cannot be compared with the record; it is when it is pulled again");
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    };
    stop.run_until_cancelled(looking).await;
}

async fn look(
    part: &[((RepositoryName, Reference), Option<Digest>)],
    store: &dyn Store,
    hints: &HintQueue,
) -> Result<Queued, StoreError> {
    let mut unknown = Vec::new();
    for ((repository, reference), digest) in part {
        let is_recorded = match reference {
            Reference::Tag(tag) => store
                .tag(repository, tag)
                .await?
                .is_some_and(|record| digest.as_ref().is_none_or(|digest| *digest == record.digest)),
            Reference::Digest(digest) => store.manifest(repository, digest).await?.is_some(),
        };
        if !is_recorded {
            unknown.push(HintedReference { repository: repository.clone(), reference: reference.clone() });
        }
    }
    if unknown.is_empty() { Ok(Queued::Kept) } else { hints.add(unknown).await }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::oci::{Manifest, MediaType, Tag};
    use crate::store::{Change, Guard, MemoryFile, PageRequest, RedbStore, Source};

    #[tokio::test]
    async fn what_is_pulled_and_not_recorded_so_becomes_a_hint_and_nothing_else() {
        let store: Arc<dyn Store> = Arc::new(RedbStore::open_inline(&MemoryFile::default()).unwrap());
        let name = RepositoryName::parse("team/app").unwrap();
        let put = Change::ManifestPut {
            repository: name.clone(),
            manifest: Arc::new(Manifest::unread((&b"{}"[..]).into(), MediaType::from_header("x/y"))),
            tags: vec![Tag::parse("known").unwrap(), Tag::parse("moved").unwrap()],
        };
        let guard = Guard { reference: None, since: store.sequence().await.unwrap() };
        store.record(vec![put], Source::Hinted, guard, Timestamp::from_milliseconds(1)).await.unwrap();
        let (known, other) = (Digest::sha256(b"{}"), Digest::sha256(b"[]"));
        let hints = HintQueue::new(Arc::clone(&store));
        let seen = [
            ("known", Some(known.clone())),
            ("known", None),
            (known.as_str(), None),
            ("moved", Some(other.clone())),
            ("new", None),
            (other.as_str(), Some(other.clone())),
        ]
        .map(|(reference, digest)| ((name.clone(), Reference::parse(reference).unwrap()), digest));
        look(&seen, store.as_ref(), &hints).await.unwrap();
        let kept = store.hints(PageRequest { after: None, limit: 100 }).await.unwrap();
        let mut about: Vec<_> = kept.items.iter().map(|hint| hint.about.reference.to_string()).collect();
        about.sort();
        assert_eq!(about, ["moved", "new", other.as_str()]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let pulled = PulledReferences::default();
        for number in 0..MAXIMUM + 10 {
            let name = RepositoryName::parse(&format!("r{number}")).unwrap();
            pulled.note(name, Reference::parse("latest").unwrap(), None);
        }
        assert_eq!(pulled.pulled().len(), MAXIMUM);
    }
}
