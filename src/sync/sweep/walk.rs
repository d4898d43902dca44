//! The walk of a sweep through all repositories: first those that the catalog lists, then the known ones that it does
//! not. Keeps a checkpoint on the way.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use http::StatusCode;
use tokio::time::Instant;

use super::checkpoint::{Checkpoint, Position};
use super::progress::{CatalogEnd, CatalogState, Phase, Progress};
use super::questions::{Abort, Questions, Unanswered};
use super::repository::{InCatalog, RepositorySweep};
use crate::oci::RepositoryName;
use crate::registry::{Continuation, ListingPage, RegistryError};
use crate::store::PageRequest;
use crate::sync::listing::{KeptMarks, LoopGuard, Marks};

/// How often a checkpoint is kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How many repositories are gone through at once: more than may be asked about at once, since some wait for the store.
const REPOSITORIES: usize = 48;
/// The next page of the catalog is asked for when fewer repositories wait.
const WAITING: usize = 200;
/// How many known repositories are read at once.
const ROWS: usize = 500;

/// The walk of one sweep.
pub(super) struct Walk<'a> {
    pub questions: &'a Questions,
    pub progress: &'a Progress,
    /// Repositories that are done.
    pub marks: &'a mut KeptMarks,
    pub checkpoint: &'a mut Checkpoint,
    pub kept: Instant,
    /// What the catalog was good for, once it was read.
    pub catalog: CatalogEnd,
    /// What the catalog has listed, as far as this walk has read it.
    pub listed: Marks,
    /// Repositories that could not be compared as a whole: they are not done, and if the walk is cut they are asked about
    /// again. With their problems, which do not count then.
    pub open: Open,
    /// The first page of the catalog with one of them, where the walk goes on then, wherever else it was.
    pub open_page: Option<Page>,
}

/// See [`Walk::open`].
#[derive(Clone, Copy, Default)]
pub(super) struct Open {
    repositories: u64,
    problems: u64,
}

/// A page of the catalog that is not wholly done.
pub(super) struct Page {
    /// Where the listing was asked to go on for it.
    from: Option<Continuation>,
    /// How many of its repositories are not done.
    left: usize,
}

/// What asking for a page of the catalog came to.
enum Catalog {
    Page(ListingPage),
    /// The registry has no catalog for this door.
    Disabled(RegistryError),
    Failed(RegistryError),
}

impl Walk<'_> {
    /// Walks to the end. Answers what the catalog was good for.
    pub(super) async fn run(&mut self) -> Result<CatalogEnd, Abort> {
        let (mut phase, mut page, mut after) = (Phase::Catalog, None, None);
        if let Some(position) = self.checkpoint.running.clone() {
            (phase, page, after) = (position.phase, position.page, position.after);
            self.catalog = position.catalog;
        }
        if self.questions.registry.is_cache() {
            self.catalog = CatalogEnd { state: CatalogState::NotRead, cause: None };
        } else if phase == Phase::Catalog {
            self.catalog = self.catalog(page).await?;
            if let CatalogEnd { state, cause: Some(cause) } = &self.catalog {
                tracing::warn!(
                    ?state,
                    cause,
                    "the catalog cannot be read; the repositories that are known are swept"
                );
            }
        }
        self.unlisted(after).await?;
        Ok(self.catalog.clone())
    }

    async fn catalog(&mut self, from: Option<Continuation>) -> Result<CatalogEnd, Abort> {
        self.progress.enter(Phase::Catalog);
        let questions = self.questions;
        let ask = |from: Option<Continuation>| Box::pin(ask_for_page(questions, from));
        let mut pages: VecDeque<Page> = VecDeque::new();
        let mut waiting: VecDeque<(usize, RepositoryName)> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let mut first = 0;
        let mut guard = LoopGuard::default();
        let mut goes_on = from.is_some();
        let mut next = Some(from);
        let mut asking: Option<Pin<Box<_>>> = None;
        let mut ended = None;
        loop {
            if asking.is_none()
                && waiting.len() < WAITING
                && let Some(from) = next.take()
            {
                asking = Some(ask(from.clone()));
                pages.push_back(Page { from, left: 0 });
            }
            while running.len() < REPOSITORIES
                && let Some((page, name)) = waiting.pop_front()
            {
                running.push(sweep_repository(questions, self.progress, page, name, InCatalog::Listed));
            }
            if asking.is_none() && running.is_empty() {
                self.open_page = pages.into_iter().find(|page| page.left > 0);
                return Ok(ended.unwrap_or_default());
            }
            let answer = OptionFuture::from(asking.as_mut());
            tokio::select! {
                biased;
                Some(answer) = answer => {
                    asking = None;
                    match answer? {
                        Catalog::Page(page) => {
                            goes_on = false;
                            let number = first + pages.len() - 1;
                            let mut names = self.names(page.names);
                            names.retain(|name| self.listed.mark(name.as_str()));
                            let is_endless = guard.is_endless(page.next.as_ref(), !names.is_empty());
                            // Done before the sweep was cut.
                            names.retain(|name| !self.marks.has(name.as_str()));
                            self.progress.listed(names.len());
                            if let Some(open) = pages.back_mut() {
                                open.left = names.len();
                            }
                            waiting.extend(names.into_iter().map(|name| (number, name)));
                            next = page.next.map(Some);
                            if is_endless {
                                next = None;
                                let cause = Some("the catalog goes round in circles".to_owned());
                                ended = Some(CatalogEnd { state: CatalogState::Failed, cause });
                            }
                        }
                        // Perhaps it does not know any more where it was to go on. What is done stays done.
                        Catalog::Disabled(_) | Catalog::Failed(_) if goes_on => {
                            goes_on = false;
                            pages.clear();
                            next = Some(None);
                        }
                        Catalog::Disabled(error) => {
                            let cause = Some(error.to_string());
                            ended = Some(CatalogEnd { state: CatalogState::Disabled, cause });
                        }
                        Catalog::Failed(error) => {
                            let cause = Some(error.to_string());
                            ended = Some(CatalogEnd { state: CatalogState::Failed, cause });
                        }
                    }
                }
                Some((page, name, swept)) = running.next() => {
                    if self.note(&name, swept?)
                        && let Some(page) = pages.get_mut(page - first)
                    {
                        page.left -= 1;
                    }
                }
            }
            // The last page stays: it says where the listing went on.
            while pages.len() > 1 && pages.front().is_some_and(|page| page.left == 0) {
                pages.pop_front();
                first += 1;
            }
            if let Some(page) = pages.front() {
                self.keep(Phase::Catalog, page.from.as_ref(), None).await?;
            }
        }
    }

    /// Notes that a repository was gone through, and how much of it is open. Answers whether it is done.
    fn note(&mut self, name: &RepositoryName, open: u64) -> bool {
        if open > 0 {
            self.open.repositories += 1;
            self.open.problems += open;
            return false;
        }
        self.marks.mark(name.as_str());
        true
    }

    /// Reads the names of a page; those that are none are told.
    fn names(&self, names: Vec<String>) -> Vec<RepositoryName> {
        let parse = |name: String| match RepositoryName::parse(&name) {
            Ok(name) => Some(name),
            Err(error) => {
                let shown: String = name.escape_debug().take(300).collect();
                self.progress
                    .problem(Some(&shown), format!("the catalog lists it, but it is no name: {error}"));
                None
            }
        };
        names.into_iter().filter_map(parse).collect()
    }

    /// Sweeps the known repositories that the catalog did not list.
    async fn unlisted(&mut self, mut after: Option<RepositoryName>) -> Result<(), Abort> {
        self.progress.enter(Phase::Unlisted);
        let in_catalog = match self.catalog.state {
            CatalogState::Listed | CatalogState::Disabled | CatalogState::NotRead => InCatalog::Unlisted,
            // What is not listed can only be told from a whole list.
            CatalogState::Failed => InCatalog::Unknown,
        };
        let questions = self.questions;
        // If the walk is cut, it goes on before the first one that is open.
        let mut kept = after.clone();
        let mut is_open = false;
        loop {
            let request = PageRequest { after, limit: ROWS };
            let page = questions.store.repositories(None, request).await?;
            let unlisted = page.items.into_iter().filter(|known| {
                !self.marks.has(known.name.as_str()) && !self.listed.has(known.name.as_str())
            });
            let unlisted: Vec<RepositoryName> = unlisted.map(|known| known.name).collect();
            let swept = futures_util::stream::iter(unlisted)
                .map(|name| sweep_repository(questions, self.progress, 0, name, in_catalog))
                .buffer_unordered(REPOSITORIES);
            let mut swept = std::pin::pin!(swept);
            while let Some((_, name, swept)) = swept.next().await {
                is_open |= !self.note(&name, swept?);
                self.keep_unlisted(kept.as_ref()).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
            if !is_open {
                kept.clone_from(&after);
            }
            self.keep_unlisted(kept.as_ref()).await?;
        }
    }

    /// Notes how far it is beyond the catalog, after this repository; but where something of the catalog is open, it goes
    /// on there.
    async fn keep_unlisted(&mut self, after: Option<&RepositoryName>) -> Result<(), Abort> {
        match self.open_page.as_ref().map(|page| page.from.clone()) {
            Some(page) => self.keep(Phase::Catalog, page.as_ref(), None).await,
            None => self.keep(Phase::Unlisted, None, after).await,
        }
    }

    /// Notes how far the walk is, and keeps that in the store now and then.
    async fn keep(
        &mut self,
        phase: Phase,
        page: Option<&Continuation>,
        after: Option<&RepositoryName>,
    ) -> Result<(), Abort> {
        let mut counts = self.progress.counts();
        counts.repositories = counts.repositories.saturating_sub(self.open.repositories);
        counts.problems = counts.problems.saturating_sub(self.open.problems);
        self.checkpoint.running = Some(Position {
            number: self.progress.number,
            kind: self.progress.kind,
            started: self.progress.started,
            kept: self.questions.registry.now(),
            phase,
            page: page.cloned(),
            after: after.cloned(),
            counts,
            catalog: self.catalog.clone(),
        });
        if self.kept.elapsed() < KEEP_EVERY {
            return Ok(());
        }
        self.kept = Instant::now();
        let lease = self.questions.lease.held()?;
        Ok(self.questions.store.keep_sweep(lease, self.checkpoint.update(self.marks, false)).await?)
    }
}

async fn sweep_repository(
    questions: &Questions,
    progress: &Progress,
    page: usize,
    name: RepositoryName,
    in_catalog: InCatalog,
) -> (usize, RepositoryName, Result<u64, Abort>) {
    let swept = RepositorySweep::new(questions, progress, &name, in_catalog).run().await;
    progress.repository();
    (page, name, swept)
}

async fn ask_for_page(questions: &Questions, from: Option<Continuation>) -> Result<Catalog, Abort> {
    let registry = &questions.registry;
    let asking = |limit| registry.catalog_page(from.as_ref(), limit);
    match questions.ask_for_page(registry.catalog_limit(), asking).await {
        Ok(page) => Ok(Catalog::Page(page)),
        Err(Unanswered::Abort(abort)) => Err(abort),
        Err(Unanswered::Registry(error)) => Ok(match error {
            RegistryError::Refused {
                status:
                    StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED,
                ..
            } => Catalog::Disabled(error),
            // What is known is asked about all the same, if there is anybody to ask.
            error if questions.is_there().await => Catalog::Failed(error),
            error => return Err(Abort::Down(error.to_string())),
        }),
        // Nobody writes to a catalog.
        Err(Unanswered::Busy | Unanswered::Unsettled) => {
            Ok(Catalog::Page(ListingPage { names: Vec::new(), next: None }))
        }
    }
}
