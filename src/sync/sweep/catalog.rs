//! The catalog, as far as a walk has read it: pages that are under way, and how it ended.

use std::collections::VecDeque;

use http::StatusCode;

use super::progress::{CatalogEnd, CatalogState};
use super::questions::{Abort, Questions, Unanswered};
use crate::oci::RepositoryName;
use crate::registry::{Continuation, ListingPage, RegistryError};
use crate::sync::listing::LoopGuard;

/// The next page is asked for when fewer repositories wait.
const WAITING: usize = 200;

/// The reading of the catalog, page by page.
pub(super) struct CatalogReading {
    /// The pages of which not everything is done, those before which there are such, and always the last one: it says where
    /// the listing went on.
    pages: VecDeque<Page>,
    /// The number of the first of them.
    first: usize,
    /// Repositories that are still to be gone through, with the numbers of their pages.
    waiting: VecDeque<(usize, RepositoryName)>,
    guard: LoopGuard,
    /// Whether no page has come yet of a listing that was to go on somewhere.
    goes_on: bool,
    /// Where to ask for the next page.
    next: Option<Option<Continuation>>,
    /// How it ended, if it did not end well.
    end: Option<CatalogEnd>,
}

/// A page that is not wholly done.
struct Page {
    /// Where the listing was asked to go on for it.
    from: Option<Continuation>,
    /// How many of its repositories are not done.
    left: usize,
}

/// What asking for a page came to.
pub(super) enum PageAnswer {
    Page(ListingPage),
    /// The registry has no catalog for this door.
    Disabled(RegistryError),
    Failed(RegistryError),
}

impl CatalogReading {
    /// Begins where a listing is to go on, or at its beginning.
    pub(super) fn from(from: Option<Continuation>) -> Self {
        Self {
            pages: VecDeque::new(),
            first: 0,
            waiting: VecDeque::new(),
            guard: LoopGuard::default(),
            goes_on: from.is_some(),
            next: Some(from),
            end: None,
        }
    }

    /// Where to ask for the next page, if it is time for it. It has to be asked for then.
    pub(super) fn next_page(&mut self) -> Option<Option<Continuation>> {
        let from = self.next.take_if(|_| self.waiting.len() < WAITING)?;
        self.pages.push_back(Page { from: from.clone(), left: 0 });
        Some(from)
    }

    /// The next repository to go through, with the number of its page.
    pub(super) fn next_repository(&mut self) -> Option<(usize, RepositoryName)> {
        self.waiting.pop_front()
    }

    /// The page has come that was asked for last. These repositories of it are not done; `has_news` tells whether it named
    /// any that no page before has named.
    pub(super) fn came(&mut self, left: Vec<RepositoryName>, next: Option<Continuation>, has_news: bool) {
        self.goes_on = false;
        let is_endless = self.guard.is_endless(next.as_ref(), has_news);
        if let Some(page) = self.pages.back_mut() {
            page.left = left.len();
        }
        let number = self.first + self.pages.len().saturating_sub(1);
        self.waiting.extend(left.into_iter().map(|name| (number, name)));
        if is_endless {
            let cause = Some("the catalog goes round in circles".to_owned());
            self.end = Some(CatalogEnd { state: CatalogState::Failed, cause });
        } else {
            self.next = next.map(Some);
        }
    }

    /// The page that was asked for last does not come.
    pub(super) fn failed(&mut self, state: CatalogState, error: &RegistryError) {
        if std::mem::take(&mut self.goes_on) {
            // Perhaps it does not know any more where it was to go on. What is done stays done.
            self.pages.clear();
            self.next = Some(None);
        } else {
            self.end = Some(CatalogEnd { state, cause: Some(error.to_string()) });
        }
    }

    /// A repository of the page with this number is done.
    pub(super) fn done(&mut self, page: usize) {
        if let Some(page) = page.checked_sub(self.first).and_then(|index| self.pages.get_mut(index)) {
            page.left -= 1;
        }
    }

    /// Where the first page was asked for of which not everything is done, as far as was asked; else the last one.
    pub(super) fn place(&mut self) -> Option<Option<&Continuation>> {
        while self.pages.len() > 1 && self.pages.front().is_some_and(|page| page.left == 0) {
            self.pages.pop_front();
            self.first += 1;
        }
        self.pages.front().map(|page| page.from.as_ref())
    }

    /// How it ended; and where the first page was asked for of which something is left for good, if there is one.
    pub(super) fn end(self) -> (CatalogEnd, Option<Option<Continuation>>) {
        let open = self.pages.into_iter().find(|page| page.left > 0);
        (self.end.unwrap_or_default(), open.map(|page| page.from))
    }
}

/// Asks for the page that is listed from there on.
pub(super) async fn ask_for_page(
    questions: &Questions,
    from: Option<Continuation>,
) -> Result<PageAnswer, Abort> {
    let registry = &questions.registry;
    let asking = |limit| registry.catalog_page(from.as_ref(), limit);
    match questions.ask_for_page(registry.catalog_limit(), asking).await {
        Ok(page) => Ok(PageAnswer::Page(page)),
        Err(Unanswered::Abort(abort)) => Err(abort),
        Err(Unanswered::Registry(error)) => Ok(match error {
            RegistryError::Refused {
                status:
                    StatusCode::UNAUTHORIZED
                    | StatusCode::FORBIDDEN
                    | StatusCode::NOT_FOUND
                    | StatusCode::METHOD_NOT_ALLOWED,
                ..
            } => PageAnswer::Disabled(error),
            // What is known is asked about all the same, if there is anybody to ask.
            error if questions.is_there().await => PageAnswer::Failed(error),
            error => return Err(Abort::Down(error.to_string())),
        }),
        // Nobody writes to a catalog.
        Err(Unanswered::Busy | Unanswered::Unsettled) => {
            Ok(PageAnswer::Page(ListingPage { names: Vec::new(), next: None }))
        }
    }
}
