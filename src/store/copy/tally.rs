//! What follows from all rows: the sums that a backend keeps up with every change.

use std::collections::BTreeMap;

use super::{Content, Part, Row};
use crate::oci::Document;
use crate::store::deleted_manifest::Kept;
use crate::store::{AuthEventKind, Missing, Totals};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Tally {
    /// How many rows each part has.
    pub rows: BTreeMap<Part, u64>,
    /// How much is held.
    pub totals: Totals,
    pub empty_repositories: u64,
    pub missing: Missing,
    pub deleted: Kept,
    pub auth_events: BTreeMap<AuthEventKind, u64>,
}

impl Tally {
    /// Counts a row.
    pub(in crate::store) fn count(&mut self, row: &Row) {
        *self.rows.entry(row.part()).or_default() += 1;
        match row {
            Row::Repository { row, .. } => {
                self.totals.repositories += 1;
                // As the sums of repositories themselves.
                self.totals.bytes = self.totals.bytes.wrapping_add(row.bytes);
                self.empty_repositories += u64::from(row.is_empty());
                let missing = row.missing();
                self.missing.tags = self.missing.tags.saturating_add(missing.tags);
                self.missing.manifests = self.missing.manifests.saturating_add(missing.manifests);
            }
            Row::Tag { .. } => self.totals.tags += 1,
            Row::Manifest { .. } => self.totals.manifests += 1,
            Row::DeletedManifest { document, bytes, .. } => {
                self.deleted.count += 1;
                self.deleted.bytes = self.deleted.bytes.saturating_add(deleted_bytes(document, bytes));
            }
            Row::AuthEvent { event, .. } => *self.auth_events.entry(event.kind).or_default() += 1,
            Row::Numbers(_)
            | Row::Epoch { .. }
            | Row::Event(_)
            | Row::Intent(_)
            | Row::Blob { .. }
            | Row::Image { .. }
            | Row::Tombstone { .. }
            | Row::Day { .. }
            | Row::Hint { .. }
            | Row::Account { .. }
            | Row::Sweep { .. }
            | Row::Marks { .. } => {}
        }
    }

    /// How many rows a part has.
    pub(in crate::store) fn of(&self, part: Part) -> u64 {
        self.rows.get(&part).copied().unwrap_or(0)
    }

    /// How many rows there are.
    pub(in crate::store) fn all(&self) -> u64 {
        self.rows.values().sum()
    }
}

/// How many bytes a deleted manifest takes as it is kept.
fn deleted_bytes(document: &Document, bytes: &Content) -> u64 {
    let document = serde_json::to_vec(document).map_or(0, |document| document.len());
    (document + bytes.0.len()) as u64
}
