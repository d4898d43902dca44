//! What a deletion by digest takes with it: of the tags that are recorded for the manifest those that the registry denies.
//!
//! The record may be behind. A tag that was moved around the door points elsewhere and stays, so none goes by
//! implication (P3). One that the registry still answers with the deleted manifest is undecided: the answer may be older than
//! the deletion, or the tag had been moved around the door, was spared, and was moved back. Nothing is recorded of it: its row
//! stays, without a manifest, and the registry is asked about it again until it is known. Denied, it has gone with the
//! deletion; named after `sync.settling`, it was pushed again.
//!
//! The questions come between the registry's answer and the record of it: what the client hears of is recorded (P1) and
//! true. As long as the intent is carried it stands in the way of all that others may want to record of these tags or this
//! manifest, so what is found here can be recorded with the outcome, in one transaction.
//!
//! A registry that does not answer keeps the client waiting for a moment only: then the intent stays, and is asked about
//! later like any other whose outcome is not known.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use tokio::time::Instant;

use super::judge::Judge;
use super::verify::VerifyError;
use crate::oci::{Digest, Manifest, Reference, RepositoryName, Tag};
use crate::registry::{RegistryClient, RegistryError};
use crate::store::{Change, HintedReference, Ledger, Outcome, Records, StoreError, Write};

/// How long the client waits for these answers, at most.
const ANSWERS_TIMEOUT: Duration = Duration::from_secs(5);
/// How many questions are asked at once.
const CONCURRENCY: usize = 8;
/// How often one question is asked, and the pause in between.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);
/// How many tags may turn out to be there: their manifests are held. More are left to the later asking.
const MOST_KEPT: usize = 16;

/// Why it is not known what a deletion took with it.
#[derive(Debug, thiserror::Error)]
pub enum UnknownDeletion {
    /// The registry gave no clear answer, or the store failed.
    #[error(transparent)]
    Unverified(#[from] VerifyError),
    /// The answers took too long.
    #[error("the registry did not say within {} which tags are left", humantime::format_duration(*.0))]
    TooLate(Duration),
    /// The answer names what the tag pointed to before a push that the door carried just now.
    #[error("what the registry says of {0} may be older than the last push to it")]
    MayBeOld(Tag),
    /// That the registry still answers some of its tags cannot be kept as hints, by which it would be asked again.
    #[error("the registry still answers some of its tags, and cannot be asked again: {0}")]
    NotKept(#[source] StoreError),
    /// There is no room for those hints.
    #[error("the registry still answers some of its tags, and there are too many hints to ask it again")]
    NoRoom,
    /// The record was too far behind.
    #[error("more than {MOST_KEPT} of its tags had been moved around the door")]
    TooMany,
}

/// What a deletion came to.
pub(super) struct DeletionOutcome {
    /// What has to be recorded.
    pub outcome: Outcome,
    /// What is not known, to be asked about again.
    pub undecided: Vec<HintedReference>,
}

/// Asks about the tags of a manifest that the registry has deleted.
pub(super) async fn outcome(
    ledger: &dyn Ledger,
    records: &dyn Records,
    registry: &RegistryClient,
    judge: &Judge,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<DeletionOutcome, UnknownDeletion> {
    let tags = records.tags_of(repository, digest).await.map_err(VerifyError::Store)?;
    let timeout = registry.timeout().min(ANSWERS_TIMEOUT);
    let asked = Instant::now();
    let asking = ask(registry, repository, digest, tags);
    let answers =
        tokio::time::timeout(timeout, asking).await.map_err(|_| UnknownDeletion::TooLate(timeout))??;
    for (tag, manifest) in &answers.moved {
        let is_unsettled = judge.unsettled(repository, Some(&Reference::Tag(tag.clone())), asked).is_some();
        let may_be_old = is_unsettled
            && judge.pointed_before(repository, tag, &manifest.digest).await.map_err(VerifyError::Store)?;
        if may_be_old {
            return Err(UnknownDeletion::MayBeOld(tag.clone()));
        }
    }
    // A push without a known outcome may have moved a tag before the deletion, and an old answer not show it. None is carried
    // beside that.
    let intents = ledger.intents_of(repository).await.map_err(VerifyError::Store)?;
    let pushed =
        intents.iter().filter(|intent| intent.state.heard_since().is_some()).flat_map(|intent| match &intent
            .write
        {
            Write::Put { tags, .. } => tags.as_slice(),
            Write::Delete { .. } => &[],
        });
    let is_unclear = |tag: &&Tag| {
        (answers.gone.contains(tag) || answers.still_there.contains(tag))
            && judge.unsettled(repository, Some(&Reference::Tag((*tag).clone())), asked).is_some()
    };
    if let Some(tag) = pushed.into_iter().find(is_unclear) {
        return Err(UnknownDeletion::MayBeOld(tag.clone()));
    }
    let deleted = Change::ManifestDeleted {
        repository: repository.clone(),
        digest: digest.clone(),
        undecided: answers.still_there.clone(),
    };
    let outcome = if answers.moved.is_empty() {
        Outcome::Applied(vec![deleted])
    } else {
        let put = |(tag, manifest)| {
            let (repository, tags) = (repository.clone(), vec![tag]);
            Change::ManifestPut { repository, manifest, tags }
        };
        Outcome::Amended { found: answers.moved.into_iter().map(put).collect(), applied: vec![deleted] }
    };
    let mut undecided: Vec<Reference> = answers.still_there.into_iter().map(Reference::Tag).collect();
    if !undecided.is_empty() {
        // It may be found with one of them, and be gone all the same.
        undecided.push(Reference::Digest(digest.clone()));
    }
    let about = |reference| HintedReference { repository: repository.clone(), reference };
    Ok(DeletionOutcome { outcome, undecided: undecided.into_iter().map(about).collect() })
}

#[derive(Default)]
struct Answers {
    /// Tags that the registry denies.
    gone: Vec<Tag>,
    /// Tags that point to another manifest.
    moved: Vec<(Tag, Arc<Manifest>)>,
    /// Tags that the registry answers with the deleted one.
    still_there: Vec<Tag>,
}

async fn ask(
    registry: &RegistryClient,
    repository: &RepositoryName,
    deleted: &Digest,
    tags: Vec<Tag>,
) -> Result<Answers, UnknownDeletion> {
    let asking = futures_util::stream::iter(tags)
        .map(|tag| async move {
            let reference = Reference::Tag(tag.clone());
            let answer = question(registry, repository, &reference).await.map_err(VerifyError::Registry)?;
            Ok::<_, UnknownDeletion>((tag, answer))
        })
        .buffer_unordered(CONCURRENCY);
    asking
        .try_fold(Answers::default(), |mut answers, (tag, answer)| async move {
            match answer {
                None => answers.gone.push(tag),
                Some(manifest) if manifest.digest == *deleted => answers.still_there.push(tag),
                Some(_) if answers.moved.len() == MOST_KEPT => return Err(UnknownDeletion::TooMany),
                Some(manifest) => answers.moved.push((tag, Arc::new(manifest))),
            }
            Ok(answers)
        })
        .await
}

async fn question(
    registry: &RegistryClient,
    repository: &RepositoryName,
    reference: &Reference,
) -> Result<Option<Manifest>, RegistryError> {
    let mut attempts = 1;
    loop {
        match registry.manifest(repository, reference).await {
            Err(error) if attempts < ATTEMPTS => {
                tracing::debug!(%repository, %reference, %error, "a tag of a deleted manifest cannot be asked about yet");
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
