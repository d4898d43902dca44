//! [`Events`] over maps.

use async_trait::async_trait;
use tokio::sync::watch;

use super::{MemoryStore, State};
use crate::clock::Timestamp;
use crate::store::record::MAXIMUM_PAGE;
use crate::store::{
    Epoch, Event, EventOrder, EventRange, Events, History, Missing, Page, Sequence, StoreError,
};

/// Looks at as many of these as are wanted.
fn part<'a>(events: impl Iterator<Item = &'a Event>, range: &EventRange) -> Page<Event, Sequence> {
    let mut events = events.peekable();
    let looked_at: Vec<&Event> = events.by_ref().take(range.rows.min(MAXIMUM_PAGE)).collect();
    let next = events.peek().and(looked_at.last()).map(|event| event.sequence);
    let items = looked_at.into_iter().filter(|event| range.times.contains(event.time)).cloned().collect();
    Page { items, next }
}

#[async_trait]
impl Events for MemoryStore {
    async fn events_in(&self, range: EventRange) -> Result<Page<Event, Sequence>, StoreError> {
        self.scan(|state| {
            let of_repository =
                |event: &&Event| range.repository.as_ref().is_none_or(|name| event.repository == *name);
            match range.order {
                EventOrder::OldestFirst => {
                    let behind = |event: &&Event| Some(event.sequence) > range.after;
                    part(state.events.values().filter(behind).filter(of_repository), &range)
                }
                EventOrder::NewestFirst => {
                    let behind = |event: &&Event| range.after.is_none_or(|after| event.sequence < after);
                    part(state.events.values().rev().filter(behind).filter(of_repository), &range)
                }
            }
        })
        .await
    }

    fn last_event(&self) -> watch::Receiver<Sequence> {
        self.state().last_event.subscribe()
    }

    async fn history(&self) -> Result<History, StoreError> {
        self.point(State::history)
    }

    async fn continues(&self, epoch: Epoch, position: Sequence) -> Result<bool, StoreError> {
        self.scan(|state| state.continues(epoch, position)).await
    }

    async fn found_removals(&self, since: Timestamp) -> Result<Missing, StoreError> {
        self.scan(|state| {
            let mut found = Missing::default();
            for event in state.events.values().rev().take_while(|event| event.time >= since) {
                found.count_removal(event);
            }
            found
        })
        .await
    }
}
