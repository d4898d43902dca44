//! What a client was acknowledged is in the store at that version (P1).

use super::registry::Registry;
use super::registry_history::{Resource, Version};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::{Event, EventKind, HintedReference, PageRequest, Sequence, Source, Store};

/// A write of which a client will hear.
pub struct Awaited {
    repository: RepositoryName,
    reference: Reference,
    /// What is put; nothing for a deletion.
    digest: Option<Digest>,
    /// Where store and registry stood before.
    last: Sequence,
    begun: Version,
}

/// A deletion of which a client has heard: whoever says later that the resource is there must have found it afterwards.
pub struct Deletion {
    pub resource: Resource,
    /// Where the store and the registry stood.
    pub heard: Sequence,
    pub version: Version,
}

/// What follows from a success.
pub struct Promised {
    /// That what was deleted was not there.
    pub deletion: Option<Deletion>,
    /// What is asked about until it is known, as at this version.
    pub undecided: Vec<HintedReference>,
    pub version: Version,
}

impl Awaited {
    pub async fn begin(
        store: &dyn Store,
        registry: &Registry,
        repository: &str,
        reference: &Reference,
        digest: Option<Digest>,
    ) -> Self {
        let repository = RepositoryName::parse(repository).unwrap();
        let last = store.sequence().await.unwrap();
        Self { repository, reference: reference.clone(), digest, last, begun: registry.history().now() }
    }

    /// The client hears of a success. Answers what that says for later.
    pub async fn succeeded(self, store: &dyn Store, registry: &Registry) -> Result<Promised, String> {
        // What is recorded from here on is too late.
        let (heard, version) = (store.sequence().await.unwrap(), registry.history().now());
        let page = PageRequest { after: Some(self.last), limit: 10_000 };
        let mut events = store.events(Some(&self.repository), page).await.unwrap().items;
        events.retain(|event| event.sequence <= heard);
        let Self { repository, reference, digest, .. } = &self;
        let mut undecided = Vec::new();
        let wrong = match (digest, reference) {
            (Some(digest), reference) => self.put_is_missing(&events, digest, reference),
            (None, Reference::Tag(tag)) => self.tag_is_left(store, tag).await,
            (None, Reference::Digest(digest)) => {
                self.manifest_is_left(store, registry, digest, &mut undecided).await
            }
        };
        match wrong {
            Some(wrong) => Err(format!(
                "the write of {repository}:{reference} ({digest:?}) was acknowledged, and {wrong}"
            )),
            None => {
                let deletion = digest.is_none().then(|| {
                    let resource = Resource::new(repository.as_str(), reference.as_str());
                    Deletion { resource, heard, version }
                });
                Ok(Promised { deletion, undecided, version })
            }
        }
    }

    fn put_is_missing(&self, events: &[Event], digest: &Digest, reference: &Reference) -> Option<String> {
        let tag = match reference {
            Reference::Tag(tag) => Some(tag),
            Reference::Digest(_) => None,
        };
        let is_it = |event: &Event| {
            event.kind == EventKind::ManifestPut
                && event.source == Source::Observed
                && event.tag.as_ref() == tag
                && event.digest.as_ref() == Some(digest)
        };
        (!events.iter().any(is_it)).then(|| "it is not in the history".to_owned())
    }

    async fn tag_is_left(&self, store: &dyn Store, tag: &Tag) -> Option<String> {
        let left = store.tag(&self.repository, tag).await.unwrap()?;
        (left.sequence <= self.last).then(|| format!("the store still has the tag: {left:?}"))
    }

    /// Whatever came again meanwhile may be there again. Of a tag that a registry which lags may have answered with the deleted
    /// manifest nothing need be known yet: it is `undecided`.
    async fn manifest_is_left(
        &self,
        store: &dyn Store,
        registry: &Registry,
        digest: &Digest,
        undecided: &mut Vec<HintedReference>,
    ) -> Option<String> {
        let came = |name: &str| {
            registry.history().came_since(&Resource::new(self.repository.as_str(), name), self.begun)
        };
        if came(digest.as_str()) {
            return None;
        }
        for tag in store.tags_of(&self.repository, digest).await.unwrap() {
            let left = store.tag(&self.repository, &tag).await.unwrap();
            if left.is_some_and(|left| left.sequence <= self.last && left.digest == *digest) {
                if !registry.lags() {
                    return Some(format!("the store still has its tag {tag}"));
                }
                let (repository, reference) = (self.repository.clone(), Reference::Tag(tag));
                undecided.push(HintedReference { repository, reference });
            }
        }
        // What waited for the deletion may be done by now: then that is in the history.
        store.manifest(&self.repository, digest).await.unwrap()?;
        let page = PageRequest { after: Some(self.last), limit: 10_000 };
        let events = store.events(Some(&self.repository), page).await.unwrap().items;
        let is_put =
            |event: &Event| event.kind == EventKind::ManifestPut && event.digest.as_ref() == Some(digest);
        (!events.iter().any(is_put)).then(|| "the store still has the manifest".to_owned())
    }
}
