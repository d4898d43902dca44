//! What is there: manifests under tags or alone, and repositories.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::draft::{About, Draft, Effect, Held, RowChange};
use crate::oci::{Digest, Manifest, Tag};
use crate::store::EventKind;
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Past};

pub(super) fn manifest(held: &Held, mut draft: Draft<'_>, manifest: &Arc<Manifest>, tags: &[Tag]) -> Effect {
    let observed = draft.is_observed();
    // A tag whose manifest was deleted does not point to it, whatever its row says.
    let is_news = observed || held.manifest.is_none();
    let differs = |tag: &&Tag| is_news || held.tags.get(*tag).is_none_or(|row| row.digest != manifest.digest);
    let named: BTreeSet<&Tag> = tags.iter().collect();
    let (moved, same): (Vec<&Tag>, Vec<&Tag>) = named.iter().copied().partition(differs);
    let untagged = named.is_empty() && (observed || held.manifest.is_none());
    let is_missing = held.manifest.as_ref().is_some_and(|(row, _)| row.missing.is_some())
        || same.iter().any(|tag| held.tags.get(*tag).is_some_and(|row| row.missing.is_some()));
    if moved.is_empty() && !untagged && !is_missing {
        return Effect::default();
    }
    let mut repository = match draft.repository.take() {
        Some(repository) => repository,
        None => unknown_repository(held, &mut draft),
    };
    if observed {
        repository.last_push = Some(draft.provenance.now);
    }
    match &held.manifest {
        None => add_manifest(held, &mut draft, &mut repository, manifest),
        Some((row, _)) if row.missing.is_some() => {
            repository.missing_manifests = repository.missing_manifests.saturating_sub(1);
            let row = ManifestRow { missing: None, ..row.clone() };
            draft.rows.push(RowChange::ManifestRow { digest: manifest.digest.clone(), row });
        }
        Some(_) => {}
    }
    for tag in same {
        let Some(row) = held.tags.get(tag).filter(|row| row.missing.is_some()) else { continue };
        repository.missing_tags = repository.missing_tags.saturating_sub(1);
        let row = TagRow { missing: None, ..row.clone() };
        draft.rows.push(RowChange::Tag { tag: tag.clone(), row, previous: None });
    }
    for tag in moved {
        point(held, &mut draft, &mut repository, manifest, tag);
    }
    if untagged {
        put(&mut draft, EventKind::ManifestPut, manifest, None, None);
    }
    draft.repository = Some(repository);
    draft.finish()
}

pub(super) fn repository(held: &Held, mut draft: Draft<'_>) -> Effect {
    if held.repository.is_some() {
        return Effect::default();
    }
    draft.event(EventKind::RepositoryFound, About::default());
    draft.repository = Some(unknown_repository(held, &mut draft));
    draft.finish()
}

/// A repository that is not recorded: its past, if it has one.
fn unknown_repository(held: &Held, draft: &mut Draft<'_>) -> RepositoryRow {
    let Some(tombstone) = held.tombstones.get(&Buried::Repository) else { return RepositoryRow::default() };
    draft.forget(held, Buried::Repository);
    match &tombstone.past {
        Past::Repository(RepositoryRow { last_push, last_pull, pulls, .. }) => RepositoryRow {
            last_push: *last_push,
            last_pull: *last_pull,
            pulls: *pulls,
            ..RepositoryRow::default()
        },
        Past::Tag(_) | Past::Manifest(_) => RepositoryRow::default(),
    }
}

fn add_manifest(
    held: &Held,
    draft: &mut Draft<'_>,
    repository: &mut RepositoryRow,
    manifest: &Arc<Manifest>,
) {
    repository.manifests += 1;
    repository.bytes = repository.bytes.wrapping_add(manifest.size());
    for (digest, size) in manifest.document.blobs() {
        let mut row = held.blobs.get(digest).cloned().unwrap_or(BlobRow { holders: 0, size });
        if row.holders == 0 {
            repository.bytes = repository.bytes.wrapping_add(row.size);
        }
        row.holders += 1;
        draft.rows.push(RowChange::Blob { digest: digest.clone(), row });
    }
    let buried = Buried::Manifest(manifest.digest.clone());
    let past = held.tombstones.get(&buried).filter(|_| !draft.is_observed());
    let row = match past.map(|tombstone| &tombstone.past) {
        Some(Past::Manifest(row)) => row.clone(),
        _ => {
            ManifestRow { recorded_at: draft.provenance.now, source: draft.provenance.source, missing: None }
        }
    };
    draft.forget(held, buried);
    draft.rows.push(RowChange::Manifest { manifest: Arc::clone(manifest), row });
}

/// A tag points to the manifest, which it did not before.
fn point(
    held: &Held,
    draft: &mut Draft<'_>,
    repository: &mut RepositoryRow,
    manifest: &Arc<Manifest>,
    tag: &Tag,
) {
    let before = held.tags.get(tag);
    let previous = before.map(|row| &row.digest).filter(|digest| **digest != manifest.digest).cloned();
    match before {
        None => repository.tags += 1,
        Some(row) if row.missing.is_some() => {
            repository.missing_tags = repository.missing_tags.saturating_sub(1);
        }
        Some(_) => {}
    }
    let buried = Buried::Tag(tag.clone());
    let past = held.tombstones.get(&buried).filter(|_| !draft.is_observed() && before.is_none());
    let past = past.and_then(|tombstone| match &tombstone.past {
        Past::Tag(row) if row.digest == manifest.digest => Some(row.clone()),
        Past::Tag(_) | Past::Manifest(_) | Past::Repository(_) => None,
    });
    draft.forget(held, buried);
    let row = match past {
        Some(row) => {
            put(draft, EventKind::TagRestored, manifest, Some(tag), None);
            row
        }
        None => {
            let sequence = put(draft, EventKind::ManifestPut, manifest, Some(tag), previous.clone());
            TagRow {
                digest: manifest.digest.clone(),
                media_type: manifest.document.media_type.clone(),
                bytes: manifest
                    .document
                    .blobs()
                    .values()
                    .fold(manifest.size(), |sum, size| sum.saturating_add(*size)),
                platforms: manifest.document.platforms().map(ToString::to_string).collect(),
                recorded_at: draft.provenance.now,
                pushed_by: draft.actor().user,
                source: draft.provenance.source,
                sequence,
                last_pull: before.and_then(|row| row.last_pull),
                pulls: before.map_or(0, |row| row.pulls),
                last_seen: before.and_then(|row| row.last_seen),
                missing: None,
            }
        }
    };
    draft.rows.push(RowChange::Tag { tag: tag.clone(), row, previous });
}

fn put(
    draft: &mut Draft<'_>,
    kind: EventKind,
    manifest: &Manifest,
    tag: Option<&Tag>,
    previous: Option<Digest>,
) -> crate::store::Sequence {
    let about = About {
        tag: tag.cloned(),
        digest: Some(manifest.digest.clone()),
        previous,
        media_type: Some(manifest.document.media_type.clone()),
    };
    draft.event(kind, about)
}
