//! When two writes, or a write and an event, are about the same thing: pure. Settling uses it to say what has to be
//! verified, guards to refuse an answer that something newer has overtaken.

use std::collections::BTreeSet;

use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::{Change, Event, EventKind, Guard, Write};

/// What something may change in one repository.
#[derive(Clone, Debug)]
pub(super) enum Touch {
    /// What a write of this form may change.
    Write(Write),
    /// Anything.
    Everything,
}

/// What a recorded answer speaks of: the guard's reference, and in each repository what the changes would touch.
pub(super) fn touches(guard: &Guard, changes: &[Change]) -> Vec<(RepositoryName, Vec<Touch>)> {
    let mut touches: Vec<(RepositoryName, Vec<Touch>)> = Vec::new();
    let asked = guard.reference.clone().map(|reference| write(Write::Delete { reference }));
    for change in changes {
        let (repository, touch) = match change {
            Change::ManifestPut { repository, manifest, tags } => {
                (repository, write(Write::Put { digest: manifest.digest.clone(), tags: tags.clone() }))
            }
            Change::TagDeleted { repository, tag } => {
                (repository, write(Write::Delete { reference: Reference::Tag(tag.clone()) }))
            }
            Change::ManifestDeleted { repository, digest, .. } => {
                (repository, write(Write::Delete { reference: Reference::Digest(digest.clone()) }))
            }
            Change::ReferenceMissing { repository, reference }
            | Change::ReferencePresent { repository, reference } => {
                (repository, write(Write::Delete { reference: reference.clone() }))
            }
            Change::RepositoryFound { repository } | Change::RepositoryGone { repository } => {
                (repository, Touch::Everything)
            }
        };
        match touches.iter_mut().find(|(name, _)| name == repository) {
            Some((_, list)) => list.push(touch),
            None => touches.push((repository.clone(), asked.clone().into_iter().chain([touch]).collect())),
        }
    }
    touches
}

fn write(write: Write) -> Touch {
    Touch::Write(write)
}

impl Touch {
    /// Whether this write, still under way, may change what is touched here.
    pub(super) fn meets_write<E>(
        &self,
        other: &Write,
        points_to: impl Fn(&Tag) -> Result<Option<Digest>, E>,
    ) -> Result<bool, E> {
        match self {
            Self::Everything => Ok(true),
            Self::Write(own) => Ok(!between_writes(own, other, points_to)?.is_empty()),
        }
    }

    /// Whether this event changed what is touched here.
    pub(super) fn meets_event(&self, event: &Event) -> bool {
        match self {
            Self::Everything => true,
            Self::Write(own) => !with_event(own, event).is_empty(),
        }
    }
}

/// Whether one of two writes in a repository has to be over before the other is carried. distribution loses updates when two
/// writes to one tag overlap, or a deletion by digest and a push in one repository.
pub(super) fn must_be_apart(own: &Write, other: &Write) -> bool {
    deleted(own).is_some()
        || deleted(other).is_some()
        || tags(own).iter().any(|tag| tags(other).contains(tag))
}

/// The references whose state at the registry depends on the order of two writes. `points_to` says what the record
/// holds for a tag: the registry's delete by digest takes every tag with it that points there, and one that is just
/// being moved away or pushed.
///
/// Two puts of the same manifest do not meet in its digest: whichever came last, it is there.
pub(super) fn between_writes<E>(
    own: &Write,
    other: &Write,
    points_to: impl Fn(&Tag) -> Result<Option<Digest>, E>,
) -> Result<BTreeSet<Reference>, E> {
    let mut met: BTreeSet<Reference> =
        tags(own).iter().filter(|tag| tags(other).contains(tag)).cloned().map(Reference::Tag).collect();
    for (deleting, beside) in [(own, other), (other, own)] {
        let Some(deleted) = deleted(deleting) else { continue };
        let (same, beside) = (digest(beside) == Some(deleted), tags(beside));
        if same {
            met.insert(Reference::Digest(deleted.clone()));
        }
        for tag in beside {
            if same || points_to(tag)?.as_ref() == Some(deleted) {
                met.insert(Reference::Tag(tag.clone()));
            }
        }
    }
    Ok(met)
}

/// The references whose state at the registry depends on whether the write came before or after what the event tells.
pub(super) fn with_event(own: &Write, event: &Event) -> BTreeSet<Reference> {
    if event.kind == EventKind::RepositoryGone {
        return own.references().into_iter().collect();
    }
    let mut met = BTreeSet::new();
    if let Some(tag) = event.tag.as_ref().filter(|tag| tags(own).contains(tag)) {
        met.insert(Reference::Tag(tag.clone()));
    }
    match deleted(own) {
        Some(deleted) => {
            let about = [&event.digest, &event.previous].into_iter().flatten().any(|named| named == deleted);
            if about {
                met.insert(Reference::Digest(deleted.clone()));
                met.extend(event.tag.clone().map(Reference::Tag));
            }
        }
        None => {
            if event.kind == EventKind::ManifestDeleted && event.digest.as_ref() == digest(own) {
                met.extend(own.references());
            }
        }
    }
    met
}

/// The tags that a write names.
fn tags(write: &Write) -> &[Tag] {
    match write {
        Write::Put { tags, .. } => tags,
        Write::Delete { reference: Reference::Tag(tag) } => std::slice::from_ref(tag),
        Write::Delete { reference: Reference::Digest(_) } => &[],
    }
}

/// The digest that a write puts or deletes.
fn digest(write: &Write) -> Option<&Digest> {
    match write {
        Write::Put { digest, .. } | Write::Delete { reference: Reference::Digest(digest) } => Some(digest),
        Write::Delete { reference: Reference::Tag(_) } => None,
    }
}

/// The digest that a write deletes.
fn deleted(write: &Write) -> Option<&Digest> {
    match write {
        Write::Delete { reference: Reference::Digest(digest) } => Some(digest),
        Write::Put { .. } | Write::Delete { .. } => None,
    }
}
