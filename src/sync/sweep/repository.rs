//! One repository of a sweep: its tags as listed against its tags as recorded, and what follows from the differences.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use super::progress::Progress;
use super::questions::{Abort, Questions, Unanswered, VERIFICATIONS};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::{Continuation, ListingPage};
use crate::store::{Change, Guard, PageRequest, Recorded, Source, StoreError, SweepKind};
use crate::sync::listing::{LoopGuard, Marks};

/// How many rows of the record are read at once.
const ROWS: usize = 100;
/// How many tags of a page are compared at once, so that the longest page is never held in more than one shape.
const PART: usize = 1_000;
/// How many digests may wait to be asked about.
const FOLLOWED: usize = 1_000;
/// A repository is given up when so many questions about it got no answer in a row, over so long a time: it is damaged,
/// and the others wait.
const GIVEN_UP: (usize, Duration) = (10, Duration::from_mins(2));

/// The sweep of one repository.
pub(super) struct RepositorySweep<'a> {
    questions: &'a Questions,
    progress: &'a Progress,
    name: &'a RepositoryName,
    in_catalog: InCatalog,
    /// Tags that were listed.
    listed: Marks,
    /// Digests that the registry has named or denied.
    asked: Marks,
    /// Digests that have to be asked about.
    follow: Vec<Digest>,
    /// When the last answer about it came.
    answered: Instant,
    /// How many questions the registry did not answer.
    open: u64,
}

/// Why it ends before its time.
enum End {
    /// The whole sweep does.
    Sweep(Abort),
    /// There is no use in going on with this repository; that is told.
    GivenUp,
}

impl From<Abort> for End {
    fn from(abort: Abort) -> Self {
        Self::Sweep(abort)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Sweep(error.into())
    }
}

/// What the catalog says of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InCatalog {
    /// It lists it.
    Listed,
    /// It does not, or there is none.
    Unlisted,
    /// It could not be read to its end.
    Unknown,
}

/// What the list of tags came to.
enum Tags {
    /// It was read to its end.
    Listed,
    /// The registry says that there is no such repository, or only that it has no tags.
    Absent,
    /// It could not be read; that is told.
    Unknown,
}

impl<'a> RepositorySweep<'a> {
    pub(super) fn new(
        questions: &'a Questions,
        progress: &'a Progress,
        name: &'a RepositoryName,
        in_catalog: InCatalog,
    ) -> Self {
        let (listed, asked) = (Marks::default(), Marks::default());
        Self {
            questions,
            progress,
            name,
            in_catalog,
            listed,
            asked,
            follow: Vec::new(),
            answered: Instant::now(),
            open: 0,
        }
    }

    /// Compares everything. What cannot be compared is told to the progress, and left as it is. Answers how much of that
    /// may be otherwise when the registry is asked again.
    pub(super) async fn run(mut self) -> Result<u64, Abort> {
        match self.compare().await {
            Ok(()) | Err(End::GivenUp) => Ok(self.open),
            Err(End::Sweep(abort)) => Err(abort),
        }
    }

    async fn compare(&mut self) -> Result<(), End> {
        let tags = self.listed_tags().await?;
        if matches!(tags, Tags::Unknown) {
            return Ok(());
        }
        self.unlisted_tags().await?;
        let may_be_gone = matches!(tags, Tags::Absent) && self.in_catalog == InCatalog::Unlisted;
        // A cache would fetch what it does not hold any more; but of a repository that its origin denies there is nothing.
        let is_deep = self.progress.kind == SweepKind::Deep && !self.questions.registry.is_cache();
        if is_deep || may_be_gone || self.has_missing_manifests().await? {
            self.recorded_manifests().await?;
        }
        self.follow_up().await?;
        if may_be_gone {
            self.remove_if_gone().await?;
        } else if self.in_catalog == InCatalog::Listed {
            self.add_if_empty().await?;
        }
        Ok(())
    }

    /// Goes through the list of tags, and verifies those that differ or might.
    async fn listed_tags(&mut self) -> Result<Tags, End> {
        let mut from: Option<Continuation> = None;
        let mut guard = LoopGuard::default();
        loop {
            let registry = &self.questions.registry;
            let asking = |limit| registry.tags_page(self.name, from.as_ref(), limit);
            let page = self.questions.ask_for_page(registry.tags_limit(), asking).await;
            let ListingPage { names, next } = match page {
                Ok(Some(page)) => page,
                Ok(None) if from.is_none() => return Ok(Tags::Absent),
                Ok(None) => {
                    self.problem("the list of its tags ended in the middle with \"not there\"".to_owned());
                    return Ok(Tags::Unknown);
                }
                Err(unanswered) => {
                    self.unanswered(unanswered)?;
                    return Ok(Tags::Unknown);
                }
            };
            let has_news = self.compare_tags(names).await?;
            if guard.is_endless(next.as_ref(), has_news) {
                self.problem("the list of its tags goes round in circles".to_owned());
                return Ok(Tags::Unknown);
            }
            from = next;
            if from.is_none() {
                return Ok(Tags::Listed);
            }
        }
    }

    /// Compares listed tags, as many at once as there is need for. Answers whether any of them was not listed before.
    async fn compare_tags(&mut self, names: Vec<String>) -> Result<bool, End> {
        let mut names = names.into_iter();
        let mut has_news = false;
        while names.len() > 0 {
            let mut tags = Vec::new();
            for name in names.by_ref().take(PART) {
                match Tag::parse(&name) {
                    Ok(tag) if self.listed.mark(tag.as_str()) => tags.push(tag),
                    Ok(_) => {}
                    Err(error) => self.problem(format!("it lists a tag that is none: {error}")),
                }
            }
            has_news |= !tags.is_empty();
            if self.questions.registry.is_cache() {
                // They are the origin's, and nobody has asked for them here.
                continue;
            }
            self.progress.tags(tags.len());
            let differing = match self.progress.kind {
                SweepKind::Shallow => self.questions.store.unsure_tags(self.name, tags).await?,
                SweepKind::Deep => tags,
            };
            self.verify(differing.into_iter().map(Reference::Tag).collect()).await?;
            if self.follow.len() > FOLLOWED {
                self.follow_up().await?;
            }
        }
        Ok(has_news)
    }

    /// Asks about every recorded tag that was not listed.
    async fn unlisted_tags(&mut self) -> Result<(), End> {
        let mut after = None;
        loop {
            let page = PageRequest { after, limit: ROWS };
            let page = self.questions.store.tag_names(self.name, page).await?;
            if self.questions.registry.is_cache() {
                self.progress.tags(page.items.len());
            }
            let unlisted = page.items.into_iter().filter(|tag| !self.listed.has(tag.as_str()));
            let unlisted: Vec<Reference> = unlisted.map(Reference::Tag).collect();
            self.verify(unlisted).await?;
            after = page.next.map(|tag| tag.to_string());
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether manifests of it are held that the registry denied.
    async fn has_missing_manifests(&self) -> Result<bool, End> {
        if self.questions.store.missing().manifests == 0 {
            return Ok(false);
        }
        let held = self.questions.store.repository(self.name).await?;
        Ok(held.is_some_and(|held| held.missing.manifests > 0))
    }

    /// Asks about every recorded manifest that no tag has confirmed, and about the manifests that it names.
    async fn recorded_manifests(&mut self) -> Result<(), End> {
        let mut after = None;
        loop {
            let page = PageRequest { after, limit: ROWS };
            let page = self.questions.store.manifests(self.name, page).await?;
            for manifest in page.items {
                self.follow.push(manifest.digest);
                self.follow.extend(manifest.document.child_manifests().cloned());
            }
            self.follow_up().await?;
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Asks about the digests that other answers led to, and those that these lead to.
    async fn follow_up(&mut self) -> Result<(), End> {
        while !self.follow.is_empty() {
            let mut digests = std::mem::take(&mut self.follow);
            digests.retain(|digest| self.asked.mark(digest.as_str()));
            self.verify(digests.into_iter().map(Reference::Digest).collect()).await?;
        }
        Ok(())
    }

    async fn verify(&mut self, references: Vec<Reference>) -> Result<(), End> {
        let (questions, name) = (self.questions, self.name);
        let failed = &AtomicUsize::new(0);
        let answers = futures_util::stream::iter(references)
            .map(|reference| async move { questions.verify(name, &reference, failed).await });
        let mut answers = std::pin::pin!(answers.buffer_unordered(VERIFICATIONS));
        let (most, longest) = GIVEN_UP;
        loop {
            let answer = match tokio::time::timeout_at(self.answered + longest, answers.next()).await {
                Ok(Some(answer)) => answer,
                Ok(None) => return Ok(()),
                Err(_elapsed) if failed.load(Ordering::Relaxed) >= most => {
                    self.open += 1;
                    self.problem(
                        "there is no answer about it any more; what is left of it was not compared"
                            .to_owned(),
                    );
                    return Err(End::GivenUp);
                }
                // It was not asked, since others were, or the registry wants to be left alone.
                Err(_elapsed) => {
                    self.answered = Instant::now();
                    continue;
                }
            };
            match answer {
                Ok(verified) => {
                    self.answered = Instant::now();
                    failed.store(0, Ordering::Relaxed);
                    self.progress.found(verified.events);
                    if let Some(digest) = verified.digest {
                        self.asked.mark(digest.as_str());
                    }
                    if !self.questions.registry.is_cache() {
                        self.follow.extend(verified.previous.into_iter().chain(verified.children));
                    }
                }
                Err(unanswered) => self.unanswered(unanswered)?,
            }
        }
    }

    /// Removes a repository that the catalog does not list, that the registry denies, and of which nothing is left.
    async fn remove_if_gone(&mut self) -> Result<(), End> {
        let since = self.questions.store.sequence().await?;
        let held = self.questions.store.repository(self.name).await?;
        let is_unsettled = self.questions.judge.unsettled(self.name, None, Instant::now()).is_some();
        if held.is_none_or(|held| held.tags + held.manifests > 0) || is_unsettled {
            return Ok(());
        }
        let registry = &self.questions.registry;
        let asking = |limit| registry.tags_page(self.name, None, limit);
        match self.questions.ask_for_page(registry.tags_limit(), asking).await {
            Ok(None) => self.record(Change::RepositoryGone { repository: self.name.clone() }, since).await,
            Ok(Some(_)) => Ok(()),
            Err(unanswered) => self.unanswered(unanswered),
        }
    }

    /// Records a repository that the catalog lists though it holds nothing.
    async fn add_if_empty(&self) -> Result<(), End> {
        let since = self.questions.store.sequence().await?;
        match self.questions.store.repository(self.name).await? {
            Some(_) => Ok(()),
            None => self.record(Change::RepositoryFound { repository: self.name.clone() }, since).await,
        }
    }

    /// Records what is true of the repository as a whole, unless something touched it meanwhile: then the next sweep will
    /// see.
    async fn record(&self, change: Change, since: crate::store::Sequence) -> Result<(), End> {
        let guard = Guard { reference: None, since, lease: Some(self.questions.lease.held()?) };
        let recorded = self
            .questions
            .store
            .record(vec![change], Source::Swept, guard, self.questions.registry.now())
            .await?;
        if let Recorded::Changed(events) = recorded {
            self.progress.found(events);
        }
        Ok(())
    }

    /// Tells what could not be learnt, or ends the sweep.
    fn unanswered(&mut self, unanswered: Unanswered) -> Result<(), End> {
        match unanswered {
            Unanswered::Abort(abort) => Err(abort.into()),
            Unanswered::Registry(error) => {
                self.open += 1;
                self.problem(error.to_string());
                Ok(())
            }
            Unanswered::Busy => Ok(()),
            Unanswered::Unsettled => {
                self.progress.unsettled();
                Ok(())
            }
        }
    }

    fn problem(&self, message: String) {
        self.progress.problem(Some(self.name.as_str()), message);
    }
}
