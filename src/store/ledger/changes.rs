//! How a change becomes rows and events: what is held about it is read, `effect` decides, and the medium takes that.

use super::effect::{Held, Provenance, RowChange, effect};
use super::{Medium, View};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::row::RepositoryRow;
use crate::store::tombstone::Buried;
use crate::store::{Change, Missing};

/// Applies a change. Answers how many events came of it.
pub(super) fn apply<M: Medium>(
    medium: &mut M,
    change: &Change,
    provenance: Provenance<'_>,
) -> Result<usize, M::Error> {
    let (repository, held) = held(medium, change)?;
    let before = held.repository.as_ref().map(RepositoryRow::missing).unwrap_or_default();
    let effect = effect(held, change, provenance, medium.next());
    let mut after = before;
    for row in effect.rows {
        match &row {
            RowChange::Repository(row) => after = row.missing(),
            RowChange::RepositoryRemoved => after = Missing::default(),
            _ => {}
        }
        medium.write(repository, row, provenance.now)?;
    }
    if after != before {
        medium.count_missing(before, after)?;
    }
    let events = effect.events.len();
    for event in effect.events {
        medium.append(event)?;
    }
    Ok(events)
}

/// Reads what is held about what a change touches.
fn held<'c, V: View>(view: &V, change: &'c Change) -> Result<(&'c RepositoryName, Held), V::Error> {
    let mut held = Held::default();
    let repository = match change {
        Change::ManifestPut { repository, manifest, tags } => {
            held.manifest = view.manifest(repository, &manifest.digest)?;
            hold_tags(view, &mut held, repository, tags)?;
            hold_tombstone(view, &mut held, repository, Buried::Manifest(manifest.digest.clone()))?;
            hold_tombstone(view, &mut held, repository, Buried::Repository)?;
            if held.manifest.is_none() {
                hold_blobs(view, &mut held, repository, manifest.document.blobs().into_keys())?;
            }
            repository
        }
        Change::TagDeleted { repository, tag } => {
            hold_tags(view, &mut held, repository, std::slice::from_ref(tag))?;
            repository
        }
        Change::ManifestDeleted { repository, digest, undecided } => {
            held.manifest = view.manifest(repository, digest)?;
            hold_tombstone(view, &mut held, repository, Buried::Manifest(digest.clone()))?;
            for (tag, tombstone) in view.tombstones_of(repository, digest)? {
                held.tombstones.insert(Buried::Tag(tag), tombstone);
            }
            let mut tags = view.tags_of(repository, digest)?;
            tags.retain(|tag| !undecided.contains(tag));
            hold_tags(view, &mut held, repository, &tags)?;
            if let Some((_, document)) = held.manifest.clone() {
                hold_blobs(view, &mut held, repository, document.blobs().into_keys())?;
            }
            repository
        }
        Change::ReferenceMissing { repository, reference }
        | Change::ReferencePresent { repository, reference } => {
            match reference {
                Reference::Tag(tag) => hold_tags(view, &mut held, repository, std::slice::from_ref(tag))?,
                Reference::Digest(digest) => held.manifest = view.manifest(repository, digest)?,
            }
            repository
        }
        Change::RepositoryFound { repository } | Change::RepositoryGone { repository } => {
            hold_tombstone(view, &mut held, repository, Buried::Repository)?;
            repository
        }
    };
    held.repository = view.repository(repository)?;
    Ok((repository, held))
}

fn hold_tags<V: View>(
    view: &V,
    held: &mut Held,
    repository: &RepositoryName,
    tags: &[Tag],
) -> Result<(), V::Error> {
    for tag in tags {
        if let Some(row) = view.tag(repository, tag)? {
            held.tags.insert(tag.clone(), row);
        }
        hold_tombstone(view, held, repository, Buried::Tag(tag.clone()))?;
    }
    Ok(())
}

fn hold_tombstone<V: View>(
    view: &V,
    held: &mut Held,
    repository: &RepositoryName,
    buried: Buried,
) -> Result<(), V::Error> {
    if let Some(tombstone) = view.tombstone(repository, &buried)? {
        held.tombstones.insert(buried, tombstone);
    }
    Ok(())
}

fn hold_blobs<'d, V: View>(
    view: &V,
    held: &mut Held,
    repository: &RepositoryName,
    digests: impl Iterator<Item = &'d Digest>,
) -> Result<(), V::Error> {
    for digest in digests {
        if let Some(row) = view.blob(repository, digest)? {
            held.blobs.insert(digest.clone(), row);
        }
    }
    Ok(())
}
