//! Reading what a caller wants and may see of the history, part by part: no answer looks at more than a bounded number of
//! events, however few of them it shows.

use super::filter::EventFilter;
use super::sight::Sight;
use crate::store::{Event, EventOrder, Events, Page, PageRequest, Sequence, StoreError};

/// So many events one answer looks at at most. It has a `next` all the same.
const MOST_ROWS: usize = 10_000;
/// So many are read at once.
const PART: usize = 1_000;

/// A page of the events that are wanted and seen. It may have fewer than asked for, even none, and a `next`.
pub(super) async fn read(
    events: &(impl Events + ?Sized),
    filter: &EventFilter,
    sight: &mut Sight,
    order: EventOrder,
    page: PageRequest<Sequence>,
) -> Result<Page<Event, Sequence>, StoreError> {
    let shows_each = filter.takes_all() && sight.is_unlimited();
    let mut found = Vec::new();
    let (mut after, mut left) = (page.after, MOST_ROWS);
    loop {
        // Where each is shown, no more are read than are wanted.
        let rows = if shows_each { page.limit - found.len() } else { PART.min(left) };
        let part = events.events_in(filter.range(order, after, rows)).await?;
        let mut items = part.items.into_iter().peekable();
        while let Some(event) = items.next() {
            if !filter.takes(&event) || !sight.sees(&event) {
                continue;
            }
            let number = event.sequence;
            found.push(event);
            if found.len() == page.limit {
                let next = if items.peek().is_some() { Some(number) } else { part.next };
                return Ok(Page { items: found, next });
            }
        }
        left = left.saturating_sub(rows);
        if part.next.is_none() || left == 0 {
            return Ok(Page { items: found, next: part.next });
        }
        after = part.next;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use tokio::sync::watch;

    use super::*;
    use crate::auth::Viewer;
    use crate::clock::Timestamp;
    use crate::oci::{RepositoryName, Tag};
    use crate::store::{Actor, Epoch, EventKind, EventRange, History, Missing, Source};

    /// So many events about as many tags, of which it is noted how many were asked for.
    struct Numbered {
        last: u64,
        rows: Mutex<usize>,
    }

    #[async_trait]
    impl Events for Numbered {
        async fn events_in(&self, range: EventRange) -> Result<Page<Event, Sequence>, StoreError> {
            *self.rows.lock().unwrap() += range.rows;
            let from = range.after.map_or(1, |after| after.get() + 1);
            let to = self.last.min(from + range.rows as u64 - 1);
            let items = (from..=to).map(event).collect();
            Ok(Page { items, next: (to < self.last).then(|| Sequence::new(to)) })
        }

        fn last_event(&self) -> watch::Receiver<Sequence> {
            watch::Sender::new(Sequence::ZERO).subscribe()
        }

        async fn history(&self) -> Result<History, StoreError> {
            Err(StoreError::Closed)
        }

        async fn continues(&self, _: Epoch, _: Sequence) -> Result<bool, StoreError> {
            Err(StoreError::Closed)
        }

        async fn found_removals(&self, _: Timestamp) -> Result<Missing, StoreError> {
            Err(StoreError::Closed)
        }
    }

    fn event(number: u64) -> Event {
        Event {
            sequence: Sequence::new(number),
            time: Timestamp::from_milliseconds(number),
            kind: EventKind::TagDeleted,
            source: Source::Observed,
            repository: RepositoryName::parse("r").unwrap(),
            tag: Some(Tag::parse(&format!("t{number}")).unwrap()),
            digest: None,
            previous: None,
            media_type: None,
            actor: Actor::default(),
        }
    }

    async fn page(
        events: &Numbered,
        query: &str,
        viewer: Viewer,
        page: (u64, usize),
    ) -> (Vec<u64>, Option<u64>) {
        let parameters = crate::web::parameters::Parameters::parse(Some(query), &["tag"]).unwrap();
        let filter = EventFilter::read(&parameters, true).unwrap();
        let page = PageRequest { after: Some(Sequence::new(page.0)), limit: page.1 };
        let mut sight = Sight::of(viewer);
        let read = read(events, &filter, &mut sight, EventOrder::OldestFirst, page).await.unwrap();
        (read.items.iter().map(|event| event.sequence.get()).collect(), read.next.map(Sequence::get))
    }

    #[tokio::test]
    async fn an_answer_looks_at_a_bounded_number_of_events_and_says_where_to_go_on() {
        let events = Numbered { last: 25_000, rows: Mutex::default() };
        let rows = || std::mem::take(&mut *events.rows.lock().unwrap());
        let all = Viewer::Unrestricted;
        assert_eq!(page(&events, "", all.clone(), (0, 3)).await, (vec![1, 2, 3], Some(3)));
        assert_eq!(rows(), 3, "no more than are shown");
        assert_eq!(page(&events, "tag=t24000", all.clone(), (0, 3)).await, (vec![], Some(10_000)));
        assert_eq!(rows(), 10_000);
        assert_eq!(page(&events, "tag=t24000", all.clone(), (10_000, 3)).await, (vec![], Some(20_000)));
        assert_eq!(page(&events, "tag=t24000", all.clone(), (20_000, 3)).await, (vec![24_000], None));
        // Behind the last one that is wanted there is more to look at.
        assert_eq!(page(&events, "tag=t5", all.clone(), (0, 1)).await, (vec![5], Some(5)));
        assert_eq!(page(&events, "", all.clone(), (24_999, 1)).await, (vec![25_000], None));
        // Who may see nothing goes through all of it in steps as small.
        rows();
        assert_eq!(page(&events, "", Viewer::Anonymous, (0, 3)).await, (vec![], Some(10_000)));
        assert_eq!(rows(), 10_000);
    }
}
