//! [`AuthLog`] over maps.

use std::convert::Infallible;

use async_trait::async_trait;

use super::{MemoryStore, State, page};
use crate::store::{AuthEvent, AuthEventKind, AuthLog, Page, PageRequest, Retention, Sequence, StoreError};

impl State {
    /// Keeps an event of the gate: in the place of the one that is known, if it is still there.
    fn add_auth_event(&mut self, known: Option<Sequence>, event: AuthEvent) -> Sequence {
        let kept =
            known.filter(|known| self.auth_events.get(known).is_some_and(|kept| kept.kind == event.kind));
        let number = kept.unwrap_or_else(|| {
            self.last_auth_event = self.last_auth_event.next();
            self.last_auth_event
        });
        self.auth_events.insert(number, event);
        number
    }

    fn purge_auth_events(&mut self, keep: Retention) {
        for kind in AuthEventKind::ALL {
            let kept = self.auth_events.iter().filter(|(_, event)| event.kind == kind);
            let count = kept.clone().count() as u64;
            let times = kept.map(|(number, event)| Ok::<_, Infallible>((*number, event.time)));
            let Ok(gone) = keep.purged(kind, count, times);
            for number in gone {
                self.auth_events.remove(&number);
            }
        }
    }
}

#[async_trait]
impl AuthLog for MemoryStore {
    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError> {
        self.write("write down what happened at the gate", |state| {
            let numbers =
                events.into_iter().map(|(known, event)| state.add_auth_event(known, event)).collect();
            state.purge_auth_events(keep);
            numbers
        })
        .await
    }

    async fn auth_events(
        &self,
        request: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(|state| {
            let events = state.auth_events.iter().filter(|(number, _)| Some(**number) > request.after);
            page(events.map(|(number, event)| (*number, (*number, event.clone()))), request.limit)
        })
        .await
    }

    async fn latest_auth_events(
        &self,
        kind: AuthEventKind,
        request: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError> {
        self.scan(|state| {
            let before = request.after.unwrap_or(Sequence::new(u64::MAX));
            let events = state.auth_events.range(..before).rev().filter(|(_, event)| event.kind == kind);
            page(events.map(|(number, event)| (*number, (*number, event.clone()))), request.limit)
        })
        .await
    }
}
