//! Sums over a store in memory, compared with what a simple count over all of it comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::clock::Timestamp;
use crate::oci::{Descriptor, Digest, Document, Manifest, ManifestKind, MediaType, Tag};
use crate::search::SortOrder;
use crate::store::{
    Change, Guard, Ledger as _, MemoryStore, Numbers as _, Pull, Pulls as _, Records as _, Source,
};

const NAMES: [&str; 9] = ["a", "a-b", "a-b/x", "a/x", "a/x/y", "a/y", "a0", "b/x", "c"];

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

/// A digest of one of two algorithms.
fn digest(layer: u8) -> Digest {
    if layer.is_multiple_of(2) {
        return Digest::sha256(&[layer]);
    }
    let encoded = Digest::sha256(&[layer]).encoded().repeat(2);
    Digest::parse(&format!("sha512:{encoded}")).unwrap()
}

async fn push(store: &MemoryStore, repository: &str, layers: &[u8], now: u64) {
    let bytes = format!("{layers:?}");
    let descriptor = |layer: &u8| Descriptor {
        media_type: MediaType::OCI_MANIFEST.into(),
        digest: digest(*layer),
        size: 1 << layer,
        platform: None,
        artifact_type: None,
        annotations: BTreeMap::new(),
    };
    let document = Document {
        kind: ManifestKind::Image,
        layers: layers.iter().map(descriptor).collect(),
        ..Document::unread(MediaType::OCI_MANIFEST.into(), bytes.len() as u64)
    };
    let manifest = Manifest { digest: Digest::sha256(bytes.as_bytes()), bytes: bytes.into(), document };
    let tags = vec![Tag::parse(&format!("t{}", layers.len())).unwrap()];
    let change = Change::ManifestPut { repository: name(repository), manifest: Arc::new(manifest), tags };
    let guard = Guard { reference: None, since: store.sequence().await.unwrap(), lease: None };
    store.record(vec![change], Source::Swept, guard, Timestamp::from_milliseconds(now)).await.unwrap();
    let pull = Pull {
        repository: name(repository),
        tag: None,
        count: now,
        last_pull: Some(Timestamp::from_milliseconds(now)),
        last_seen: Timestamp::from_milliseconds(now),
    };
    store.record_pulls(vec![pull]).await.unwrap();
}

/// What a simple count comes to, of what is visible.
async fn counted(store: &MemoryStore, visible: &BTreeSet<&str>) -> Vec<NamespaceSums> {
    let mut sums: BTreeMap<String, (NamespaceSums, BTreeMap<Digest, u64>)> = BTreeMap::new();
    let all = PageRequest { after: None, limit: 1_000 };
    for record in store.repositories(None, all).await.unwrap().items {
        if !visible.contains(record.name.as_str()) {
            continue;
        }
        let mut parts = record.name.as_str().split('/');
        let namespace = if record.name.as_str().contains('/') { parts.next().unwrap() } else { "" };
        let (sums, sizes) = sums
            .entry(namespace.to_owned())
            .or_insert_with(|| (NamespaceSums::new(namespace), BTreeMap::new()));
        sums.add(&record);
        let held = store.sizes(&record.name, PageRequest { after: None, limit: 1_000 }).await.unwrap();
        sizes.extend(held.items.into_iter().map(|sized| (sized.digest, sized.size)));
    }
    let whole = |(sums, sizes): (NamespaceSums, BTreeMap<Digest, u64>)| NamespaceSums {
        bytes: sizes.into_values().sum(),
        ..sums
    };
    sums.into_values().map(whole).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_sums_are_those_of_a_simple_count_in_however_little_memory(
        pushes in prop::collection::vec(
            (prop::sample::select(NAMES.to_vec()), prop::collection::vec(0..30_u8, 0..8)), 0..40,
        ),
        visible in prop::collection::btree_set(prop::sample::select(NAMES.to_vec()), 0..=NAMES.len()),
        most in 1..60_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let store = MemoryStore::default();
            for ((repository, layers), now) in pushes.iter().zip(1..) {
                push(&store, repository, layers, now).await;
            }
            let expected = counted(&store, &visible).await;
            let visible: BTreeSet<String> = visible.iter().map(|name| (*name).to_owned()).collect();
            let sees: Sees = Box::new(move |name| visible.contains(name.as_str()));
            let sums = reading::read(&store, sees, usize::MAX, most).await.unwrap();
            assert_eq!(sums, expected);
        });
    }
}

fn namespaces() -> Namespaces {
    let sums = [("", 5, 1), ("a", 7, 3), ("a-b", 7, 2), ("b", 1, 0)];
    let of = |(namespace, bytes, pulled): (&str, u64, u64)| NamespaceSums {
        bytes,
        last_pull: (pulled > 0).then(|| Timestamp::from_milliseconds(pulled)),
        ..NamespaceSums::new(namespace)
    };
    Namespaces { sums: sums.map(of).to_vec() }
}

#[test]
fn the_list_is_sorted_and_its_parts_go_on_where_the_last_one_ended() {
    use RepositorySort::{LastPull, Name, Size};
    use SortOrder::{Ascending, Descending};
    let all = namespaces();
    for (sort, order, containing, expected) in [
        (Name, Ascending, None, vec!["", "a", "a-b", "b"]),
        (Name, Descending, None, vec!["b", "a-b", "a", ""]),
        (Size, Descending, None, vec!["a", "a-b", "", "b"]),
        (Size, Ascending, Some("b"), vec!["b", "a-b"]),
        (LastPull, Descending, None, vec!["a", "a-b", "", "b"]),
    ] {
        let containing = containing.map(str::to_owned);
        let question = RepositoryQuestion { sort, order, containing, namespace: None };
        for limit in 1..6 {
            let (mut after, mut told) = (None, Vec::new());
            loop {
                let part = all.list(&question, &PageRequest { after, limit });
                assert!(part.items.len() == limit || part.next.is_none());
                told.extend(part.items.into_iter().map(|sums| sums.namespace.to_string()));
                assert!(told.len() <= expected.len(), "{question:?}: {told:?}");
                let Some(next) = part.next else { break };
                // As it comes back from the asker.
                after = Some(next.to_string().parse().unwrap());
            }
            assert_eq!(told, expected, "{question:?}");
        }
    }
    for wrong in ["", "name:0:a", "namespace:name:0:a/b", "namespace:name:0:A", "namespace:none:0:a"] {
        assert_eq!(wrong.parse::<NamespaceCursor>(), Err(InvalidCursor), "{wrong}");
    }
}

#[test]
fn a_part_begins_behind_what_has_gone_or_moved_meanwhile() {
    let question = RepositoryQuestion {
        sort: RepositorySort::Size,
        order: SortOrder::Descending,
        containing: None,
        namespace: None,
    };
    let first = namespaces().list(&question, &PageRequest { after: None, limit: 2 });
    let mut later = namespaces();
    later.sums.remove(2);
    later.sums[1].bytes = 9;
    let second = later.list(&question, &PageRequest { after: first.next, limit: 2 });
    let told: Vec<&str> = second.items.iter().map(|sums| &*sums.namespace).collect();
    assert_eq!(told, ["", "b"]);
}

#[tokio::test]
async fn more_namespaces_than_there_is_memory_for_are_refused() {
    let store = MemoryStore::default();
    for number in 0..100_u8 {
        push(&store, &format!("n{number}/a"), &[], 1).await;
    }
    let sees = || -> Sees { Box::new(|_| true) };
    let whole = Namespaces::read(&store, sees(), usize::MAX).await.unwrap();
    assert!(matches!(
        Namespaces::read(&store, sees(), whole.memory()).await,
        Err(SearchError::TooManyNamespaces { .. })
    ));
    assert!(Namespaces::read(&store, sees(), 2 * whole.memory()).await.is_ok());
    let one: Sees = Box::new(|name| name.as_str() == "n7/a");
    assert_eq!(Namespaces::read(&store, one, 1_000).await.unwrap().sums.len(), 1);
}
