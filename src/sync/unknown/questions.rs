//! What the registry is asked about an intent, and the asking.

use std::collections::{BTreeSet, HashSet};

use futures_util::StreamExt;

use crate::oci::{Reference, RepositoryName};
use crate::store::{Intent, Records, Source, Write};
use crate::sync::verify::{Verifier, VerifyError};
use crate::telemetry::FailureLog;

/// How many questions are asked at once.
const QUESTIONS_AT_ONCE: usize = 8;

/// What the registry is asked about.
pub(super) type Question = (RepositoryName, Reference);

/// Everything that an intent may have changed.
pub(super) fn questions(intent: &Intent) -> impl Iterator<Item = Question> {
    let references = intent.write.references().into_iter();
    references.map(|reference| (intent.repository.clone(), reference))
}

/// What lies at the bottom of an error: the same for every reference that was asked about.
fn root(error: &VerifyError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Asks about everything that these intents may have changed, once however many of them name it: a door that crashes
/// again and again leaves many for the same tag. Answers what there was no answer to; each reason is said once.
pub(super) async fn ask(
    verifier: &Verifier,
    records: &dyn Records,
    intents: &[Intent],
    failures: &FailureLog,
) -> HashSet<Question> {
    let mut all: BTreeSet<Question> = intents.iter().flat_map(questions).collect();
    // The tags that a deletion by digest may have taken with it: the manifest alone does not tell, since a client may have
    // pushed it again.
    let mut taken = Vec::new();
    let mut unanswered = HashSet::new();
    for Intent { repository, write, .. } in intents {
        let Write::Delete { reference: Reference::Digest(digest) } = write else { continue };
        let deletion = (repository.clone(), Reference::Digest(digest.clone()));
        match records.tags_of(repository, digest).await {
            Ok(tags) => {
                let tags = tags.into_iter().map(|tag| (repository.clone(), Reference::Tag(tag)));
                taken.extend(tags.map(|tag| (deletion.clone(), tag)));
            }
            Err(error) => {
                tracing::warn!(%repository, %digest, %error, "the tags of a manifest cannot be read; trying again");
                unanswered.insert(deletion);
            }
        }
    }
    all.extend(taken.iter().map(|(_, tag)| tag.clone()));
    let answers: Vec<Question> = futures_util::stream::iter(all)
        .map(|(repository, reference)| async move {
            let asked = verifier.verify(&repository, &reference, Source::Verified).await;
            let Err(error) = asked else {
                failures.worked();
                return None;
            };
            if matches!(error, VerifyError::Unsettled { .. }) {
                tracing::debug!(%repository, %reference, %error, "a write's outcome is not certain yet; asking again");
            } else if failures.failed(&root(&error)) {
                tracing::warn!(%repository, %reference, %error, "a write's outcome cannot be learnt yet; asking again");
            }
            Some((repository, reference))
        })
        .buffer_unordered(QUESTIONS_AT_ONCE)
        .filter_map(std::future::ready)
        .collect()
        .await;
    unanswered.extend(answers);
    for (deletion, tag) in taken {
        if unanswered.contains(&tag) {
            unanswered.insert(deletion);
        }
    }
    unanswered
}

/// Looks once more at what was settled.
pub(super) async fn look_late(verifier: &Verifier, due: Vec<Question>) {
    futures_util::stream::iter(due)
        .for_each_concurrent(QUESTIONS_AT_ONCE, |(repository, reference)| async move {
            if let Err(error) = verifier.verify(&repository, &reference, Source::Verified).await {
                tracing::debug!(%repository, %reference, %error, "a late look came to nothing");
            }
        })
        .await;
}
