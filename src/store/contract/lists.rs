//! What lists hold.

use std::collections::BTreeSet;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::{AnyStore, carry, find, push, tag_of};
use crate::oci::{Digest, Manifest};
use crate::store::sample::{Model, any_change, at, image, repository};
use crate::store::{PageRequest, Recorded, Source, Write};

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

pub(in crate::store) async fn lists_are_complete_and_in_bytewise_order_at_any_page_size(store: AnyStore) {
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
        assert!(pointing.iter().map(|tag| tag.as_str()).eq(expected.iter().copied()));

        let found = all_pages!(limit, |page| store.all_tags(page));
        let others = names.iter().skip(1).map(|name| (*name, "only"));
        let all = expected.iter().map(|tag| ("a", *tag)).chain(others);
        assert!(found.iter().map(|(name, record)| (name.as_str(), record.tag.as_str())).eq(all));

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

pub(in crate::store) async fn names_are_listed_from_behind_any_text_on(store: AnyStore) {
    let names = ["a", "a-b", "a.b", "a/b", "a0", "b"];
    for name in names {
        push(&store, name, &image("1", &[]), &["0", "A", "Z.z", "_", "a"], 1).await;
    }
    let here = repository("a");
    let behind = |text: &str, limit| PageRequest {
        after: Some(text.to_owned()).filter(|text| !text.is_empty()),
        limit,
    };
    for (text, limit, expected, has_more) in [
        ("", 2, &names[..2], true),
        ("a", 2, &names[1..3], true),
        ("a!", 9, &names[1..], false),
        ("a/", 9, &names[3..], false),
        ("a/\u{0}\u{7f}", 9, &names[3..], false),
        ("A", 6, &names[..], false),
        ("b", 9, &names[6..], false),
        ("ü", 9, &names[6..], false),
        ("a", 0, &names[..0], true),
    ] {
        // However many are asked for.
        for limit in if has_more { vec![limit] } else { vec![limit, 1_000] } {
            let found = store.repository_names(behind(text, limit)).await.unwrap();
            assert!(found.items.iter().map(|name| name.as_str()).eq(expected.iter().copied()), "{text:?}");
            let next = found.next.map(|name| name.to_string());
            assert_eq!(next.as_deref(), expected.last().copied().filter(|_| has_more), "{text:?}");
        }
    }
    for (text, expected) in
        [("", "0 A Z.z _ a"), ("A", "Z.z _ a"), ("B", "Z.z _ a"), ("Z.z!", "_ a"), ("~", "")]
    {
        let found = store.tag_names(&here, behind(text, 9)).await.unwrap();
        let found: Vec<_> = found.items.iter().map(|tag| tag.as_str()).collect();
        assert_eq!(found.join(" "), expected, "{text:?}");
    }
}

pub(in crate::store) async fn any_changes_come_to_what_a_naive_model_holds(store: AnyStore) {
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
            assert_eq!(store.manifest_content(name, digest).await.unwrap().as_ref(), Some(manifest));
        }
    }
    assert_eq!(store.statistics().await.unwrap().events, events);
}
