//! What a sweep asks of a store.

use super::{AnyStore, find, push, told};
use crate::store::sample::{at, image, repository, repository_found, tag};
use crate::store::{
    BegunSweep, EventKind, KeptSweep, LeaseName, PageRequest, Recorded, RequestedSweep, Source, SweepKind,
    SweepQueue, SweepReport, SweepStart, SweepUpdate,
};

pub(in crate::store) async fn a_repository_that_holds_nothing_is_found_once(store: AnyStore) {
    assert_eq!(find(&store, repository_found("r"), Source::Swept, 1).await, Recorded::Changed(1));
    assert_eq!(find(&store, repository_found("r"), Source::Swept, 2).await, Recorded::Unchanged);
    assert_eq!(told(&store, 0).await, [(EventKind::RepositoryFound, None, None)]);
    let record = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((record.tags, record.manifests, record.last_push), (0, 0, None));
    push(&store, "s", &image("one", &[]), &["t"], 3).await;
    assert_eq!(find(&store, repository_found("s"), Source::Swept, 4).await, Recorded::Unchanged);
}

pub(in crate::store) async fn names_of_tags_are_listed_and_unknown_ones_told(store: AnyStore) {
    push(&store, "r", &image("one", &[]), &["a", "b", "c"], 1).await;
    push(&store, "r/s", &image("one", &[]), &["d"], 1).await;
    let here = repository("r");
    let first = store.tag_names(&here, PageRequest { after: None, limit: 2 }).await.unwrap();
    assert_eq!((first.items, &first.next), (vec![tag("a"), tag("b")], &Some(tag("b"))));
    // However many are asked for.
    for limit in [2, 1_000] {
        let after = Some(first.next.clone().unwrap().to_string());
        let rest = store.tag_names(&here, PageRequest { after, limit }).await.unwrap();
        assert_eq!((rest.items, rest.next), (vec![tag("c")], None));
    }
    for more in [0, 1_000] {
        let mut asked = vec![tag("c"), tag("d"), tag("a")];
        asked.extend((0..more).map(|_| tag("b")));
        assert_eq!(store.unsure_tags(&here, asked).await.unwrap(), [tag("d")]);
    }
    assert_eq!(store.unsure_tags(&repository("none"), vec![tag("a")]).await.unwrap(), [tag("a")]);
}

/// Keeps this checkpoint with these marks.
fn update(checkpoint: &[u8], marks: &[u64]) -> SweepUpdate {
    SweepUpdate { checkpoint: checkpoint.to_vec(), forgets_marks: false, marks: marks.to_vec() }
}

pub(in crate::store) async fn what_is_kept_of_a_sweep_adds_up_until_it_is_forgotten(store: AnyStore) {
    assert_eq!(store.kept_sweep().await.unwrap(), None);
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let keep = async |update| store.keep_sweep(lease, update).await.unwrap();
    let kept = async || store.kept_sweep().await.unwrap().unwrap();
    keep(update(b"first", &[3, u64::MAX])).await;
    keep(update(b"second", &[])).await;
    store.show_sweep(lease, b"shown".to_vec()).await.unwrap();
    keep(update(b"third", &[1])).await;
    assert_eq!(kept().await, KeptSweep { checkpoint: b"third".to_vec(), marks: vec![3, u64::MAX, 1] });
    assert_eq!(store.sequence().await.unwrap().get(), 0, "it is no event");
    store.end_sweep(lease, 0, update(b"ended", &[9]), b"ended well".to_vec()).await.unwrap();
    assert_eq!(kept().await.marks, [3, u64::MAX, 1, 9]);
    for marks in [&[][..], &[7], &[7, 8]] {
        keep(SweepUpdate { forgets_marks: true, ..update(b"anew", marks) }).await;
        assert_eq!(kept().await, KeptSweep { checkpoint: b"anew".to_vec(), marks: marks.to_vec() });
    }
    keep(update(b"goes on", &[9])).await;
    assert_eq!(kept().await.marks, [7, 8, 9]);
    let report = store.sweep_report().await.unwrap();
    assert_eq!(report.finished.as_deref(), Some(&b"ended well"[..]), "that outlives the marks");
}

pub(in crate::store) async fn a_sweep_is_asked_for_until_it_has_ended(store: AnyStore) {
    assert_eq!(store.sweep_queue().await.unwrap(), SweepQueue::default());
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let begin = async |due| store.begin_sweep(lease, due, at(9)).await.unwrap();
    assert_eq!(begin(None).await, None);
    for kind in [SweepKind::Deep, SweepKind::Shallow] {
        let requested = store.request_sweep(kind, at(5)).await.unwrap();
        assert_eq!(requested, RequestedSweep { number: 1, numbered_since: at(5) });
    }
    let first = BegunSweep { number: 1, kind: SweepKind::Deep, start: SweepStart::Anew };
    assert_eq!(begin(Some(SweepKind::Shallow)).await, Some(first));
    let requested = store.request_sweep(SweepKind::Shallow, at(9)).await.unwrap();
    assert_eq!(requested, RequestedSweep { number: 2, numbered_since: at(5) });
    assert_eq!(begin(None).await, Some(BegunSweep { start: SweepStart::Again, ..first }));
    let queue = SweepQueue {
        number: 1,
        requested: Some(SweepKind::Shallow),
        unfinished: Some(SweepKind::Deep),
        numbered_since: Some(at(5)),
    };
    assert_eq!(store.sweep_queue().await.unwrap(), queue);
    store.end_sweep(lease, 1, update(b"", &[]), b"1".to_vec()).await.unwrap();
    let second = BegunSweep { number: 2, kind: SweepKind::Shallow, start: SweepStart::Anew };
    assert_eq!(begin(None).await, Some(second));
    store.end_sweep(lease, 2, update(b"", &[]), b"2".to_vec()).await.unwrap();
    assert_eq!(begin(None).await, None);
    let due = BegunSweep { number: 3, kind: SweepKind::Deep, start: SweepStart::Due };
    assert_eq!(begin(Some(SweepKind::Deep)).await, Some(due));
    assert_eq!(store.sequence().await.unwrap().get(), 0, "it is no event");
}

pub(in crate::store) async fn what_a_sweep_is_at_is_shown_until_it_ends_and_how_it_ended_from_then_on(
    store: AnyStore,
) {
    assert_eq!(store.sweep_report().await.unwrap(), SweepReport::default());
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    store.begin_sweep(lease, Some(SweepKind::Deep), at(1)).await.unwrap();
    let queue = store.sweep_queue().await.unwrap();
    let shown = |activity: Option<&str>, finished: Option<&str>| SweepReport {
        queue,
        activity: activity.map(|text| text.as_bytes().to_vec()),
        finished: finished.map(|text| text.as_bytes().to_vec()),
    };
    for activity in ["begins", "goes on"] {
        store.show_sweep(lease, activity.as_bytes().to_vec()).await.unwrap();
        assert_eq!(store.sweep_report().await.unwrap(), shown(Some(activity), None));
    }
    store.end_sweep(lease, 1, update(b"", &[]), b"ended".to_vec()).await.unwrap();
    assert_eq!(store.sweep_report().await.unwrap(), shown(None, Some("ended")));
    store.show_sweep(lease, b"waits".to_vec()).await.unwrap();
    assert_eq!(store.sweep_report().await.unwrap(), shown(Some("waits"), Some("ended")));
}
