//! Looks whether everything in a record agrees with what it follows from: one state of it, in one pass over its rows, in memory that
//! does not grow with the record. `repositories` looks at what is held, `history` at what happened; what a backend keeps beside the rows
//! it looks at itself.

mod history;
mod repositories;
mod walk;

use std::collections::HashSet;
use std::ops::ControlFlow;

use self::history::History;
use self::repositories::check_repositories;
use self::walk::{Cursor, Walk};
use super::finding::Telling;
use super::{CheckNews, Checked, FindingKind, Part, Row, Singles, WholeRecord};
use crate::oci::RepositoryName;
use crate::store::StoreError;

/// About so many manifests of a repository are remembered at a time, with the blobs that they name.
const REMEMBERED: u64 = 100_000;

/// Looks at a record. `told` hears what it finds and how far it is, and says whether to go on. Blocks.
///
/// # Errors
/// When the record cannot be read, or `told` does not want to go on.
pub fn check_record(
    record: &mut WholeRecord,
    told: &mut dyn FnMut(CheckNews) -> ControlFlow<()>,
) -> Result<Checked, StoreError> {
    check_remembering(REMEMBERED, record, told)
}

/// The same, with about so many manifests remembered at a time.
pub(super) fn check_remembering(
    remembered: u64,
    record: &mut WholeRecord,
    told: &mut dyn FnMut(CheckNews) -> ControlFlow<()>,
) -> Result<Checked, StoreError> {
    let source = &mut *record.0;
    let mut telling = Telling::to(told, source.expected()?);
    let mut walk = Walk::of(source, &mut telling);
    match check_rows(remembered, &mut walk) {
        Ok(()) => {
            let tally = walk.tally;
            source.check_derived(&tally, &mut telling)?;
        }
        // What is behind it is not known, so that nothing can be said of the sums.
        Err(StoreError::Corrupt { what, cause }) => {
            telling.found(
                FindingKind::Unreadable,
                what,
                format!("{cause}; what comes behind it was not looked at"),
            )?;
        }
        Err(error) => return Err(error),
    }
    Ok(telling.checked)
}

fn check_rows(remembered: u64, walk: &mut Walk<'_, '_>) -> Result<(), StoreError> {
    let mut numbers = Cursor::of(Part::Numbers);
    let Some(&Row::Numbers(singles)) = numbers.next(walk)? else {
        return walk.telling.found(FindingKind::RecordSums, "the record", "its numbers are not there");
    };
    let unsettled = unsettled(walk, &singles)?;
    let history = History::look(walk, &singles)?;
    check_repositories(remembered, walk, &unsettled, &history)?;
    check_others(walk, &singles)
}

/// The repositories in which the registry is about to be asked about something: what is recorded of that may be wrong till then.
fn unsettled(walk: &mut Walk<'_, '_>, singles: &Singles) -> Result<HashSet<RepositoryName>, StoreError> {
    let mut unsettled = HashSet::new();
    let mut intents = Cursor::of(Part::Intents);
    while let Some(row) = intents.next(walk)? {
        let Row::Intent(intent) = row else { continue };
        if intent.sequence > singles.sequence {
            walk.never_given_out(format!("intent {}", intent.sequence))?;
        }
        unsettled.insert(intent.repository.clone());
    }
    let mut hints = Cursor::of(Part::Hints);
    while let Some(row) = hints.next(walk)? {
        let Row::Hint { repository, reference, row } = row else { continue };
        if row.number > singles.last_hint {
            walk.never_given_out(format!("hint {} about {repository} {reference}", row.number))?;
        }
        unsettled.insert(repository.clone());
    }
    Ok(unsettled)
}

/// What neither is held nor happened to that.
fn check_others(walk: &mut Walk<'_, '_>, singles: &Singles) -> Result<(), StoreError> {
    for (name, number) in
        [("images were read", singles.images_read_until), ("removals are accepted", singles.accepted)]
    {
        if number > singles.sequence {
            walk.never_given_out(format!("{number}, up to which {name}"))?;
        }
    }
    for part in
        [Part::Tombstones, Part::DeletedManifests, Part::Accounts, Part::AuthEvents, Part::Sweep, Part::Marks]
    {
        let mut cursor = Cursor::of(part);
        while let Some(row) = cursor.next(walk)? {
            match row {
                Row::DeletedManifest { repository, digest, bytes, .. }
                    if digest.matches(&bytes.0) == Some(false) =>
                {
                    let place = format!("{repository}@{digest}");
                    let what = "its bytes, which are kept since it was deleted, have another digest";
                    walk.telling.found(FindingKind::AlteredManifest, place, what)?;
                }
                Row::AuthEvent { number, .. } if *number > singles.last_auth_event => {
                    walk.never_given_out(format!("event {number} of the gate"))?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}
