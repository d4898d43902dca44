//! The first ones of many, without sorting them all.

use std::collections::BinaryHeap;

/// Keeps the smallest of what it is offered, at most a given number.
#[derive(Debug)]
pub(super) struct Selection<T> {
    limit: usize,
    /// The largest on top.
    kept: BinaryHeap<T>,
}

impl<T: Ord> Selection<T> {
    /// One that keeps at most so many.
    pub(super) fn of(limit: usize) -> Self {
        Self { limit, kept: BinaryHeap::new() }
    }

    /// The largest of what is kept, once there is no room for more: only what is smaller still has a place.
    pub(super) fn bar(&self) -> Option<&T> {
        self.kept.peek().filter(|_| self.kept.len() >= self.limit)
    }

    /// Keeps it, if it is among the smallest so far.
    pub(super) fn offer(&mut self, item: T) {
        if self.kept.len() < self.limit {
            self.kept.push(item);
        } else if let Some(mut largest) = self.kept.peek_mut()
            && item < *largest
        {
            *largest = item;
        }
    }

    /// What is kept, the smallest first.
    pub(super) fn into_sorted(self) -> Vec<T> {
        self.kept.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_smallest_are_kept_in_order(items in prop::collection::vec(0..50_u8, 0..100), limit in 0..20_usize) {
            let mut selection = Selection::of(limit);
            for item in &items {
                if selection.bar().is_none_or(|bar| item < bar) {
                    selection.offer(*item);
                }
            }
            let mut sorted = items;
            sorted.sort_unstable();
            sorted.truncate(limit);
            prop_assert_eq!(selection.into_sorted(), sorted);
        }
    }
}
