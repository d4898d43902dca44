//! A store that answers what a test put into it.

use crate::oci::Reference;
use crate::store::Missing;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::samples::app;
use super::*;
use crate::store::{
    Account, AccountChange, AccountKind, Actor, AuthEvent, Change, Changed, Epoch, Guard, Hint,
    HintedReference, History, Intent, KeptSweep, Outcome, Page, PageRequest, Pull, Queued, Recorded,
    Retention, Settled, StoreTrouble, Write,
};

/// A store for reading.
#[derive(Default)]
pub(super) struct Records {
    pub repositories: Vec<RepositoryRecord>,
    pub tags: Vec<TagRecord>,
    pub manifests: Vec<ManifestRecord>,
    pub events: Vec<Event>,
    /// Readings fail like this, if set.
    pub failure: Option<StoreError>,
    pub unwritable: AtomicBool,
    pub missing: Missing,
}

impl Records {
    fn check(&self) -> Result<(), StoreError> {
        self.failure.clone().map_or(Ok(()), Err)
    }

    /// The part of a list behind a key.
    fn page<T: Clone, K: Ord + Clone>(
        records: impl Iterator<Item = T>,
        key: impl Fn(&T) -> K,
        page: &PageRequest<K>,
    ) -> Page<T, K> {
        let mut items: Vec<T> = records.filter(|item| page.after.as_ref() < Some(&key(item))).collect();
        let more = items.len() > page.limit;
        items.truncate(page.limit);
        let next = more.then(|| items.last().map(key)).flatten();
        Page { items, next }
    }
}

#[async_trait]
impl Store for Records {
    async fn begin(&self, _: RepositoryName, _: Write, _: Actor, _: Timestamp) -> Result<Intent, StoreError> {
        panic!("the API only reads");
    }

    async fn until_carried(&self, _: &Intent) -> Result<Option<Intent>, StoreError> {
        panic!("the API only reads");
    }

    async fn intents_of(&self, _: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        panic!("the API only reads");
    }

    async fn settle(&self, _: &Intent, _: Outcome, _: Timestamp) -> Result<Settled, StoreError> {
        panic!("the API only reads");
    }

    async fn mark_unknown(&self, _: Sequence) -> Result<(), StoreError> {
        panic!("the API only reads");
    }

    async fn record(
        &self,
        _: Vec<Change>,
        _: Source,
        _: Guard,
        _: Timestamp,
    ) -> Result<Recorded, StoreError> {
        panic!("the API only reads");
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        Ok(Vec::new())
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        Ok(Sequence::ZERO)
    }

    async fn repository(&self, name: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        self.check()?;
        Ok(self.repositories.iter().find(|record| record.name == *name).cloned())
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        self.check()?;
        let wanted = |record: &&RepositoryRecord| {
            containing.is_none_or(|containing| record.name.as_str().contains(containing))
        };
        Ok(Self::page(self.repositories.iter().filter(wanted).cloned(), |record| record.name.clone(), &page))
    }

    async fn tag(&self, _: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        Ok(self.tags.iter().find(|record| record.tag == *tag).cloned())
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        self.check()?;
        let tags = self.tags.iter().filter(|_| *repository == app()).cloned();
        Ok(Self::page(tags, |record| record.tag.clone(), &page))
    }

    async fn tag_names(&self, _: &RepositoryName, _: PageRequest<Tag>) -> Result<Page<Tag, Tag>, StoreError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn last_write(&self, _: &RepositoryName, _: Option<&Reference>) -> Option<crate::store::LastWrite> {
        None
    }

    async fn found_removals(&self, _: Timestamp) -> Result<Missing, StoreError> {
        Ok(Missing::default())
    }

    fn missing(&self) -> Missing {
        self.missing
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.check()
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        Ok(Sequence::ZERO)
    }

    async fn repositories_with_missing(
        &self,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let wanted = |record: &&RepositoryRecord| !record.missing.is_none();
        Ok(Self::page(self.repositories.iter().filter(wanted).cloned(), |record| record.name.clone(), &page))
    }

    async fn unsure_tags(&self, _: &RepositoryName, _: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        Ok(Vec::new())
    }

    async fn tags_of(&self, _: &RepositoryName, _: &Digest) -> Result<Vec<Tag>, StoreError> {
        Ok(Vec::new())
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        let mut manifests = self.manifests.iter().filter(|_| *repository == app());
        Ok(manifests.find(|record| record.digest == *digest).cloned())
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let manifests = self.manifests.iter().filter(|_| *repository == app()).cloned();
        Ok(Self::page(manifests, |record| record.digest.clone(), &page))
    }

    async fn manifest_content(
        &self,
        _: &RepositoryName,
        _: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        Ok(None)
    }

    async fn referrers(
        &self,
        _: &RepositoryName,
        subject: &Digest,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let refers = |record: &&ManifestRecord| {
            record.document.subject.as_ref().is_some_and(|it| it.digest == *subject)
        };
        Ok(Self::page(self.manifests.iter().filter(refers).cloned(), |record| record.digest.clone(), &page))
    }

    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        let wanted = |event: &&Event| repository.is_none_or(|repository| event.repository == *repository);
        Ok(Self::page(self.events.iter().filter(wanted).cloned(), |event| event.sequence, &page))
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.check()?;
        Ok(History { identity: Epoch::new(1), epoch: Epoch::new(2) })
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        Ok(epoch == Epoch::new(2) && position <= Sequence::new(8))
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        (!self.is_writable()).then_some(StoreTrouble::Replaced)
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.check()?;
        Ok(Statistics {
            repositories: 1,
            tags: 2,
            manifests: 3,
            events: 4,
            open_intents: 5,
            hints: 0,
            missing: self.missing,
        })
    }

    async fn record_pulls(&self, _: Vec<Pull>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn add_hints(&self, _: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.check()?;
        Ok(Queued::Kept(Vec::new()))
    }

    async fn hints(
        &self,
        _: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn remove_hints(&self, _: Vec<Hint>) -> Result<(), StoreError> {
        panic!("the API only reads");
    }

    async fn keep_sweep(&self, _: Vec<u8>, _: Vec<u64>) -> Result<(), StoreError> {
        panic!("the API only reads");
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        Ok(None)
    }

    async fn forget_sweep(&self) -> Result<(), StoreError> {
        panic!("the API only reads");
    }

    async fn change_accounts(&self, _: Vec<AccountChange>) -> Result<Changed, StoreError> {
        panic!("the API only reads");
    }

    async fn add_auth_events(
        &self,
        _: Vec<(Option<Sequence>, AuthEvent)>,
        _: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        panic!("the API only reads");
    }

    async fn auth_events(
        &self,
        _: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    async fn keep_clock(&self, _: crate::clock::Estimate) -> Result<(), StoreError> {
        panic!("the API only reads");
    }

    async fn kept_clock(&self) -> Result<Option<crate::clock::Estimate>, StoreError> {
        Ok(None)
    }

    async fn keep_time(&self, _: crate::clock::Timestamp) -> Result<(), StoreError> {
        panic!("the API only reads");
    }

    async fn kept_time(&self) -> Result<Option<crate::clock::Timestamp>, StoreError> {
        Ok(None)
    }

    async fn account(&self, _: AccountKind, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn accounts(
        &self,
        _: AccountKind,
        _: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        Ok(Page { items: Vec::new(), next: None })
    }

    fn is_writable(&self) -> bool {
        !self.unwritable.load(Ordering::Relaxed)
    }
}
