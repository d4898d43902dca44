//! Guards: which answers are refused as overtaken.

use super::{AnyStore, carry, deleting, digest_of, push, putting, tag_of};
use crate::oci::Reference;
use crate::store::sample::{
    alice, at, image, manifest_deleted, put, repository, repository_gone, tag, tag_deleted,
};
use crate::store::{Change, Guard, Outcome, Recorded, Sequence, Source, Write};

async fn record(
    store: &AnyStore,
    change: Change,
    reference: impl Into<Option<Reference>>,
    since: Sequence,
) -> Recorded {
    store
        .record(
            vec![change],
            Source::Verified,
            Guard { reference: reference.into(), since, lease: None },
            at(9),
        )
        .await
        .unwrap()
}

pub(in crate::store) async fn a_guard_refuses_what_an_event_has_overtaken(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t", "u"], 1).await;
    let since = store.sequence().await.unwrap();
    push(&store, "r", &second, &["t"], 2).await;
    push(&store, "s", &second, &["u"], 2).await;
    assert_eq!(record(&store, tag_deleted("r", "t"), tag_of("t"), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &first, &["t"]), tag_of("t"), since).await, Recorded::Superseded);
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap().digest, second.digest);
    assert_eq!(record(&store, tag_deleted("r", "u"), tag_of("u"), since).await, Recorded::Changed(1));
    let now = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "t"), tag_of("t"), now).await, Recorded::Changed(1));

    // A tag was seen pointing to a manifest that was deleted meanwhile.
    let since = store.sequence().await.unwrap();
    carry(&store, "r", deleting(&second), vec![manifest_deleted("r", &second)], 3).await;
    assert_eq!(record(&store, put("r", &second, &["t"]), tag_of("t"), since).await, Recorded::Superseded);
}

pub(in crate::store) async fn a_guard_refuses_while_somebody_is_writing(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t", "u"], 1).await;
    let intent = store.begin(repository("r"), putting(&second, &["t"]), alice(), at(2)).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "t"), tag_of("t"), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &second, &[]), digest_of(&second), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &first, &["v"]), tag_of("v"), since).await, Recorded::Changed(1));
    store.mark_unknown(&intent).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "t"), tag_of("t"), since).await, Recorded::Changed(1));

    let delete = store.begin(repository("r"), deleting(&first), alice(), at(3)).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "u"), tag_of("u"), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &first, &["new"]), tag_of("new"), since).await, Recorded::Superseded);
    store.settle(&delete, Outcome::Closed, at(4)).await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "u"), tag_of("u"), since).await, Recorded::Changed(1));
}

pub(in crate::store) async fn a_guard_on_a_digest_minds_its_tags(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &[], 1).await;
    let since = store.sequence().await.unwrap();
    push(&store, "r", &second, &[], 2).await;
    push(&store, "r", &first, &["t"], 3).await;
    let gone = manifest_deleted("r", &first);
    assert_eq!(record(&store, gone.clone(), digest_of(&first), since).await, Recorded::Superseded);
    let since = store.sequence().await.unwrap();
    push(&store, "r", &second, &["other"], 4).await;
    assert_eq!(record(&store, gone, digest_of(&first), since).await, Recorded::Changed(2));
}

pub(in crate::store) async fn a_vanished_repository_is_not_believed_when_anything_in_it_was_touched(
    store: AnyStore,
) {
    let image = image("one", &[]);
    push(&store, "r", &image, &["t"], 1).await;
    let since = store.sequence().await.unwrap();
    push(&store, "r", &image, &["u"], 2).await;
    assert_eq!(record(&store, repository_gone("r"), None, since).await, Recorded::Superseded);
    let intent = store.begin(repository("r"), putting(&image, &["v"]), alice(), at(3)).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, repository_gone("r"), None, since).await, Recorded::Superseded);
    store.settle(&intent, Outcome::Closed, at(4)).await.unwrap();
    assert_eq!(record(&store, repository_gone("r"), None, since).await, Recorded::Changed(1));
    // And what was seen of a tag before the repository went is overtaken.
    assert_eq!(record(&store, put("r", &image, &["t"]), tag_of("t"), since).await, Recorded::Superseded);
}

pub(in crate::store) async fn a_guard_minds_a_deletion_of_what_was_not_recorded(store: AnyStore) {
    let manifest = image("one", &[]);
    // The registry was asked, and still had the tag; then a client deleted it, which the record had not.
    let since = store.sequence().await.unwrap();
    let deletion = Write::Delete { reference: tag_of("t") };
    carry(&store, "r", deletion, vec![tag_deleted("r", "t")], 1).await;
    let found = vec![put("r", &manifest, &["t"])];
    let guard = Guard { reference: Some(tag_of("t")), since, lease: None };
    let recorded = store.record(found.clone(), Source::Swept, guard, at(2)).await.unwrap();
    assert_eq!(recorded, Recorded::Superseded);
    // Another tag, and a later answer, are not meant.
    let guard = Guard { reference: Some(tag_of("other")), since, lease: None };
    let other = vec![put("r", &manifest, &["other"])];
    assert_ne!(store.record(other, Source::Swept, guard, at(3)).await.unwrap(), Recorded::Superseded);
    let guard = Guard { reference: Some(tag_of("t")), since: store.sequence().await.unwrap(), lease: None };
    assert_ne!(store.record(found, Source::Swept, guard, at(4)).await.unwrap(), Recorded::Superseded);
}
