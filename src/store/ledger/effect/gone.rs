//! What is not there any more.

use super::draft::{About, Draft, Effect, Held, RowChange};
use crate::oci::{Digest, Tag};
use crate::store::EventKind;
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Past};

pub(super) fn tag(held: &Held, mut draft: Draft<'_>, tag: &Tag) -> Effect {
    match (held.tags.get(tag), draft.repository.take()) {
        (Some(row), repository) => {
            let mut repository = repository.unwrap_or_default();
            drop_tag(held, &mut draft, &mut repository, tag, row);
            draft.repository = Some(repository);
            draft.finish()
        }
        (None, _) if draft.is_observed() => {
            // A client deleted it, whether or not the record had it. A repository that is not known stays so.
            draft.forget(held, Buried::Tag(tag.clone()));
            draft.event(EventKind::TagDeleted, About { tag: Some(tag.clone()), ..About::default() });
            draft.finish()
        }
        (None, _) => Effect::default(),
    }
}

pub(super) fn manifest(held: &Held, mut draft: Draft<'_>, digest: &Digest) -> Effect {
    let about = || About { digest: Some(digest.clone()), ..About::default() };
    if draft.is_observed() {
        // The deletion of a manifest also deletes what its tags were, though they had gone before.
        for (buried, tombstone) in &held.tombstones {
            let is_of_it = matches!(&tombstone.past, Past::Tag(row) if row.digest == *digest);
            if let Buried::Tag(tag) = buried
                && is_of_it
                && !held.tags.contains_key(tag)
            {
                draft.forget(held, buried.clone());
            }
        }
    }
    let buried = Buried::Manifest(digest.clone());
    let Some((row, document)) = &held.manifest else {
        if !draft.is_observed() {
            return Effect::default();
        }
        // Tags of it may have stayed when it was deleted before.
        let mut repository = draft.repository.take().filter(|_| !held.tags.is_empty());
        if let Some(repository) = &mut repository {
            held.tags.iter().for_each(|(tag, row)| drop_tag(held, &mut draft, repository, tag, row));
        }
        draft.repository = repository;
        draft.forget(held, buried);
        draft.event(EventKind::ManifestDeleted, about());
        return draft.finish();
    };
    let mut repository = draft.repository.take().unwrap_or_default();
    for (tag, row) in &held.tags {
        drop_tag(held, &mut draft, &mut repository, tag, row);
    }
    repository.manifests = repository.manifests.saturating_sub(1);
    if row.missing.is_some() {
        repository.missing_manifests = repository.missing_manifests.saturating_sub(1);
    }
    repository.bytes = repository.bytes.wrapping_sub(document.size);
    for name in document.blobs().into_keys() {
        let Some(BlobRow { holders, size }) = held.blobs.get(name).cloned() else {
            continue;
        };
        if holders > 1 {
            let row = BlobRow { holders: holders - 1, size };
            draft.rows.push(RowChange::Blob { digest: name.clone(), row });
        } else {
            repository.bytes = repository.bytes.wrapping_sub(size);
            draft.rows.push(RowChange::BlobRemoved { digest: name.clone() });
        }
    }
    let subject = document.subject.as_ref().map(|subject| subject.digest.clone());
    draft.rows.push(RowChange::ManifestRemoved { digest: digest.clone(), subject });
    draft.bury(held, buried, Past::Manifest(ManifestRow { missing: None, ..row.clone() }));
    draft.event(EventKind::ManifestDeleted, about());
    draft.repository = Some(repository);
    draft.finish()
}

pub(super) fn repository(held: &Held, mut draft: Draft<'_>) -> Effect {
    let Some(repository) = draft.repository.take() else {
        return Effect::default();
    };
    draft.rows.push(RowChange::RepositoryRemoved);
    draft.bury(held, Buried::Repository, Past::Repository(repository));
    draft.event(EventKind::RepositoryGone, About::default());
    draft.finish()
}

fn drop_tag(held: &Held, draft: &mut Draft<'_>, repository: &mut RepositoryRow, tag: &Tag, row: &TagRow) {
    repository.tags = repository.tags.saturating_sub(1);
    if row.missing.is_some() {
        repository.missing_tags = repository.missing_tags.saturating_sub(1);
    }
    draft.rows.push(RowChange::TagRemoved { tag: tag.clone(), digest: row.digest.clone() });
    let past = TagRow { missing: None, ..row.clone() };
    draft.bury(held, Buried::Tag(tag.clone()), Past::Tag(past));
    let about = About { tag: Some(tag.clone()), digest: Some(row.digest.clone()), ..About::default() };
    draft.event(EventKind::TagDeleted, about);
}
