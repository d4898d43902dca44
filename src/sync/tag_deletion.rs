//! Deleting one tag at a registry that deletes manifests only, such as distribution 2.8: the tag is moved to a manifest of its
//! own, which nothing else points to, and that manifest is deleted. Whatever else points to the manifest that the tag had,
//! stays.
//!
//! Both are writes as any other: noted, carried and recorded. So a crash in between leaves a record that equals the registry,
//! with the tag at the empty manifest; deleting the tag again ends what was begun. A push to the tag in between is newer than
//! the deletion, and stays.
//!
//! Before anything is moved the registry is asked whether it deletes at all: otherwise the tag would be lost to the empty
//! manifest.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::carry::Carrier;
use super::carry_failure::CarryFailure;
use super::write::{ManifestWrite, WriteRequest};
use super::write_context::WriteContext;
use crate::oci::{
    Action, Actions, Descriptor, Digest, Manifest, ManifestKind, MediaType, Reference, RepositoryName, Tag,
    first_error_code,
};
use crate::registry::{Deletion, RegistryClient, RegistryError, WriteAnswer};
use crate::store::{Records, StoreError};

/// What the empty manifest calls itself.
const ARTIFACT_TYPE: &str = "application/vnd.portreeve.deleted-tag.v1+json";
/// Its annotation that makes it unlike any other.
const NONCE: &str = "io.portreeve.nonce";
/// How many tags that point to the same manifest are named to the caller.
const NAMED: usize = 10;
/// How often the empty manifest's deletion is tried, and the pause in between: without it the tag is left there.
const ATTEMPTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// A deletion of one tag, and what the requests for it are made of.
#[derive(Debug)]
pub struct TagDeletion {
    /// In which repository.
    pub repository: RepositoryName,
    /// Which tag.
    pub tag: Tag,
    /// Who asks for it, and how.
    pub context: WriteContext,
}

/// Why a tag was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum TagDeletionError {
    /// There is no such tag.
    #[error("there is no tag `{0}`")]
    NotThere(Tag),
    /// The registry deletes nothing, or takes no empty manifest. Nothing has changed.
    #[error("the registry cannot delete one tag: {cause}{}", siblings_in_words(.siblings))]
    Unsupported {
        /// What it does not do.
        cause: &'static str,
        /// Other tags of the same manifest, some of them.
        siblings: Vec<Tag>,
    },
    /// The registry could not be asked. Nothing has changed.
    #[error("the registry does not say what the tag points to, or whether it deletes: {0}")]
    Registry(#[from] RegistryError),
    /// The registry does not say whether it deletes. Nothing has changed.
    #[error("the registry answered {0} when it was asked whether it deletes")]
    Unclear(StatusCode),
    /// The tag could not be moved, or it is not known whether it was.
    #[error("the tag was not deleted: {0}")]
    NotMoved(#[source] CarryFailure),
    /// The tag points to an empty manifest, which could not be deleted.
    #[error("the tag points to an empty manifest now, whose deletion failed; delete the tag again")]
    NotDeleted(#[source] Option<CarryFailure>),
    /// The system has no random numbers, or the empty manifest cannot be made.
    #[error("the empty manifest cannot be made: {0}")]
    Manifest(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl TagDeletionError {
    /// What the client is told: the cause is for the log.
    pub fn told(&self) -> (StatusCode, Cow<'static, str>) {
        match self {
            Self::NotThere(_) => (StatusCode::NOT_FOUND, self.to_string().into()),
            Self::Unsupported { .. } => (StatusCode::METHOD_NOT_ALLOWED, self.to_string().into()),
            Self::NotMoved(failure) => {
                let (status, message) = failure.told();
                (status, message.into())
            }
            Self::Registry(_) | Self::Unclear(_) => (
                StatusCode::BAD_GATEWAY,
                "the registry does not say what the tag points to, or whether it deletes; nothing has changed".into(),
            ),
            Self::NotDeleted(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the tag points to an empty manifest now, whose deletion failed; delete the tag again".into(),
            ),
            Self::Manifest(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "the door failed on this write; its log says why".into(),
            ),
        }
    }
}

fn siblings_in_words(siblings: &[Tag]) -> String {
    let names: Vec<&str> = siblings.iter().map(Tag::as_str).collect();
    match names.as_slice() {
        [] => String::new(),
        names => {
            format!(
                "; deleting the manifest by its digest would delete these tags, too: {}",
                names.join(", ")
            )
        }
    }
}

/// Deletes single tags at registries that cannot. Shared by all exchanges.
#[derive(Clone)]
pub struct TagDeleter {
    carrier: Carrier,
    registry: Arc<RegistryClient>,
    records: Arc<dyn Records>,
}

/// Whether a registry's answer says that it does not delete tags by themselves (distribution 2.8: the tag is no digest).
pub fn cannot_delete_tags(answer: &WriteAnswer) -> bool {
    match answer.status {
        StatusCode::METHOD_NOT_ALLOWED => true,
        StatusCode::BAD_REQUEST => {
            matches!(first_error_code(&answer.body).as_deref(), Some("DIGEST_INVALID" | "UNSUPPORTED"))
        }
        _ => false,
    }
}

impl TagDeleter {
    /// One that writes by this carrier.
    pub fn new(carrier: Carrier, registry: Arc<RegistryClient>, records: Arc<dyn Records>) -> Self {
        Self { carrier, registry, records }
    }

    /// Deletes a tag and nothing else, to its end even if this future is dropped. Answers the registry's answer to the last
    /// write.
    ///
    /// # Errors
    /// See [`TagDeletionError`]: each says what has changed.
    pub async fn delete(&self, deletion: TagDeletion) -> Result<WriteAnswer, TagDeletionError> {
        let deleter = self.clone();
        let task = self.carrier.spawn(async move { deleter.run(&deletion).await });
        task.await.unwrap_or(Err(TagDeletionError::NotMoved(CarryFailure::Failed)))
    }

    async fn run(&self, deletion: &TagDeletion) -> Result<WriteAnswer, TagDeletionError> {
        let TagDeletion { repository, tag, .. } = deletion;
        let reference = Reference::Tag(tag.clone());
        let pointed = self.registry.manifest(repository, &reference).await?;
        let pointed = pointed.ok_or_else(|| TagDeletionError::NotThere(tag.clone()))?;
        match self.registry.try_deletion().await? {
            Deletion::Allowed => {}
            Deletion::Refused(StatusCode::METHOD_NOT_ALLOWED) => {
                return Err(self.unsupported(deletion, &pointed, "it deletes nothing").await);
            }
            Deletion::Refused(status) => return Err(TagDeletionError::Unclear(status)),
        }
        // Begun before, and not ended; unless another tag points to it as well, which would go with it.
        if is_empty_manifest(&pointed)
            && self.siblings(deletion, &pointed).await.is_ok_and(|tags| tags.is_empty())
        {
            return self.delete_manifest(deletion, &pointed.digest).await;
        }
        let Some(config) = self.configuration(repository, &pointed).await? else {
            let cause = "it takes no empty manifest for one that names no image";
            return Err(self.unsupported(deletion, &pointed, cause).await);
        };
        let empty = empty_manifest(&config)?;
        let digest = empty.digest.clone();
        let answer = self.put(deletion, empty).await.map_err(TagDeletionError::NotMoved)?;
        if !answer.status.is_success() {
            return Err(self.unsupported(deletion, &pointed, "it takes no empty manifest").await);
        }
        self.delete_manifest(deletion, &digest).await
    }

    /// The configuration that the empty manifest may name: one that the repository has.
    async fn configuration(
        &self,
        repository: &RepositoryName,
        pointed: &Manifest,
    ) -> Result<Option<Descriptor>, TagDeletionError> {
        if let Some(config) = &pointed.document.config {
            return Ok(Some(config.clone()));
        }
        let mut children = pointed.document.child_manifests();
        match children.next() {
            Some(child) if pointed.document.kind == ManifestKind::Index => {
                let child = self.registry.manifest(repository, &Reference::Digest(child.clone())).await?;
                Ok(child.and_then(|child| child.document.config))
            }
            Some(_) | None => Ok(None),
        }
    }

    async fn put(&self, deletion: &TagDeletion, manifest: Manifest) -> Result<WriteAnswer, CarryFailure> {
        let TagDeletion { repository, tag, context } = deletion;
        let reference = Reference::Tag(tag.clone());
        let actions = Actions::of(&[Action::Pull, Action::Push]);
        let mut outgoing = context.outgoing(Method::PUT, repository, &reference, actions);
        outgoing.body = manifest.bytes.clone();
        outgoing.headers.insert(CONTENT_TYPE, HeaderValue::from_static(MediaType::OCI_MANIFEST));
        let (repository, tags) = (repository.clone(), Vec::new());
        let write = ManifestWrite::Put { repository, reference, tags, manifest: Arc::new(manifest) };
        self.carrier.carry(WriteRequest { write, actor: context.actor.clone(), outgoing }).await
    }

    async fn delete_manifest(
        &self,
        deletion: &TagDeletion,
        digest: &Digest,
    ) -> Result<WriteAnswer, TagDeletionError> {
        let mut failure = None;
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(PAUSE).await;
            }
            let reference = Reference::Digest(digest.clone());
            let TagDeletion { repository, context, .. } = deletion;
            let actions = Actions::of(&[Action::Delete]);
            let outgoing = context.outgoing(Method::DELETE, repository, &reference, actions);
            let write = ManifestWrite::Delete { repository: repository.clone(), reference };
            let request = WriteRequest { write, actor: context.actor.clone(), outgoing };
            match self.carrier.carry(request).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(_) => failure = None,
                Err(error) => failure = Some(error),
            }
        }
        Err(TagDeletionError::NotDeleted(failure))
    }

    /// The other tags that are recorded for the same manifest.
    async fn siblings(&self, deletion: &TagDeletion, pointed: &Manifest) -> Result<Vec<Tag>, StoreError> {
        let mut tags = self.records.tags_of(&deletion.repository, &pointed.digest).await?;
        tags.retain(|tag| *tag != deletion.tag);
        Ok(tags)
    }

    async fn unsupported(
        &self,
        deletion: &TagDeletion,
        pointed: &Manifest,
        cause: &'static str,
    ) -> TagDeletionError {
        let mut siblings = self.siblings(deletion, pointed).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "the other tags of a manifest cannot be named");
            Vec::new()
        });
        siblings.truncate(NAMED);
        TagDeletionError::Unsupported { cause, siblings }
    }
}

/// Whether it is one that a deleted tag was moved to.
pub fn is_empty_manifest(manifest: &Manifest) -> bool {
    manifest.document.artifact_type.as_ref().is_some_and(|kind| kind.as_str() == ARTIFACT_TYPE)
}

/// An image manifest without layers, unlike any other.
fn empty_manifest(config: &Descriptor) -> Result<Manifest, TagDeletionError> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Named<'a> {
        media_type: &'a MediaType,
        digest: &'a Digest,
        size: u64,
    }
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| TagDeletionError::Manifest(error);
    let nonce = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
    let (high, low) = nonce.map_err(|error| failed(error.into()))?;
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "artifactType": ARTIFACT_TYPE,
        "config": Named { media_type: &config.media_type, digest: &config.digest, size: config.size },
        "layers": [],
        "annotations": { NONCE: format!("{high:016x}{low:016x}") },
    });
    let bytes = Bytes::from(document.to_string());
    Manifest::parse(bytes, Some(MediaType::from(MediaType::OCI_MANIFEST)))
        .map_err(|error| failed(error.into()))
}
