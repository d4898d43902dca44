//! [`Hints`] over maps.

use async_trait::async_trait;

use super::{MemoryStore, page};
use crate::store::hint::MAXIMUM_HINTS;
use crate::store::{Hint, HintedReference, Hints, Lease, Page, PageRequest, Queued, StoreError};

#[async_trait]
impl Hints for MemoryStore {
    async fn add_hints(&self, hints: Vec<HintedReference>) -> Result<Queued, StoreError> {
        self.write("keep hints", |state| {
            if state.hints.len() + hints.len() > MAXIMUM_HINTS {
                return Queued::Full;
            }
            let mut kept = Vec::with_capacity(hints.len());
            for about in hints {
                state.last_hint += 1;
                let hint = Hint::new(about, state.last_hint);
                state.hints.insert(key_of(&hint.about), hint.clone());
                kept.push(hint);
            }
            Queued::Kept(kept)
        })
        .await
    }

    async fn hints(
        &self,
        request: PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, StoreError> {
        self.scan(|state| {
            let after = request.after.as_ref().map(key_of);
            let hints = state.hints.iter().filter(|(key, _)| Some(*key) > after.as_ref());
            page(hints.map(|(_, hint)| (hint.about.clone(), hint.clone())), request.limit)
        })
        .await
    }

    async fn postpone_hints(&self, lease: Lease, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write_under(lease, "put down when hints are looked at next", |state| {
            for hint in hints {
                let kept = state.hints.get_mut(&key_of(&hint.about));
                if let Some(kept) = kept.filter(|kept| kept.number == hint.number) {
                    *kept = hint;
                }
            }
        })
        .await
    }

    async fn remove_hints(&self, hints: Vec<Hint>) -> Result<(), StoreError> {
        self.write("remove hints", |state| {
            for hint in hints {
                let key = key_of(&hint.about);
                if state.hints.get(&key).is_some_and(|kept| kept.number == hint.number) {
                    state.hints.remove(&key);
                }
            }
        })
        .await
    }
}

fn key_of(about: &HintedReference) -> (String, String) {
    (about.repository.as_str().to_owned(), about.reference.as_str().to_owned())
}
