//! Parts of the history, and who follows it.

use super::{AnyStore, find, history, push};
use crate::store::sample::{at, deletion_of_tag, image, repository, tag};
use crate::store::{Change, Event, EventOrder, EventRange, Sequence, Source, TimeSpan};

/// Reads a part of the history to its end, so many rows at a time.
pub(in crate::store) async fn read_to_the_end(store: &AnyStore, range: &EventRange) -> (Vec<Event>, usize) {
    let (mut range, mut found, mut parts) = (range.clone(), Vec::new(), 0);
    loop {
        let part = store.events_in(range.clone()).await.unwrap();
        assert!(part.items.len() <= range.rows);
        found.extend(part.items);
        parts += 1;
        let Some(next) = part.next else { return (found, parts) };
        assert!(Some(next) != range.after, "it goes on");
        range.after = Some(next);
    }
}

/// What a part of a history is.
pub(in crate::store) fn expected(all: &[Event], range: &EventRange) -> Vec<Event> {
    let is_wanted = |event: &&Event| {
        range.repository.as_ref().is_none_or(|name| event.repository == *name)
            && range.times.since.is_none_or(|since| event.time >= since)
            && range.times.until.is_none_or(|until| event.time < until)
    };
    let mut events: Vec<Event> = all.iter().filter(is_wanted).cloned().collect();
    if range.order == EventOrder::NewestFirst {
        events.reverse();
    }
    events
}

pub(in crate::store) async fn parts_of_the_history_add_up_to_it_in_either_order_whatever_the_clock_did(
    store: AnyStore,
) {
    // The clock leaps ahead, is set back, and runs.
    for (number, time) in [10, 20, 90, 95, 30, 5, 40, 41, 42, 60].into_iter().enumerate() {
        let name = ["a", "b"][number % 2];
        push(&store, name, &image(&number.to_string(), &[]), &["t"], time).await;
    }
    let all = history(&store).await;
    let times = [None, Some(0), Some(30), Some(41), Some(95), Some(1_000)];
    for order in [EventOrder::OldestFirst, EventOrder::NewestFirst] {
        for name in [None, Some("b"), Some("nowhere")] {
            for since in times {
                for until in times {
                    for rows in [1, 3, 1_000] {
                        let times = TimeSpan { since: since.map(at), until: until.map(at) };
                        let repository = name.map(repository);
                        let range = EventRange { repository, order, after: None, times, rows };
                        let (found, _) = read_to_the_end(&store, &range).await;
                        assert_eq!(found, expected(&all, &range), "{range:?}");
                    }
                }
            }
        }
    }
    let behind = |order, number| EventRange { order, after: Some(number), rows: 9, ..EventRange::default() };
    let last = all.last().unwrap().sequence;
    for (order, number, found) in [
        (EventOrder::OldestFirst, last, 0),
        (EventOrder::OldestFirst, Sequence::new(u64::MAX), 0),
        (EventOrder::NewestFirst, all[0].sequence, 0),
        (EventOrder::NewestFirst, Sequence::ZERO, 0),
        (EventOrder::NewestFirst, all[1].sequence, 1),
    ] {
        let part = store.events_in(behind(order, number)).await.unwrap();
        assert_eq!((part.items.len(), part.next), (found, None), "{order:?} {number}");
    }
}

pub(in crate::store) async fn who_follows_the_events_is_woken_when_they_are_there_to_be_read(
    store: AnyStore,
) {
    let mut last = store.last_event();
    assert_eq!(*last.borrow_and_update(), Sequence::ZERO);
    push(&store, "r", &image("one", &[]), &["t"], 1).await;
    last.changed().await.unwrap();
    let told = *last.borrow_and_update();
    assert_eq!(history(&store).await.last().map(|event| event.sequence), Some(told));
    // What was so already is no event.
    let known = Change::TagDeleted { repository: repository("r"), tag: tag("unknown") };
    find(&store, known, Source::Swept, 2).await;
    assert!(!last.has_changed().unwrap(), "nothing was recorded");
    let gone = Change::TagDeleted { repository: repository("r"), tag: tag("t") };
    find(&store, gone, Source::Swept, 3).await;
    last.changed().await.unwrap();
    let event = history(&store).await.pop().unwrap();
    assert_eq!(*last.borrow_and_update(), event.sequence);
    assert_eq!(event.kind, deletion_of_tag(1, Source::Swept, at(3)).kind);
    assert_eq!(*store.last_event().borrow(), event.sequence, "also for who comes later");
}
