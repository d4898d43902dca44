//! Manifests that were found in the record, so that the next question about one need not open the tables of the file: of an answer
//! to a pull by digest that was a tenth of the work. One is remembered until the next commit, whatever that changes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oci::{Digest, RepositoryName};

/// How many are remembered. One takes the place of another whose digest ends alike.
const PLACES: usize = 1024;

/// Manifests that were found in the record.
#[derive(Debug)]
pub(super) struct HeldManifests {
    /// Counts what may have changed the record.
    state: AtomicU64,
    places: Box<[Mutex<Option<Held>>]>,
}

/// In which state of the record a manifest was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordState(u64);

#[derive(Debug)]
struct Held {
    state: RecordState,
    repository: RepositoryName,
    digest: Digest,
}

impl Default for HeldManifests {
    fn default() -> Self {
        Self { state: AtomicU64::new(0), places: (0..PLACES).map(|_| Mutex::default()).collect() }
    }
}

impl HeldManifests {
    /// The state of the record, or an older one. To be taken before a snapshot.
    pub(super) fn state(&self) -> RecordState {
        RecordState(self.state.load(Ordering::Acquire))
    }

    /// The record may have changed: nothing that was found before counts any more. To be called before anybody is told of the
    /// change.
    pub(super) fn forget(&self) {
        self.state.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether this manifest was found, and nothing has changed since.
    pub(super) fn has(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let state = self.state();
        self.place(digest).as_ref().is_some_and(|held| {
            held.state == state && held.digest == *digest && held.repository == *repository
        })
    }

    /// This manifest was found in a snapshot that is at least as new as this state.
    pub(super) fn remember(&self, state: RecordState, repository: &RepositoryName, digest: &Digest) {
        let held = Held { state, repository: repository.clone(), digest: digest.clone() };
        *self.place(digest) = Some(held);
    }

    fn place(&self, digest: &Digest) -> MutexGuard<'_, Option<Held>> {
        let end = digest.as_str().bytes().rev().take(8);
        let number =
            end.fold(0_usize, |number, byte| number.wrapping_mul(31).wrapping_add(usize::from(byte)));
        self.places[number % PLACES].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_remembered_for_its_repository_until_anything_changes() {
        let held = HeldManifests::default();
        let [one, other] = ["one", "other"].map(|name| RepositoryName::parse(name).unwrap());
        let [digest, another] = [Digest::sha256(b"1"), Digest::sha256(b"2")];
        held.remember(held.state(), &one, &digest);
        assert!(held.has(&one, &digest));
        assert!(!held.has(&other, &digest) && !held.has(&one, &another));
        held.forget();
        assert!(!held.has(&one, &digest));
    }

    #[test]
    fn what_was_found_before_a_change_is_not_remembered_behind_it() {
        let held = HeldManifests::default();
        let (repository, digest) = (RepositoryName::parse("one").unwrap(), Digest::sha256(b"1"));
        let before = held.state();
        held.forget();
        held.remember(before, &repository, &digest);
        assert!(!held.has(&repository, &digest));
    }
}
