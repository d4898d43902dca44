//! Listings that come to no end: pages that lead back to earlier ones, or on and on to nothing new.

use super::sweep::Marks;
use crate::registry::Continuation;

/// How many pages in a row may name nothing new. Some registries leave out of each page what the door may not see.
const BARREN_PAGES: usize = 1_000;

/// Watches over the pages of one listing.
#[derive(Debug, Default)]
pub(super) struct Circles {
    /// Where pages have led.
    followed: Marks,
    /// Pages in a row that named nothing new.
    barren: usize,
}

impl Circles {
    /// Notes a page: where it leads, and whether it named anything new. Answers whether the listing goes round in
    /// circles, so that nobody should follow it any more.
    pub fn close_with(&mut self, next: Option<&Continuation>, has_news: bool) -> bool {
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
    fn a_page_that_leads_back_closes_the_circle_whatever_it_names() {
        let mut circles = Circles::default();
        assert!(!circles.close_with(Some(&to(1)), true));
        assert!(!circles.close_with(Some(&to(2)), true));
        assert!(circles.close_with(Some(&to(1)), true));
    }

    #[test]
    fn pages_that_lead_on_to_nothing_new_do_so_for_long_but_not_for_ever() {
        let mut circles = Circles::default();
        let closed = (0..).position(|number| circles.close_with(Some(&to(number)), false));
        assert_eq!(closed, Some(BARREN_PAGES - 1));
        assert!(!circles.close_with(None, false), "the last page ends every listing");
    }
}
