//! What callers ask of the store: writes go to the writer, points are read in place and lists on threads that may block.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use super::RedbStore;
use super::snapshot::Snapshot;
use super::work::{
    AcceptRemovals, AddAuthEvents, AddHints, ChangeAccounts, ForgetSweep, KeepClock, KeepSweep, KeepTime,
    MarkUnknown, RecordPulls, RemoveHints,
};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::store::ledger::{Answered, Beginning, Ended};
use crate::store::{
    Account, AccountChange, AccountKind, Actor, AuthEvent, Change, Changed, Epoch, Event, Guard, Hint,
    HintedReference, History, Intent, IntentState, KeptSweep, LastWrite, ManifestRecord, Missing, Outcome,
    Page, PageRequest, Pull, Queued, Recorded, RepositoryRecord, Retention, Sequence, Settled, Source,
    Statistics, Store, StoreError, StoreTrouble, TagRecord, Write,
};

/// How many rows without contents a read may touch in place.
const HANDFUL: usize = 100;

#[async_trait]
impl Store for RedbStore {
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        self.write(Beginning { repository, write, actor, now }).await
    }

    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        self.write(Ended { intent, holder, outcome, now }).await
    }

    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError> {
        let waiter = self.shared.intents.waiters.wait_for(intent.sequence);
        loop {
            self.shared.check_open()?;
            match self.shared.intents.get(intent.sequence) {
                Some(intent) if intent.state == IntentState::Waiting => waiter.woken().await,
                reached => return Ok(reached.map(Arc::unwrap_or_clone)),
            }
        }
    }

    async fn mark_unknown(&self, intent: Sequence) -> Result<(), StoreError> {
        self.write(MarkUnknown(intent)).await
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        self.write(Answered { changes, source, guard, now }).await
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.shared.check_open()?;
        Ok(self.shared.intents.all())
    }

    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        self.shared.check_open()?;
        Ok(self.shared.intents.of(repository).into_iter().map(Arc::unwrap_or_clone).collect())
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        self.shared.check_open()?;
        Ok(Sequence::new(self.shared.sequence.load(Ordering::Acquire)))
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.shared.observed.last(repository, reference)
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        self.scan(move |snapshot| snapshot.found_removals(since)).await
    }

    fn missing(&self) -> Missing {
        *self.shared.missing.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.write(AcceptRemovals).await
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        self.point(Snapshot::accepted).await
    }

    async fn repositories_with_missing(
        &self,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        if self.missing().is_none() {
            return Ok(Page { items: Vec::new(), next: None });
        }
        self.scan(move |snapshot| snapshot.repositories_with_missing(&page)).await
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        self.point(|snapshot| snapshot.repository(repository)).await
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        page: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let containing = containing.map(str::to_owned);
        self.scan(move |snapshot| snapshot.repositories(containing.as_deref(), &page)).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        self.point(|snapshot| snapshot.tag(repository, tag)).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.tags(&repository, &page)).await
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Tag>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        if page.limit <= HANDFUL {
            return self.point(|snapshot| snapshot.tag_names(repository, &page)).await;
        }
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.tag_names(&repository, &page)).await
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        if tags.len() <= HANDFUL {
            return self.point(|snapshot| snapshot.unsure_tags(repository, &tags)).await;
        }
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.unsure_tags(&repository, &tags)).await
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.tags_of(&repository, &digest)).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.manifest(&repository, &digest)).await
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let repository = repository.clone();
        self.scan(move |snapshot| snapshot.manifests(&repository, &page)).await
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let (repository, digest) = (repository.clone(), digest.clone());
        self.scan(move |snapshot| snapshot.manifest_content(&repository, &digest)).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        page: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let (repository, subject) = (repository.clone(), subject.clone());
        self.scan(move |snapshot| snapshot.referrers(&repository, &subject, &page)).await
    }

    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        page: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        let repository = repository.cloned();
        self.scan(move |snapshot| snapshot.events(repository.as_ref(), &page)).await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.point(Snapshot::history).await
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        self.scan(move |snapshot| snapshot.continues(epoch, position)).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        let statistics = self.point(Snapshot::statistics).await?;
        Ok(Statistics { open_intents: self.shared.intents.len() as u64, ..statistics })
    }

    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError> {
        self.write(RecordPulls(pulls)).await
    }

    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.write(AddHints(hints)).await
    }

    async fn hints(
        &self,
        page: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        self.scan(move |snapshot| snapshot.hints(&page)).await
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write(RemoveHints(hints)).await
    }

    async fn keep_sweep(&self, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError> {
        self.write(KeepSweep { checkpoint, marks }).await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(Snapshot::kept_sweep).await
    }

    async fn forget_sweep(&self) -> Result<(), StoreError> {
        self.write(ForgetSweep).await
    }

    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<Changed, StoreError> {
        self.write(ChangeAccounts(changes)).await
    }

    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.write(AddAuthEvents { events, keep }).await
    }

    async fn auth_events(
        &self,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(move |snapshot| snapshot.auth_events(&page)).await
    }

    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.write(KeepClock(estimate)).await
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        self.point(Snapshot::kept_clock).await
    }

    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError> {
        self.write(KeepTime(time)).await
    }

    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.point(Snapshot::kept_time).await
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.point(|snapshot| snapshot.account(kind, key)).await
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        page: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        self.scan(move |snapshot| snapshot.accounts(kind, &page)).await
    }

    fn is_writable(&self) -> bool {
        self.shared.writable.load(Ordering::Acquire)
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        self.shared.trouble()
    }
}
