//! What a change does to the record: the one place that decides it. `changes` reads what [`Held`] has, calls [`effect`], and
//! writes the rows and the events.
//!
//! `put` decides about what is there, `gone` about what is not, `missing` about what the registry denies without that
//! being believed yet; each fills a `draft`.

mod draft;
mod gone;
mod missing;
mod put;

use self::draft::Draft;
pub(in crate::store) use self::draft::RowChange;
pub(super) use self::draft::{Effect, Held, Provenance};
use crate::store::{Change, Sequence};

/// Decides what a change does to the record.
///
/// What was observed always makes an event, since a client did it just now: also the deletion of what is not recorded.
/// What was found makes events only for what differs, by no actor, and leaves author, time and source of everything else as
/// they are (P6). `next` is the sequence number of the first event that comes of it.
pub(super) fn effect(held: Held, change: &Change, provenance: Provenance<'_>, next: Sequence) -> Effect {
    let draft = |repository| Draft::new(repository, provenance, next, held.repository.clone());
    match change {
        Change::ManifestPut { repository, manifest, tags } => {
            let draft = draft(repository);
            put::manifest(&held, draft, manifest, tags)
        }
        Change::TagDeleted { repository, tag } => {
            let draft = draft(repository);
            gone::tag(&held, draft, tag)
        }
        Change::ManifestDeleted { repository, digest, .. } => {
            let draft = draft(repository);
            gone::manifest(&held, draft, digest)
        }
        Change::ReferenceMissing { repository, reference } => {
            let draft = draft(repository);
            missing::missing(&held, draft, reference)
        }
        Change::ReferencePresent { repository, reference } => {
            let draft = draft(repository);
            missing::present(&held, draft, reference)
        }
        Change::RepositoryFound { repository } => {
            let draft = draft(repository);
            put::repository(&held, draft)
        }
        Change::RepositoryGone { repository } => {
            let draft = draft(repository);
            gone::repository(&held, draft)
        }
    }
}
