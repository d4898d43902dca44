//! Putting back what was deleted. The record has kept what deleted manifests said; whether their blobs are still there is the
//! registry's to say, which takes no manifest without them.
//!
//! Each manifest that is put back is a write as any other: noted, carried and recorded as a push of whoever asks for it.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};

use super::carry::Carrier;
use super::carry_failure::CarryFailure;
use super::deletion::RefusedWrite;
use super::tag_deletion::is_empty_manifest;
use super::write::{ManifestWrite, WriteRequest};
use super::write_context::WriteContext;
use crate::oci::{Action, Actions, Digest, Manifest, Reference, RepositoryName, Tag};
use crate::store::{Event, EventKind, EventOrder, EventRange, Page, Store, StoreError, TimeSpan};

/// How many events are read at once when the history is looked through.
const PART: usize = 500;
/// How many events of a repository are looked at, from the newest on.
const LOOKED_AT: usize = 200_000;
/// How many manifests that one names are looked at, those that they name included.
const MOST_CHILDREN: usize = 1_000;

/// What is to be put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undeletion {
    /// A tag: to the manifest that it pointed to when it was deleted, or to this one, whatever it points to now.
    Tag {
        /// The tag.
        tag: Tag,
        /// Another manifest than the last one.
        digest: Option<Digest>,
    },
    /// A manifest, with those tags that went with it and do not exist now.
    Manifest {
        /// The manifest.
        digest: Digest,
    },
}

/// What was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undeleted {
    /// The manifest.
    pub digest: Digest,
    /// Its tags that were put back.
    pub tags: Vec<Tag>,
    /// Manifests that it names and that were put back with it.
    pub children: Vec<Digest>,
}

/// Why something was not put back.
#[derive(Debug, thiserror::Error)]
pub enum UndeletionError {
    /// The tag exists.
    #[error("the tag `{tag}` exists, and points to {digest}; name a digest to move it")]
    TagThere {
        /// The tag.
        tag: Tag,
        /// What it points to.
        digest: Digest,
    },
    /// Nothing of it is deleted.
    #[error("{0} is there already, with the tags that it had")]
    ManifestThere(Digest),
    /// No deletion of it is in the history.
    #[error("the history of `{repository}` has no deletion of `{reference}`")]
    NeverDeleted {
        /// Where it was looked for.
        repository: RepositoryName,
        /// What was looked for.
        reference: Reference,
    },
    /// What the manifest said is not known any more.
    #[error("what the manifest {0} said is not kept any more: deleted manifests are kept for 90 days")]
    Forgotten(Digest),
    /// The registry does not take it: it has no longer the blobs, or the manifests that it names.
    #[error("the registry has no longer everything that {digest} names, and does not take it back: {answer}")]
    BlobsGone {
        /// The manifest.
        digest: Digest,
        /// The registry's answer.
        answer: RefusedWrite,
    },
    /// It names too many manifests.
    #[error("{0} names more than {MOST_CHILDREN} manifests that are to be looked for")]
    TooManyChildren(Digest),
    /// The registry refuses it.
    #[error("the registry does not take {digest} back: {answer}")]
    Refused {
        /// The manifest.
        digest: Digest,
        /// The registry's answer.
        answer: RefusedWrite,
    },
    /// There is no answer of the registry's, or it could not be recorded.
    #[error(transparent)]
    Carry(#[from] CarryFailure),
    /// The record could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts back what callers of the API ask for. Shared by all of them.
#[derive(Clone)]
pub struct Undeleter {
    carrier: Carrier,
    store: Arc<dyn Store>,
}

impl Undeleter {
    /// One that writes by this carrier what this record has kept.
    pub fn new(carrier: Carrier, store: Arc<dyn Store>) -> Self {
        Self { carrier, store }
    }

    /// Puts something back, to its end even if this future is dropped. What was put back before an error stays: asked again, the
    /// rest follows.
    ///
    /// # Errors
    /// See [`UndeletionError`].
    pub async fn undelete(
        &self,
        repository: RepositoryName,
        undeletion: Undeletion,
        context: WriteContext,
    ) -> Result<Undeleted, UndeletionError> {
        let undeleter = self.clone();
        let task = self.carrier.spawn(async move {
            let run = Run { undeleter: &undeleter, repository: &repository, context: &context };
            match undeletion {
                Undeletion::Tag { tag, digest } => run.tag(tag, digest).await,
                Undeletion::Manifest { digest } => run.manifest(digest).await,
            }
        });
        task.await.unwrap_or(Err(UndeletionError::Carry(CarryFailure::Failed)))
    }
}

/// One caller's undeletion.
struct Run<'a> {
    undeleter: &'a Undeleter,
    repository: &'a RepositoryName,
    context: &'a WriteContext,
}

impl Run<'_> {
    async fn tag(&self, tag: Tag, digest: Option<Digest>) -> Result<Undeleted, UndeletionError> {
        let now = self.undeleter.store.tag(self.repository, &tag).await?.map(|record| record.digest);
        let manifest = match (now, digest) {
            (Some(digest), None) => return Err(UndeletionError::TagThere { tag, digest }),
            (Some(now), Some(digest)) if now == digest => {
                return Err(UndeletionError::TagThere { tag, digest });
            }
            (_, Some(digest)) => self.known(&digest).await?,
            (None, None) => self.last_of(&tag).await?,
        };
        let children = self.put_children(&manifest).await?;
        self.put(&manifest, Reference::Tag(tag.clone())).await?;
        Ok(Undeleted { digest: manifest.digest.clone(), tags: vec![tag], children })
    }

    async fn manifest(&self, digest: Digest) -> Result<Undeleted, UndeletionError> {
        let is_there = self.undeleter.store.has_manifest(self.repository, &digest).await?;
        let mut tags = Vec::new();
        let gone = match self.tags_gone_with(&digest).await? {
            Some(tags) => tags,
            // What went with its repository is told of by that alone.
            None if is_there || self.content(&digest).await?.is_some() => Vec::new(),
            None => return Err(self.never_deleted(Reference::Digest(digest))),
        };
        for tag in gone {
            if self.undeleter.store.tag(self.repository, &tag).await?.is_none() {
                tags.push(tag);
            }
        }
        if is_there && tags.is_empty() {
            return Err(UndeletionError::ManifestThere(digest));
        }
        let manifest = self.known(&digest).await?;
        let children = self.put_children(&manifest).await?;
        if tags.is_empty() {
            self.put(&manifest, Reference::Digest(digest.clone())).await?;
        }
        for tag in &tags {
            self.put(&manifest, Reference::Tag(tag.clone())).await?;
        }
        Ok(Undeleted { digest, tags, children })
    }

    /// What a manifest says, or has said before it was deleted.
    async fn known(&self, digest: &Digest) -> Result<Arc<Manifest>, UndeletionError> {
        let found = self.content(digest).await?;
        found.ok_or_else(|| UndeletionError::Forgotten(digest.clone()))
    }

    async fn content(&self, digest: &Digest) -> Result<Option<Arc<Manifest>>, StoreError> {
        match self.undeleter.store.manifest_content(self.repository, digest).await? {
            Some(manifest) => Ok(Some(manifest)),
            None => self.undeleter.store.deleted_manifest(self.repository, digest).await,
        }
    }

    /// The manifest that a tag pointed to before it was deleted. Where a tag was deleted by moving it to an empty manifest, it is
    /// the one before that.
    async fn last_of(&self, tag: &Tag) -> Result<Arc<Manifest>, UndeletionError> {
        let mut events = Newest::of(self);
        while let Some(event) = events.next().await? {
            if event.tag.as_ref() != Some(tag) {
                continue;
            }
            for digest in [event.digest, event.previous].into_iter().flatten() {
                let manifest = self.known(&digest).await?;
                if !is_empty_manifest(&manifest) {
                    return Ok(manifest);
                }
            }
        }
        Err(self.never_deleted(Reference::Tag(tag.clone())))
    }

    /// The tags that went with a manifest when it was deleted last: they are told of right before, at the same time. Nothing where no
    /// deletion of it is told of.
    async fn tags_gone_with(&self, digest: &Digest) -> Result<Option<Vec<Tag>>, StoreError> {
        let mut events = Newest::of(self);
        let deletion = loop {
            match events.next().await? {
                Some(event)
                    if event.kind == EventKind::ManifestDeleted && event.digest.as_ref() == Some(digest) =>
                {
                    break event;
                }
                Some(_) => {}
                None => return Ok(None),
            }
        };
        let mut tags = BTreeSet::new();
        while let Some(Event { kind: EventKind::TagDeleted, tag: Some(tag), digest: of, time, .. }) =
            events.next().await?
            && time == deletion.time
            && of == deletion.digest
        {
            tags.insert(tag);
        }
        Ok(Some(tags.into_iter().collect()))
    }

    fn never_deleted(&self, reference: Reference) -> UndeletionError {
        UndeletionError::NeverDeleted { repository: self.repository.clone(), reference }
    }

    /// Puts back what a manifest names and what is deleted, too, the innermost first.
    async fn put_children(&self, manifest: &Manifest) -> Result<Vec<Digest>, UndeletionError> {
        let mut gone: Vec<Arc<Manifest>> = Vec::new();
        let mut looked_at = BTreeSet::new();
        let named = |manifest: &Manifest| -> Vec<Part> {
            manifest.document.child_manifests().cloned().map(Part::Named).collect()
        };
        let mut parts = named(manifest);
        while let Some(part) = parts.pop() {
            let digest = match part {
                Part::Named(digest) => digest,
                // All that it names was on top of it.
                Part::Found(child) => {
                    gone.push(child);
                    continue;
                }
            };
            if !looked_at.insert(digest.clone())
                || self.undeleter.store.has_manifest(self.repository, &digest).await?
            {
                continue;
            }
            if looked_at.len() > MOST_CHILDREN {
                return Err(UndeletionError::TooManyChildren(manifest.digest.clone()));
            }
            // What is not known was not there either, or the registry refuses the index and says so.
            if let Some(child) = self.undeleter.store.deleted_manifest(self.repository, &digest).await? {
                let below = named(&child);
                parts.push(Part::Found(child));
                parts.extend(below);
            }
        }
        for child in &gone {
            self.put(child, Reference::Digest(child.digest.clone())).await?;
        }
        Ok(gone.iter().map(|child| child.digest.clone()).collect())
    }

    async fn put(&self, manifest: &Arc<Manifest>, reference: Reference) -> Result<(), UndeletionError> {
        let actions = Actions::of(&[Action::Pull, Action::Push]);
        let mut outgoing = self.context.outgoing(Method::PUT, self.repository, &reference, actions);
        outgoing.body = manifest.bytes.clone();
        if let Ok(media_type) = HeaderValue::from_str(manifest.document.media_type.as_str()) {
            outgoing.headers.insert(CONTENT_TYPE, media_type);
        }
        let (repository, tags) = (self.repository.clone(), Vec::new());
        let write = ManifestWrite::Put { repository, reference, tags, manifest: Arc::clone(manifest) };
        let request = WriteRequest { write, actor: self.context.actor.clone(), outgoing };
        let answer = self.undeleter.carrier.carry(request).await?;
        if answer.status.is_success() {
            return Ok(());
        }
        let (digest, answer) = (manifest.digest.clone(), RefusedWrite::by(&answer));
        let names_what_is_gone = matches!(
            answer.code.as_deref(),
            Some("MANIFEST_BLOB_UNKNOWN" | "BLOB_UNKNOWN" | "MANIFEST_UNKNOWN")
        );
        if names_what_is_gone && matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
            return Err(UndeletionError::BlobsGone { digest, answer });
        }
        Err(UndeletionError::Refused { digest, answer })
    }
}

/// A manifest that another one names.
enum Part {
    /// To be looked at.
    Named(Digest),
    /// Deleted, and to be put back behind what it names.
    Found(Arc<Manifest>),
}

/// The events of a repository, the newest first.
struct Newest<'a> {
    run: &'a Run<'a>,
    read: std::vec::IntoIter<Event>,
    /// Where to go on; nothing at the end.
    next: Option<EventRange>,
    looked_at: usize,
}

impl<'a> Newest<'a> {
    fn of(run: &'a Run<'a>) -> Self {
        let range = EventRange {
            repository: Some(run.repository.clone()),
            order: EventOrder::NewestFirst,
            after: None,
            times: TimeSpan::default(),
            rows: PART,
        };
        Self { run, read: Vec::new().into_iter(), next: Some(range), looked_at: 0 }
    }

    async fn next(&mut self) -> Result<Option<Event>, StoreError> {
        loop {
            if let Some(event) = self.read.next() {
                return Ok(Some(event));
            }
            let Some(range) = self.next.take() else { return Ok(None) };
            let Page { items, next } = self.run.undeleter.store.events_in(range.clone()).await?;
            self.looked_at += PART;
            if self.looked_at < LOOKED_AT {
                self.next = next.map(|after| EventRange { after: Some(after), ..range });
            }
            self.read = items.into_iter();
        }
    }
}
