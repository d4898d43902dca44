//! What every backend of [`Store`] must do, as functions over the trait. A backend runs them all with
//! [`contract_tests`], each on an empty store of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::sample::{
    Model, alice, any_change, at, blob, image, manifest_deleted, put, referrer, repository, repository_gone,
    tag, tag_deleted,
};
use super::{
    Actor, Change, Event, EventKind, Guard, IntentState, Outcome, PageRequest, Recorded, Sequence, Settled,
    Source, Store, Write,
};
use crate::oci::{Digest, Manifest, ManifestKind, Reference};

/// Runs the whole contract. `$open` makes an empty store: it answers an `Arc<dyn Store>` and whatever has to live as
/// long as that.
macro_rules! contract_tests {
    ($open:path) => {
        $crate::store::contract::contract_tests! { $open;
            an_observed_push_is_recorded_whole
            a_push_by_digest_is_one_event_without_a_tag
            pushing_the_same_again_refreshes_the_tag_and_counts_nothing_twice
            moving_a_tag_names_what_it_pointed_to
            what_is_found_makes_events_only_for_what_differs
            deleting_a_tag_leaves_its_manifest
            deleting_a_manifest_takes_its_tags
            an_emptied_repository_stays_known_until_it_is_gone
            deleting_what_is_not_recorded_makes_no_event
            content_is_kept_as_long_as_any_repository_has_it
            referrers_come_and_go_with_their_manifests
            lists_are_complete_and_in_bytewise_order_at_any_page_size
            any_changes_come_to_what_a_naive_model_holds
            an_intent_is_open_until_it_is_settled
            a_doubted_intent_stays_open_and_unknown
            settling_twice_changes_nothing
            writes_to_one_tag_that_were_open_together_overlap
            a_deletion_by_digest_overlaps_what_moves_its_tags
            puts_of_one_manifest_under_different_tags_do_not_overlap
            a_guard_refuses_what_an_event_has_overtaken
            a_guard_refuses_while_somebody_is_writing
            a_guard_on_a_digest_minds_its_tags
            a_vanished_repository_is_not_believed_when_anything_in_it_was_touched
            sequence_numbers_are_never_given_twice
            a_write_whose_caller_left_is_done_whole_or_not_at_all
        }
    };
    ($open:path; $($promise:ident)+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let (store, _keep) = $open();
            $crate::store::contract::$promise(store).await;
        })+
    };
}

pub(super) use contract_tests;

type AnyStore = Arc<dyn Store>;

/// Carries a write that the registry does at once.
pub(super) async fn carry(
    store: &AnyStore,
    name: &str,
    write: Write,
    changes: Vec<Change>,
    now: u64,
) -> Settled {
    let intent = store.begin(repository(name), write, alice(), at(now)).await.unwrap();
    store.settle(intent.sequence, Outcome::Applied(changes), at(now)).await.unwrap()
}

/// Carries a push.
pub(super) async fn push(
    store: &AnyStore,
    name: &str,
    manifest: &Manifest,
    tags: &[&str],
    now: u64,
) -> Settled {
    carry(store, name, putting(manifest, tags), vec![put(name, manifest, tags)], now).await
}

async fn find(store: &AnyStore, change: Change, source: Source, now: u64) -> Recorded {
    let since = store.sequence().await.unwrap();
    let reference = Reference::Tag(tag("none"));
    store.record(vec![change], source, Guard { reference, since }, at(now)).await.unwrap()
}

fn putting(manifest: &Manifest, tags: &[&str]) -> Write {
    Write::Put { digest: manifest.digest.clone(), tags: tags.iter().map(|name| tag(name)).collect() }
}

fn deleting(manifest: &Manifest) -> Write {
    Write::Delete { reference: digest_of(manifest) }
}

fn digest_of(manifest: &Manifest) -> Reference {
    Reference::Digest(manifest.digest.clone())
}

fn tag_of(name: &str) -> Reference {
    Reference::Tag(tag(name))
}

async fn history(store: &AnyStore) -> Vec<Event> {
    store.events(None, PageRequest { after: None, limit: 1_000 }).await.unwrap().items
}

/// Kind, tag and digest of the events behind the first `skip`.
async fn told(store: &AnyStore, skip: usize) -> Vec<(EventKind, Option<String>, Option<Digest>)> {
    let events = history(store).await;
    let short =
        |event: &Event| (event.kind, event.tag.as_ref().map(ToString::to_string), event.digest.clone());
    events.iter().skip(skip).map(short).collect()
}

pub(super) async fn an_observed_push_is_recorded_whole(store: AnyStore) {
    let image = image("one", &["base", "top"]);
    assert_eq!(push(&store, "a/b", &image, &["v1", "latest"], 5).await, Settled::default());

    let tag = store.tag(&repository("a/b"), &tag("v1")).await.unwrap().unwrap();
    let blobs = blob("one").size + blob("base").size + blob("top").size;
    assert_eq!((&tag.digest, &tag.media_type), (&image.digest, &image.media_type));
    assert_eq!((tag.bytes, tag.pushed_at, tag.source), (image.size() + blobs, at(5), Source::Observed));
    assert_eq!(tag.pushed_by.as_deref(), Some("alice"));

    let manifest = store.manifest(&repository("a/b"), &image.digest).await.unwrap().unwrap();
    assert_eq!((manifest.kind, manifest.size), (ManifestKind::Image, image.size()));
    assert_eq!((&manifest.config, &manifest.layers), (&image.config, &image.layers));
    assert_eq!((&manifest.artifact_type, &manifest.annotations), (&image.artifact_type, &image.annotations));
    assert_eq!(manifest.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), ["latest", "v1"]);
    assert_eq!(*store.manifest_content(&image.digest).await.unwrap().unwrap(), image);

    let known = store.repository(&repository("a/b")).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests, known.bytes), (2, 1, image.size() + blobs));
    assert_eq!((known.last_push, known.last_pull), (Some(at(5)), None));

    let events = history(&store).await;
    assert_eq!(events.len(), 2, "one for each tag");
    for event in &events {
        assert_eq!((event.kind, event.source, event.time), (EventKind::ManifestPut, Source::Observed, at(5)));
        assert_eq!((&event.digest, &event.previous), (&Some(image.digest.clone()), &None));
        assert_eq!((&event.actor, &event.media_type), (&alice(), &Some(image.media_type.clone())));
    }
    let latest = events.iter().find(|event| event.tag == Some(tag.tag.clone())).unwrap();
    assert_eq!(latest.sequence, tag.sequence);
    let statistics = store.statistics().await.unwrap();
    assert_eq!((statistics.repositories, statistics.tags, statistics.manifests), (1, 2, 1));
    assert_eq!((statistics.events, statistics.open_intents), (2, 0));
}

pub(super) async fn a_push_by_digest_is_one_event_without_a_tag(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "r", &image, &[], 1).await;
    assert_eq!(told(&store, 0).await, [(EventKind::ManifestPut, None, Some(image.digest.clone()))]);
    let known = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests, known.last_push), (0, 1, Some(at(1))));
    assert!(store.tags_of(&repository("r"), &image.digest).await.unwrap().is_empty());
}

pub(super) async fn pushing_the_same_again_refreshes_the_tag_and_counts_nothing_twice(store: AnyStore) {
    let image = image("one", &["base"]);
    find(&store, put("r", &image, &["t"]), Source::Swept, 1).await;
    let before = store.repository(&repository("r")).await.unwrap().unwrap();
    push(&store, "r", &image, &["t"], 2).await;
    let tag = store.tag(&repository("r"), &tag("t")).await.unwrap().unwrap();
    assert_eq!(
        (tag.pushed_at, tag.source, tag.pushed_by.as_deref()),
        (at(2), Source::Observed, Some("alice"))
    );
    let after = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((after.tags, after.manifests, after.bytes), (before.tags, before.manifests, before.bytes));
    assert_eq!((before.last_push, after.last_push), (None, Some(at(2))));
    let events = history(&store).await;
    assert_eq!((events.len(), &events[1].previous), (2, &None));
}

pub(super) async fn moving_a_tag_names_what_it_pointed_to(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t"], 1).await;
    push(&store, "r", &second, &["t"], 2).await;
    assert_eq!(history(&store).await[1].previous, Some(first.digest.clone()));
    assert!(store.tags_of(&repository("r"), &first.digest).await.unwrap().is_empty());
    assert_eq!(store.tags_of(&repository("r"), &second.digest).await.unwrap(), [tag("t")]);
    let known = store.repository(&repository("r")).await.unwrap().unwrap();
    assert_eq!((known.tags, known.manifests), (1, 2), "the first manifest is still there");
}

pub(super) async fn what_is_found_makes_events_only_for_what_differs(store: AnyStore) {
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

pub(super) async fn deleting_a_tag_leaves_its_manifest(store: AnyStore) {
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

pub(super) async fn deleting_a_manifest_takes_its_tags(store: AnyStore) {
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
    assert_eq!(store.manifest_content(&first.digest).await.unwrap(), None);
}

pub(super) async fn an_emptied_repository_stays_known_until_it_is_gone(store: AnyStore) {
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
    assert!(store.manifest_content(&image.digest).await.unwrap().is_some());
    let statistics = store.statistics().await.unwrap();
    assert_eq!((statistics.repositories, statistics.tags, statistics.manifests), (1, 1, 1));
}

pub(super) async fn deleting_what_is_not_recorded_makes_no_event(store: AnyStore) {
    let (known, unknown) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &known, &["t"], 1).await;
    for change in [
        tag_deleted("r", "u"),
        tag_deleted("s", "t"),
        manifest_deleted("r", &unknown),
        manifest_deleted("s", &known),
        repository_gone("s"),
    ] {
        assert_eq!(find(&store, change.clone(), Source::Swept, 2).await, Recorded::Unchanged);
        carry(&store, "r", deleting(&unknown), vec![change], 2).await;
    }
    assert_eq!(history(&store).await.len(), 1);
    assert_eq!(store.repository(&repository("s")).await.unwrap(), None);
}

pub(super) async fn content_is_kept_as_long_as_any_repository_has_it(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "a", &image, &["t"], 1).await;
    push(&store, "b", &image, &[], 1).await;
    find(&store, manifest_deleted("a", &image), Source::Swept, 2).await;
    assert_eq!(*store.manifest_content(&image.digest).await.unwrap().unwrap(), image);
    find(&store, repository_gone("b"), Source::Swept, 3).await;
    assert_eq!(store.manifest_content(&image.digest).await.unwrap(), None);
    push(&store, "a", &image, &["t"], 4).await;
    assert_eq!(*store.manifest_content(&image.digest).await.unwrap().unwrap(), image);
}

pub(super) async fn referrers_come_and_go_with_their_manifests(store: AnyStore) {
    let subject = image("one", &[]);
    let (first, second) = (referrer("signature", &subject), referrer("sbom", &subject));
    for manifest in [&subject, &first, &second] {
        push(&store, "r", manifest, &[], 1).await;
    }
    push(&store, "s", &first, &[], 1).await;
    let found = store.referrers(&repository("r"), &subject.digest).await.unwrap();
    let digests: BTreeSet<&Digest> = found.iter().map(|record| &record.digest).collect();
    assert_eq!(digests, BTreeSet::from([&first.digest, &second.digest]));
    assert!(found.iter().all(|record| record.subject.as_ref().unwrap().digest == subject.digest));
    find(&store, manifest_deleted("r", &first), Source::Swept, 2).await;
    let left = store.referrers(&repository("r"), &subject.digest).await.unwrap();
    assert_eq!(left.iter().map(|record| &record.digest).collect::<Vec<_>>(), [&second.digest]);
    find(&store, repository_gone("r"), Source::Swept, 3).await;
    assert!(store.referrers(&repository("r"), &subject.digest).await.unwrap().is_empty());
    assert_eq!(store.referrers(&repository("s"), &subject.digest).await.unwrap().len(), 1);
}

/// Reads all pages of a list.
macro_rules! all_pages {
    ($limit:expr, |$page:ident| $list:expr) => {{
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let $page = PageRequest { after, limit: $limit };
            let page = $list.await.unwrap();
            assert!(page.items.len() <= $limit);
            items.extend(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => break items,
            }
        }
    }};
}

pub(super) async fn lists_are_complete_and_in_bytewise_order_at_any_page_size(store: AnyStore) {
    let names = ["a", "a-b", "a.b", "a/b", "a0", "b"];
    let tags = ["0", "A", "Z", "_", "a", "a-b", "a.b", "aa", "b"];
    let images: Vec<Manifest> = ["1", "2", "3", "4"].iter().map(|name| image(name, &[])).collect();
    for name in names {
        push(&store, name, &images[0], &["only"], 1).await;
    }
    push(&store, "a", &images[0], &tags, 2).await;
    for manifest in &images {
        push(&store, "a", manifest, &[], 3).await;
    }
    let here = repository("a");
    for limit in [1, 2, 3, 100] {
        let found = all_pages!(limit, |page| store.repositories(None, page));
        assert_eq!(found.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), names);
        let found = all_pages!(limit, |page| store.repositories(Some("-"), page));
        assert_eq!(found.iter().map(|record| record.name.as_str()).collect::<Vec<_>>(), ["a-b"]);

        let found = all_pages!(limit, |page| store.tags(&here, page));
        let expected: BTreeSet<&str> = tags.iter().copied().chain(["only"]).collect();
        assert!(found.iter().map(|record| record.tag.as_str()).eq(expected.iter().copied()));
        let pointing = store.tags_of(&here, &images[0].digest).await.unwrap();
        assert!(pointing.iter().map(|tag| tag.as_str()).eq(expected));

        let found = all_pages!(limit, |page| store.manifests(&here, page));
        let expected: BTreeSet<&Digest> = images.iter().map(|manifest| &manifest.digest).collect();
        assert!(found.iter().map(|record| &record.digest).eq(expected));

        let all = all_pages!(limit, |page| store.events(None, page));
        assert_eq!(all.len(), names.len() + tags.len() + images.len());
        assert!(all.is_sorted_by(|first, second| first.sequence < second.sequence));
        let of_one = all_pages!(limit, |page| store.events(Some(&here), page));
        assert!(of_one.iter().eq(all.iter().filter(|event| event.repository == here)));
    }
    let nowhere = repository("nowhere");
    assert!(store.tags(&nowhere, PageRequest { after: None, limit: 10 }).await.unwrap().items.is_empty());
}

pub(super) async fn any_changes_come_to_what_a_naive_model_holds(store: AnyStore) {
    let mut runner = TestRunner::deterministic();
    let changes = proptest::collection::vec(any_change(), 200).new_tree(&mut runner).unwrap().current();
    let mut model = Model::default();
    let mut events = 0;
    for (now, (change, source)) in changes.into_iter().enumerate() {
        let now = now as u64;
        let expected = model.apply(&change, source, at(now));
        events += expected as u64;
        if source == Source::Observed {
            carry(&store, "any", Write::Delete { reference: tag_of("any") }, vec![change], now).await;
        } else {
            let recorded = find(&store, change, source, now).await;
            let changed = if expected == 0 { Recorded::Unchanged } else { Recorded::Changed(expected) };
            assert_eq!(recorded, changed);
        }
        let page = PageRequest { after: None, limit: 100 };
        assert_eq!(store.repositories(None, page).await.unwrap().items, model.records());
    }
    for (name, held) in &model.repositories {
        let tags = store.tags(name, PageRequest { after: None, limit: 100 }).await.unwrap().items;
        assert!(tags.iter().map(|record| (&record.tag, &record.digest)).eq(&held.tags));
        let manifests = store.manifests(name, PageRequest { after: None, limit: 100 }).await.unwrap().items;
        assert!(manifests.iter().map(|record| &record.digest).eq(held.manifests.keys()));
        for (digest, manifest) in &held.manifests {
            assert_eq!(store.manifest_content(digest).await.unwrap().as_ref(), Some(manifest));
        }
    }
    assert_eq!(store.statistics().await.unwrap().events, events);
}

pub(super) async fn an_intent_is_open_until_it_is_settled(store: AnyStore) {
    let image = image("one", &[]);
    let first = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let second = store.begin(repository("s"), deleting(&image), Actor::default(), at(2)).await.unwrap();
    assert!(first.sequence < second.sequence);
    assert_eq!((first.state, first.begun, &first.actor), (IntentState::Carried, at(1), &alice()));
    assert_eq!(store.open_intents().await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.statistics().await.unwrap().open_intents, 2);
    assert!(history(&store).await.is_empty(), "nothing is recorded before the registry answered");

    store.settle(first.sequence, Outcome::Applied(vec![put("r", &image, &["t"])]), at(3)).await.unwrap();
    assert_eq!(store.open_intents().await.unwrap(), std::slice::from_ref(&second));
    assert_eq!(history(&store).await[0].time, at(3));
    store.settle(second.sequence, Outcome::Closed, at(4)).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
    assert_eq!(history(&store).await.len(), 1);
}

pub(super) async fn a_doubted_intent_stays_open_and_unknown(store: AnyStore) {
    let image = image("one", &[]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    store.doubt(intent.sequence).await.unwrap();
    let open = store.open_intents().await.unwrap();
    assert_eq!((open.len(), open[0].sequence, open[0].state), (1, intent.sequence, IntentState::Unknown));
    store.doubt(Sequence::new(4_711)).await.unwrap();
    store.settle(intent.sequence, Outcome::Closed, at(2)).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
}

pub(super) async fn settling_twice_changes_nothing(store: AnyStore) {
    let image = image("one", &[]);
    let intent = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    let applied = || Outcome::Applied(vec![put("r", &image, &["t"])]);
    store.settle(intent.sequence, applied(), at(2)).await.unwrap();
    push(&store, "r", &image, &["t"], 3).await;
    assert_eq!(store.settle(intent.sequence, applied(), at(4)).await.unwrap(), Settled::default());
    assert_eq!(history(&store).await.len(), 2);
}

pub(super) async fn writes_to_one_tag_that_were_open_together_overlap(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    let open = async |manifest: &Manifest, tags: &[&str]| {
        store.begin(repository("r"), putting(manifest, tags), alice(), at(1)).await.unwrap().sequence
    };
    let settle = async |intent, manifest: &Manifest, tags: &[&str]| {
        let outcome = Outcome::Applied(vec![put("r", manifest, tags)]);
        store.settle(intent, outcome, at(2)).await.unwrap().overlapped
    };
    let (a, b) = (open(&first, &["t", "u"]).await, open(&second, &["t", "v"]).await);
    assert_eq!(settle(b, &second, &["t", "v"]).await, [tag_of("t")], "the other is still open");
    assert_eq!(settle(a, &first, &["t", "u"]).await, [tag_of("t")], "the other was settled meanwhile");
    let alone = open(&first, &["t"]).await;
    assert!(
        settle(alone, &first, &["t"]).await.is_empty(),
        "what was settled before it began does not count"
    );

    let (left, late) = (open(&first, &["t"]).await, open(&second, &["t"]).await);
    store.doubt(left).await.unwrap();
    assert_eq!(
        settle(late, &second, &["t"]).await,
        [tag_of("t")],
        "nobody knows when the doubted one is done"
    );
    let elsewhere = store.begin(repository("s"), putting(&first, &["t"]), alice(), at(1)).await.unwrap();
    let outcome = Outcome::Applied(vec![put("s", &first, &["t"])]);
    assert_eq!(store.settle(elsewhere.sequence, outcome, at(2)).await.unwrap(), Settled::default());
}

pub(super) async fn a_deletion_by_digest_overlaps_what_moves_its_tags(store: AnyStore) {
    let (old, new) = (image("old", &[]), image("new", &[]));
    push(&store, "r", &old, &["t", "u"], 1).await;
    let delete = store.begin(repository("r"), deleting(&old), alice(), at(2)).await.unwrap();
    // A tag is moved away while its old manifest is being deleted: the registry may take it along.
    assert_eq!(push(&store, "r", &new, &["t"], 3).await.overlapped, [tag_of("t")]);
    // Pushed again while it is being deleted: the tag may be left without its manifest.
    assert_eq!(push(&store, "r", &old, &["v"], 3).await.overlapped, [tag_of("v"), digest_of(&old)]);
    assert!(push(&store, "r", &new, &["w"], 3).await.overlapped.is_empty());
    let outcome = Outcome::Applied(vec![manifest_deleted("r", &old)]);
    let settled = store.settle(delete.sequence, outcome, at(4)).await.unwrap();
    assert_eq!(settled.overlapped, [tag_of("t"), tag_of("v"), digest_of(&old)]);

    let put_again = store.begin(repository("r"), putting(&new, &["x"]), alice(), at(5)).await.unwrap();
    carry(&store, "r", deleting(&new), vec![manifest_deleted("r", &new)], 6).await;
    let outcome = Outcome::Applied(vec![put("r", &new, &["x"])]);
    let settled = store.settle(put_again.sequence, outcome, at(7)).await.unwrap();
    assert_eq!(settled.overlapped, [tag_of("x"), digest_of(&new)]);
}

pub(super) async fn puts_of_one_manifest_under_different_tags_do_not_overlap(store: AnyStore) {
    let image = image("one", &[]);
    let first = store.begin(repository("r"), putting(&image, &["t"]), alice(), at(1)).await.unwrap();
    assert_eq!(push(&store, "r", &image, &["u"], 2).await, Settled::default());
    let outcome = Outcome::Applied(vec![put("r", &image, &["t"])]);
    assert_eq!(store.settle(first.sequence, outcome, at(3)).await.unwrap(), Settled::default());
}

async fn record(store: &AnyStore, change: Change, reference: Reference, since: Sequence) -> Recorded {
    store.record(vec![change], Source::Verified, Guard { reference, since }, at(9)).await.unwrap()
}

pub(super) async fn a_guard_refuses_what_an_event_has_overtaken(store: AnyStore) {
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

pub(super) async fn a_guard_refuses_while_somebody_is_writing(store: AnyStore) {
    let (first, second) = (image("one", &[]), image("two", &[]));
    push(&store, "r", &first, &["t", "u"], 1).await;
    let intent = store.begin(repository("r"), putting(&second, &["t"]), alice(), at(2)).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "t"), tag_of("t"), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &second, &[]), digest_of(&second), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &first, &["v"]), tag_of("v"), since).await, Recorded::Changed(1));
    store.doubt(intent.sequence).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "t"), tag_of("t"), since).await, Recorded::Changed(1));

    let delete = store.begin(repository("r"), deleting(&first), alice(), at(3)).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "u"), tag_of("u"), since).await, Recorded::Superseded);
    assert_eq!(record(&store, put("r", &first, &["new"]), tag_of("new"), since).await, Recorded::Superseded);
    store.settle(delete.sequence, Outcome::Closed, at(4)).await.unwrap();
    assert_eq!(record(&store, tag_deleted("r", "u"), tag_of("u"), since).await, Recorded::Changed(1));
}

pub(super) async fn a_guard_on_a_digest_minds_its_tags(store: AnyStore) {
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

pub(super) async fn a_vanished_repository_is_not_believed_when_anything_in_it_was_touched(store: AnyStore) {
    let image = image("one", &[]);
    push(&store, "r", &image, &["t"], 1).await;
    let since = store.sequence().await.unwrap();
    push(&store, "r", &image, &["u"], 2).await;
    assert_eq!(record(&store, repository_gone("r"), tag_of("t"), since).await, Recorded::Superseded);
    let intent = store.begin(repository("r"), putting(&image, &["v"]), alice(), at(3)).await.unwrap();
    let since = store.sequence().await.unwrap();
    assert_eq!(record(&store, repository_gone("r"), tag_of("t"), since).await, Recorded::Superseded);
    store.settle(intent.sequence, Outcome::Closed, at(4)).await.unwrap();
    assert_eq!(record(&store, repository_gone("r"), tag_of("t"), since).await, Recorded::Changed(1));
    // And what was seen of a tag before the repository went is overtaken.
    assert_eq!(record(&store, put("r", &image, &["t"]), tag_of("t"), since).await, Recorded::Superseded);
}

pub(super) async fn sequence_numbers_are_never_given_twice(store: AnyStore) {
    assert_eq!(store.sequence().await.unwrap(), Sequence::ZERO);
    let mut tasks = Vec::new();
    for number in 0..64_u64 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let image = image(&number.to_string(), &["base"]);
            let name = format!("r{}", number % 3);
            let write = putting(&image, &["t", "u"]);
            let intent = store.begin(repository(&name), write, alice(), at(number)).await.unwrap();
            let outcome = Outcome::Applied(vec![put(&name, &image, &["t", "u"])]);
            store.settle(intent.sequence, outcome, at(number)).await.unwrap();
            intent.sequence
        }));
    }
    let mut given = BTreeSet::new();
    for task in tasks {
        assert!(given.insert(task.await.unwrap()));
    }
    let events = history(&store).await;
    assert_eq!(events.len(), 128);
    assert!(events.iter().all(|event| given.insert(event.sequence)));
    assert_eq!(store.sequence().await.unwrap(), *given.last().unwrap());
    assert_eq!(given.first(), Some(&Sequence::new(1)));
}

pub(super) async fn a_write_whose_caller_left_is_done_whole_or_not_at_all(store: AnyStore) {
    let image = image("one", &[]);
    let mut whole = 0;
    for number in 0..20_u64 {
        let name = format!("r{number}");
        let change = put(&name, &image, &["t", "u"]);
        let guard = Guard { reference: tag_of("t"), since: Sequence::ZERO };
        let mut recording = store.record(vec![change], Source::Swept, guard, at(number));
        let waker = std::task::Waker::noop();
        let started = recording.as_mut().poll(&mut std::task::Context::from_waker(waker));
        assert!(started.is_pending());
        drop(recording);
        // The writer takes requests in their order: when this one is done, so is what was left behind.
        push(&store, "behind", &image, &["t"], number).await;
        let known = store.repository(&repository(&name)).await.unwrap();
        let tags = store.tags(&repository(&name), PageRequest { after: None, limit: 9 }).await.unwrap();
        let events =
            store.events(Some(&repository(&name)), PageRequest { after: None, limit: 9 }).await.unwrap();
        let expected = known.map_or(0, |known| known.tags as usize);
        assert!(expected == 0 || expected == 2);
        assert_eq!((tags.items.len(), events.items.len()), (expected, expected));
        whole += expected / 2;
    }
    assert!(whole > 0, "once the writer has it, it is done");
}
