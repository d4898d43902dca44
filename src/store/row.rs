//! The rows of the record as a backend keeps them: what the `ledger` reads and writes; and those of hints. Stored as JSON, so that a later
//! version may add a field with a default without a new layout.

use serde::{Deserialize, Serialize};

use super::image::may_be_image;
use super::{
    Hint, HintedReference, ManifestRecord, Missing, MissingMark, Pull, RepositoryRecord, Retry, Sequence,
    Source, TagRecord,
};
use crate::clock::Timestamp;
use crate::oci::{Digest, Document, ImageConfig, MediaType, RepositoryName, Tag};

/// A repository: its sums, kept up with every change so that no list has to count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RepositoryRow {
    pub tags: u64,
    pub manifests: u64,
    /// Modulo 2^64, so that sizes that a manifest only claims cannot make a later subtraction wrong.
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_push: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pull: Option<Timestamp>,
    #[serde(default)]
    pub pulls: u64,
    /// How many of its tags are missing at the registry.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_tags: u64,
    /// How many of its manifests are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_manifests: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A hint, beside what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HintRow {
    pub number: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_second_look: bool,
    #[serde(default, skip_serializing_if = "Retry::is_first")]
    pub retry: Retry,
}

impl HintRow {
    /// The row of a hint.
    pub(super) const fn of(hint: &Hint) -> Self {
        let Hint { about: _, number, is_second_look, retry } = hint;
        Self { number: *number, is_second_look: *is_second_look, retry: *retry }
    }

    /// The hint that has this row.
    pub(super) fn into_hint(self, about: HintedReference) -> Hint {
        let Self { number, is_second_look, retry } = self;
        Hint { about, number, is_second_look, retry }
    }
}

/// A tag of a repository, with what a list shows of its manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TagRow {
    pub digest: Digest,
    pub media_type: MediaType,
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    /// When this was recorded.
    #[serde(rename = "pushed_at")]
    pub recorded_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_by: Option<String>,
    pub source: Source,
    pub sequence: Sequence,
    /// Pulls count for the name, whatever it points to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_pull: Option<Timestamp>,
    #[serde(default)]
    pub pulls: u64,
    /// When somebody last asked for the name, if only to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Since when the registry denies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingMark>,
}

/// That a repository has a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestRow {
    /// When this was recorded.
    #[serde(rename = "pushed_at")]
    pub recorded_at: Timestamp,
    pub source: Source,
    /// Since when the registry denies it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingMark>,
}

/// A blob that manifests of a repository name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BlobRow {
    /// How many manifests of the repository name it.
    pub holders: u64,
    /// Its size, as the first of them gave it.
    pub size: u64,
}

impl RepositoryRow {
    /// Whether it holds nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.tags == 0 && self.manifests == 0
    }

    /// What of it the registry denies.
    pub(super) fn missing(&self) -> Missing {
        Missing { tags: self.missing_tags, manifests: self.missing_manifests }
    }

    /// Adds what was pulled from it.
    pub(super) fn add_pulls(&mut self, pull: &Pull) {
        self.pulls = self.pulls.saturating_add(pull.count);
        self.last_pull = self.last_pull.max(pull.last_pull);
    }

    /// The record under its name.
    pub(super) fn record(self, name: RepositoryName) -> RepositoryRecord {
        let missing = self.missing();
        let Self { tags, manifests, bytes, last_push, last_pull, pulls, .. } = self;
        RepositoryRecord { name, tags, manifests, bytes, last_push, last_pull, pulls, missing }
    }
}

impl TagRow {
    /// Whether what it is for is not known from its manifest, and may be from the image itself.
    pub(super) fn wants_platform(&self) -> bool {
        self.platforms.is_empty() && may_be_image(&self.media_type)
    }

    /// Adds what was pulled by its name.
    pub(super) fn add_pulls(&mut self, pull: &Pull) {
        self.pulls = self.pulls.saturating_add(pull.count);
        self.last_pull = self.last_pull.max(pull.last_pull);
        self.last_seen = self.last_seen.max(Some(pull.last_seen));
    }

    /// The record under its name, with the platform that the image says it is for, if it is one and says so.
    pub(super) fn record(mut self, tag: Tag, platform: Option<String>) -> TagRecord {
        self.platforms.extend(platform);
        let Self {
            digest,
            media_type,
            bytes,
            platforms,
            recorded_at,
            pushed_by,
            source,
            sequence,
            last_pull,
            pulls,
            last_seen,
            missing,
        } = self;
        TagRecord {
            tag,
            digest,
            media_type,
            bytes,
            platforms,
            pushed_at: push_time(source, recorded_at),
            found_at: finding_time(source, recorded_at),
            pushed_by,
            source,
            sequence,
            last_pull,
            pulls,
            // Rows of an earlier version know the pulls alone.
            last_seen: last_seen.max(last_pull),
            missing,
        }
    }
}

impl ManifestRow {
    /// The record, with what belongs to it.
    pub(super) fn record(
        self,
        digest: Digest,
        document: Document,
        tags: Vec<Tag>,
        image: Option<ImageConfig>,
    ) -> ManifestRecord {
        let Self { recorded_at, source, missing } = self;
        ManifestRecord {
            digest,
            document,
            tags,
            pushed_at: push_time(source, recorded_at),
            found_at: finding_time(source, recorded_at),
            source,
            missing,
            image,
        }
    }
}

/// When something was pushed that was recorded then: the door knows that of the pushes that it carried, and of no others.
fn push_time(source: Source, recorded_at: Timestamp) -> Option<Timestamp> {
    (source == Source::Observed).then_some(recorded_at)
}

/// When it was found, if it was.
fn finding_time(source: Source, recorded_at: Timestamp) -> Option<Timestamp> {
    (source != Source::Observed).then_some(recorded_at)
}
