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

use super::checkpoint::{self, Checkpoint, Position};
use super::marks::Marks;
use super::progress::{CatalogState, Phase, Progress};
use super::questions::{Abort, Questions, Unanswered};
use super::repository::RepositorySweep;
use crate::clock::Timestamp;
use crate::oci::RepositoryName;
use crate::registry::{Continuation, ListingPage, RegistryError};
use crate::store::PageRequest;

/// How often a checkpoint is kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How many repositories are gone through at once: more than may be asked about at once, since some wait for the store.
const REPOSITORIES: usize = 48;
/// The next page of the catalog is asked for when fewer repositories wait.
const WAITING: usize = 200;
/// How many known repositories are read at once.
const ROWS: usize = 500;
/// How many pages in a row may name nothing that is not done before the catalog is taken to go round in circles. Where a
/// sweep goes on, some pages are done already.
const BARREN_PAGES: usize = 1_000;

/// The walk of one sweep.
pub(super) struct Walk<'a> {
    pub questions: &'a Questions,
    pub progress: &'a Progress,
    /// Repositories that are done.
    pub marks: &'a mut Marks,
    pub checkpoint: &'a mut Checkpoint,
    pub kept: Instant,
}

/// A page of the catalog that is not wholly done.
struct Page {
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
    /// Walks to the end. Answers what the catalog was good for, and why it was not good for more.
    pub async fn run(&mut self) -> Result<(CatalogState, Option<String>), Abort> {
        let position = self.checkpoint.running.clone();
        let (phase, page, after) =
            position.map_or((Phase::Catalog, None, None), |at| (at.phase, at.page, at.after));
        let mut catalog = (CatalogState::Listed, None);
        if phase == Phase::Catalog {
            catalog = self.catalog(page).await?;
            // What is not listed can only be told from a whole list.
            if catalog.0 == CatalogState::Failed {
                return Ok(catalog);
            }
        }
        self.unlisted(after).await?;
        Ok(catalog)
    }

    async fn catalog(&mut self, from: Option<Continuation>) -> Result<(CatalogState, Option<String>), Abort> {
        self.progress.enter(Phase::Catalog);
        let questions = self.questions;
        let ask = |from: Option<Continuation>| Box::pin(ask_for_page(questions, from));
        let mut pages: VecDeque<Page> = VecDeque::new();
        let mut waiting: VecDeque<(usize, RepositoryName)> = VecDeque::new();
        let mut running = FuturesUnordered::new();
        let (mut first, mut barren) = (0, 0);
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
                running.push(sweep_repository(questions, self.progress, page, name, true));
            }
            if asking.is_none() && running.is_empty() {
                return Ok(ended.unwrap_or((CatalogState::Listed, None)));
            }
            let answer = OptionFuture::from(asking.as_mut());
            tokio::select! {
                biased;
                Some(answer) = answer => {
                    asking = None;
                    match answer? {
                        Catalog::Page(page) => {
                            let number = first + pages.len() - 1;
                            // Done already: before the sweep was cut, or on an earlier page.
                            let mut names = self.names(page.names);
                            names.retain(|name| !self.marks.has(name.as_str()));
                            barren = if names.is_empty() { barren + 1 } else { 0 };
                            if let Some(open) = pages.back_mut() {
                                open.left = names.len();
                            }
                            waiting.extend(names.into_iter().map(|name| (number, name)));
                            next = page.next.map(Some);
                            if barren == BARREN_PAGES && next.take().is_some() {
                                let cause = "the catalog goes round in circles".to_owned();
                                ended = Some((CatalogState::Failed, Some(cause)));
                            }
                        }
                        Catalog::Disabled(error) => {
                            ended = Some((CatalogState::Disabled, Some(error.to_string())));
                        }
                        Catalog::Failed(error) => {
                            ended = Some((CatalogState::Failed, Some(error.to_string())));
                        }
                    }
                }
                Some((page, name, swept)) = running.next() => {
                    swept?;
                    self.marks.mark(name.as_str());
                    if let Some(page) = pages.get_mut(page - first) {
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
        let questions = self.questions;
        loop {
            let request = PageRequest { after, limit: ROWS };
            let page = questions.store.repositories(None, request).await?;
            let unlisted = page.items.into_iter().filter(|known| !self.marks.has(known.name.as_str()));
            let unlisted: Vec<RepositoryName> = unlisted.map(|known| known.name).collect();
            let swept = futures_util::stream::iter(unlisted)
                .map(|name| sweep_repository(questions, self.progress, 0, name, false))
                .buffer_unordered(REPOSITORIES);
            let mut swept = std::pin::pin!(swept);
            while let Some((_, _, swept)) = swept.next().await {
                swept?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
            self.keep(Phase::Unlisted, None, after.as_ref()).await?;
        }
    }

    /// Keeps a checkpoint, now and then.
    async fn keep(
        &mut self,
        phase: Phase,
        page: Option<&Continuation>,
        after: Option<&RepositoryName>,
    ) -> Result<(), Abort> {
        if self.kept.elapsed() < KEEP_EVERY {
            return Ok(());
        }
        self.kept = Instant::now();
        self.checkpoint.running = Some(Position {
            kind: self.progress.kind,
            started: self.progress.started,
            kept: Timestamp::now(),
            phase,
            page: page.cloned(),
            after: after.cloned(),
            counts: self.progress.counts(),
        });
        Ok(checkpoint::keep(self.questions.store.as_ref(), self.checkpoint, self.marks).await?)
    }
}

async fn sweep_repository(
    questions: &Questions,
    progress: &Progress,
    page: usize,
    name: RepositoryName,
    is_listed: bool,
) -> (usize, RepositoryName, Result<(), Abort>) {
    let swept = RepositorySweep::new(questions, progress, &name, is_listed).run().await;
    progress.repository();
    (page, name, swept)
}

async fn ask_for_page(questions: &Questions, from: Option<Continuation>) -> Result<Catalog, Abort> {
    let asking = || async { Ok(questions.registry.catalog(from.as_ref()).await?) };
    match questions.ask(asking).await {
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
            error => Catalog::Failed(error),
        }),
        // Nobody writes to a catalog.
        Err(Unanswered::Busy) => Ok(Catalog::Page(ListingPage { names: Vec::new(), next: None })),
    }
}
