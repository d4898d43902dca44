//! What goes without the door having carried that, and comes back; and what the registry denies without that being believed.

use super::{AnyStore, carry, digest_of, find, history, push, tag_of};
use crate::store::sample::{
    alice, at, image, manifest_deleted, put, repository, repository_gone, tag, tag_deleted,
};
use crate::store::{Change, EventKind, Missing, PageRequest, Pull, Recorded, Source, Write};

/// Has a tag pulled.
async fn pull(store: &AnyStore, name: &str) {
    let (tag, last_seen) = (Some(tag("t")), at(9));
    let pull = Pull { repository: repository(name), tag, count: 7, last_pull: Some(last_seen), last_seen };
    store.record_pulls(vec![pull]).await.unwrap();
}

pub(in crate::store) async fn what_comes_back_has_its_past(store: AnyStore) {
    let image = image("one", &["base"]);
    push(&store, "r", &image, &["t"], 1).await;
    pull(&store, "r").await;
    let (r, t) = (repository("r"), tag("t"));
    let before = (store.tag(&r, &t).await.unwrap(), store.repository(&r).await.unwrap());
    let manifest = store.manifest(&r, &image.digest).await.unwrap();
    for gone in [
        vec![tag_deleted("r", "t")],
        vec![manifest_deleted("r", &image)],
        vec![tag_deleted("r", "t"), manifest_deleted("r", &image), repository_gone("r")],
    ] {
        for change in gone {
            find(&store, change, Source::Swept, 20).await;
        }
        assert_eq!(store.tag(&r, &t).await.unwrap(), None);
        find(&store, put("r", &image, &["t"]), Source::Hinted, 30).await;
        assert_eq!(store.tag(&r, &t).await.unwrap(), before.0);
        assert_eq!(store.repository(&r).await.unwrap(), before.1);
        assert_eq!(store.manifest(&r, &image.digest).await.unwrap(), manifest);
        let back = history(&store).await.pop().unwrap();
        assert_eq!(
            (back.kind, back.source, back.tag),
            (EventKind::TagRestored, Source::Hinted, Some(t.clone()))
        );
        assert_eq!((back.digest, back.time), (Some(image.digest.clone()), at(30)));
    }
}

pub(in crate::store) async fn what_went_keeps_its_past_while_a_leap_of_the_clock_has_not_held(
    store: AnyStore,
) {
    const YEARS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
    let image = image("one", &[]);
    let comes_back = async |held: Option<u64>, repository_name: &str| {
        push(&store, repository_name, &image, &["t", "u"], 1).await;
        let t = tag("t");
        let before = store.tag(&repository(repository_name), &t).await.unwrap();
        find(&store, tag_deleted(repository_name, "t"), Source::Swept, 2).await;
        if let Some(held) = held {
            store.keep_time(at(held)).await.unwrap();
        }
        // Something else goes, by a clock that has leapt.
        find(&store, tag_deleted(repository_name, "u"), Source::Swept, YEARS).await;
        find(&store, put(repository_name, &image, &["t"]), Source::Hinted, YEARS).await;
        store.tag(&repository(repository_name), &t).await.unwrap() == before
    };
    assert!(comes_back(Some(3), "leapt").await);
    assert!(!comes_back(Some(YEARS), "held").await);
}

pub(in crate::store) async fn only_the_same_manifest_under_the_same_tag_comes_back_with_its_past(
    store: AnyStore,
) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t"], 1).await;
    find(&store, tag_deleted("r", "t"), Source::Swept, 2).await;
    find(&store, put("r", &second, &["t"]), Source::Swept, 3).await;
    find(&store, put("r", &first, &["u"]), Source::Swept, 4).await;
    for name in ["t", "u"] {
        let found = store.tag(&repository("r"), &tag(name)).await.unwrap().unwrap();
        assert_eq!((found.source, found.pushed_by), (Source::Swept, None), "{name}");
    }
    // The name has had another manifest since.
    find(&store, tag_deleted("r", "t"), Source::Swept, 5).await;
    find(&store, put("r", &first, &["t"]), Source::Swept, 6).await;
    assert_eq!(history(&store).await.pop().unwrap().kind, EventKind::ManifestPut);
}

pub(in crate::store) async fn what_was_deleted_or_pushed_through_the_door_has_no_older_past(store: AnyStore) {
    let image = image("one", &[]);
    let (r, t) = (repository("r"), tag("t"));
    push(&store, "r", &image, &["t"], 1).await;
    carry(&store, "r", Write::Delete { reference: tag_of("t") }, vec![tag_deleted("r", "t")], 2).await;
    find(&store, put("r", &image, &["t"]), Source::Swept, 3).await;
    assert_eq!(store.tag(&r, &t).await.unwrap().unwrap().pushed_by, None);
    // The tag vanished, and somebody deleted the manifest through the door.
    push(&store, "r", &image, &["gone"], 3).await;
    find(&store, tag_deleted("r", "gone"), Source::Swept, 3).await;
    let write = Write::Delete { reference: digest_of(&image) };
    carry(&store, "r", write, vec![manifest_deleted("r", &image)], 3).await;
    find(&store, put("r", &image, &["gone"]), Source::Swept, 3).await;
    assert_eq!(store.tag(&r, &tag("gone")).await.unwrap().unwrap().pushed_by, None);
    push(&store, "r", &image, &["t"], 3).await;
    // It vanished, and somebody pushed it again: that is the push that counts, also when it vanishes once more.
    find(&store, tag_deleted("r", "t"), Source::Swept, 4).await;
    push(&store, "r", &image, &["t"], 5).await;
    find(&store, tag_deleted("r", "t"), Source::Swept, 6).await;
    // A deletion of what has vanished already.
    carry(&store, "r", Write::Delete { reference: tag_of("t") }, vec![tag_deleted("r", "t")], 7).await;
    find(&store, put("r", &image, &["t"]), Source::Swept, 8).await;
    assert_eq!(store.tag(&r, &t).await.unwrap().unwrap().found_at, Some(at(8)));
}

pub(in crate::store) async fn what_the_registry_denies_stays_marked_until_it_is_there_or_gone(
    store: AnyStore,
) {
    let image = image("one", &[]);
    let (r, t) = (repository("r"), tag("t"));
    let (of_tag, of_manifest) = (tag_of("t"), digest_of(&image));
    push(&store, "r", &image, &["t", "u"], 1).await;
    let events = history(&store).await.len();
    let missing = |reference| Change::ReferenceMissing { repository: r.clone(), reference };
    let present = |reference| Change::ReferencePresent { repository: r.clone(), reference };
    for time in [5, 6] {
        for reference in [of_tag.clone(), of_manifest.clone()] {
            assert_eq!(
                find(&store, missing(reference), Source::Swept, time).await,
                Recorded::Unchanged,
                "no event tells of it"
            );
        }
    }
    assert_eq!(store.missing(), Missing { tags: 1, manifests: 1 });
    assert_eq!(store.statistics().await.unwrap().missing, store.missing());
    assert_eq!(store.tag(&r, &t).await.unwrap().unwrap().missing.unwrap().since, at(5));
    assert_eq!(store.manifest(&r, &image.digest).await.unwrap().unwrap().missing.unwrap().since, at(5));
    assert_eq!(*store.manifest_content(&r, &image.digest).await.unwrap().unwrap(), image);
    let page = || PageRequest { after: None, limit: 10 };
    let held = store.repositories_with_missing(page()).await.unwrap().items;
    assert_eq!(held.iter().map(|held| held.missing).collect::<Vec<_>>(), [store.missing()]);
    let unsure = store.unsure_tags(&r, vec![tag("t"), tag("u"), tag("v")]).await.unwrap();
    assert_eq!(unsure, [tag("t"), tag("v")]);
    for reference in [of_tag.clone(), of_manifest] {
        find(&store, present(reference), Source::Swept, 7).await;
    }
    assert_eq!(store.missing(), Missing::default());
    assert_eq!(history(&store).await.len(), events);
    assert!(store.repositories_with_missing(page()).await.unwrap().items.is_empty());
    // A push ends it as well, and so does a removal.
    for end in [put("r", &image, &["t"]), tag_deleted("r", "t"), repository_gone("r")] {
        push(&store, "r", &image, &["t"], 8).await;
        find(&store, missing(of_tag.clone()), Source::Swept, 9).await;
        assert_eq!(store.missing(), Missing { tags: 1, manifests: 0 });
        find(&store, end, Source::Swept, 10).await;
        assert_eq!(store.missing(), Missing::default());
    }
    push(&store, "r", &image, &["t"], 11).await;
    find(&store, missing(of_tag), Source::Swept, 12).await;
    push(&store, "r", &image, &["t"], 13).await;
    assert_eq!(store.missing(), Missing::default());
    assert_eq!(store.tag(&r, &t).await.unwrap().unwrap().pushed_by, alice().user);
}

pub(in crate::store) async fn what_was_observed_of_late_is_known_by_its_references(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t"], 1).await;
    find(&store, put("r", &second, &["u"]), Source::Swept, 2).await;
    let r = repository("r");
    let is_known = |reference: Option<&_>| store.last_write(&r, reference).is_some();
    assert!(is_known(Some(&tag_of("t"))) && is_known(Some(&digest_of(&first))) && is_known(None));
    assert!(!is_known(Some(&tag_of("u"))) && !is_known(Some(&digest_of(&second))));
    assert!(store.last_write(&repository("s"), None).is_none());
    carry(&store, "r", Write::Delete { reference: tag_of("u") }, vec![tag_deleted("r", "u")], 3).await;
    assert!(store.last_write(&r, Some(&tag_of("u"))).is_some());
    assert!(store.last_write(&r, Some(&digest_of(&second))).is_none(), "only its tag was deleted");
}

pub(in crate::store) async fn what_is_missing_is_accepted_by_number_and_what_is_lost_later_is_not(
    store: AnyStore,
) {
    let image = image("one", &[]);
    push(&store, "r", &image, &["t", "u"], 100).await;
    let missing = |name| Change::ReferenceMissing { repository: repository("r"), reference: tag_of(name) };
    let mark = async |name| {
        store.tag(&repository("r"), &tag(name)).await.unwrap().unwrap().missing.unwrap().sequence
    };
    find(&store, missing("t"), Source::Swept, 200).await;
    assert!(store.removals_accepted_until().await.unwrap() < mark("t").await);
    store.accept_removals().await.unwrap();
    // The clock was set back.
    find(&store, missing("u"), Source::Swept, 50).await;
    let accepted = store.removals_accepted_until().await.unwrap();
    assert!(mark("t").await <= accepted && accepted < mark("u").await);
}

pub(in crate::store) async fn removals_that_were_found_are_counted_since_a_time(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "r", &image, &["t", "u"], 1).await;
    find(&store, tag_deleted("r", "t"), Source::Swept, 10).await;
    find(&store, manifest_deleted("r", &image), Source::Verified, 20).await;
    push(&store, "r", &image, &["t"], 25).await;
    carry(&store, "r", Write::Delete { reference: tag_of("t") }, vec![tag_deleted("r", "t")], 30).await;
    assert_eq!(store.found_removals(at(0)).await.unwrap(), Missing { tags: 2, manifests: 1 });
    assert_eq!(store.found_removals(at(11)).await.unwrap(), Missing { tags: 1, manifests: 1 });
    assert_eq!(store.found_removals(at(21)).await.unwrap(), Missing::default());
}
