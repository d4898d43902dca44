//! The store in memory, on maps: for tests. It decides by the same ledger as every backend. What it holds outlives it in a
//! [`MemoryMedium`], as a file does.
//!
//! It has no thread: what a write does is done at its first poll, whole. Others may come between that and its answer, and its
//! caller may leave. [`Steps`] follows it from one thing that it does to the next.

mod doors;
mod medium;
mod state;

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

pub use self::medium::MemoryMedium;
pub(in crate::store) use self::state::State;
use super::hint::MAXIMUM_HINTS;
use super::ledger::{self, Answered, Beginning, Ended, View as _};
use super::record::{MAXIMUM_MANIFEST_TAGS, MAXIMUM_PAGE};
use super::row::{RepositoryRow, TagRow};
use super::{
    Account, AccountChange, AccountKind, Actor, AuthEvent, AuthEventKind, Change, Changed, Epoch, Event,
    Guard, Hint, HintedReference, History, Incarnation, Intent, IntentState, KeptSweep, LastWrite, Lease,
    ManifestRecord, Missing, Outcome, Page, PageRequest, Pull, Queued, Recorded, RepositoryRecord, Retention,
    Sequence, Settled, Source, Statistics, Store, StoreError, StoreTrouble, TagRecord, Write,
};
use crate::clock::{Estimate, Timestamp};
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};

/// Follows a store from one thing that it does to the next.
pub trait Steps: Send + Sync {
    /// What becomes of the next write. Asked once before each.
    fn fate(&self) -> Fate {
        Fate::Done
    }

    /// The store has done something, and this is its last number. Its caller hears of it when this is over, if ever.
    fn step(&self, last: Sequence) -> BoxFuture<'_, ()>;
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is done, and its caller is told that it is not: the answer was lost.
    DoneUnheard,
    /// It is not done.
    Failed,
}

/// The answer to a write did not come.
#[derive(Debug, thiserror::Error)]
#[error("the answer to a commit was lost")]
struct AnswerLost;

/// Lets others come in between.
struct Yields;

impl Steps for Yields {
    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// See the module.
pub struct MemoryStore {
    medium: MemoryMedium,
    /// The epoch of what this store gives out.
    epoch: Epoch,
    /// Whether other doors may be over the same medium.
    is_shared: bool,
    incarnation: Mutex<Incarnation>,
    /// Intents that began although their callers were told otherwise, or nothing.
    unresolved: Mutex<Vec<Sequence>>,
    steps: Arc<dyn Steps>,
    closed: AtomicBool,
    trouble: Mutex<Option<StoreTrouble>>,
}

/// An empty one.
impl Default for MemoryStore {
    fn default() -> Self {
        Self::open(&MemoryMedium::default())
    }
}

impl MemoryStore {
    /// Over what a medium holds, once no other store is over it any more: nobody is carrying its intents.
    pub fn open(medium: &MemoryMedium) -> Self {
        Self::open_followed(medium, Arc::new(Yields))
    }

    /// The same, followed from step to step.
    pub fn open_followed(medium: &MemoryMedium, steps: Arc<dyn Steps>) -> Self {
        medium.state().open();
        Self::over(medium, Epoch::random().unwrap(), Incarnation::default(), steps)
    }

    fn over(medium: &MemoryMedium, epoch: Epoch, incarnation: Incarnation, steps: Arc<dyn Steps>) -> Self {
        Self {
            medium: medium.clone(),
            epoch,
            is_shared: false,
            incarnation: Mutex::new(incarnation),
            unresolved: Mutex::default(),
            steps,
            closed: AtomicBool::new(false),
            trouble: Mutex::default(),
        }
    }

    /// Takes no requests any more.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.state().waiters.wake_all();
    }

    /// Refuses writes for that reason, or for none any more.
    pub fn set_trouble(&self, trouble: Option<StoreTrouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.medium.state()
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Does something whole, or nothing.
    fn apply<T>(&self, attempted: &'static str, work: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        self.check_open()?;
        if let Some(trouble) = self.trouble() {
            return Err(StoreError::Unavailable { attempted, cause: Arc::new(trouble) });
        }
        let mut state = self.state();
        for intent in self.unresolved().drain(..) {
            let Ok(()) = ledger::abandon(&mut *state, intent);
        }
        let before = state.sequence;
        let answer = work(&mut state);
        if state.sequence > before {
            state.begin_epoch(before, self.epoch);
        }
        Ok(answer)
    }

    /// Does something, which stays done if the caller leaves before hearing of it.
    async fn write<T>(
        &self,
        attempted: &'static str,
        work: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreError> {
        let fate = self.steps.fate();
        let lost = || StoreError::Unavailable { attempted, cause: Arc::new(AnswerLost) };
        if fate == Fate::Failed {
            self.step().await;
            return Err(lost());
        }
        let answer = self.apply(attempted, work)?;
        self.step().await;
        if fate == Fate::DoneUnheard { Err(lost()) } else { Ok(answer) }
    }

    fn lock_incarnation(&self) -> MutexGuard<'_, Incarnation> {
        self.incarnation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unresolved(&self) -> MutexGuard<'_, Vec<Sequence>> {
        self.unresolved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, if the lease is still held.
    async fn write_under<T>(
        &self,
        lease: Lease,
        attempted: &'static str,
        work: impl FnOnce(&mut State) -> T,
    ) -> Result<T, StoreError> {
        let by = self.incarnation();
        let written = self.write(attempted, |state| {
            let Ok(is_held) = state.holds(by, lease);
            is_held.then(|| work(state))
        });
        written.await?.ok_or(StoreError::Fenced)
    }

    /// Reads in place.
    fn point<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        self.check_open()?;
        Ok(read(&self.state()))
    }

    /// Reads a list, once others had their turn.
    async fn scan<T>(&self, read: impl FnOnce(&State) -> T) -> Result<T, StoreError> {
        self.step().await;
        self.point(read)
    }

    async fn step(&self) {
        let last = self.state().sequence;
        self.steps.step(last).await;
    }
}

/// An intent of which its caller has not heard: one who leaves, or is told otherwise, carries nothing. The store finds that
/// out with the next write.
struct Unheard<'a> {
    store: &'a MemoryStore,
    intent: Option<Sequence>,
}

impl Drop for Unheard<'_> {
    fn drop(&mut self) {
        self.store.unresolved().extend(self.intent);
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
    /// Keeps an event of the gate: in the place of the one that is known, if it is still there.
    fn add_auth_event(&mut self, known: Option<Sequence>, event: AuthEvent) -> Sequence {
        let kept =
            known.filter(|known| self.auth_events.get(known).is_some_and(|kept| kept.kind == event.kind));
        let number = kept.unwrap_or_else(|| {
            self.last_auth_event = self.last_auth_event.next();
            self.last_auth_event
        });
        self.auth_events.insert(number, event);
        number
    }

    fn purge_auth_events(&mut self, keep: Retention) {
        for kind in AuthEventKind::ALL {
            let kept = self.auth_events.iter().filter(|(_, event)| event.kind == kind);
            let count = kept.clone().count() as u64;
            let times = kept.map(|(number, event)| Ok::<_, Infallible>((*number, event.time)));
            let Ok(gone) = keep.purged(kind, count, times);
            for number in gone {
                self.auth_events.remove(&number);
            }
        }
    }

    /// The repositories for which `keeps` says so.
    fn repository_page(
        &self,
        request: &PageRequest<RepositoryName>,
        keeps: impl Fn(&RepositoryName, &RepositoryRow) -> bool,
    ) -> Page<RepositoryRecord, RepositoryName> {
        let is_wanted = |(name, row): &(&RepositoryName, &RepositoryRow)| {
            Some(*name) > request.after.as_ref() && keeps(name, row)
        };
        let rows = self.repositories.iter().filter(is_wanted);
        page(rows.map(|(name, row)| (name.clone(), row.clone().record(name.clone()))), request.limit)
    }

    /// The tags of a repository behind a tag.
    fn tags_behind<'s>(
        &'s self,
        repository: &'s RepositoryName,
        after: Option<&'s Tag>,
    ) -> impl Iterator<Item = (&'s Tag, &'s TagRow)> {
        let rows = self.tags.iter().filter(move |((name, tag), _)| name == repository && Some(tag) > after);
        rows.map(|((_, tag), row)| (tag, row))
    }

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
        const ATTEMPTED: &str = "note a write";
        let by = self.incarnation();
        let beginning = Beginning { by, repository, write, actor, now };
        let mut unheard = Unheard { store: self, intent: None };
        let begun = self.write(ATTEMPTED, |state| {
            let Ok(begun) = ledger::begin(state, &beginning);
            unheard.intent = begun.as_ref().ok().map(|intent| intent.sequence);
            begun
        });
        let begun = begun.await?;
        unheard.intent = None;
        begun.map_err(|refused| refused.into_error(ATTEMPTED))
    }

    async fn settle(&self, intent: &Intent, outcome: Outcome, now: Timestamp) -> Result<Settled, StoreError> {
        let Intent { sequence: intent, holder, .. } = *intent;
        let ended = Ended { by: self.incarnation(), intent, holder, outcome, now };
        let attempted = "record the outcome of a write";
        let Ok(settled) = self.write(attempted, |state| ledger::settle(state, &ended)).await?;
        settled.map_err(|refused| refused.into_error(attempted))
    }

    async fn until_carried(&self, intent: &Intent) -> Result<Option<Intent>, StoreError> {
        let waiters = Arc::clone(&self.state().waiters);
        let waiter = waiters.wait_for(intent.sequence);
        loop {
            let reached = self.point(|state| state.intents.get(&intent.sequence).cloned())?;
            match reached {
                Some(intent) if intent.state == IntentState::Waiting => waiter.woken().await,
                reached => return Ok(reached.map(Arc::unwrap_or_clone)),
            }
        }
    }

    async fn mark_unknown(&self, intent: Sequence) -> Result<(), StoreError> {
        let attempted = "note that the outcome of a write is not known";
        let by = self.incarnation();
        let Ok(marked) = self.write(attempted, |state| ledger::mark_unknown(state, by, intent)).await?;
        marked.map_err(|refused| refused.into_error(attempted))
    }

    async fn record(
        &self,
        changes: Vec<Change>,
        source: Source,
        guard: Guard,
        now: Timestamp,
    ) -> Result<Recorded, StoreError> {
        let answered = Answered { changes, source, guard, now, by: self.incarnation() };
        let attempted = "record what the registry answered";
        let Ok(recorded) = self.write(attempted, |state| ledger::record(state, &answered)).await?;
        recorded.map_err(|refused| refused.into_error(attempted))
    }

    async fn open_intents(&self) -> Result<Vec<Intent>, StoreError> {
        self.point(|state| state.intents.values().map(|intent| Intent::clone(intent)).collect())
    }

    async fn intents_of(&self, repository: &RepositoryName) -> Result<Vec<Intent>, StoreError> {
        self.point(|state| {
            let intents = state.intents.values().filter(|intent| intent.repository == *repository);
            intents.map(|intent| Intent::clone(intent)).collect()
        })
    }

    async fn sequence(&self) -> Result<Sequence, StoreError> {
        self.point(|state| state.sequence)
    }

    fn last_write(&self, repository: &RepositoryName, reference: Option<&Reference>) -> Option<LastWrite> {
        self.state().recent.last(repository, reference)
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        self.scan(|state| {
            let mut found = Missing::default();
            for event in state.events.values().rev().take_while(|event| event.time >= since) {
                found.count_removal(event);
            }
            found
        })
        .await
    }

    fn missing(&self) -> Missing {
        self.state().missing
    }

    async fn accept_removals(&self) -> Result<(), StoreError> {
        self.write("accept removals", |state| {
            state.sequence = state.sequence.next();
            state.accepted = state.sequence;
        })
        .await
    }

    async fn removals_accepted_until(&self) -> Result<Sequence, StoreError> {
        self.point(|state| state.accepted)
    }

    async fn repositories_with_missing(
        &self,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        self.scan(|state| state.repository_page(&request, |_, row| !row.missing().is_none())).await
    }

    async fn repository(&self, repository: &RepositoryName) -> Result<Option<RepositoryRecord>, StoreError> {
        self.point(|state| {
            let row = state.repositories.get(repository).cloned();
            row.map(|row| row.record(repository.clone()))
        })
    }

    async fn repositories(
        &self,
        containing: Option<&str>,
        request: PageRequest<RepositoryName>,
    ) -> Result<Page<RepositoryRecord, RepositoryName>, StoreError> {
        let is_wanted = |name: &RepositoryName, _: &RepositoryRow| {
            containing.is_none_or(|part| name.as_str().contains(part))
        };
        self.scan(|state| state.repository_page(&request, is_wanted)).await
    }

    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<TagRecord>, StoreError> {
        self.point(|state| {
            let row = state.tags.get(&(repository.clone(), tag.clone())).cloned();
            row.map(|row| row.record(tag.clone()))
        })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Tag>,
    ) -> Result<Page<TagRecord, Tag>, StoreError> {
        self.scan(|state| {
            let rows = state.tags_behind(repository, request.after.as_ref());
            page(rows.map(|(tag, row)| (tag.clone(), row.clone().record(tag.clone()))), request.limit)
        })
        .await
    }

    async fn tag_names(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Tag>,
    ) -> Result<Page<Tag, Tag>, StoreError> {
        self.scan(|state| {
            let rows = state.tags_behind(repository, request.after.as_ref());
            page(rows.map(|(tag, _)| (tag.clone(), tag.clone())), request.limit)
        })
        .await
    }

    async fn unsure_tags(&self, repository: &RepositoryName, tags: Vec<Tag>) -> Result<Vec<Tag>, StoreError> {
        self.scan(|state| {
            let is_unsure = |tag: &Tag| {
                state.tags.get(&(repository.clone(), tag.clone())).is_none_or(|row| row.missing.is_some())
            };
            tags.into_iter().filter(is_unsure).collect()
        })
        .await
    }

    async fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        self.scan(|state| state.tags_pointing_to(repository, digest)).await
    }

    async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, StoreError> {
        self.scan(|state| state.record(repository, digest)).await
    }

    async fn manifests(
        &self,
        repository: &RepositoryName,
        request: PageRequest<Digest>,
    ) -> Result<Page<ManifestRecord, Digest>, StoreError> {
        self.scan(|state| state.manifest_page(repository, &request, |_| true)).await
    }

    async fn manifest_content(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<Manifest>>, StoreError> {
        self.scan(|state| {
            let found = state.manifests.get(&(repository.clone(), digest.clone()));
            found.map(|(_, manifest)| Arc::clone(manifest))
        })
        .await
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
        self.scan(|state| state.manifest_page(repository, &request, refers)).await
    }

    async fn events(
        &self,
        repository: Option<&RepositoryName>,
        request: PageRequest<Sequence>,
    ) -> Result<Page<Event, Sequence>, StoreError> {
        self.scan(|state| {
            let events = state.events.values().filter(|event| {
                Some(event.sequence) > request.after
                    && repository.is_none_or(|name| event.repository == *name)
            });
            page(events.map(|event| (event.sequence, event.clone())), request.limit)
        })
        .await
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.point(State::history)
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        self.scan(|state| state.continues(epoch, position)).await
    }

    async fn statistics(&self) -> Result<Statistics, StoreError> {
        self.point(|state| Statistics {
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
        self.write("count pulls", |state| {
            for pull in pulls {
                let Some(row) = state.repositories.get_mut(&pull.repository) else { continue };
                row.add_pulls(&pull);
                let Some(tag) = pull.tag.clone() else { continue };
                if let Some(row) = state.tags.get_mut(&(pull.repository.clone(), tag)) {
                    row.add_pulls(&pull);
                }
            }
        })
        .await
    }

    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.write("keep hints", |state| {
            if state.hints.len() + hints.len() > MAXIMUM_HINTS {
                return Queued::Full;
            }
            let mut kept = Vec::with_capacity(hints.len());
            for about in hints {
                state.last_hint += 1;
                let hint = Hint { about, number: state.last_hint };
                state.hints.insert(key_of(&hint.about), hint.clone());
                kept.push(hint);
            }
            Queued::Kept(kept)
        })
        .await
    }

    async fn hints(
        &self,
        request: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        self.scan(|state| {
            let after = request.after.as_ref().map(key_of);
            let hints = state.hints.iter().filter(|(key, _)| Some(*key) > after.as_ref());
            page(hints.map(|(_, hint)| (hint.about.clone(), hint.clone())), request.limit)
        })
        .await
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write("remove hints", |state| {
            for hint in hints {
                let key = key_of(&hint.about);
                if state.hints.get(&key) == Some(&hint) {
                    state.hints.remove(&key);
                }
            }
        })
        .await
    }

    async fn keep_sweep(&self, lease: Lease, checkpoint: Vec<u8>, marks: Vec<u64>) -> Result<(), StoreError> {
        let kept = self.write_under(lease, "keep how far a sweep is", |state| {
            let kept = state.sweep.get_or_insert_default();
            kept.checkpoint = checkpoint;
            kept.marks.extend(marks);
        });
        kept.await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(|state| state.sweep.clone()).await
    }

    async fn forget_sweep(&self, lease: Lease) -> Result<(), StoreError> {
        self.write_under(lease, "forget how far a sweep was", |state| state.sweep = None).await
    }

    async fn change_accounts(&self, changes: Vec<AccountChange>) -> Result<Changed, StoreError> {
        self.write("keep accounts", |state| {
            for AccountChange { kind, key, expected, .. } in &changes {
                let kept = state.accounts.get(&(kind.as_str(), key.clone()));
                if !expected.is_met_by(kept.map(Vec::as_slice)) {
                    return Changed::Overtaken;
                }
            }
            for AccountChange { kind, key, content, .. } in changes {
                match content {
                    Some(content) => state.accounts.insert((kind.as_str(), key), content),
                    None => state.accounts.remove(&(kind.as_str(), key)),
                };
            }
            Changed::Made
        })
        .await
    }

    async fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.point(|state| state.accounts.get(&(kind.as_str(), key.to_owned())).cloned())
    }

    async fn accounts(
        &self,
        kind: AccountKind,
        request: PageRequest<String>,
    ) -> Result<Page<Account, String>, StoreError> {
        self.scan(|state| {
            let accounts = state
                .accounts
                .iter()
                .filter(|((of, key), _)| *of == kind.as_str() && Some(key) > request.after.as_ref());
            let accounts = accounts.map(|((_, key), content)| {
                (key.clone(), Account { key: key.clone(), content: content.clone() })
            });
            page(accounts, request.limit)
        })
        .await
    }

    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.write("write down what happened at the gate", |state| {
            let numbers =
                events.into_iter().map(|(known, event)| state.add_auth_event(known, event)).collect();
            state.purge_auth_events(keep);
            numbers
        })
        .await
    }

    async fn auth_events(
        &self,
        request: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(|state| {
            let events = state.auth_events.iter().filter(|(number, _)| Some(**number) > request.after);
            page(events.map(|(number, event)| (*number, (*number, event.clone()))), request.limit)
        })
        .await
    }

    async fn keep_clock(&self, estimate: Estimate) -> Result<(), StoreError> {
        self.write("keep what is known of the registry's clock", |state| state.clock = Some(estimate)).await
    }

    async fn kept_clock(&self) -> Result<Option<Estimate>, StoreError> {
        self.point(|state| state.clock)
    }

    async fn keep_time(&self, time: Timestamp) -> Result<(), StoreError> {
        self.write("keep the time", |state| state.time = Some(time)).await
    }

    async fn kept_time(&self) -> Result<Option<Timestamp>, StoreError> {
        self.point(|state| state.time)
    }

    fn is_writable(&self) -> bool {
        self.trouble().is_none() && self.check_open().is_ok()
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key_of(about: &HintedReference) -> (String, String) {
    (about.repository.as_str().to_owned(), about.reference.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::{contract_tests, push};
    use crate::store::sample::{alice, at, image, repository, tag};

    fn empty() -> (Arc<dyn Store>, ()) {
        (Arc::new(MemoryStore::default()), ())
    }

    contract_tests!(empty);

    #[tokio::test]
    async fn what_was_answered_outlives_a_crash_in_a_new_epoch_and_its_intents_are_unknown() {
        let medium = MemoryMedium::default();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&medium));
        push(&store, "r", &image("one", &["base"]), &["t"], 1).await;
        let write = Write::Delete { reference: Reference::Tag(tag("t")) };
        let intent = store.begin(repository("r"), write, alice(), at(2)).await.unwrap();

        let left = medium.left_by_a_crash();
        // The first one goes on for a moment, as a process does that is about to be killed.
        push(&store, "r", &image("two", &[]), &["t"], 3).await;
        let again = MemoryStore::open(&left);

        let one = again.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
        assert_eq!(one.digest, image("one", &["base"]).digest);
        let open = again.open_intents().await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(
            (open[0].sequence, open[0].state),
            (intent.sequence, IntentState::Unknown { since: intent.sequence })
        );
        let last = again.sequence().await.unwrap();
        assert_eq!(last, intent.sequence);
        let before = again.history().await.unwrap();
        again.accept_removals().await.unwrap();
        let after = again.history().await.unwrap();
        assert_eq!(before.identity, after.identity);
        assert_ne!(before.epoch, after.epoch);
        assert!(again.continues(before.epoch, last).await.unwrap());
        assert!(!again.continues(before.epoch, last.next()).await.unwrap(), "that was in another life");
    }

    #[tokio::test]
    async fn a_store_in_trouble_refuses_writes_and_a_closed_one_everything() {
        let store = MemoryStore::default();
        store.set_trouble(Some(StoreTrouble::Medium));
        assert!(matches!(store.accept_removals().await, Err(StoreError::Unavailable { .. })));
        assert_eq!((store.sequence().await.unwrap(), store.is_writable()), (Sequence::ZERO, false));
        store.set_trouble(None);
        store.accept_removals().await.unwrap();
        store.close();
        assert!(matches!(store.sequence().await, Err(StoreError::Closed)));
    }
}
