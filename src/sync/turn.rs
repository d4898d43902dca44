//! Whose turn it is: one write at a time for one tag.
//!
//! distribution loses updates when two writes to one tag, or a deletion by digest and a push in one repository,
//! overlap. The door takes them one after the other, so that both succeed and the answers come in the order of the
//! effects. This guards against the registry's weakness within one door only; what the record needs is guarded in the
//! store.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{OwnedMutexGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::oci::{RepositoryName, Tag};

/// The turns of all references that are being written. Holds one entry for each repository and tag with a write that
/// runs or waits, so its size is bounded by the number of running exchanges.
#[derive(Default)]
pub(super) struct Turns {
    repositories: Mutex<HashMap<RepositoryName, Weak<Repository>>>,
}

#[derive(Default)]
struct Repository {
    deletions: Arc<RwLock<()>>,
    tags: Mutex<HashMap<Tag, Weak<tokio::sync::Mutex<()>>>>,
}

/// A turn; it ends when this is dropped.
#[expect(dead_code, reason = "held for its end")]
pub(super) struct Turn {
    tags: Vec<OwnedMutexGuard<()>>,
    pushes: Option<OwnedRwLockReadGuard<()>>,
    deletion: Option<OwnedRwLockWriteGuard<()>>,
    repository: Arc<Repository>,
}

impl Turns {
    /// Waits for the turn to write these tags. In order, so that two writes of several tags cannot wait for each
    /// other. Dropping the future gives up the place.
    pub(super) async fn write_tags(&self, name: &RepositoryName, tags: &[Tag]) -> Turn {
        let repository = self.repository(name);
        let pushes = Arc::clone(&repository.deletions).read_owned().await;
        let mut ordered: Vec<&Tag> = tags.iter().collect();
        ordered.sort();
        ordered.dedup();
        let mut held = Vec::with_capacity(ordered.len());
        for tag in ordered {
            let lock = upgrade_or_insert(&repository.tags, tag);
            held.push(lock.lock_owned().await);
        }
        Turn { tags: held, pushes: Some(pushes), deletion: None, repository }
    }

    /// Waits for the turn to delete by digest: alone in its repository.
    pub(super) async fn delete_digest(&self, name: &RepositoryName) -> Turn {
        let repository = self.repository(name);
        let deletion = Arc::clone(&repository.deletions).write_owned().await;
        Turn { tags: Vec::new(), pushes: None, deletion: Some(deletion), repository }
    }

    fn repository(&self, name: &RepositoryName) -> Arc<Repository> {
        upgrade_or_insert(&self.repositories, name)
    }
}

/// The live entry of a key, or a new one. Dead entries are swept out whenever the map has doubled.
fn upgrade_or_insert<K: Clone + Eq + std::hash::Hash, V: Default>(
    map: &Mutex<HashMap<K, Weak<V>>>,
    key: &K,
) -> Arc<V> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(value) = map.get(key).and_then(Weak::upgrade) {
        return value;
    }
    if map.len() == map.capacity() {
        map.retain(|_, value| value.strong_count() > 0);
    }
    let value = Arc::new(V::default());
    map.insert(key.clone(), Arc::downgrade(&value));
    value
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn repository() -> RepositoryName {
        RepositoryName::parse("team/app").unwrap()
    }

    fn tag(text: &str) -> Tag {
        Tag::parse(text).unwrap()
    }

    #[tokio::test]
    async fn one_tag_is_written_by_one_at_a_time_and_other_tags_meanwhile() {
        let turns = Turns::default();
        let first = turns.write_tags(&repository(), &[tag("a")]).await;
        assert!(turns.write_tags(&repository(), &[tag("a"), tag("b")]).now_or_never().is_none());
        assert!(turns.write_tags(&repository(), &[tag("b")]).now_or_never().is_some());
        drop(first);
        assert!(turns.write_tags(&repository(), &[tag("b"), tag("a")]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_deletion_by_digest_is_alone_in_its_repository() {
        let turns = Turns::default();
        let push = turns.write_tags(&repository(), &[tag("a")]).await;
        assert!(turns.delete_digest(&repository()).now_or_never().is_none());
        drop(push);
        let _deletion = turns.delete_digest(&repository()).await;
        assert!(turns.write_tags(&repository(), &[]).now_or_never().is_none());
        let other = RepositoryName::parse("other").unwrap();
        assert!(turns.write_tags(&other, &[tag("a")]).now_or_never().is_some());
    }

    #[tokio::test]
    async fn turns_that_ended_leave_nothing_behind() {
        let turns = Turns::default();
        for number in 0..10_000 {
            drop(turns.write_tags(&RepositoryName::parse(&format!("r{number}")).unwrap(), &[]).await);
        }
        assert!(turns.repositories.lock().unwrap().len() < 100);
    }
}
