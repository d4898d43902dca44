//! Whether an answer of the registry that contradicts the record is believed, believed later, or held.
//!
//! Right after a write that the door carried, a contradiction may only be old: a replica that lags, a cache in front. It is
//! asked about again until the write is older than `sync.settling`.
//!
//! A mass disappearance that the door did not carry is more often lost storage, a wrong volume or a wrong address than
//! an operator's will. Removals beyond `sync.removal_limit` are held: the rows stay and are served, marked as missing, until
//! the registry has them again, the operator accepts their removal, or they stayed away for `sync.removal_patience`.
//!
//! One judge is shared by all that verify: hints, unknown outcomes and sweeps count together.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::removals::{Counted, Counts, Kind, RemovalLimit, WINDOW, lock};
use crate::clock::{Clock, RetentionClock};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::{
    Events, LastWrite, Ledger, Missing, MissingMark, PageRequest, Records, Sequence, Source, Store,
    StoreError, Write,
};

/// How many of the last events are looked at for what a tag pointed to.
const LATE_EVENTS: u64 = 10_000;

/// When contradictions are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JudgeSettings {
    /// How long a write that the door carried is believed more than an answer; zero for not at all.
    pub settling: Duration,
    /// How much of the record may be found to be gone within an hour.
    pub removal_limit: RemovalLimit,
    /// How long what is held has to stay away until its removal is believed.
    pub removal_patience: Duration,
}

#[cfg(test)]
impl JudgeSettings {
    /// Every contradiction is believed at once.
    pub const CREDULOUS: Self = Self {
        settling: Duration::ZERO,
        removal_limit: RemovalLimit { percent: 100, always: u64::MAX },
        removal_patience: Duration::ZERO,
    };
}

/// What is to become of a contradiction.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It is recorded.
    Believe(Option<Counted>),
    /// It is asked about again; after this time it is believed.
    Later(Duration),
    /// The reference is marked as missing.
    Hold,
}

/// What a contradiction is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contradiction<'a> {
    pub repository: &'a RepositoryName,
    pub reference: &'a Reference,
    /// What the record has for it; none if it has nothing.
    pub recorded: Option<&'a Digest>,
    /// What the registry says of it.
    pub answer: Answer<'a>,
    /// What it was asked for.
    pub source: Source,
    /// When it was asked. What settles is told by that: the door may have stood still since, and the answer is as old.
    pub asked: Instant,
}

/// What the registry says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer<'a> {
    /// It names this digest.
    Names(&'a Digest),
    /// It denies what is recorded.
    Denies {
        /// The mark of what is held to be missing.
        missing: Option<MissingMark>,
    },
}

/// See the module.
pub struct Judge {
    ledger: Arc<dyn Ledger>,
    records: Arc<dyn Records>,
    events: Arc<dyn Events>,
    settings: JudgeSettings,
    clock: Clock,
    /// By which what is missing has been so for long enough.
    retention_clock: Arc<RetentionClock>,
    counts: Arc<Mutex<Counts>>,
    /// Filled from the history at the first removal.
    remembered: OnceCell<()>,
}

impl Judge {
    /// A judge over what this store holds; `clock` is the one that the record's times are told by.
    pub fn new(store: Arc<dyn Store>, settings: JudgeSettings, clock: Clock) -> Self {
        let retention_clock = Arc::new(RetentionClock::new(clock, None));
        Self {
            ledger: Arc::clone(&store) as _,
            records: Arc::clone(&store) as _,
            events: store,
            settings,
            clock,
            retention_clock,
            counts: Arc::default(),
            remembered: OnceCell::new(),
        }
    }

    /// The same, by whose clock alone time passes for what is missing: one that leaps removes nothing.
    #[must_use]
    pub fn with_retention_clock(self, retention_clock: Arc<RetentionClock>) -> Self {
        Self { retention_clock, ..self }
    }

    /// A sweep begins: until its end all that it removes counts together.
    pub(super) fn sweep_begins(&self) {
        lock(&self.counts).sweep = Some(Instant::now());
    }

    /// It has ended.
    pub(super) fn sweep_ends(&self) {
        lock(&self.counts).sweep = None;
    }

    /// What is held now is gone, as the operator says. What went before counts no more.
    pub(super) async fn accept_removals(&self) -> Result<(), StoreError> {
        self.ledger.accept_removals().await?;
        let mut counts = lock(&self.counts);
        counts.tags.clear();
        counts.manifests.clear();
        Ok(())
    }

    /// Whether removals are counted, so that what comes back has to be told.
    pub(super) fn is_counting(&self) -> bool {
        let counts = lock(&self.counts);
        !counts.tags.is_empty() || !counts.manifests.is_empty()
    }

    /// A tag has come back that had gone: it counts no more.
    pub(super) fn tag_is_back(&self) {
        lock(&self.counts).tags.pop_back();
    }

    /// Judges a contradiction. Dropping the future is harmless.
    pub(super) async fn judge(&self, about: Contradiction<'_>) -> Result<Verdict, StoreError> {
        let Contradiction { repository, reference, answer, .. } = about;
        if self.is_left_by_deletion(about).await? {
            return Ok(Verdict::Believe(None));
        }
        let unsettled = self
            .settling_write(repository, Some(reference), about.asked)
            .max(self.settling_deletion(about).await?);
        let denied = match answer {
            Answer::Names(_) => None,
            Answer::Denies { missing } => Some(missing),
        };
        if unsettled.is_none() && denied.is_none() {
            return Ok(Verdict::Believe(None));
        }
        let since = unsettled.map_or(Sequence::ZERO, |(sequence, _)| sequence);
        let is_explained = self.is_explained(about, since).await?;
        match unsettled {
            // A client did it through the door, as it turns out.
            None if is_explained => return Ok(Verdict::Believe(None)),
            // Or the answer is old all the same. What a write came to is for its verification to say, and for nothing else.
            Some(_) if is_explained && about.source == Source::Verified => return Ok(Verdict::Believe(None)),
            Some((_, left)) => return Ok(Verdict::Later(left)),
            None => {}
        }
        match denied {
            None => Ok(Verdict::Believe(None)),
            Some(Some(MissingMark { since, .. }))
                if self.retention_clock.now().since(since) >= self.settings.removal_patience =>
            {
                Ok(Verdict::Believe(None))
            }
            Some(Some(MissingMark { sequence, .. })) => {
                let is_accepted = sequence <= self.ledger.removals_accepted_until().await?;
                Ok(if is_accepted { Verdict::Believe(None) } else { Verdict::Hold })
            }
            Some(None) => self.count(reference).await,
        }
    }

    /// How long what the door wrote lately still settles, as seen when the registry was asked; in the repository as a whole where
    /// no reference is given.
    pub(super) fn unsettled(
        &self,
        repository: &RepositoryName,
        reference: Option<&Reference>,
        asked: Instant,
    ) -> Option<Duration> {
        self.settling_write(repository, reference, asked).map(|(_, left)| left)
    }

    /// Whether an answer that names this digest may be older than a push that has just been sent, so that it does not
    /// confirm it: it was so lately, and something that the door carried has changed it since, or may have.
    pub(super) async fn may_be_old(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        let has_manifest = self.records.has_manifest(repository, digest).await?;
        let is_recorded = match reference {
            Reference::Tag(tag) => {
                let recorded = self.records.tag(repository, tag).await?;
                let is_named = recorded.is_some_and(|recorded| recorded.digest == *digest);
                if is_named && !has_manifest {
                    // Whether the tag went with its manifest is not known yet.
                    return Ok(true);
                }
                is_named
            }
            Reference::Digest(_) => has_manifest,
        };
        // What is carried beside the push touches none of its tags: of those that do, the outcome is not known.
        let open = self.ledger.intents_of(repository).await?;
        let heard = || open.iter().filter_map(|intent| Some((intent.state.heard_since()?, &intent.write)));
        let may_have_changed = |write: &Write| match write {
            Write::Put { digest: put, .. } => put != digest && write.references().contains(reference),
            Write::Delete { reference: deleted } => match deleted {
                Reference::Digest(deleted) if deleted == digest => true,
                deleted => deleted == reference,
            },
        };
        let changed = heard().filter(|(_, write)| may_have_changed(write)).map(|(since, _)| since).max();
        let settling =
            self.settling_write(repository, Some(reference), Instant::now()).map(|(sequence, _)| sequence);
        let settling = settling.filter(|_| !is_recorded);
        let Some(changed) = changed.max(settling) else { return Ok(false) };
        let may_have_been_put = heard().any(|(since, write)| {
            since < changed
                && matches!(write, Write::Put { digest: put, .. } if put == digest)
                && write.references().contains(reference)
        });
        if is_recorded || may_have_been_put {
            return Ok(true);
        }
        match reference {
            Reference::Tag(tag) if settling.is_some() => self.pointed_before(repository, tag, digest).await,
            // What was written just now and is not recorded was deleted, so it was there.
            Reference::Tag(_) | Reference::Digest(_) => Ok(settling.is_some()),
        }
    }

    /// Whether a tag has pointed to this manifest before, as far as its late history tells: what a replica that lags
    /// answers has been so once.
    pub(super) async fn pointed_before(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        let last = self.ledger.sequence().await?;
        let after = Sequence::new(last.get().saturating_sub(LATE_EVENTS));
        let page = PageRequest { after: Some(after), limit: LATE_EVENTS as usize };
        let events = self.events.events(Some(repository), page).await?.items;
        let names = |named: &Option<Digest>| named.as_ref() == Some(digest);
        Ok(events
            .iter()
            .any(|event| event.tag.as_ref() == Some(tag) && (names(&event.digest) || names(&event.previous))))
    }

    fn settling_write(
        &self,
        repository: &RepositoryName,
        reference: Option<&Reference>,
        asked: Instant,
    ) -> Option<(Sequence, Duration)> {
        let LastWrite { sequence, age } = self.ledger.last_write(repository, reference)?;
        let age = age.saturating_sub(asked.elapsed());
        let left = self.settings.settling.checked_sub(age).filter(|left| !left.is_zero())?;
        Some((sequence, left))
    }

    /// Whether this is the registry's denial of a tag whose manifest was deleted through the door: that explains it.
    async fn is_left_by_deletion(&self, about: Contradiction<'_>) -> Result<bool, StoreError> {
        let Contradiction { repository, reference, recorded, answer, .. } = about;
        match (reference, recorded, answer) {
            (Reference::Tag(_), Some(recorded), Answer::Denies { .. }) => {
                Ok(!self.records.has_manifest(repository, recorded).await?)
            }
            _ => Ok(false),
        }
    }

    /// The deletion that the door carried just now of what the registry names for a tag: the answer may be older than that,
    /// whether the record still has the tag or not.
    async fn settling_deletion(
        &self,
        about: Contradiction<'_>,
    ) -> Result<Option<(Sequence, Duration)>, StoreError> {
        let Answer::Names(named) = about.answer else { return Ok(None) };
        let named_digest = Reference::Digest(named.clone());
        let settling = self.settling_write(about.repository, Some(&named_digest), about.asked);
        if settling.is_none() || self.records.has_manifest(about.repository, named).await? {
            return Ok(None);
        }
        Ok(settling)
    }

    /// Whether a write through the door would have done this that began since what just settles, and whose outcome is not
    /// known. One that began before that may come late, but an old answer is more likely: it waits.
    async fn is_explained(&self, about: Contradiction<'_>, since: Sequence) -> Result<bool, StoreError> {
        let Contradiction { repository, reference, recorded, answer, .. } = about;
        let would_do = |write: &Write| match (write, answer) {
            (Write::Put { digest, .. }, Answer::Names(named)) => {
                digest == named && write.references().contains(reference)
            }
            (Write::Delete { reference: deleted }, Answer::Denies { .. }) if deleted == reference => true,
            // What a deletion by digest takes is not asked about again once it is recorded to be gone: it has to settle.
            (Write::Delete { reference: Reference::Digest(digest) }, Answer::Denies { .. }) => {
                recorded == Some(digest) && since == Sequence::ZERO
            }
            (Write::Delete { reference: Reference::Tag(_) }, Answer::Denies { .. }) => false,
            (Write::Put { .. }, Answer::Denies { .. }) | (Write::Delete { .. }, Answer::Names(_)) => false,
        };
        let intents = self.ledger.intents_of(repository).await?;
        Ok(intents.iter().any(|intent| {
            intent.state.is_unknown() && intent.state.heard_since() >= Some(since) && would_do(&intent.write)
        }))
    }

    /// Counts one removal more, if that is within the limit.
    async fn count(&self, reference: &Reference) -> Result<Verdict, StoreError> {
        self.remember().await?;
        let statistics = self.records.statistics().await?;
        let kind = match reference {
            Reference::Tag(_) => Kind::Tag,
            Reference::Digest(_) => Kind::Manifest,
        };
        let (recorded, held) = match kind {
            Kind::Tag => (statistics.tags, statistics.missing.tags),
            Kind::Manifest => (statistics.manifests, statistics.missing.manifests),
        };
        let now = Instant::now();
        let mut counts = lock(&self.counts);
        let gone = counts.within(kind, now);
        let most = self.settings.removal_limit.of(recorded.saturating_add(gone));
        if gone.saturating_add(held) >= most {
            return Ok(Verdict::Hold);
        }
        counts.of(kind).push_back(now);
        drop(counts);
        Ok(Verdict::Believe(Some(Counted::new(&self.counts, kind, now))))
    }

    /// Counts what an earlier run of the door has removed: a restart is no way around the limit.
    async fn remember(&self) -> Result<(), StoreError> {
        let remember = || async {
            let since = self.clock.now();
            let hour = i64::try_from(WINDOW.as_millis()).unwrap_or(i64::MAX);
            let Missing { tags, manifests } = self.events.found_removals(since.shifted(-hour)).await?;
            let statistics = self.records.statistics().await?;
            // More than may go unasked has gone by the operator's word, or after `sync.removal_patience`: neither counts.
            let counted = |found: u64, recorded: u64| {
                let most = self.settings.removal_limit.of(recorded.saturating_add(found));
                if found > most { 0 } else { found }
            };
            let (tags, manifests) =
                (counted(tags, statistics.tags), counted(manifests, statistics.manifests));
            let now = Instant::now();
            let mut counts = lock(&self.counts);
            let times = |count| std::iter::repeat_n(now, usize::try_from(count).unwrap_or(usize::MAX));
            counts.tags.extend(times(tags));
            counts.manifests.extend(times(manifests));
            Ok::<_, StoreError>(())
        };
        self.remembered.get_or_try_init(remember).await.map(|&()| ())
    }
}
