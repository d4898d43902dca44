//! Verify: ask the registry about one reference, and record the difference.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::difference::{Different, Found, named};
use super::judge::{Answer, Contradiction, Judge, Verdict};
use super::membership::LeaseHolder;
use crate::clock::Timestamp;
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::registry::{MalformedAnswer, RegistryClient, RegistryError};
use crate::store::{Change, Guard, Lease, Ledger, Recorded, Records, Sequence, Source, Store, StoreError};
use crate::telemetry::CounterFamily;

pub(super) static VERIFICATIONS: CounterFamily = CounterFamily {
    name: "portreeve_verifications_total",
    help: "Questions about one reference by what was found",
    labels: &[("result", &["same", "different", "superseded", "unsettled"])],
};

/// How often one verification asks anew when something newer came in between.
const ATTEMPTS: usize = 4;

/// Asks the registry about single references and records what differs.
pub struct Verifier {
    ledger: Arc<dyn Ledger>,
    records: Arc<dyn Records>,
    registry: Arc<RegistryClient>,
    judge: Arc<Judge>,
    /// Without it nothing is recorded, where this is one door's alone.
    lease: Option<Arc<LeaseHolder>>,
}

/// What a verification came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many events it recorded: none where record and registry agreed.
    pub events: usize,
    /// The digest that the registry names for the reference; none if it is not there.
    pub digest: Option<Digest>,
    /// What the record held for the tag before, where that was another: it may be gone as well.
    pub previous: Option<Digest>,
    /// The manifests that a manifest names which was recorded just now: they may not be recorded yet. None of them where
    /// the registry is a cache: to ask for one is to make it fetch it.
    pub children: Vec<Digest>,
    /// Whether the registry denies it and the record keeps it all the same, as missing.
    pub is_held: bool,
}

/// Why a verification came to no end. Nothing was recorded; it has to be tried again.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The registry gave no clear answer.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The registry contradicts what the door observed just now. It may lag; once this time is over it is believed.
    #[error(
        "{repository}:{reference} was written through the door just now and the registry says otherwise; it is asked \
         again within {}", humantime::format_duration(*.left)
    )]
    Unsettled {
        /// In which repository.
        repository: RepositoryName,
        /// Which reference.
        reference: Reference,
        /// After which time it is believed.
        left: Duration,
    },
    /// Something newer touched the reference each time.
    #[error(
        "{repository}:{reference} was written to while the registry was asked about it, {ATTEMPTS} times"
    )]
    Busy {
        /// In which repository.
        repository: RepositoryName,
        /// Which reference.
        reference: Reference,
    },
}

impl Verifier {
    /// A verifier for this record and this registry; `judge` decides about contradictions.
    pub fn new(store: Arc<dyn Store>, registry: Arc<RegistryClient>, judge: Arc<Judge>) -> Self {
        Self { ledger: Arc::clone(&store) as _, records: store, registry, judge, lease: None }
    }

    /// The same, recording only as long as this lease is held.
    pub(super) fn under(self, lease: Arc<LeaseHolder>) -> Self {
        Self { lease: Some(lease), ..self }
    }

    /// How long the registry may be at a write: `registry.commit_timeout`.
    pub(super) fn commit_timeout(&self) -> std::time::Duration {
        self.registry.commit_timeout()
    }

    /// The time on the door's clock.
    pub(super) fn now(&self) -> Timestamp {
        self.registry.now()
    }

    /// Makes the record of one reference equal to what the registry says of it, unless something newer touches it
    /// meanwhile: then it asks again, a few times. Removal happens only on the registry's own "not there" about this very
    /// reference, and where the judge does not hold it.
    ///
    /// Dropping the future is harmless: a difference is recorded whole or not at all.
    ///
    /// # Errors
    /// When the registry gave no clear answer or contradicted itself or what was observed just now, the store failed, or
    /// the reference is too busy.
    pub async fn verify(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        source: Source,
    ) -> Result<Verified, VerifyError> {
        let lease = self.lease.as_ref().map(|lease| lease.held()).transpose()?;
        let mut verified = Verified::default();
        let mut is_contradiction = false;
        for _ in 0..ATTEMPTS {
            let recorded;
            (recorded, is_contradiction) =
                self.attempt(repository, reference, source, lease, &mut verified).await?;
            let result = match recorded {
                Recorded::Unchanged => "same",
                Recorded::Changed(_) => "different",
                Recorded::Superseded => "superseded",
            };
            VERIFICATIONS.with([result]).increment(1);
            match recorded {
                Recorded::Superseded => continue,
                Recorded::Unchanged => {}
                Recorded::Changed(events) => {
                    verified.events += events;
                    // The first sweep finds everything at once, and each finding is an event anyway.
                    tracing::debug!(%repository, %reference, ?source, "the record differed from the registry and was mended");
                }
            }
            return Ok(verified);
        }
        if is_contradiction {
            return Err(contradiction(repository, reference).into());
        }
        Err(VerifyError::Busy { repository: repository.clone(), reference: reference.clone() })
    }

    /// Asks once, and records what differs. Answers also whether the registry contradicted itself.
    async fn attempt(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        source: Source,
        lease: Option<Lease>,
        verified: &mut Verified,
    ) -> Result<(Recorded, bool), VerifyError> {
        let since = self.ledger.sequence().await?;
        let guard = Guard { reference: Some(reference.clone()), since, lease };
        let question = Question { repository, reference, source, asked: Instant::now() };
        tracing::debug!(%repository, %reference, ?source, "the registry is asked about a reference");
        let found = match reference {
            Reference::Tag(tag) => self.tag_difference(repository, tag).await?,
            Reference::Digest(digest) => self.digest_difference(repository, digest, source, verified).await?,
        };
        let is_contradiction = matches!(found, Found::Moved);
        tracing::debug!(%repository, %reference, answer = found.in_words(), "the registry answered");
        let recorded = match found {
            Found::Same(digest) => {
                verified.digest = digest;
                Recorded::Unchanged
            }
            Found::Moved => Recorded::Superseded,
            Found::Present(digest) => {
                verified.digest = Some(digest);
                let change =
                    Change::ReferencePresent { repository: repository.clone(), reference: reference.clone() };
                self.ledger.record(vec![change], source, guard, self.registry.now()).await?
            }
            Found::Held => {
                verified.is_held = true;
                self.hold(question, guard).await?
            }
            Found::Different(different) => self.contradiction(question, guard, different, verified).await?,
        };
        tracing::debug!(%repository, %reference, ?recorded, "an answer of the registry was compared with the record");
        Ok((recorded, is_contradiction))
    }

    /// Records what differs, or holds it, as the judge says.
    async fn contradiction(
        &self,
        question: Question<'_>,
        guard: Guard,
        Different { change, previous, missing }: Different,
        verified: &mut Verified,
    ) -> Result<Recorded, VerifyError> {
        let Question { repository, reference, source, asked } = question;
        let (named_digest, children) = named(&change);
        let answer = match &named_digest {
            Some(digest) => Answer::Names(digest),
            None => Answer::Denies { missing },
        };
        let recorded = match reference {
            Reference::Tag(_) => previous.as_ref(),
            Reference::Digest(digest) => named_digest.is_none().then_some(digest),
        };
        let about = Contradiction { repository, reference, recorded, answer, source, asked };
        let since = guard.since;
        let recorded = match self.judge.judge(about).await? {
            Verdict::Later(left) => {
                VERIFICATIONS.with(["unsettled"]).increment(1);
                let (repository, reference) = (repository.clone(), reference.clone());
                return Err(VerifyError::Unsettled { repository, reference, left });
            }
            Verdict::Hold => {
                verified.is_held = true;
                let recorded = self.hold(question, guard).await?;
                if recorded != Recorded::Superseded {
                    verified.previous = previous;
                }
                return Ok(recorded);
            }
            Verdict::Believe(counted) => {
                let recorded = self.ledger.record(vec![change], source, guard, self.registry.now()).await?;
                if recorded != Recorded::Superseded {
                    (verified.digest, verified.previous) = (named_digest, previous);
                    verified.children = if self.registry.is_cache() { Vec::new() } else { children };
                }
                match (recorded, counted) {
                    (Recorded::Changed(_), Some(counted)) => counted.recorded(),
                    (Recorded::Changed(_), None) if self.judge.is_counting() => {
                        self.note_return(repository, reference, since).await?;
                    }
                    _ => {}
                }
                recorded
            }
        };
        Ok(recorded)
    }

    /// Tells the judge of a tag that has just come back with its past, which is older than this recording.
    async fn note_return(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        since: Sequence,
    ) -> Result<(), VerifyError> {
        if let Reference::Tag(tag) = reference
            && self.records.tag(repository, tag).await?.is_some_and(|recorded| recorded.sequence <= since)
        {
            self.judge.tag_is_back();
        }
        Ok(())
    }

    /// Marks a reference as missing.
    async fn hold(
        &self,
        Question { repository, reference, source, .. }: Question<'_>,
        guard: Guard,
    ) -> Result<Recorded, VerifyError> {
        let change =
            Change::ReferenceMissing { repository: repository.clone(), reference: reference.clone() };
        Ok(self.ledger.record(vec![change], source, guard, self.registry.now()).await?)
    }

    async fn tag_difference(&self, repository: &RepositoryName, tag: &Tag) -> Result<Found, VerifyError> {
        let reference = Reference::Tag(tag.clone());
        if self.records.tag(repository, tag).await?.is_none() {
            // Nothing to compare with: its bytes are wanted in any case.
            return Ok(match self.registry.manifest(repository, &reference).await? {
                Some(manifest) => Found::put(repository, Arc::new(manifest), Some(tag), None),
                None => Found::Same(None),
            });
        }
        let head = self.registry.resolve(repository, &reference).await?;
        let recorded = self.records.tag(repository, tag).await?;
        match (head.map(|head| head.digest), recorded) {
            (None, None) => Ok(Found::Same(None)),
            (None, Some(recorded)) => Ok(Found::Different(Different {
                change: Change::TagDeleted { repository: repository.clone(), tag: tag.clone() },
                previous: Some(recorded.digest),
                missing: recorded.missing,
            })),
            (Some(digest), Some(recorded))
                if digest == recorded.digest && self.records.has_manifest(repository, &digest).await? =>
            {
                Ok(match recorded.missing {
                    Some(_) => Found::Present(digest),
                    None => Found::Same(Some(digest)),
                })
            }
            // Also the same digest, where its manifest was deleted and the tag may have been pushed again.
            (Some(digest), recorded) => {
                self.put(repository, digest, Some(tag), recorded.map(|recorded| recorded.digest)).await
            }
        }
    }

    async fn digest_difference(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        source: Source,
        verified: &mut Verified,
    ) -> Result<Found, VerifyError> {
        let head = self.registry.resolve(repository, &Reference::Digest(digest.clone())).await?;
        let recorded = self.records.manifest(repository, digest).await?;
        match (head, recorded) {
            (None, None) => Ok(Found::Same(None)),
            (Some(head), Some(recorded)) => Ok(match recorded.missing {
                Some(_) => Found::Present(head.digest),
                None => Found::Same(Some(head.digest)),
            }),
            (Some(_), None) => self.put(repository, digest.clone(), None, None).await,
            (None, Some(recorded)) => {
                // No tag goes by implication: each is asked about itself.
                let mut has_held = false;
                for tag in self.records.tags_of(repository, digest).await? {
                    let tag = Box::pin(self.verify(repository, &Reference::Tag(tag), source)).await?;
                    verified.events += tag.events;
                    has_held |= tag.is_held;
                }
                if !self.records.tags_of(repository, digest).await?.is_empty() {
                    // As long as a tag of it is held, so is the manifest.
                    return Ok(if has_held { Found::Held } else { Found::Moved });
                }
                Ok(Found::Different(Different {
                    change: Change::ManifestDeleted {
                        repository: repository.clone(),
                        digest: digest.clone(),
                        undecided: Vec::new(),
                    },
                    previous: None,
                    missing: recorded.missing,
                }))
            }
        }
    }

    /// The manifest that the registry names, with its bytes from the record if they are there, else from the registry.
    async fn put(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        tag: Option<&Tag>,
        previous: Option<Digest>,
    ) -> Result<Found, VerifyError> {
        let manifest = match self.records.manifest_content(repository, &digest).await? {
            Some(manifest) => manifest,
            None => match self.registry.manifest(repository, &Reference::Digest(digest)).await? {
                Some(manifest) => Arc::new(manifest),
                None => return Ok(Found::Moved),
            },
        };
        Ok(Found::put(repository, manifest, tag, previous))
    }
}

/// What the registry is asked, and when that was.
#[derive(Clone, Copy)]
struct Question<'a> {
    repository: &'a RepositoryName,
    reference: &'a Reference,
    source: Source,
    asked: Instant,
}

/// No client wrote through the door, and the registry contradicts itself again and again: none of its answers is clear.
fn contradiction(repository: &RepositoryName, reference: &Reference) -> RegistryError {
    RegistryError::Malformed {
        asked: format!("HEAD {repository}:{reference}"),
        source: MalformedAnswer::DeniedManifest,
    }
}
