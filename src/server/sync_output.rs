//! The differences and the end of a sweep, in the words of `portreeve sync` and `portreeve check`.

use std::fmt;

use serde::Deserialize;

use crate::oci::{Digest, RepositoryName, Tag};
use crate::store::{EventKind, Source};
use crate::sync::{FinishedSweep, SweepOutcome};

/// An event, as far as it is shown.
#[derive(Deserialize)]
pub(super) struct Difference {
    kind: EventKind,
    pub(super) source: Source,
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<Digest>,
    previous: Option<Digest>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, repository, tag, digest, previous, .. } = self;
        let digest = digest.as_ref().map_or("", |digest| digest.as_str());
        match (kind, tag, previous) {
            (EventKind::ManifestPut, Some(tag), None) => {
                write!(formatter, "new      {repository}:{tag} {digest}")
            }
            (EventKind::ManifestPut, Some(tag), Some(previous)) => {
                write!(formatter, "changed  {repository}:{tag} {digest}, was {previous}")
            }
            (EventKind::ManifestPut, None, _) => write!(formatter, "new      {repository}@{digest}"),
            (EventKind::TagRestored, Some(tag), _) => {
                write!(formatter, "back     {repository}:{tag} {digest}")
            }
            (EventKind::TagRestored, None, _) => write!(formatter, "back     {repository}@{digest}"),
            (EventKind::TagDeleted, Some(tag), _) => {
                write!(formatter, "gone     {repository}:{tag} {digest}")
            }
            (EventKind::TagDeleted | EventKind::ManifestDeleted, ..) => {
                write!(formatter, "gone     {repository}@{digest}")
            }
            (EventKind::RepositoryFound, ..) => write!(formatter, "new      {repository} (empty)"),
            (EventKind::RepositoryGone, ..) => write!(formatter, "gone     {repository}"),
        }
    }
}

/// How a sweep ended, in one line.
pub(super) struct Summary<'a>(pub(super) &'a FinishedSweep);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FinishedSweep {
            outcome, cause, repositories, tags, found, problem_count, held, unsettled, ..
        } = self.0;
        match outcome {
            SweepOutcome::Complete if *unsettled > 0 || !held.is_none() => {
                formatter.write_str("everything was compared, not all is in step")?;
            }
            SweepOutcome::Complete => formatter.write_str("in step")?,
            SweepOutcome::Partial => formatter.write_str("not everything could be compared")?,
            SweepOutcome::Failed => formatter.write_str("the sweep came to no end")?,
        }
        if let Some(cause) = cause {
            write!(formatter, " ({cause})")?;
        }
        write!(formatter, ": {repositories} repositories and {tags} tags compared, {found} corrections")?;
        if *problem_count > 0 {
            write!(formatter, ", {problem_count} problems")?;
        }
        if *unsettled > 0 {
            write!(
                formatter,
                ", {unsettled} references to be asked about again, since they were written just now and the registry says \
                 otherwise"
            )?;
        }
        Ok(())
    }
}
