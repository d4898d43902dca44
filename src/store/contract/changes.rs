//! What changes come to.

use std::collections::BTreeSet;

use super::{AnyStore, carry, deleting, find, history, push, tag_of, told};
use crate::oci::{Digest, ManifestKind};
use crate::store::sample::{
    alice, at, blob, image, manifest_deleted, put, referrer, repository, repository_gone, tag, tag_deleted,
};
use crate::store::{Actor, Change, EventKind, PageRequest, Recorded, Settled, Source, Write};

pub(in crate::store) async fn an_observed_push_is_recorded_whole(store: AnyStore) {
    let image = image("one", &["base", "top"]);
    assert_eq!(push(&store, "a/b", &image, &["v1", "latest"], 5).await, Settled::IN_ORDER);

    let tag = store.tag(&repository("a/b"), &tag("v1")).await.unwrap().unwrap();
    let blobs = blob("one").size + blob("base").size + blob("top").size;
    assert_eq!((&tag.digest, &tag.media_type), (&image.digest, &image.document.media_type));
    assert_eq!((tag.bytes, tag.pushed_at, tag.source), (image.size() + blobs, Some(at(5)), Source::Observed));
    assert_eq!(tag.pushed_by.as_deref(), Some("alice"));

    let manifest = store.manifest(&repository("a/b"), &image.digest).await.unwrap().unwrap();
    assert_eq!((manifest.document.kind, manifest.document.size), (ManifestKind::Image, image.size()));
    assert_eq!(manifest.document, image.document);
    assert_eq!(manifest.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), ["latest", "v1"]);
    assert_eq!(*store.manifest_content(&repository("a/b"), &image.digest).await.unwrap().unwrap(), image);

    let known = store.repository(&repository("a/b")).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests, known.bytes), (2, 1, image.size() + blobs));
    assert_eq!((known.last_push, known.last_pull), (Some(at(5)), None));

    let events = history(&store).await;
    assert_eq!(events.len(), 2, "one for each tag");
    for event in &events {
        assert_eq!((event.kind, event.source, event.time), (EventKind::ManifestPut, Source::Observed, at(5)));
        assert_eq!((&event.digest, &event.previous), (&Some(image.digest.clone()), &None));
        assert_eq!((&event.actor, &event.media_type), (&alice(), &Some(image.document.media_type.clone())));
    }
    let latest = events.iter().find(|event| event.tag == Some(tag.tag.clone())).unwrap();
    assert_eq!(latest.sequence, tag.sequence);
    let statistics = store.statistics().await.unwrap();
    assert_eq!((statistics.repositories, statistics.tags, statistics.manifests), (1, 2, 1));
    assert_eq!((statistics.events, statistics.open_intents), (2, 0));
}

pub(in crate::store) async fn a_push_by_digest_is_one_event_without_a_tag(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "r", &image, &[], 1).await;
    assert_eq!(told(&store, 0).await, [(EventKind::ManifestPut, None, Some(image.digest.clone()))]);
    let known = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests, known.last_push), (0, 1, Some(at(1))));
    assert!(store.tags_of(&repository("r"), &image.digest).await.unwrap().is_empty());
}

pub(in crate::store) async fn pushing_the_same_again_refreshes_the_tag_and_counts_nothing_twice(
    store: AnyStore,
) {
    let image = image("one", &["base"]);
    find(&store, put("r", &image, &["t"]), Source::Swept, 1).await;
    let before = store.repository(&repository("r")).await.unwrap().unwrap();
    push(&store, "r", &image, &["t"], 2).await;
    let tag = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!(
        (tag.pushed_at, tag.source, tag.pushed_by.as_deref()),
        (Some(at(2)), Source::Observed, Some("alice"))
    );
    let after = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((after.tags, after.manifests, after.bytes), (before.tags, before.manifests, before.bytes));
    assert_eq!((before.last_push, after.last_push), (None, Some(at(2))));
    let events = history(&store).await;
    assert_eq!((events.len(), &events[1].previous), (2, &None));
}

pub(in crate::store) async fn what_was_found_has_a_time_of_finding_and_no_push_time(store: AnyStore) {
    let r = repository("r");
    for (number, source) in [(1, Source::Swept), (2, Source::Verified), (3, Source::Hinted)] {
        let (image, name) = (image(&format!("i{number}"), &[]), format!("t{number}"));
        find(&store, put("r", &image, &[&name]), source, number).await;
        let found = store.tag(&r, &tag(&name)).await.unwrap().unwrap();
        assert_eq!((found.pushed_at, found.found_at), (None, Some(at(number))), "{source:?}");
        let found = store.manifest(&r, &image.digest).await.unwrap().unwrap();
        assert_eq!((found.pushed_at, found.found_at), (None, Some(at(number))), "{source:?}");
        push(&store, "r", &image, &[&name, "pushed"], 9).await;
        for name in [&*name, "pushed"] {
            let pushed = store.tag(&r, &tag(name)).await.unwrap().unwrap();
            assert_eq!((pushed.pushed_at, pushed.found_at), (Some(at(9)), None));
        }
    }
}

pub(in crate::store) async fn moving_a_tag_names_what_it_pointed_to(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t"], 1).await;
    push(&store, "r", &second, &["t"], 2).await;
    assert_eq!(history(&store).await[1].previous, Some(first.digest.clone()));
    assert!(store.tags_of(&repository("r"), &first.digest).await.unwrap().is_empty());
    assert_eq!(store.tags_of(&repository("r"), &second.digest).await.unwrap(), [tag("t")]);
    let known = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests), (1, 2), "the first manifest is still there");
}

pub(in crate::store) async fn what_is_found_makes_events_only_for_what_differs(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t"], 1).await;
    let before = store.tag(&repository("r"), &tag("t")).await.unwrap();
    for source in [Source::Verified, Source::Swept, Source::Hinted] {
        assert_eq!(find(&store, put("r", &first, &["t"]), source, 2).await, Recorded::Unchanged);
        assert_eq!(find(&store, put("r", &first, &[]), source, 2).await, Recorded::Unchanged);
    }
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap(), before);
    assert_eq!(find(&store, put("r", &first, &["t", "u"]), Source::Swept, 3).await, Recorded::Changed(1));
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap(), before);
    assert_eq!(find(&store, put("r", &second, &[]), Source::Verified, 4).await, Recorded::Changed(1));
    let events = history(&store).await;
    assert_eq!((&events[1].tag, &events[1].source), (&Some(tag("u")), &Source::Swept));
    assert_eq!((&events[2].tag, &events[2].source), (&None, &Source::Verified));
    assert!(events[1..].iter().all(|event| event.actor == Actor::default()));
    let found = store.tag(&repository("r"), &tag("u")).await.unwrap().unwrap();
    assert_eq!((found.source, found.pushed_by), (Source::Swept, None));
}

pub(in crate::store) async fn deleting_a_tag_leaves_its_manifest(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "r", &image, &["t", "u"], 1).await;
    let write = Write::Delete { reference: tag_of("t") };
    carry(&store, "r", write, vec![tag_deleted("r", "t")], 2).await;
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap(), None);
    let manifest = store.manifest(&repository("r"), &image.digest).await.unwrap().unwrap();
    assert_eq!(manifest.tags, [tag("u")]);
    let digest = Some(image.digest.clone());
    assert_eq!(told(&store, 2).await, [(EventKind::TagDeleted, Some("t".to_owned()), digest)]);
    assert_eq!(history(&store).await[2].actor, alice());
}

pub(in crate::store) async fn deleting_a_manifest_takes_its_tags(store: AnyStore) {
    let (first, second) = (image("one", &["base", "x"]), image("two", &["base"]));
    push(&store, "r", &second, &["other"], 1).await;
    let before = store.repository(&repository("r")).await.unwrap().unwrap();
    push(&store, "r", &first, &["t", "u"], 2).await;
    carry(&store, "r", deleting(&first), vec![manifest_deleted("r", &first)], 3).await;
    let digest = Some(first.digest.clone());
    assert_eq!(
        told(&store, 3).await,
        [
            (EventKind::TagDeleted, Some("t".to_owned()), digest.clone()),
            (EventKind::TagDeleted, Some("u".to_owned()), digest.clone()),
            (EventKind::ManifestDeleted, None, digest),
        ]
    );
    let after = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((after.tags, after.manifests, after.bytes), (before.tags, before.manifests, before.bytes));
    assert_eq!(store.manifest(&repository("r"), &first.digest).await.unwrap(), None);
    assert_eq!(store.manifest_content(&repository("r"), &first.digest).await.unwrap(), None);
}

pub(in crate::store) async fn a_tag_whose_fate_is_undecided_outlives_its_manifest_until_more_is_known(
    store: AnyStore,
) {
    let (r, first, second) = (repository("r"), image("one", &["base"]), image("two", &[]));
    let deletion = || Change::ManifestDeleted {
        repository: r.clone(),
        digest: first.digest.clone(),
        undecided: vec![tag("kept"), tag("put"), tag("gone"), tag("moved")],
    };
    push(&store, "r", &first, &["kept", "put", "gone", "moved", "taken"], 1).await;
    carry(&store, "r", deleting(&first), vec![deletion()], 2).await;
    let digest = Some(first.digest.clone());
    let taken = (EventKind::TagDeleted, Some("taken".to_owned()), digest.clone());
    assert_eq!(told(&store, 5).await, [taken, (EventKind::ManifestDeleted, None, digest.clone())]);
    assert!(!store.has_manifest(&r, &first.digest).await.unwrap());
    let known = store.repository(&r).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests, known.bytes), (4, 0, 0));
    assert_eq!(store.tags_of(&r, &first.digest).await.unwrap().len(), 4);
    // What is found is recorded, though a row says so already.
    assert_eq!(find(&store, tag_deleted("r", "gone"), Source::Hinted, 3).await, Recorded::Changed(1));
    assert_eq!(find(&store, put("r", &second, &["moved"]), Source::Hinted, 3).await, Recorded::Changed(1));
    assert_eq!(find(&store, put("r", &first, &["put"]), Source::Hinted, 4).await, Recorded::Changed(1));
    assert!(store.has_manifest(&r, &first.digest).await.unwrap());
    let known = store.repository(&r).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests), (3, 2));
    // Another deletion takes them all.
    carry(&store, "r", deleting(&first), vec![deletion()], 5).await;
    carry(&store, "r", deleting(&first), vec![manifest_deleted("r", &first)], 6).await;
    assert!(store.tags_of(&r, &first.digest).await.unwrap().is_empty());
    assert_eq!(store.repository(&r).await.unwrap().unwrap().tags, 1);
}

pub(in crate::store) async fn an_emptied_repository_stays_known_until_it_is_gone(store: AnyStore) {
    let image = image("one", &["base"]);
    push(&store, "r", &image, &["t"], 1).await;
    carry(&store, "r", deleting(&image), vec![manifest_deleted("r", &image)], 2).await;
    let empty = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((empty.tags, empty.manifests, empty.bytes), (0, 0, 0));
    assert_eq!(find(&store, repository_gone("r"), Source::Swept, 3).await, Recorded::Changed(1));
    assert_eq!(store.repository(&repository("r")).await.unwrap(), None);
    assert_eq!(told(&store, 3).await, [(EventKind::RepositoryGone, None, None)]);

    push(&store, "r", &image, &["t"], 4).await;
    push(&store, "r-2", &image, &["t"], 4).await;
    assert_eq!(find(&store, repository_gone("r"), Source::Swept, 5).await, Recorded::Changed(1));
    assert_eq!(store.tag(&repository("r"), &tag("t")).await.unwrap(), None);
    assert_eq!(store.manifest(&repository("r"), &image.digest).await.unwrap(), None);
    assert!(store.tag(&repository("r-2"), &tag("t")).await.unwrap().is_some());
    assert!(store.manifest_content(&repository("r-2"), &image.digest).await.unwrap().is_some());
    let statistics = store.statistics().await.unwrap();
    assert_eq!((statistics.repositories, statistics.tags, statistics.manifests), (1, 1, 1));
}

pub(in crate::store) async fn a_deletion_through_the_door_is_told_of_whether_or_not_the_record_had_it(
    store: AnyStore,
) {
    let (known, unknown) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &known, &["t"], 1).await;
    for change in [
        tag_deleted("r", "u"),
        tag_deleted("s", "t"),
        manifest_deleted("r", &unknown),
        manifest_deleted("s", &known),
    ] {
        let before = history(&store).await.len();
        assert_eq!(find(&store, change.clone(), Source::Swept, 2).await, Recorded::Unchanged);
        carry(&store, "r", deleting(&unknown), vec![change], 2).await;
        let history = history(&store).await;
        assert_eq!(history.len(), before + 1);
        assert_eq!(history.last().unwrap().actor, alice());
    }
    assert_eq!(find(&store, repository_gone("s"), Source::Swept, 2).await, Recorded::Unchanged);
    assert_eq!(store.repository(&repository("s")).await.unwrap(), None);
}

pub(in crate::store) async fn content_is_kept_as_long_as_its_own_repository_has_it(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "a", &image, &["t"], 1).await;
    push(&store, "b", &image, &[], 1).await;
    let (a, b) = (repository("a"), repository("b"));
    find(&store, manifest_deleted("a", &image), Source::Swept, 2).await;
    assert_eq!(store.manifest_content(&a, &image.digest).await.unwrap(), None);
    assert_eq!(*store.manifest_content(&b, &image.digest).await.unwrap().unwrap(), image);
    find(&store, repository_gone("b"), Source::Swept, 3).await;
    assert_eq!(store.manifest_content(&b, &image.digest).await.unwrap(), None);
    push(&store, "a", &image, &["t"], 4).await;
    assert_eq!(*store.manifest_content(&a, &image.digest).await.unwrap().unwrap(), image);
}

pub(in crate::store) async fn what_a_deleted_manifest_said_is_kept_for_a_while(store: AnyStore) {
    const DAY: u64 = 24 * 3_600_000;
    let (first, second) = (image("one", &[]), image("two", &["base"]));
    let (r, s) = (repository("r"), repository("s"));
    push(&store, "r", &first, &["t"], 1).await;
    push(&store, "r", &second, &["u"], 1).await;
    assert_eq!(store.deleted_manifest(&r, &first.digest).await.unwrap(), None, "it is not deleted");
    carry(&store, "r", deleting(&first), vec![manifest_deleted("r", &first)], 2).await;
    assert_eq!(*store.deleted_manifest(&r, &first.digest).await.unwrap().unwrap(), first);
    assert_eq!(store.deleted_manifest(&s, &first.digest).await.unwrap(), None, "another repository's");
    find(&store, repository_gone("r"), Source::Swept, 3).await;
    assert_eq!(*store.deleted_manifest(&r, &second.digest).await.unwrap().unwrap(), second);
    // Deleted once more, it is as old as its last deletion.
    push(&store, "r", &first, &["t"], 50 * DAY).await;
    carry(&store, "r", deleting(&first), vec![manifest_deleted("r", &first)], 60 * DAY).await;
    push(&store, "s", &second, &[], 100 * DAY).await;
    find(&store, manifest_deleted("s", &second), Source::Swept, 100 * DAY).await;
    assert_eq!(store.deleted_manifest(&r, &second.digest).await.unwrap(), None, "of long ago");
    assert_eq!(*store.deleted_manifest(&r, &first.digest).await.unwrap().unwrap(), first);
    assert_eq!(*store.deleted_manifest(&s, &second.digest).await.unwrap().unwrap(), second);
}

pub(in crate::store) async fn referrers_come_and_go_with_their_manifests(store: AnyStore) {
    let subject = image("one", &[]);
    let (first, second) = (referrer("signature", &subject), referrer("sbom", &subject));
    for manifest in [&subject, &first, &second] {
        push(&store, "r", manifest, &[], 1).await;
    }
    push(&store, "s", &first, &[], 1).await;
    let referrers = async |name, limit| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = PageRequest { after, limit };
            let page = store.referrers(&repository(name), &subject.digest, page).await.unwrap();
            found.extend(page.items);
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    };
    for limit in [1, 2, 100] {
        let found = referrers("r", limit).await;
        let digests: Vec<&Digest> = found.iter().map(|record| &record.digest).collect();
        let expected: Vec<&Digest> = BTreeSet::from([&first.digest, &second.digest]).into_iter().collect();
        assert_eq!(digests, expected, "in pages of {limit}");
        assert!(
            found.iter().all(|record| record.document.subject.as_ref().unwrap().digest == subject.digest)
        );
    }
    find(&store, manifest_deleted("r", &first), Source::Swept, 2).await;
    let left = referrers("r", 100).await;
    assert_eq!(left.iter().map(|record| &record.digest).collect::<Vec<_>>(), [&second.digest]);
    find(&store, repository_gone("r"), Source::Swept, 3).await;
    assert!(referrers("r", 100).await.is_empty());
    assert_eq!(referrers("s", 100).await.len(), 1);
}
