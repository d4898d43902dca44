use super::*;
use crate::oci::{Reference, RepositoryName};
use crate::store::RepositoryRecord;
use crate::store::sample::{Model, alice, any_change, at, image, index, put, repository, tag};
use proptest::prelude::*;

/// A backend in its simplest form: maps of rows.
#[derive(Default)]
struct Rows {
    repositories: BTreeMap<RepositoryName, RepositoryRow>,
    tags: BTreeMap<(RepositoryName, Tag), TagRow>,
    manifests: BTreeMap<(RepositoryName, Digest), (ManifestRow, Document)>,
    blobs: BTreeMap<(RepositoryName, Digest), BlobRow>,
    tombstones: BTreeMap<(RepositoryName, Buried), Tombstone>,
    events: Vec<Event>,
}

impl Rows {
    fn apply(&mut self, change: &Change, source: Source, now: Timestamp) -> usize {
        let (repository, held) = self.held(change);
        let next = Sequence::new(self.events.len() as u64 + 1);
        let effect = effect(held, change, Learnt { source, actor: &alice(), now }, next);
        for row in effect.rows {
            self.write(repository, row);
        }
        let count = effect.events.len();
        self.events.extend(effect.events);
        count
    }

    fn held<'c>(&self, change: &'c Change) -> (&'c RepositoryName, Held) {
        let (repository, digest) = match change {
            Change::ManifestPut { repository, manifest, .. } => (repository, Some(&manifest.digest)),
            Change::ManifestDeleted { repository, digest } => (repository, Some(digest)),
            Change::ReferenceMissing { repository, reference }
            | Change::ReferencePresent { repository, reference } => match reference {
                Reference::Digest(digest) => (repository, Some(digest)),
                Reference::Tag(_) => (repository, None),
            },
            Change::TagDeleted { repository, .. }
            | Change::RepositoryFound { repository }
            | Change::RepositoryGone { repository } => (repository, None),
        };
        let of = |(name, _): &(RepositoryName, Digest)| name == repository;
        let is_deletion = matches!(change, Change::ManifestDeleted { .. });
        let tags = self.tags.iter().filter(|((name, _), _)| name == repository);
        let held = Held {
            repository: self.repositories.get(repository).cloned(),
            manifest: digest
                .and_then(|digest| self.manifests.get(&(repository.clone(), digest.clone())).cloned()),
            tags: tags
                .filter(|(_, row)| !is_deletion || Some(&row.digest) == digest)
                .map(|((_, tag), row)| (tag.clone(), row.clone()))
                .collect(),
            blobs: self
                .blobs
                .iter()
                .filter(|(key, _)| of(key))
                .map(|((_, digest), row)| (digest.clone(), row.clone()))
                .collect(),
            tombstones: self
                .tombstones
                .iter()
                .filter(|((name, _), _)| name == repository)
                .map(|((_, buried), stone)| (buried.clone(), stone.clone()))
                .collect(),
        };
        (repository, held)
    }

    fn write(&mut self, repository: &RepositoryName, change: RowChange) {
        let here = repository.clone();
        match change {
            RowChange::Repository(row) => {
                self.repositories.insert(here, row);
            }
            RowChange::RepositoryRemoved => {
                self.repositories.remove(repository);
                self.tags.retain(|(name, _), _| name != repository);
                self.manifests.retain(|(name, _), _| name != repository);
                self.blobs.retain(|(name, _), _| name != repository);
            }
            RowChange::Tag { tag, row, previous } => {
                let digest = row.digest.clone();
                let before = self.tags.insert((here, tag), row).map(|row| row.digest);
                assert_eq!(before.filter(|before| *before != digest), previous);
            }
            RowChange::TagRemoved { tag, digest } => {
                let before = self.tags.remove(&(here, tag)).map(|row| row.digest);
                assert_eq!(before, Some(digest));
            }
            RowChange::Manifest { manifest, row } => {
                let document = manifest.document.clone();
                assert!(self.manifests.insert((here, manifest.digest.clone()), (row, document)).is_none());
            }
            RowChange::ManifestRow { digest, row } => {
                self.manifests.get_mut(&(here, digest)).unwrap().0 = row
            }
            RowChange::Tombstone { buried, tombstone } => {
                assert!(self.tombstones.insert((here, buried), tombstone).is_none());
            }
            RowChange::TombstoneRemoved { buried, at } => {
                assert_eq!(self.tombstones.remove(&(here, buried)).unwrap().at, at);
            }
            RowChange::ManifestRemoved { digest, subject } => {
                let (_, document) = self.manifests.remove(&(here, digest)).unwrap();
                assert_eq!(document.subject.map(|subject| subject.digest), subject);
            }
            RowChange::Blob { digest, row } => {
                self.blobs.insert((here, digest), row);
            }
            RowChange::BlobRemoved { digest } => {
                assert_eq!(self.blobs.remove(&(here, digest)).unwrap().holders, 1);
            }
        }
    }

    fn records(&self) -> Vec<RepositoryRecord> {
        self.repositories.iter().map(|(name, row)| row.clone().record(name.clone())).collect()
    }
}

proptest! {
    #[test]
    fn any_changes_come_to_what_a_naive_model_holds(changes in prop::collection::vec(any_change(), 0..40)) {
        let (mut rows, mut model) = (Rows::default(), Model::default());
        for (now, (change, source)) in changes.iter().enumerate() {
            let now = at(now as u64);
            prop_assert_eq!(rows.apply(change, *source, now), model.apply(change, *source, now));
            prop_assert_eq!(rows.records(), model.records());
        }
        let pointed = rows.tags.iter().map(|((name, tag), row)| (name, tag, &row.digest));
        let expected = model.repositories.iter().flat_map(|(name, held)| {
            held.tags.iter().map(move |(tag, digest)| (name, tag, digest))
        });
        prop_assert!(pointed.eq(expected));
        let sequences = rows.events.iter().map(|event| event.sequence.get());
        prop_assert!(sequences.eq(1..=rows.events.len() as u64));
        let found = rows.events.iter().filter(|event| event.source != Source::Observed);
        prop_assert!(found.into_iter().all(|event| event.actor == Actor::default()));
    }

    #[test]
    fn what_was_found_twice_changes_nothing_the_second_time(changes in prop::collection::vec(any_change(), 0..20)) {
        let mut rows = Rows::default();
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
    let mut rows = Rows::default();
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
    let mut rows = Rows::default();
    rows.apply(&put("r", &honest, &["t"]), Source::Observed, at(1));
    let before = rows.records();
    rows.apply(&put("r", &huge, &[]), Source::Swept, at(2));
    let change = Change::ManifestDeleted { repository: repository("r"), digest: huge.digest.clone() };
    rows.apply(&change, Source::Swept, at(3));
    assert_eq!(rows.records(), before);
}
