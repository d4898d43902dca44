//! How many names a page of a listing is asked to have: as many as distribution gives at most, fewer where the registry
//! refuses so many, and fewer for a while where it does not manage so many.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;

use super::{RegistryError, TransportError};
use crate::clock::Backoff;

/// How many names are asked for. None at all leaves it to the registry; that comes of refusals alone.
const PAGE_SIZES: [Option<usize>; 4] = [Some(1_000), Some(100), Some(10), None];
/// How long pages stay small before a larger one is tried.
const SMALL_FOR: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(60 * 60));

/// How many names a page may have: one of a few sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageLimit(usize);

impl PageLimit {
    /// A smaller one, if the registry failed in a way that a smaller page may not: it did not answer in time, it failed, or
    /// the page was too long or broke off.
    pub fn smaller_after(self, error: &RegistryError) -> Option<Self> {
        let may_be_too_much = match error {
            RegistryError::TimedOut { .. } | RegistryError::Broken { .. } => true,
            RegistryError::Unreachable { source, .. } => match source {
                TransportError::Lost(_) | TransportError::TimedOut(_) => true,
                TransportError::Connect(_) | TransportError::GivenUp(_) => false,
            },
            RegistryError::Refused { status, .. } => {
                status.is_server_error() && *status != StatusCode::NOT_IMPLEMENTED
            }
            RegistryError::Malformed { .. }
            | RegistryError::NotSigned { .. }
            | RegistryError::NoBackend { .. } => false,
        };
        let smaller = Self(self.0 + 1);
        (may_be_too_much && smaller.names().is_some()).then_some(smaller)
    }

    /// The next one for a registry that refuses this number.
    pub(super) fn after_refusal(self) -> Option<Self> {
        (self.0 + 1 < PAGE_SIZES.len()).then_some(Self(self.0 + 1))
    }

    /// The number of names to ask for.
    pub(super) fn names(self) -> Option<usize> {
        PAGE_SIZES.get(self.0).copied().flatten()
    }
}

/// What is known of one kind of listing.
#[derive(Debug, Default)]
pub(super) struct PageSize(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The largest that was not refused.
    accepted: usize,
    /// The largest that the registry managed of late, where that is smaller.
    managed: Option<Managed>,
}

#[derive(Clone, Copy, Debug)]
struct Managed {
    size: usize,
    /// When a larger one is tried.
    until: Instant,
    /// How often larger pages failed in a row.
    failures: u32,
}

impl PageSize {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be asked for now.
    pub(super) fn limit(&self) -> PageLimit {
        let known = self.lock();
        let size = match known.managed {
            Some(managed) if managed.until > Instant::now() => managed.size,
            Some(managed) => managed.size - 1,
            None => 0,
        };
        PageLimit(size.max(known.accepted))
    }

    /// Whether this is less than what the registry accepts, since it did not manage that.
    pub(super) fn is_small(&self, limit: PageLimit) -> bool {
        limit.0 > self.lock().accepted
    }

    /// Notes that the registry does not refuse this.
    pub(super) fn note_accepted(&self, limit: PageLimit) {
        self.lock().accepted = limit.0;
    }

    /// Notes that a whole page with so many names came of this.
    pub(super) fn note_received(&self, limit: PageLimit, names: usize) {
        let mut known = self.lock();
        let now = Instant::now();
        let fresh = Managed { size: limit.0, until: now + SMALL_FOR.pause(1), failures: 1 };
        let is_small = limit.0 > known.accepted;
        known.managed = match known.managed {
            None => is_small.then_some(fresh),
            Some(managed) if limit.0 > managed.size => Some(fresh),
            // A larger one was tried, in vain.
            Some(managed) if limit.0 == managed.size && managed.until <= now => {
                let failures = managed.failures.saturating_add(1);
                Some(Managed { until: now + SMALL_FOR.pause(failures), failures, ..managed })
            }
            // A short page tells nothing of long ones.
            Some(managed)
                if limit.0 < managed.size
                    && PageLimit(managed.size).names().is_some_and(|most| names > most) =>
            {
                is_small.then_some(fresh)
            }
            managed => managed,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BodyError, Causes, MalformedAnswer};
    use super::*;

    fn names(size: &PageSize) -> Option<usize> {
        size.limit().names()
    }

    fn smaller(limit: PageLimit) -> PageLimit {
        let error = RegistryError::TimedOut { asked: String::new(), limit: Duration::ZERO };
        limit.smaller_after(&error).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_managed_is_asked_for_until_a_larger_page_is_tried_less_and_less_often() {
        let size = PageSize::default();
        let hundred = smaller(size.limit());
        size.note_received(hundred, 100);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let begun = Instant::now();
            while names(&size) == Some(100) {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
            // It fails again.
            size.note_received(hundred, 100);
            assert_eq!(names(&size), Some(100));
            waits.push(begun.elapsed().as_secs());
        }
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
        tokio::time::advance(SMALL_FOR.max).await;
        let larger = size.limit();
        assert_eq!(larger.names(), Some(1_000));
        size.note_received(larger, 1_000);
        tokio::time::advance(SMALL_FOR.max).await;
        assert_eq!(names(&size), Some(1_000), "it is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_page_does_not_show_that_long_ones_are_managed() {
        let size = PageSize::default();
        let (thousand, hundred) = (size.limit(), smaller(size.limit()));
        size.note_received(hundred, 100);
        for names_on_it in [0, 3, 100] {
            size.note_received(thousand, names_on_it);
            assert_eq!(names(&size), Some(100), "{names_on_it}");
        }
        size.note_received(thousand, 101);
        assert_eq!(names(&size), Some(1_000));
    }

    #[tokio::test(start_paused = true)]
    async fn pages_grow_step_by_step_and_never_beyond_what_is_refused() {
        let size = PageSize::default();
        size.note_accepted(PageLimit(1));
        let ten = smaller(size.limit());
        assert_eq!(ten.names(), Some(10));
        size.note_received(ten, 10);
        tokio::time::advance(SMALL_FOR.min).await;
        let hundred = size.limit();
        assert_eq!(hundred.names(), Some(100));
        size.note_received(hundred, 100);
        tokio::time::advance(SMALL_FOR.max).await;
        assert_eq!(names(&size), Some(100));
    }

    #[test]
    fn only_what_a_smaller_page_may_mend_makes_pages_smaller_and_not_without_end() {
        let asked = String::new;
        let refused = |status: u16| RegistryError::Refused {
            asked: asked(),
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
        };
        let broken = |source| RegistryError::Broken { asked: asked(), source };
        let unreachable = |source| RegistryError::Unreachable { asked: asked(), source };
        let first = PageLimit(0);
        for error in [
            refused(500),
            refused(502),
            refused(503),
            refused(504),
            broken(BodyError::TooLong(1)),
            broken(BodyError::TimedOut(Duration::ZERO)),
            broken(BodyError::Endless(Duration::ZERO)),
            broken(BodyError::Broken(Causes::default())),
            unreachable(TransportError::Lost(Causes::default())),
        ] {
            let hundred = first.smaller_after(&error).unwrap();
            let ten = hundred.smaller_after(&error).unwrap();
            assert_eq!([hundred, ten].map(PageLimit::names), [Some(100), Some(10)], "{error}");
            assert_eq!(ten.smaller_after(&error), None, "{error}");
        }
        for error in [
            refused(400),
            refused(401),
            refused(404),
            refused(429),
            refused(501),
            unreachable(TransportError::Connect(Causes::default())),
            RegistryError::Malformed { asked: asked(), source: MalformedAnswer::ForeignNotFound },
        ] {
            assert_eq!(first.smaller_after(&error), None, "{error}");
        }
    }
}
