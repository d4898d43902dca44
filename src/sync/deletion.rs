//! Deletions that the door itself is asked for, by its API: of one tag, or of a manifest with its tags. Each is a write as any
//! other: noted, carried and recorded with its author.

use http::{Method, StatusCode};

use super::carry::Carrier;
use super::carry_failure::CarryFailure;
use super::tag_deletion::{TagDeleter, TagDeletion, TagDeletionError, cannot_delete_tags};
use super::write::{ManifestWrite, WriteRequest};
use super::write_context::WriteContext;
use crate::oci::{Action, Actions, Reference, RepositoryName, first_error_code};
use crate::registry::WriteAnswer;

/// Why something was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeletionError {
    /// The registry does not have it.
    #[error("the registry does not have `{0}`")]
    NotThere(Reference),
    /// The registry deletes nothing. Nothing has changed.
    #[error("the registry deletes nothing: deletion is to be enabled in its own configuration")]
    Unsupported,
    /// The registry refuses it. Nothing has changed.
    #[error("the registry refuses the deletion: {0}")]
    Refused(RefusedWrite),
    /// One tag alone could not be deleted.
    #[error(transparent)]
    Tag(#[from] TagDeletionError),
    /// There is no answer of the registry's, or it could not be recorded.
    #[error(transparent)]
    Carry(#[from] CarryFailure),
}

/// A refusal of a write by the registry, as it is told to others: the registry's own words are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it answered {status}{}", code_in_words(.code.as_deref()))]
pub struct RefusedWrite {
    /// The status.
    pub status: StatusCode,
    /// The code of the distribution specification.
    pub code: Option<String>,
}

fn code_in_words(code: Option<&str>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

impl RefusedWrite {
    /// The longest code that is told.
    const CODE_BYTES: usize = 64;

    pub(super) fn by(answer: &WriteAnswer) -> Self {
        let is_code = |code: &String| {
            code.len() <= Self::CODE_BYTES
                && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
        };
        Self { status: answer.status, code: first_error_code(&answer.body).filter(is_code) }
    }
}

/// Deletes what callers of the API ask for. Shared by all of them.
#[derive(Clone)]
pub struct Deleter {
    carrier: Carrier,
    tags: TagDeleter,
}

impl Deleter {
    /// One that writes by this carrier, and deletes tags alone by that where the registry cannot.
    pub const fn new(carrier: Carrier, tags: TagDeleter) -> Self {
        Self { carrier, tags }
    }

    /// Deletes a tag and nothing else, or a manifest with all tags that point to it. If this future is dropped, a write that has
    /// begun is carried to its end, and no other begins.
    ///
    /// # Errors
    /// See [`DeletionError`]: each says what has changed.
    pub async fn delete(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        context: &WriteContext,
    ) -> Result<(), DeletionError> {
        let actions = Actions::of(&[Action::Delete]);
        let outgoing = context.outgoing(Method::DELETE, repository, reference, actions);
        let write = ManifestWrite::Delete { repository: repository.clone(), reference: reference.clone() };
        let answer =
            self.carrier.carry(WriteRequest { write, actor: context.actor.clone(), outgoing }).await?;
        if let Reference::Tag(tag) = reference
            && cannot_delete_tags(&answer)
        {
            let (repository, tag, context) = (repository.clone(), tag.clone(), context.clone());
            return match self.tags.delete(TagDeletion { repository, tag, context }).await {
                Ok(_) => Ok(()),
                Err(TagDeletionError::NotThere(_)) => Err(DeletionError::NotThere(reference.clone())),
                Err(error) => Err(error.into()),
            };
        }
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(DeletionError::NotThere(reference.clone())),
            StatusCode::METHOD_NOT_ALLOWED => Err(DeletionError::Unsupported),
            _ => Err(DeletionError::Refused(RefusedWrite::by(&answer))),
        }
    }
}
