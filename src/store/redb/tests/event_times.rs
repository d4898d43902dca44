//! The place of a time in the history is found without reading all of it.

use redb::{ReadableTable as _, ReadableTableMetadata as _};

use super::super::tables::EVENT_TIMES;
use super::*;
use crate::store::contract::events::{expected, read_to_the_end};
use crate::store::{EventOrder, EventRange, TimeSpan};

/// So many events at each of these times: the clock leaps ahead once, and is set back.
const AT_EACH: usize = 700;
const TIMES: [u64; 12] = [10, 20, 30, 500, 40, 50, 60, 70, 80, 90, 100, 110];

async fn filled(store: &Arc<dyn Store>) {
    for (number, time) in TIMES.into_iter().enumerate() {
        let name = ["a", "b"][number % 2];
        let tags: Vec<String> = (0..AT_EACH).map(|tag| format!("t{number}-{tag}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        push(store, name, &image(&number.to_string(), &[]), &tags, time).await;
    }
}

fn ranges() -> impl Iterator<Item = EventRange> {
    let spans = [(0, 10), (20, 21), (30, 60), (110, 111), (100, 1_000), (501, 502), (0, 1_000), (499, 501)];
    let orders = [EventOrder::OldestFirst, EventOrder::NewestFirst];
    spans.into_iter().flat_map(move |(since, until)| {
        let times = TimeSpan { since: Some(at(since)), until: Some(at(until)) };
        orders.into_iter().flat_map(move |order| {
            [None, Some("a"), Some("b")].map(|name| EventRange {
                repository: name.map(repository),
                order,
                after: None,
                times,
                rows: 1_000,
            })
        })
    })
}

async fn assert_exact(store: &Arc<dyn Store>) -> Vec<(EventRange, usize, usize)> {
    let (all, _) = read_to_the_end(store, &EventRange { rows: 1_000, ..EventRange::default() }).await;
    assert_eq!(all.len(), AT_EACH * TIMES.len());
    let mut read = Vec::new();
    for range in ranges() {
        let (found, parts) = read_to_the_end(store, &range).await;
        assert!(found == expected(&all, &range), "{range:?}");
        read.push((range, found.len(), parts));
    }
    read
}

#[tokio::test]
async fn a_part_by_time_reads_the_blocks_that_may_have_such_times_and_no_others() {
    let (file, _directory) = empty_file();
    let store: Arc<dyn Store> = Arc::clone(&file) as _;
    filled(&store).await;
    for (range, found, parts) in assert_exact(&store).await {
        // What is found may begin and end within a block of 1,024 numbers, and the last block is not finished.
        let most = found / 1_000 + 4;
        assert!(parts <= most, "{parts} parts for {found} events of {range:?}");
    }
}

/// Leaves the times of one block, as an earlier program does that ran in between; or no table.
fn forget_all_but(file: &RedbStore, kept: Option<u64>) {
    let database = file.shared.database.read().unwrap();
    let write = database.as_ref().unwrap().begin_write().unwrap();
    match kept {
        Some(block) => {
            let mut times = write.open_table(EVENT_TIMES).unwrap();
            assert!(times.len().unwrap() > block);
            times.retain(|key, _| key == block).unwrap();
            assert!(times.get(block).unwrap().is_some());
        }
        None => assert!(write.delete_table(EVENT_TIMES).unwrap()),
    }
    write.commit().unwrap();
}

#[tokio::test]
async fn blocks_of_which_nothing_is_known_are_read() {
    let (file, _directory) = empty_file();
    let store: Arc<dyn Store> = Arc::clone(&file) as _;
    filled(&store).await;
    for kept in [Some(3), None] {
        forget_all_but(&file, kept);
        assert_exact(&store).await;
    }
    // The table comes back with the next block that is finished.
    filled(&store).await;
    let database = file.shared.database.read().unwrap();
    let read = database.as_ref().unwrap().begin_read().unwrap();
    assert!(read.open_table(EVENT_TIMES).unwrap().len().unwrap() > 0);
}
