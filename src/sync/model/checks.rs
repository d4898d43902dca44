//! What has to be true of a history.

use std::collections::{BTreeMap, BTreeSet};

use super::acknowledged::Deletion;
use super::registry::Registry;
use super::registry_history::{RegistryHistory, Resource, Version};
use crate::oci::{Digest, Reference, Tag};
use crate::store::{Event, EventKind, HintedReference, ManifestRecord, PageRequest, Source, Store};

const ALL: usize = 10_000;

/// How much of the registry the record has to hold, beside what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All tags and manifests.
    Everything,
    /// All repositories and tags, and the manifests that these lead to: others cannot be found from outside.
    Listed,
    /// The same of the repositories that are known: the registry has no catalog.
    Known,
}

/// The record as a whole.
struct Recorded {
    repositories: BTreeSet<String>,
    tags: BTreeMap<Resource, Digest>,
    manifests: BTreeMap<Resource, ManifestRecord>,
}

impl Recorded {
    async fn read(store: &dyn Store) -> Result<Self, String> {
        let mut recorded =
            Self { repositories: BTreeSet::new(), tags: BTreeMap::new(), manifests: BTreeMap::new() };
        let page = PageRequest { after: None, limit: ALL };
        for repository in store.repositories(None, page).await.unwrap().items {
            let name = repository.name.as_str();
            let tags = store.tags(&repository.name, PageRequest { after: None, limit: ALL }).await.unwrap();
            let page = PageRequest { after: None, limit: ALL };
            let manifests = store.manifests(&repository.name, page).await.unwrap();
            let counted = (tags.items.len() as u64, manifests.items.len() as u64);
            if counted != (repository.tags, repository.manifests) {
                return Err(format!("the counts of {name} are wrong: {counted:?}, not {repository:?}"));
            }
            recorded.repositories.insert(name.to_owned());
            let tags = tags.items.into_iter().map(|tag| (Resource::new(name, tag.tag.as_str()), tag.digest));
            recorded.tags.extend(tags);
            let manifests = manifests.items.into_iter();
            let manifests = manifests.map(|held| (Resource::new(name, held.digest.as_str()), held));
            recorded.manifests.extend(manifests);
        }
        Ok(recorded)
    }
}

/// When all is quiet: the store equals the registry, as far as that can be, and no write is open.
pub async fn in_step(store: &dyn Store, registry: &Registry, extent: Extent) -> Result<(), String> {
    let recorded = Recorded::read(store).await?;
    let is_known =
        |resource: &Resource| extent != Extent::Known || recorded.repositories.contains(&resource.repository);
    if extent == Extent::Listed {
        equal("repositories", &recorded.repositories, &registry.repositories())?;
    }
    let mut tags = registry.tags();
    tags.retain(|tag, _| is_known(tag));
    equal("tags", &recorded.tags, &tags)?;
    let there: BTreeSet<Resource> = registry.resources().into_iter().filter(Resource::is_manifest).collect();
    let manifests: BTreeSet<Resource> = recorded.manifests.keys().cloned().collect();
    if extent == Extent::Everything {
        equal("manifests", &manifests, &there)?;
    }
    let ghosts: Vec<_> = manifests.difference(&there).collect();
    if !ghosts.is_empty() {
        return Err(format!("the store has manifests that are not there: {ghosts:?}"));
    }
    let tagged = tags.iter().map(|(tag, digest)| Resource::new(&tag.repository, digest.as_str()));
    let children = recorded.manifests.iter().flat_map(|(resource, held)| {
        held.document.children.iter().map(|child| Resource::new(&resource.repository, child.digest.as_str()))
    });
    let lacking = |resource: &Resource| there.contains(resource) && !manifests.contains(resource);
    if let Some(resource) = tagged.chain(children).find(lacking) {
        return Err(format!("the store lacks the manifest {resource:?}"));
    }
    let open = store.open_intents().await.unwrap();
    if open.is_empty() { Ok(()) } else { Err(format!("intents are still open: {open:?}")) }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, store: &T, registry: &T) -> Result<(), String> {
    if store == registry {
        return Ok(());
    }
    Err(format!("{what} differ:\nstore    {store:?}\nregistry {registry:?}"))
}

/// What was hinted at is as the registry says, unless that has changed since.
pub async fn hinted(
    store: &dyn Store,
    registry: &Registry,
    hints: &[(HintedReference, Version)],
) -> Result<(), String> {
    for (HintedReference { repository, reference }, version) in hints {
        let Reference::Tag(tag) = reference else { continue };
        if registry.history().last_change(repository.as_str()) > *version {
            continue;
        }
        let recorded = store.tag(repository, tag).await.unwrap().map(|record| record.digest);
        let held = registry.tags().remove(&Resource::new(repository.as_str(), tag.as_str()));
        equal(&format!("what {repository}:{tag} is, that was hinted at,"), &recorded, &held)?;
    }
    Ok(())
}

/// Events, a line each.
pub fn in_lines(events: &[Event], past: &RegistryHistory) -> String {
    events.iter().map(|event| in_short(event, past.version_of(event.sequence))).collect()
}

fn in_short(event: &Event, version: Version) -> String {
    let Event { sequence, kind, source, repository, tag, digest, .. } = event;
    let (tag, digest) =
        (tag.as_ref().map(Tag::as_str), digest.as_ref().map(|digest| &digest.as_str()[7..15]));
    format!("{sequence} at version {version}: {source:?} {kind:?} {repository} {tag:?} {digest:?}\n")
}

/// The history as it is now.
pub async fn events(store: &dyn Store) -> Vec<Event> {
    store.events(None, PageRequest { after: None, limit: ALL }).await.unwrap().items
}

/// The history as a whole: it goes on where it was; no removal of anything is in it that was there all the time since what
/// the history says of it before; and nothing was found in it that was not there in such a time.
pub fn history(
    events: &[Event],
    earlier: &[Event],
    deletions: &[Deletion],
    registry: &Registry,
) -> Result<(), String> {
    if !events.starts_with(earlier) {
        return Err(format!("the history was rewritten: from {earlier:?} to {events:?}"));
    }
    if !events.is_sorted_by(|first, second| first.sequence < second.sequence) {
        return Err("sequence numbers do not grow".to_owned());
    }
    let lags = registry.lags();
    let past = registry.history();
    let mut acknowledged: BTreeMap<Resource, Version> = BTreeMap::new();
    for event in events {
        let version = past.version_of(event.sequence);
        let about = About::new(event);
        let since = |resource: &Resource| {
            let deleted = deletions
                .iter()
                .filter(|deletion| deletion.resource == *resource && deletion.heard < event.sequence)
                .map(|deletion| deletion.version);
            // Where a write has no known outcome, what a replica that lags answers may as well be the outcome.
            if lags && event.source == Source::Verified {
                return Version::default();
            }
            deleted.chain(acknowledged.get(resource).copied()).max().unwrap_or_default()
        };
        let wrong = match (&about.removed, about.found()) {
            (Some(resource), _) if !past.was_absent(resource, since(resource), version) => {
                Some(format!("{resource:?} was removed though it was there from version {}", since(resource)))
            }
            (None, Some((resource, is_there))) if !past.was_there(&is_there, since(resource), version) => {
                Some(format!(
                    "{is_there:?} was found though it was not there from version {}",
                    since(resource)
                ))
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(format!(
                "{wrong} to {version}, by event {}; the history:\n{}",
                event.sequence,
                in_lines(events, &past)
            ));
        }
        acknowledged.extend(about.all().into_iter().map(|resource| (resource, version)));
    }
    Ok(())
}

/// How many removals the door believes at once that it did not carry.
pub const BELIEVED: u64 = 2;

/// Of what vanished no more was recorded as gone at any time than the brake lets pass, but for what deletions through the door
/// explain. What came back counts no more.
pub fn brake(events: &[Event], deletions: usize) -> Result<(), String> {
    let most = BELIEVED as usize + 3 * deletions;
    let mut gone = Vec::new();
    for event in events {
        let resource = event.tag.as_ref().map(|tag| Resource::new(event.repository.as_str(), tag.as_str()));
        let Some(resource) = resource else { continue };
        match (event.kind, event.source) {
            (EventKind::TagDeleted, Source::Swept | Source::Hinted) => gone.push(resource),
            (EventKind::TagRestored, _) => {
                let place = gone.iter().position(|other| *other == resource);
                place.into_iter().for_each(|place| drop(gone.swap_remove(place)));
            }
            _ => {}
        }
        if gone.len() > most {
            return Err(format!("{} tags went though only {most} may: {events:?}", gone.len()));
        }
    }
    Ok(())
}

/// What came back as it was has its past.
pub fn pasts(events: &[Event]) -> Result<(), String> {
    let mut gone: BTreeMap<Resource, &Digest> = BTreeMap::new();
    for event in events {
        if event.kind == EventKind::ManifestDeleted && event.source == Source::Observed {
            // Somebody wanted it gone, whatever its tags were.
            let is_of_it = |resource: &Resource, digest: &&Digest| {
                resource.repository == event.repository.as_str() && Some(*digest) == event.digest.as_ref()
            };
            gone.retain(|resource, digest| !is_of_it(resource, digest));
        }
        let (Some(tag), digest) = (&event.tag, event.digest.as_ref()) else { continue };
        let resource = Resource::new(event.repository.as_str(), tag.as_str());
        let before = gone.remove(&resource);
        let is_same = before.is_some() && before == digest;
        match (event.kind, event.source) {
            (EventKind::TagDeleted, Source::Swept | Source::Hinted | Source::Verified) => {
                gone.extend(digest.map(|digest| (resource, digest)));
            }
            (EventKind::ManifestPut, Source::Swept | Source::Hinted | Source::Verified) if is_same => {
                return Err(format!("{resource:?} came back without its past by event {}", event.sequence));
            }
            (EventKind::TagRestored, _) if !is_same => {
                return Err(format!(
                    "{resource:?} has a past that is not its own by event {}",
                    event.sequence
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What an event is about.
struct About<'a> {
    event: &'a Event,
    tag: Option<Resource>,
    manifest: Option<Resource>,
    removed: Option<Resource>,
    whole: Resource,
}

impl<'a> About<'a> {
    fn new(event: &'a Event) -> Self {
        let repository = event.repository.as_str();
        let tag = event.tag.as_ref().map(|tag| Resource::new(repository, tag.as_str()));
        let manifest = event.digest.as_ref().map(|digest| Resource::new(repository, digest.as_str()));
        let whole = Resource::new(repository, "");
        let removed = match event.kind {
            EventKind::TagDeleted => tag.clone(),
            EventKind::ManifestDeleted => manifest.clone(),
            EventKind::RepositoryGone => Some(whole.clone()),
            EventKind::ManifestPut | EventKind::TagRestored | EventKind::RepositoryFound => None,
        };
        Self { event, tag, manifest, removed, whole }
    }

    /// Of a put that was found: the tag or manifest that it is about, and what must have been so.
    fn found(&self) -> Option<(&Resource, Resource)> {
        let is_put = matches!(self.event.kind, EventKind::ManifestPut | EventKind::TagRestored);
        if !is_put || self.event.source == Source::Observed {
            return None;
        }
        let manifest = self.manifest.as_ref()?;
        Some(match &self.tag {
            Some(tag) => (tag, Resource::pointing(&tag.repository, &tag.name, &manifest.name)),
            None => (manifest, manifest.clone()),
        })
    }

    /// Everything that it says something of.
    fn all(self) -> Vec<Resource> {
        let manifest = self.manifest.filter(|_| self.event.kind != EventKind::TagDeleted);
        [self.tag, manifest, Some(self.whole)].into_iter().flatten().collect()
    }
}
