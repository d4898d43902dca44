//! Parts of answers, and where the next part begins.

use super::annotations::Annotated;
use crate::oci::{RepositoryName, Tag};

/// A text that is no place in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no `next` of an answer to this question")]
pub struct InvalidCursor;

/// What was found: a repository, or a tag of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) repository: RepositoryName,
    pub(super) tag: Option<Tag>,
}

/// What was found, before it is read from the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hits<C> {
    /// Each with its place in the answer.
    pub(super) hits: Vec<(Hit, C)>,
    /// Whether there are more behind them.
    pub(super) has_more: bool,
    /// The manifests that say what was asked for, if that was.
    pub(super) annotated: Option<Annotated>,
}
