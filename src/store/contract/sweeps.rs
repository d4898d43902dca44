//! What a sweep asks of a store.

use super::{AnyStore, find, push, told};
use crate::store::sample::{image, repository, repository_found, tag};
use crate::store::{EventKind, KeptSweep, LeaseName, PageRequest, Recorded, Source};

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
        let rest = store.tag_names(&here, PageRequest { after: first.next.clone(), limit }).await.unwrap();
        assert_eq!((rest.items, rest.next), (vec![tag("c")], None));
    }
    for more in [0, 1_000] {
        let mut asked = vec![tag("c"), tag("d"), tag("a")];
        asked.extend((0..more).map(|_| tag("b")));
        assert_eq!(store.unsure_tags(&here, asked).await.unwrap(), [tag("d")]);
    }
    assert_eq!(store.unsure_tags(&repository("none"), vec![tag("a")]).await.unwrap(), [tag("a")]);
}

pub(in crate::store) async fn what_is_kept_of_a_sweep_adds_up_until_it_is_forgotten(store: AnyStore) {
    assert_eq!(store.kept_sweep().await.unwrap(), None);
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    store.keep_sweep(lease, b"first".to_vec(), vec![3, u64::MAX]).await.unwrap();
    store.keep_sweep(lease, b"second".to_vec(), Vec::new()).await.unwrap();
    store.keep_sweep(lease, b"third".to_vec(), vec![1]).await.unwrap();
    let kept = KeptSweep { checkpoint: b"third".to_vec(), marks: vec![3, u64::MAX, 1] };
    assert_eq!(store.kept_sweep().await.unwrap(), Some(kept));
    assert_eq!(store.sequence().await.unwrap().get(), 0, "it is no event");
    store.forget_sweep(lease).await.unwrap();
    assert_eq!(store.kept_sweep().await.unwrap(), None);
    store.forget_sweep(lease).await.unwrap();
    store.keep_sweep(lease, b"again".to_vec(), vec![7]).await.unwrap();
    assert_eq!(store.kept_sweep().await.unwrap().unwrap().marks, [7]);
}
