//! What a look at a whole record finds.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::store::StoreError;

/// The most that are told one by one; the others are counted.
const MOST_TOLD: u64 = 1_000;

/// Something in a record that does not agree with what it follows from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: FindingKind,
    /// Where it is: `repository`, `repository:tag`, `repository@digest`, or what else it is about.
    pub place: String,
    /// What is there, and what would be right.
    pub what: String,
}

/// A kind of what does not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// A row that cannot be read.
    Unreadable,
    /// A manifest whose bytes are not those of its digest.
    AlteredManifest,
    /// A tag whose manifest is not there, and that nobody is about to ask the registry about.
    DanglingTag,
    /// A tag that says something else of its manifest than that does.
    TagRow,
    /// A blob that is not counted as often as manifests name it.
    BlobCount,
    /// A row that belongs to something that is not there.
    Orphan,
    /// The sums of a repository.
    RepositorySums,
    /// The sums of the whole record.
    RecordSums,
    /// A number that was never given out, or an event that is not there.
    History,
    /// What is counted of a day.
    Days,
    /// What rows are found by.
    Index,
    /// What is noted to be wrong with what is held.
    Flaws,
}

impl FindingKind {
    /// Its name in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::AlteredManifest => "altered_manifest",
            Self::DanglingTag => "dangling_tag",
            Self::TagRow => "tag_row",
            Self::BlobCount => "blob_count",
            Self::Orphan => "orphan",
            Self::RepositorySums => "repository_sums",
            Self::RecordSums => "record_sums",
            Self::History => "history",
            Self::Days => "days",
            Self::Index => "index",
            Self::Flaws => "flaws",
        }
    }

    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::RecordSums | Self::Index | Self::Flaws => {
                "it follows from rows that are right: make a backup, restore it into another place, and let the door use that"
            }
            Self::DanglingTag => "run `portreeve sync --deep`, which asks the registry about it",
            Self::Unreadable
            | Self::AlteredManifest
            | Self::TagRow
            | Self::BlobCount
            | Self::Orphan
            | Self::RepositorySums => {
                "restore a backup from before, or begin a new record, which a sweep fills from the registry without its past"
            }
            Self::History | Self::Days => {
                "restore a backup from before if the past matters; what the registry holds is not concerned"
            }
        }
    }
}

/// What a look tells while it goes on.
#[derive(Debug)]
pub enum CheckNews {
    /// So many rows were looked at, of about so many.
    Rows(u64, u64),
    /// Something was found.
    Found(Finding),
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// How many rows were looked at.
    pub rows: u64,
    /// How much was found. Of very much not all was told.
    pub findings: u64,
}

/// Tells who waits for a look.
pub(in crate::store) struct Telling<'a> {
    told: &'a mut dyn FnMut(CheckNews) -> ControlFlow<()>,
    pub(super) checked: Checked,
    /// About how many rows there are.
    pub(super) expected: u64,
}

impl<'a> Telling<'a> {
    pub(super) fn to(told: &'a mut dyn FnMut(CheckNews) -> ControlFlow<()>, expected: u64) -> Self {
        Self { told, checked: Checked { rows: 0, findings: 0 }, expected }
    }

    /// So many rows more were looked at.
    ///
    /// # Errors
    /// When nobody waits any more.
    pub(in crate::store) fn looked_at(&mut self, rows: u64) -> Result<(), StoreError> {
        self.checked.rows += rows;
        self.tell(CheckNews::Rows(self.checked.rows, self.expected))
    }

    /// Something was found.
    ///
    /// # Errors
    /// When nobody waits any more.
    pub(in crate::store) fn found(
        &mut self,
        kind: FindingKind,
        place: impl Into<String>,
        what: impl Into<String>,
    ) -> Result<(), StoreError> {
        self.checked.findings += 1;
        match self.checked.findings <= MOST_TOLD {
            true => self.tell(CheckNews::Found(Finding { kind, place: place.into(), what: what.into() })),
            false => Ok(()),
        }
    }

    /// Two numbers that have to be one.
    ///
    /// # Errors
    /// When nobody waits any more.
    pub(in crate::store) fn compare(
        &mut self,
        kind: FindingKind,
        place: &str,
        name: &str,
        kept: u64,
        found: u64,
    ) -> Result<(), StoreError> {
        match kept == found {
            true => Ok(()),
            false => self.found(kind, place, format!("{name}: {kept} is kept, and there are {found}")),
        }
    }

    fn tell(&mut self, news: CheckNews) -> Result<(), StoreError> {
        match (self.told)(news) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(StoreError::Closed),
        }
    }
}
