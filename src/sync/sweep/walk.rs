//! The walk of a sweep through all repositories: first those that the catalog lists, then the known ones that it does
//! not. Keeps a checkpoint on the way.

use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::catalog::{CatalogReading, PageAnswer, ask_for_page};
use super::checkpoint::{Checkpoint, Position};
use super::progress::{CatalogEnd, CatalogState, Phase, Progress};
use super::questions::{Abort, Questions};
use super::repository::{InCatalog, RepositorySweep};
use crate::oci::RepositoryName;
use crate::registry::Continuation;
use crate::store::PageRequest;
use crate::sync::listing::{KeptMarks, Marks};

/// How often a checkpoint is kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How many repositories are gone through at once: more than may be asked about at once, since some wait for the store.
const REPOSITORIES: usize = 48;
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
    /// Where the first page of the catalog with one of them was asked for, where the walk goes on then, wherever else it was.
    pub open_page: Option<Option<Continuation>>,
}

/// See [`Walk::open`].
#[derive(Clone, Copy, Default)]
pub(super) struct Open {
    repositories: u64,
    problems: u64,
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

    /// Goes through the repositories that the catalog lists from there on, while it is read.
    async fn catalog(&mut self, from: Option<Continuation>) -> Result<CatalogEnd, Abort> {
        self.progress.enter(Phase::Catalog);
        let (questions, progress) = (self.questions, self.progress);
        let mut reading = CatalogReading::from(from);
        let mut running = FuturesUnordered::new();
        let mut asking: Option<Pin<Box<_>>> = None;
        loop {
            if asking.is_none()
                && let Some(from) = reading.next_page()
            {
                asking = Some(Box::pin(ask_for_page(questions, from)));
            }
            while running.len() < REPOSITORIES
                && let Some((page, name)) = reading.next_repository()
            {
                running.push(sweep_repository(questions, progress, page, name, InCatalog::Listed));
            }
            if asking.is_none() && running.is_empty() {
                let (end, open_page) = reading.end();
                self.open_page = open_page;
                return Ok(end);
            }
            let answer = OptionFuture::from(asking.as_mut());
            tokio::select! {
                biased;
                Some(answer) = answer => {
                    asking = None;
                    self.note_page(&mut reading, answer?);
                }
                Some((page, name, swept)) = running.next() => {
                    if self.note(&name, swept?) {
                        reading.done(page);
                    }
                }
            }
            if let Some(page) = reading.place() {
                self.keep(Phase::Catalog, page, None).await?;
            }
        }
    }

    /// Notes what asking for a page of the catalog came to.
    fn note_page(&mut self, reading: &mut CatalogReading, answer: PageAnswer) {
        match answer {
            PageAnswer::Page(page) => {
                let mut names = self.names(page.names);
                names.retain(|name| self.listed.mark(name.as_str()));
                let has_news = !names.is_empty();
                // Done before the sweep was cut.
                names.retain(|name| !self.marks.has(name.as_str()));
                self.progress.listed(names.len());
                reading.came(names, page.next, has_news);
            }
            PageAnswer::Disabled(error) => reading.failed(CatalogState::Disabled, &error),
            PageAnswer::Failed(error) => reading.failed(CatalogState::Failed, &error),
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
        match self.open_page.clone() {
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
