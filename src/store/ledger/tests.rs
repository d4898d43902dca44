use proptest::prelude::*;

use super::changes;
use super::effect::Provenance;
use crate::clock::Timestamp;
use crate::store::memory::State;
use crate::store::row::RepositoryRow;
use crate::store::sample::{
    Model, alice, any_change, at, image, index, manifest_deleted, put, repository, tag,
};
use crate::store::{Actor, Change, RepositoryRecord, Source};

impl State {
    fn apply(&mut self, change: &Change, source: Source, now: Timestamp) -> usize {
        let Ok(events) = changes::apply(self, change, Provenance { source, actor: &alice(), now });
        events
    }

    fn records(&self) -> Vec<RepositoryRecord> {
        self.repositories.iter().map(|(name, row)| row.clone().record(name.clone())).collect()
    }
}

proptest! {
    #[test]
    fn any_changes_come_to_what_a_naive_model_holds(changes in prop::collection::vec(any_change(), 0..40)) {
        let (mut rows, mut model) = (State::default(), Model::default());
        for (now, (change, source)) in changes.iter().enumerate() {
            let now = at(now as u64);
            prop_assert_eq!(rows.apply(change, *source, now), model.apply(change, *source, now));
            prop_assert_eq!(rows.records(), model.records());
            let missing = rows.repositories.values().map(RepositoryRow::missing);
            let missing = missing.fold((0, 0), |(tags, manifests), all| (tags + all.tags, manifests + all.manifests));
            prop_assert_eq!((rows.missing.tags, rows.missing.manifests), missing);
        }
        let pointed = rows.tags.iter().map(|((name, tag), row)| (name, tag, &row.digest));
        let expected = model.repositories.iter().flat_map(|(name, held)| {
            held.tags.iter().map(move |(tag, digest)| (name, tag, digest))
        });
        prop_assert!(pointed.eq(expected));
        let sequences = rows.events.values().map(|event| event.sequence.get());
        prop_assert!(sequences.eq(1..=rows.events.len() as u64));
        let found = rows.events.values().filter(|event| event.source != Source::Observed);
        prop_assert!(found.into_iter().all(|event| event.actor == Actor::default()));
    }

    #[test]
    fn what_was_found_twice_changes_nothing_the_second_time(changes in prop::collection::vec(any_change(), 0..20)) {
        let mut rows = State::default();
        for (change, source) in &changes {
            rows.apply(change, *source, at(1));
            let before = (rows.tags.clone(), rows.repositories.clone());
            prop_assert_eq!(rows.apply(change, Source::Swept, at(2)), 0);
            prop_assert_eq!(before, (rows.tags.clone(), rows.repositories.clone()));
        }
    }
}

#[test]
fn a_tag_shows_the_platforms_and_the_bytes_of_its_manifest() {
    let image = image("one", &["base", "base", "top"]);
    let index = index([&image, &image]);
    let mut rows = State::default();
    rows.apply(&put("r", &index, &["multi"]), Source::Observed, at(1));
    rows.apply(&put("r", &image, &["single"]), Source::Observed, at(2));
    let multi = &rows.tags[&(repository("r"), tag("multi"))];
    assert_eq!(multi.platforms, ["linux/amd64", "linux/arm64/v8"]);
    assert_eq!(multi.bytes, index.size(), "an index names manifests, not blobs");
    let single = &rows.tags[&(repository("r"), tag("single"))];
    let blobs: u64 = ["one", "base", "top"].iter().map(|name| crate::store::sample::blob(name).size).sum();
    assert_eq!(single.bytes, image.size() + blobs, "a layer that is named twice is stored once");
}

#[test]
fn sizes_that_a_manifest_only_claims_cannot_spoil_the_sum() {
    let mut huge = image("huge", &["a", "b", "c"]);
    for layer in &mut huge.document.layers {
        layer.size = u64::MAX;
    }
    let honest = image("honest", &["d"]);
    let mut rows = State::default();
    rows.apply(&put("r", &honest, &["t"]), Source::Observed, at(1));
    let before = rows.records();
    rows.apply(&put("r", &huge, &[]), Source::Swept, at(2));
    let change = manifest_deleted("r", &huge);
    rows.apply(&change, Source::Swept, at(3));
    assert_eq!(rows.records(), before);
}
