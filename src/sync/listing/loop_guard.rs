//! Listings that never end: pages that lead back to earlier ones, or on and on to nothing new.

use super::marks::Marks;
use crate::registry::Continuation;

/// How many pages in a row may name nothing new. Some registries leave out of each page what the door may not see.
const BARREN_PAGES: usize = 1_000;

/// Watches over the pages of one listing.
#[derive(Debug, Default)]
pub(in crate::sync) struct LoopGuard {
    /// Where pages have led.
    followed: Marks,
    /// Pages in a row that named nothing new.
    barren: usize,
}

impl LoopGuard {
    /// Notes a page: where it leads, and whether it named anything new. Answers whether the listing never ends, so that
    /// the caller must not follow it any further.
    pub(in crate::sync) fn is_endless(&mut self, next: Option<&Continuation>, has_news: bool) -> bool {
        let Some(next) = next else { return false };
        self.barren = if has_news { 0 } else { self.barren + 1 };
        self.barren == BARREN_PAGES || !self.followed.mark(next.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(number: usize) -> Continuation {
        serde_json::from_value(format!("v2/_catalog?last={number}").into()).unwrap()
    }

    #[test]
    fn a_page_that_leads_back_makes_the_listing_endless_whatever_it_names() {
        let mut guard = LoopGuard::default();
        assert!(!guard.is_endless(Some(&to(1)), true));
        assert!(!guard.is_endless(Some(&to(2)), true));
        assert!(guard.is_endless(Some(&to(1)), true));
    }

    #[test]
    fn pages_that_lead_on_to_nothing_new_do_so_for_long_but_not_for_ever() {
        let mut guard = LoopGuard::default();
        let stopped = (0..).position(|number| guard.is_endless(Some(&to(number)), false));
        assert_eq!(stopped, Some(BARREN_PAGES - 1));
        assert!(!guard.is_endless(None, false), "the last page ends every listing");
    }
}
