//! Keys in a store that several doors share.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::kept::KeptKeys;
use super::sealing::{Sealing, opened};
use super::{KeyAlgorithm, KeyRing, KeyRingError, MadeKeys, crypto};
use crate::clock::Timestamp;
use crate::store::{AccountChange, AccountKind, Accounts, Expect, StoreError};

/// The one row of its kind.
const ROW: &str = "tokens";

/// The keys that a store keeps.
#[derive(Clone)]
pub struct StoredKeys {
    store: Arc<dyn Accounts>,
    algorithm: KeyAlgorithm,
    /// How long a key that was replaced is still needed.
    keep: Duration,
    /// None where they are kept in the clear.
    sealing: Option<Arc<Sealing>>,
}

/// What is kept, as it was found.
struct Found {
    keys: KeptKeys,
    /// The very bytes.
    content: Vec<u8>,
    /// Whether they are in the clear, and are not to be.
    is_open: bool,
}

/// No secret is in it.
impl std::fmt::Debug for StoredKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("StoredKeys").finish_non_exhaustive()
    }
}

impl StoredKeys {
    /// Those of a store, in which new keys are of this algorithm. One that was replaced is kept as long as a token may live.
    pub fn new(store: Arc<dyn Accounts>, algorithm: KeyAlgorithm, keep: Duration) -> Self {
        crypto::install();
        Self { store, algorithm, keep, sealing: None }
    }

    /// The same, encrypted by a secret that nobody can guess.
    ///
    /// # Errors
    /// Never with what is used here; the library cannot say so.
    pub fn sealed_by(mut self, secret: &SecretString) -> Result<Self, KeyRingError> {
        self.sealing = Some(Arc::new(Sealing::new(secret)?));
        Ok(self)
    }

    /// As [`KeyDirectory::make_missing`](super::KeyDirectory::make_missing); of doors that start at once one makes it, for all.
    pub(super) async fn make_missing(
        &self,
        with_keys: bool,
        now: Timestamp,
    ) -> Result<MadeKeys, KeyRingError> {
        let mut made = MadeKeys { secret: false, keys: false, is_first_use: false };
        self.change(|kept| {
            let (had_secret, had_keys) = (kept.is_some(), kept.as_ref().is_some_and(KeptKeys::has_signing));
            made = MadeKeys {
                secret: !had_secret,
                keys: with_keys && !had_keys,
                is_first_use: had_secret && !had_keys,
            };
            if !made.secret && !made.keys {
                return Ok(None);
            }
            let mut keys = kept.map_or_else(KeptKeys::new, Ok)?;
            if made.keys {
                keys.rotate(self.algorithm, self.keep, now)?;
            }
            Ok(Some(keys))
        })
        .await?;
        Ok(made)
    }

    /// The keys that are there.
    pub(super) async fn look(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        self.present().await?.ring(self.keep, now)
    }

    /// The secret beside the keys.
    pub(super) async fn secret(&self) -> Result<[u8; 32], KeyRingError> {
        self.present().await?.secret()
    }

    /// The certificates of the keys that sign now and next, in PEM.
    pub(super) async fn certificates(&self) -> Result<String, KeyRingError> {
        self.present().await?.certificates()
    }

    /// Makes the key that is to sign next, unless there is one.
    pub(super) async fn prepare(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        self.change(|kept| {
            let mut keys = kept.filter(KeptKeys::has_signing).ok_or(KeyRingError::NoneInStore)?;
            if keys.has_next() {
                return Ok(None);
            }
            keys.prepare(self.algorithm)?;
            Ok(Some(keys))
        })
        .await?;
        self.look(now).await
    }

    /// The prepared key signs from now on, or a new one.
    pub(super) async fn rotate(&self, now: Timestamp) -> Result<KeyRing, KeyRingError> {
        self.change(|kept| {
            let mut keys = kept.filter(KeptKeys::has_signing).ok_or(KeyRingError::NoneInStore)?;
            keys.rotate(self.algorithm, self.keep, now)?;
            Ok(Some(keys))
        })
        .await?;
        self.look(now).await
    }

    async fn present(&self) -> Result<KeptKeys, KeyRingError> {
        self.read().await?.map(|found| found.keys).ok_or(KeyRingError::NoneInStore)
    }

    async fn read(&self) -> Result<Option<Found>, KeyRingError> {
        let Some(content) = self.store.account(AccountKind::Keys, ROW).await? else { return Ok(None) };
        // What serde says of a document may repeat a part of it.
        let (document, is_sealed) = opened(self.sealing.as_deref(), content.clone())?;
        let keys = serde_json::from_slice(&document).map_err(|error| {
            KeyRingError::Damaged(format!("it is none at column {}", error.column()).into())
        })?;
        Ok(Some(Found { keys, content, is_open: self.sealing.is_some() && !is_sealed }))
    }

    /// Makes of what is kept what `change` says, if it says anything; once more where another door came before. What is in the
    /// clear and is not to be is encrypted in any case.
    async fn change(
        &self,
        mut change: impl FnMut(Option<KeptKeys>) -> Result<Option<KeptKeys>, KeyRingError>,
    ) -> Result<(), KeyRingError> {
        loop {
            let (kept, expected, open) = match self.read().await? {
                Some(Found { keys, content, is_open }) => {
                    let open = is_open.then(|| keys.clone());
                    (Some(keys), Expect::Exactly(content), open)
                }
                None => (None, Expect::Absent, None),
            };
            let Some(changed) = change(kept)?.or(open) else { return Ok(()) };
            let document = serde_json::to_vec(&changed)
                .map_err(|_| KeyRingError::Damaged("they cannot be written".into()))?;
            let content = match &self.sealing {
                Some(sealing) => sealing.seal(document)?,
                None => document,
            };
            let row = AccountChange {
                kind: AccountKind::Keys,
                key: ROW.to_owned(),
                content: Some(content),
                expected,
            };
            match self.store.change_accounts(vec![row]).await {
                Err(StoreError::Conflict) => {}
                changed => return Ok(changed?),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    const KEEP: Duration = Duration::from_secs(100);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_milliseconds(seconds * 1000)
    }

    fn keys(store: &Arc<MemoryStore>) -> StoredKeys {
        StoredKeys::new(Arc::clone(store) as _, KeyAlgorithm::Es256, KEEP)
    }

    fn store() -> Arc<MemoryStore> {
        Arc::new(MemoryStore::default())
    }

    fn id(ring: &KeyRing) -> String {
        ring.signing().public().id().to_owned()
    }

    #[tokio::test]
    async fn doors_that_start_at_once_agree_on_one_key_and_one_secret() {
        let store = store();
        let doors: Vec<StoredKeys> = (0..4).map(|_| keys(&store)).collect();
        let starting = doors.iter().map(|door| async {
            let made = door.make_missing(true, at(1)).await.unwrap();
            (made, id(&door.look(at(1)).await.unwrap()), door.secret().await.unwrap())
        });
        let started = futures_util::future::join_all(starting).await;
        assert_eq!(started.iter().filter(|(made, ..)| made.keys && made.secret).count(), 1);
        assert_eq!(started.iter().filter(|(made, ..)| made.keys || made.secret).count(), 1);
        assert!(started.iter().all(|(_, id, secret)| (id, secret) == (&started[0].1, &started[0].2)));
    }

    #[tokio::test]
    async fn a_door_without_tokens_makes_a_secret_and_the_first_with_tokens_the_keys() {
        let store = store();
        let keys = keys(&store);
        for attempt in [keys.look(at(1)).await, keys.prepare(at(1)).await, keys.rotate(at(1)).await] {
            assert!(matches!(attempt, Err(KeyRingError::NoneInStore)), "{attempt:?}");
        }
        let nothing = MadeKeys { secret: false, keys: false, is_first_use: true };
        let made = keys.make_missing(false, at(1)).await.unwrap();
        assert_eq!(made, MadeKeys { secret: true, is_first_use: false, ..nothing });
        let secret = keys.secret().await.unwrap();
        assert!(matches!(keys.look(at(1)).await, Err(KeyRingError::NoneInStore)));
        assert_eq!(keys.make_missing(true, at(1)).await.unwrap(), MadeKeys { keys: true, ..nothing });
        assert_eq!(keys.secret().await.unwrap(), secret);
    }

    #[tokio::test]
    async fn a_replaced_key_is_good_until_its_tokens_are_over_and_signs_nothing_more() {
        let store = store();
        let keys = keys(&store);
        keys.make_missing(true, at(0)).await.unwrap();
        let old = id(&keys.look(at(0)).await.unwrap());
        let prepared = keys.prepare(at(10)).await.unwrap();
        let next = prepared.next().unwrap().to_owned();
        assert!(id(&prepared) == old && prepared.with_id(&next).is_some());
        assert_eq!(keys.prepare(at(20)).await.unwrap().next(), Some(next.as_str()), "one at a time");
        assert_eq!(keys.certificates().await.unwrap().matches("BEGIN CERTIFICATE").count(), 2);
        let rotated = keys.rotate(at(1_000)).await.unwrap();
        assert_eq!((id(&rotated), rotated.next()), (next, None));
        let kept = store.account(AccountKind::Keys, ROW).await.unwrap().unwrap();
        assert_eq!(String::from_utf8(kept).unwrap().matches("BEGIN PRIVATE KEY").count(), 1);
        assert!(keys.look(at(1_100)).await.unwrap().with_id(&old).is_some());
        assert!(keys.look(at(1_101)).await.unwrap().with_id(&old).is_none());
        assert_eq!(keys.rotate(at(1_000)).await.unwrap().jwks().keys.len(), 3, "two of one moment are two");
        for number in 0..30 {
            keys.rotate(at(10_000 + 1_000 * number)).await.unwrap();
        }
        let kept = keys.present().await.unwrap();
        assert!(serde_json::to_value(&kept).unwrap()["keys"].as_array().unwrap().len() <= 2 + MOST);
    }

    /// How many are kept at most whose tokens are over.
    const MOST: usize = super::super::MOST_OLD;

    #[tokio::test]
    async fn what_cannot_be_read_is_told_without_a_word_of_it() {
        let store = store();
        let keys = keys(&store);
        let content = Some(br#"{"secret":"abad1dea","keys":[],"next":"hunter2"}"#.to_vec());
        let row = AccountChange {
            kind: AccountKind::Keys,
            key: ROW.to_owned(),
            content,
            expected: Expect::Anything,
        };
        store.change_accounts(vec![row]).await.unwrap();
        for told in [
            keys.make_missing(true, at(1)).await.map(|_| ()).unwrap_err(),
            keys.look(at(1)).await.map(|_| ()).unwrap_err(),
        ] {
            let told = format!("{told} {told:?}");
            assert!(told.contains("in the store"), "{told}");
            assert!(!told.contains("hunter2") && !told.contains("abad1dea"), "{told}");
        }
        assert!(!format!("{keys:?}").contains("abad1dea"));
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    async fn kept(store: &MemoryStore) -> String {
        String::from_utf8(store.account(AccountKind::Keys, ROW).await.unwrap().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn with_a_secret_the_store_holds_no_key_that_can_be_read_and_each_door_needs_the_secret() {
        let store = store();
        let sealed = |secret: &str| keys(&store).sealed_by(&SecretString::from(secret)).unwrap();
        // Keys that were made before are encrypted at the next start.
        keys(&store).make_missing(true, at(1)).await.unwrap();
        let made = id(&keys(&store).look(at(1)).await.unwrap());
        assert!(kept(&store).await.contains("PRIVATE KEY"));
        assert_eq!(id(&sealed(SECRET).look(at(1)).await.unwrap()), made);
        let again = sealed(SECRET).make_missing(true, at(2)).await.unwrap();
        assert_eq!((again.secret, again.keys), (false, false));
        let before = kept(&store).await;
        assert!(!before.contains("PRIVATE KEY") && !before.contains("secret"), "{before}");
        sealed(SECRET).make_missing(true, at(3)).await.unwrap();
        assert_eq!(kept(&store).await, before, "nothing is written for nothing");
        assert_eq!(id(&sealed(SECRET).look(at(3)).await.unwrap()), made);
        assert_ne!(id(&sealed(SECRET).rotate(at(4)).await.unwrap()), made);
        for (door, expected) in [
            (keys(&store), "the keys in the store are encrypted; give this door"),
            (sealed(&SECRET.replace('0', "1")), "the keys in the store are encrypted by another secret"),
        ] {
            let looked = door.look(at(5)).await.map(|_| ()).unwrap_err().to_string();
            let started = door.make_missing(true, at(5)).await.map(|_| ()).unwrap_err().to_string();
            assert!(looked.contains(expected) && started == looked, "{looked} {started}");
        }
        let altered = kept(&store).await.replacen('A', "B", 1);
        let row = AccountChange {
            kind: AccountKind::Keys,
            key: ROW.to_owned(),
            content: Some(altered.into_bytes()),
            expected: Expect::Anything,
        };
        store.change_accounts(vec![row]).await.unwrap();
        assert!(matches!(sealed(SECRET).look(at(6)).await, Err(KeyRingError::SealedOtherwise)));
    }
}
