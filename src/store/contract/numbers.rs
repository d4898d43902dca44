//! Numbers about what is held.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::{AnyStore, carry, find, push, tag_of};
use crate::store::sample::{at, blob, image, put, repository, repository_gone, tag, tag_deleted};
use crate::store::{DayRecord, PageRequest, Pull, Source, Totals, Write};

const HOUR: u64 = 60 * 60 * 1000;
const DAY: u64 = 24 * HOUR;

/// A day of which all was in its first hour.
fn day(number: u64, [pushes, pulls, deletions]: [u64; 3], totals: Totals) -> DayRecord {
    let first = |count| std::array::from_fn(|hour| if hour == 0 { count } else { 0 });
    let (pushes_by_hour, pulls_by_hour) = (first(pushes), first(pulls));
    DayRecord { begins: at(number * DAY), pushes, pulls, deletions, pushes_by_hour, pulls_by_hour, totals }
}

pub(in crate::store) async fn what_happens_is_counted_on_its_day_with_how_much_there_was(store: AnyStore) {
    assert_eq!((store.totals().await.unwrap(), store.days(9).await.unwrap()), (Totals::default(), vec![]));
    let (one, two) = (image("one", &["base"]), image("two", &["base"]));
    push(&store, "r", &one, &["t", "u"], 5).await;
    find(&store, put("r", &two, &["v"]), Source::Swept, DAY - 1).await;
    let blobs: u64 = ["one", "two", "base"].iter().map(|name| blob(name).size).sum();
    let first = Totals { repositories: 1, tags: 3, manifests: 2, bytes: one.size() + two.size() + blobs };
    assert_eq!(store.totals().await.unwrap(), first);
    assert_eq!(store.days(9).await.unwrap(), [day(0, [2, 0, 0], first)]);
    carry(&store, "r", Write::Delete { reference: tag_of("u") }, vec![tag_deleted("r", "u")], 3 * DAY).await;
    let second = Totals { tags: 2, ..first };
    let pull = |count, last_pull: Option<u64>| Pull {
        repository: repository("r"),
        tag: Some(tag("t")),
        count,
        last_pull: last_pull.map(at),
        last_seen: at(9),
    };
    // Written down late; of another day; heard of; only looked at.
    let pulls = [(4, Some(7)), (2, Some(3 * DAY)), (1, Some(4 * DAY)), (0, Some(9)), (0, None)];
    store.record_pulls(pulls.map(|(count, last)| pull(count, last)).to_vec()).await.unwrap();
    let of_none = Pull { repository: repository("none"), ..pull(9, Some(4 * DAY)) };
    store.record_pulls(vec![of_none]).await.unwrap();
    let expected = [day(4, [0, 1, 0], second), day(3, [0, 2, 1], second), day(0, [2, 4, 0], first)];
    assert_eq!(store.days(9).await.unwrap(), expected);
    assert_eq!(store.days(2).await.unwrap(), expected[..2]);
    find(&store, repository_gone("r"), Source::Swept, 4 * DAY + 1).await;
    assert_eq!(store.totals().await.unwrap(), Totals::default());
    assert_eq!(store.days(1).await.unwrap(), [day(4, [0, 1, 0], Totals::default())]);
}

pub(in crate::store) async fn what_happens_on_a_day_is_counted_in_its_hours(store: AnyStore) {
    for (tag, time) in [("a", DAY), ("b", DAY + HOUR - 1), ("c", DAY + HOUR), ("d", 2 * DAY - 1)] {
        push(&store, "r", &image(tag, &[]), &[tag], time).await;
    }
    find(&store, put("r", &image("found", &[]), &["e"]), Source::Swept, DAY + 2 * HOUR).await;
    let pull = |count, time| Pull {
        repository: repository("r"),
        tag: None,
        count,
        last_pull: Some(at(time)),
        last_seen: at(time),
    };
    // At once, and later.
    store.record_pulls(vec![pull(3, DAY + 5 * HOUR), pull(4, DAY + 5 * HOUR + 1)]).await.unwrap();
    store.record_pulls(vec![pull(1, DAY + 5 * HOUR), pull(2, 2 * DAY - 1)]).await.unwrap();
    let days = store.days(9).await.unwrap();
    let happened = |by_hour: [u64; 24]| -> Vec<(usize, u64)> {
        (0..).zip(by_hour).filter(|(_, count)| *count > 0).collect()
    };
    assert_eq!(days.len(), 1, "{days:?}");
    assert_eq!(happened(days[0].pushes_by_hour), [(0, 2), (1, 1), (23, 1)]);
    assert_eq!(happened(days[0].pulls_by_hour), [(5, 8), (23, 2)]);
    assert_eq!((days[0].pushes, days[0].pulls), (4, 10));
}

pub(in crate::store) async fn the_oldest_days_go_where_there_are_too_many(store: AnyStore) {
    for number in 0..405 {
        find(&store, put("r", &image(&number.to_string(), &[]), &[]), Source::Swept, number * DAY).await;
    }
    let days = store.days(1_000).await.unwrap();
    assert_eq!((days.len(), days[0].begins, days[399].begins), (400, at(404 * DAY), at(5 * DAY)));
    assert!(days.iter().zip(1..).all(|(day, behind)| day.totals.manifests == 406 - behind));
}

pub(in crate::store) async fn the_largest_blobs_are_found_part_by_part(store: AnyStore) {
    let largest = blob("xxxx").size;
    let mut blobs = BTreeSet::new();
    for (name, config, layer) in
        [("a", "c", "xx"), ("b", "cc", "xxxx"), ("b", "ccc", "xxxx"), ("c", "x", "xx")]
    {
        push(&store, name, &image(config, &[layer]), &[], 1).await;
        blobs.extend([config, layer].map(|blob_name| (Reverse(blob(blob_name).size), name)));
    }
    for rows in 1..9 {
        let (mut after, mut found) = (None, BTreeSet::new());
        loop {
            let page = store.largest_blobs(PageRequest { after, limit: rows }, 2).await.unwrap();
            assert!(page.items.len() <= 2 && page.items.is_sorted_by_key(|blob| Reverse(blob.size)));
            for blob in page.items {
                let is_shared = blob.size == largest;
                assert_eq!(blob.holders, 1 + u64::from(is_shared));
                found.insert((Reverse(blob.size), blob.place.repository.to_string()));
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let first = |number: usize| found.iter().nth(number).map(|(size, name)| (*size, name.as_str()));
        assert_eq!([first(0), first(1)], [blobs.iter().next().copied(), blobs.iter().nth(1).copied()]);
    }
}

pub(in crate::store) async fn what_a_repository_holds_is_listed_with_its_sizes_each_digest_once(
    store: AnyStore,
) {
    let (one, two) = (image("one", &["base", "top"]), image("two", &["base"]));
    // A layer that is a manifest of the same repository.
    let mut three = image("three", &["base"]);
    three.document.layers[0].digest = one.digest.clone();
    push(&store, "b/a", &one, &["t", "u"], 1).await;
    push(&store, "b/a", &two, &[], 1).await;
    push(&store, "b/a", &three, &[], 1).await;
    for other in ["b", "b/a-a", "b/a/b", "b/b"] {
        push(&store, other, &image(other, &["other"]), &[], 1).await;
    }
    let mut expected: BTreeMap<String, u64> =
        [&one, &two, &three].map(|manifest| (manifest.digest.to_string(), manifest.size())).into();
    for name in ["one", "two", "three", "base", "top"] {
        expected.insert(blob(name).digest.to_string(), blob(name).size);
    }
    let expected: Vec<_> = expected.into_iter().collect();
    for limit in 1..10 {
        let (mut after, mut found) = (None, Vec::new());
        loop {
            let page = store.sizes(&repository("b/a"), PageRequest { after, limit }).await.unwrap();
            assert!(page.items.len() == limit || page.next.is_none());
            found.extend(page.items.into_iter().map(|sized| (sized.digest.to_string(), sized.size)));
            let Some(next) = page.next else { break };
            after = Some(next.to_string());
        }
        assert_eq!(found, expected, "{limit}");
    }
    // From behind any text on.
    let (third, _) = &expected[2];
    let after = Some(third[..third.len() - 1].to_owned());
    let page = store.sizes(&repository("b/a"), PageRequest { after, limit: 1 }).await.unwrap();
    assert_eq!(page.items[0].digest.as_str(), third);
    let page = store.sizes(&repository("none"), PageRequest { after: None, limit: 1 }).await.unwrap();
    assert_eq!((page.items, page.next), (Vec::new(), None));
}
