//! The store in memory, on maps: for tests. It decides by the same ledger as every backend, and ends with its process.
//!
//! What a write does is done at its first poll, whole; others may come between that and its answer, and its caller may leave.

mod state;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::task::yield_now;

pub(in crate::store) use self::state::State;
use super::ledger::{self, Answered, Beginning, Ended};
use super::{
    Account, AccountChange, AccountKind, Actor, AuthEvent, AuthEventKind, Change, Changed, Epoch, Event,
    Guard, Hint, HintedReference, History, Intent, IntentState, KeptSweep, LastWrite, ManifestRecord,
    Missing, Outcome, Page, PageRequest, Pull, Queued, Recorded, RepositoryRecord, Retention, Sequence,
    Settled, Source, Statistics, Store, StoreError, TagRecord, Write,
};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};

/// The most hints that are kept at once.
const MAXIMUM_HINTS: usize = 100_000;
/// The most items of one page, whatever was asked for.
const MAXIMUM_PAGE: usize = 10_000;
/// The most tags that a manifest's record lists.
const MAXIMUM_MANIFEST_TAGS: usize = 1_000;
/// So many events of the gate of a kind are purged at once.
const MOST_PURGED: usize = 2_000;

/// See the module.
pub struct MemoryStore {
    state: Mutex<State>,
    identity: Epoch,
    /// The epoch of what this store gives out.
    epoch: Epoch,
}

impl MemoryStore {
    /// An empty one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { state: Mutex::default(), identity: Epoch::random()?, epoch: Epoch::random()? })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An intent of which its caller has not heard yet: a caller who leaves before that carries nothing.
struct Unheard<'a> {
    store: &'a MemoryStore,
    intent: Option<Sequence>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        if let Some(intent) = self.intent {
            let Ok(()) = ledger::abandon(&mut *self.store.state(), intent);
        }
    }
}

/// A part of a list, whose items come in order behind the page's key.
fn page<T, K: Clone>(items: impl Iterator<Item = (K, T)>, limit: usize) -> Page<T, K> {
    let mut items = items.peekable();
    let (mut found, mut last) = (Vec::new(), None);
    while found.len() < limit.min(MAXIMUM_PAGE)
        && let Some((key, item)) = items.next()
    {
        last = Some(key);
        found.push(item);
    }
    let next = items.peek().and(last);
    Page { items: found, next }
}

impl State {
    fn record(&self, repository: &RepositoryName, digest: &Digest) -> Option<ManifestRecord> {
        let (row, manifest) = self.manifests.get(&(repository.clone(), digest.clone()))?;
        let mut tags = self.tags_pointing_to(repository, digest);
        tags.truncate(MAXIMUM_MANIFEST_TAGS);
        Some(row.clone().record(digest.clone(), manifest.document.clone(), tags))
    }

    fn tags_pointing_to(&self, repository: &RepositoryName, digest: &Digest) -> Vec<Tag> {
        let tags = self.tags.iter().filter(|((name, _), row)| name == repository && row.digest == *digest);
        tags.map(|((_, tag), _)| tag.clone()).collect()
    }

    /// The manifests of a repository for which `keeps` says so.
    fn manifest_page(
        &self,
        repository: &RepositoryName,
        request: &PageRequest<Digest>,
        keeps: impl Fn(&Manifest) -> bool,
    ) -> Page<ManifestRecord, Digest> {
        let digests = self.manifests.iter().filter(|((name, digest), (_, manifest))| {
            name == repository && Some(digest) > request.after.as_ref() && keeps(manifest)
        });
        let records =
            digests.filter_map(|((_, digest), _)| Some((digest.clone(), self.record(repository, digest)?)));
        page(records, request.limit)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn begin(
        &self,
        repository: RepositoryName,
        write: Write,
        actor: Actor,
        now: Timestamp,
    ) -> Result<Intent, StoreError> {
        let Ok(begun) = ledger::begin(&mut *self.state(), &Beginning { repository, write, actor, now });
        let begun = begun
            .map_err(|cause| StoreError::Unavailable { attempted: "note a write", cause: Arc::new(cause) })?;
        let mut unheard = Unheard { store: self, intent: Some(begun.sequence) };
        yield_now().await;
        unheard.intent = None;
        Ok(begun)
    }

    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        let Ok(settled) = ledger::settle(&mut *self.state(), &Ended { intent, holder, outcome, now });
        yield_now().await;
        Ok(settled)
    }

    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError> {
        let waiters = Arc::clone(&self.state().waiters);
        let waiter = waiters.wait_for(intent.sequence);
        loop {
            let reached = self.state().intents.get(&intent.sequence).cloned();
            match reached {
                Some(intent) if intent.state == IntentState::Waiting => waiter.woken().await,
                reached => return Ok(reached.map(Arc::unwrap_or_clone)),
            }
        }
    }

    async fn mark_unknown(&self, intent: Sequence) -> Result<(), StoreError> {
        let Ok(()) = ledger::mark_unknown(&mut *self.state(), intent);
        yield_now().await;
        Ok(())
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let Ok(recorded) = ledger::record(&mut *self.state(), &Answered { changes, source, guard, now });
        yield_now().await;
        Ok(recorded)
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        Ok(self.state().intents.values().map(|intent| Intent::clone(intent)).collect())
    }

    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        let state = self.state();
        let intents = state.intents.values().filter(|intent| intent.repository == *repository);
        Ok(intents.map(|intent| Intent::clone(intent)).collect())
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        Ok(self.state().sequence)
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.state().recent.last(repository, reference)
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        let mut found = Missing::default();
        for event in self.state().events.values().rev().take_while(|event| event.time >= since) {
            found.count_removal(event);
        }
        Ok(found)
    }

    fn missing(&self) -> Missing {
        self.state().missing
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.sequence = state.sequence.next();
        state.accepted = state.sequence;
        Ok(())
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        Ok(self.state().accepted)
    }

    async fn repositories_with_missing(
        &self,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let state = self.state();
        let rows = state
            .repositories
            .iter()
            .filter(|(name, row)| Some(*name) > request.after.as_ref() && !row.missing().is_none());
        Ok(page(rows.map(|(name, row)| (name.clone(), row.clone().record(name.clone()))), request.limit))
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        let row = self.state().repositories.get(repository).cloned();
        Ok(row.map(|row| row.record(repository.clone())))
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let state = self.state();
        let rows = state.repositories.iter().filter(|(name, _)| {
            Some(*name) > request.after.as_ref() && containing.is_none_or(|part| name.as_str().contains(part))
        });
        Ok(page(rows.map(|(name, row)| (name.clone(), row.clone().record(name.clone()))), request.limit))
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        let row = self.state().tags.get(&(repository.clone(), tag.clone())).cloned();
        Ok(row.map(|row| row.record(tag.clone())))
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        let state = self.state();
        let rows = state
            .tags
            .iter()
            .filter(|((name, tag), _)| name == repository && Some(tag) > request.after.as_ref());
        Ok(page(rows.map(|((_, tag), row)| (tag.clone(), row.clone().record(tag.clone()))), request.limit))
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Tag>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        let state = self.state();
        let keys =
            state.tags.keys().filter(|(name, tag)| name == repository && Some(tag) > request.after.as_ref());
        Ok(page(keys.map(|(_, tag)| (tag.clone(), tag.clone())), request.limit))
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        let state = self.state();
        let is_unsure = |tag: &Tag| {
            state.tags.get(&(repository.clone(), tag.clone())).is_none_or(|row| row.missing.is_some())
        };
        Ok(tags.into_iter().filter(is_unsure).collect())
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        Ok(self.state().tags_pointing_to(repository, digest))
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        Ok(self.state().record(repository, digest))
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        Ok(self.state().manifest_page(repository, &request, |_| true))
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        let state = self.state();
        let found = state.manifests.get(&(repository.clone(), digest.clone()));
        Ok(found.map(|(_, manifest)| Arc::clone(manifest)))
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        let refers = |manifest: &Manifest| {
            manifest.document.subject.as_ref().is_some_and(|about| about.digest == *subject)
        };
        Ok(self.state().manifest_page(repository, &request, refers))
    }

    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        request: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        let state = self.state();
        let events = state.events.values().filter(|event| {
            Some(event.sequence) > request.after && repository.is_none_or(|name| event.repository == *name)
        });
        Ok(page(events.map(|event| (event.sequence, event.clone())), request.limit))
    }

    async fn history(&self) -> Result<History, StoreError> {
        let has_begun = self.state().sequence > Sequence::ZERO;
        let epoch = if has_begun { self.epoch } else { self.identity };
        Ok(History { identity: self.identity, epoch })
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        let last = self.state().sequence;
        Ok((epoch == self.epoch && position <= last)
            || (epoch == self.identity && position == Sequence::ZERO))
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        let state = self.state();
        Ok(Statistics {
            repositories: state.repositories.len() as u64,
            tags: state.tags.len() as u64,
            manifests: state.manifests.len() as u64,
            events: state.events.len() as u64,
            open_intents: state.intents.len() as u64,
            hints: state.hints.len() as u64,
            missing: state.missing,
        })
    }

    async fn record_pulls(&self, pulls: Vec<Pull>) -> Result<(), StoreError> {
        let mut state = self.state();
        for Pull { repository, tag, count, last } in pulls {
            let Some(row) = state.repositories.get_mut(&repository) else { continue };
            row.pulls = row.pulls.saturating_add(count);
            row.last_pull = row.last_pull.max(Some(last));
            let Some(tag) = tag else { continue };
            if let Some(row) = state.tags.get_mut(&(repository, tag)) {
                row.pulls = row.pulls.saturating_add(count);
                row.last_pull = row.last_pull.max(Some(last));
            }
        }
        Ok(())
    }

    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        let mut state = self.state();
        if state.hints.len() + hints.len() > MAXIMUM_HINTS {
            return Ok(Queued::Full);
        }
        let mut kept = Vec::with_capacity(hints.len());
        for about in hints {
            state.last_hint += 1;
            let hint = Hint { about, number: state.last_hint };
            state.hints.insert(key_of(&hint.about), hint.clone());
            kept.push(hint);
        }
        Ok(Queued::Kept(kept))
    }

    async fn hints(
        &self,
        request: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        let (state, after) = (self.state(), request.after.as_ref().map(key_of));
        let hints = state.hints.iter().filter(|(key, _)| Some(*key) > after.as_ref());
        Ok(page(hints.map(|(_, hint)| (hint.about.clone(), hint.clone())), request.limit))
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        let mut state = self.state();
        for hint in hints {
            let key = key_of(&hint.about);
            if state.hints.get(&key) == Some(&hint) {
                state.hints.remove(&key);
            }
        }
        Ok(())
    }

    async fn keep_sweep(&self, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError> {
        let mut state = self.state();
        let kept = state.sweep.get_or_insert_default();
        kept.checkpoint = checkpoint;
        kept.marks.extend(marks);
        Ok(())
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        Ok(self.state().sweep.clone())
    }

    async fn forget_sweep(&self) -> Result<(), StoreError> {
        self.state().sweep = None;
        Ok(())
    }

    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<Changed, StoreError> {
        let mut state = self.state();
        for AccountChange { kind, key, expected, .. } in &changes {
            let kept = state.accounts.get(&(kind.as_str(), key.clone()));
            if !expected.is_met_by(kept.map(Vec::as_slice)) {
                return Ok(Changed::Overtaken);
            }
        }
        for AccountChange { kind, key, content, .. } in changes {
            match content {
                Some(content) => state.accounts.insert((kind.as_str(), key), content),
                None => state.accounts.remove(&(kind.as_str(), key)),
            };
        }
        Ok(Changed::Made)
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().accounts.get(&(kind.as_str(), key.to_owned())).cloned())
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        request: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        let state = self.state();
        let accounts = state
            .accounts
            .iter()
            .filter(|((of, key), _)| *of == kind.as_str() && Some(key) > request.after.as_ref());
        let accounts = accounts
            .map(|((_, key), content)| (key.clone(), Account { key: key.clone(), content: content.clone() }));
        Ok(page(accounts, request.limit))
    }

    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        let mut state = self.state();
        let mut numbers = Vec::with_capacity(events.len());
        for (known, event) in events {
            let kept = known
                .filter(|known| state.auth_events.get(known).is_some_and(|kept| kept.kind == event.kind));
            let number = kept.unwrap_or_else(|| {
                state.last_auth_event = state.last_auth_event.next();
                state.last_auth_event
            });
            state.auth_events.insert(number, event);
            numbers.push(number);
        }
        for kind in AuthEventKind::ALL {
            let kept: BTreeMap<Sequence, Timestamp> = state
                .auth_events
                .iter()
                .filter(|(_, event)| event.kind == kind)
                .map(|(number, event)| (*number, event.time))
                .collect();
            let excess = (kept.len() as u64).saturating_sub(keep.most.of(kind));
            let gone = kept
                .into_iter()
                .zip(1..)
                .take_while(|((_, time), place)| *place <= excess || *time < keep.since)
                .take(MOST_PURGED);
            for ((number, _), _) in gone {
                state.auth_events.remove(&number);
            }
        }
        Ok(numbers)
    }

    async fn auth_events(
        &self,
        request: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        let state = self.state();
        let events = state.auth_events.iter().filter(|(number, _)| Some(**number) > request.after);
        Ok(page(events.map(|(number, event)| (*number, (*number, event.clone()))), request.limit))
    }

    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.state().clock = Some(estimate);
        Ok(())
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        Ok(self.state().clock)
    }

    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError> {
        self.state().time = Some(time);
        Ok(())
    }

    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().time)
    }

    fn is_writable(&self) -> bool {
        true
    }
}

fn key_of(about: &HintedReference) -> (String, String) {
    (about.repository.as_str().to_owned(), about.reference.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::contract_tests;

    fn empty() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::new().unwrap()), ())
    }

    contract_tests!(empty);
}
