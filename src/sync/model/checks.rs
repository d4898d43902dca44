//! What has to be true of a history.

use std::collections::{BTreeMap, BTreeSet};

use super::past::{Moment, Past, Thing};
use super::registry::Registry;
use super::told::Deletion;
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
    tags: BTreeMap<Thing, Digest>,
    manifests: BTreeMap<Thing, ManifestRecord>,
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
            let tags = tags.items.into_iter().map(|tag| (Thing::new(name, tag.tag.as_str()), tag.digest));
            recorded.tags.extend(tags);
            let manifests = manifests.items.into_iter();
            let manifests = manifests.map(|held| (Thing::new(name, held.digest.as_str()), held));
            recorded.manifests.extend(manifests);
        }
        Ok(recorded)
    }
}

/// When all is quiet: the store equals the registry, as far as that can be, and no write is open.
pub async fn in_step(store: &dyn Store, registry: &Registry, extent: Extent) -> Result<(), String> {
    let recorded = Recorded::read(store).await?;
    let is_known =
        |thing: &Thing| extent != Extent::Known || recorded.repositories.contains(&thing.repository);
    if extent == Extent::Listed {
        equal("repositories", &recorded.repositories, &registry.repositories())?;
    }
    let mut tags = registry.tags();
    tags.retain(|tag, _| is_known(tag));
    equal("tags", &recorded.tags, &tags)?;
    let there: BTreeSet<Thing> = registry.things().into_iter().filter(Thing::is_manifest).collect();
    let manifests: BTreeSet<Thing> = recorded.manifests.keys().cloned().collect();
    if extent == Extent::Everything {
        equal("manifests", &manifests, &there)?;
    }
    let ghosts: Vec<_> = manifests.difference(&there).collect();
    if !ghosts.is_empty() {
        return Err(format!("the store has manifests that are not there: {ghosts:?}"));
    }
    let tagged = tags.iter().map(|(tag, digest)| Thing::new(&tag.repository, digest.as_str()));
    let children = recorded.manifests.iter().flat_map(|(thing, held)| {
        held.document.children.iter().map(|child| Thing::new(&thing.repository, child.digest.as_str()))
    });
    let lacking = |thing: &Thing| there.contains(thing) && !manifests.contains(thing);
    if let Some(thing) = tagged.chain(children).find(lacking) {
        return Err(format!("the store lacks the manifest {thing:?}"));
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
    hints: &[(HintedReference, Moment)],
) -> Result<(), String> {
    for (HintedReference { repository, reference }, moment) in hints {
        let Reference::Tag(tag) = reference else { continue };
        if registry.past().last_change(repository.as_str()) > *moment {
            continue;
        }
        let recorded = store.tag(repository, tag).await.unwrap().map(|record| record.digest);
        let held = registry.tags().remove(&Thing::new(repository.as_str(), tag.as_str()));
        equal(&format!("what {repository}:{tag} is, that was hinted at,"), &recorded, &held)?;
    }
    Ok(())
}

/// Events, a line each.
pub fn in_lines(events: &[Event], past: &Past) -> String {
    events.iter().map(|event| in_short(event, past.moment_of(event.sequence))).collect()
}

fn in_short(event: &Event, moment: Moment) -> String {
    let Event { sequence, kind, source, repository, tag, digest, .. } = event;
    let (tag, digest) =
        (tag.as_ref().map(Tag::as_str), digest.as_ref().map(|digest| &digest.as_str()[7..15]));
    format!("{sequence} at moment {moment}: {source:?} {kind:?} {repository} {tag:?} {digest:?}\n")
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
    let past = registry.past();
    let mut told: BTreeMap<Thing, Moment> = BTreeMap::new();
    for event in events {
        let moment = past.moment_of(event.sequence);
        let about = About::new(event);
        let since = |thing: &Thing| {
            let deleted = deletions
                .iter()
                .filter(|deletion| deletion.thing == *thing && deletion.heard < event.sequence)
                .map(|deletion| deletion.moment);
            // Where a write has no known outcome, what a replica that lags answers may as well be the outcome.
            if lags && event.source == Source::Verified {
                return Moment::default();
            }
            deleted.chain(told.get(thing).copied()).max().unwrap_or_default()
        };
        let wrong = match (&about.removed, about.found()) {
            (Some(thing), _) if !past.was_absent(thing, since(thing), moment) => {
                Some(format!("{thing:?} was removed though it was there from moment {}", since(thing)))
            }
            (None, Some((thing, is_there))) if !past.was_there(&is_there, since(thing), moment) => {
                Some(format!("{is_there:?} was found though it was not there from moment {}", since(thing)))
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(format!(
                "{wrong} to {moment}, by event {}; the history:\n{}",
                event.sequence,
                in_lines(events, &past)
            ));
        }
        told.extend(about.all().into_iter().map(|thing| (thing, moment)));
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
        let thing = event.tag.as_ref().map(|tag| Thing::new(event.repository.as_str(), tag.as_str()));
        let Some(thing) = thing else { continue };
        match (event.kind, event.source) {
            (EventKind::TagDeleted, Source::Swept | Source::Hinted) => gone.push(thing),
            (EventKind::TagRestored, _) => {
                let place = gone.iter().position(|other| *other == thing);
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
    let mut gone: BTreeMap<Thing, &Digest> = BTreeMap::new();
    for event in events {
        if event.kind == EventKind::ManifestDeleted && event.source == Source::Observed {
            // Somebody wanted it gone, whatever its tags were.
            let is_of_it = |thing: &Thing, digest: &&Digest| {
                thing.repository == event.repository.as_str() && Some(*digest) == event.digest.as_ref()
            };
            gone.retain(|thing, digest| !is_of_it(thing, digest));
        }
        let (Some(tag), digest) = (&event.tag, event.digest.as_ref()) else { continue };
        let thing = Thing::new(event.repository.as_str(), tag.as_str());
        let before = gone.remove(&thing);
        let is_same = before.is_some() && before == digest;
        match (event.kind, event.source) {
            (EventKind::TagDeleted, Source::Swept | Source::Hinted | Source::Verified) => {
                gone.extend(digest.map(|digest| (thing, digest)));
            }
            (EventKind::ManifestPut, Source::Swept | Source::Hinted | Source::Verified) if is_same => {
                return Err(format!("{thing:?} came back without its past by event {}", event.sequence));
            }
            (EventKind::TagRestored, _) if !is_same => {
                return Err(format!("{thing:?} has a past that is not its own by event {}", event.sequence));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What an event is about.
struct About<'a> {
    event: &'a Event,
    tag: Option<Thing>,
    manifest: Option<Thing>,
    removed: Option<Thing>,
    whole: Thing,
}

impl<'a> About<'a> {
    fn new(event: &'a Event) -> Self {
        let repository = event.repository.as_str();
        let tag = event.tag.as_ref().map(|tag| Thing::new(repository, tag.as_str()));
        let manifest = event.digest.as_ref().map(|digest| Thing::new(repository, digest.as_str()));
        let whole = Thing::new(repository, "");
        let removed = match event.kind {
            EventKind::TagDeleted => tag.clone(),
            EventKind::ManifestDeleted => manifest.clone(),
            EventKind::RepositoryGone => Some(whole.clone()),
            EventKind::ManifestPut | EventKind::TagRestored | EventKind::RepositoryFound => None,
        };
        Self { event, tag, manifest, removed, whole }
    }

    /// Of a put that was found: the tag or manifest that it is about, and what must have been so.
    fn found(&self) -> Option<(&Thing, Thing)> {
        let is_put = matches!(self.event.kind, EventKind::ManifestPut | EventKind::TagRestored);
        if !is_put || self.event.source == Source::Observed {
            return None;
        }
        let manifest = self.manifest.as_ref()?;
        Some(match &self.tag {
            Some(tag) => (tag, Thing::pointing(&tag.repository, &tag.name, &manifest.name)),
            None => (manifest, manifest.clone()),
        })
    }

    /// Everything that it says something of.
    fn all(self) -> Vec<Thing> {
        let manifest = self.manifest.filter(|_| self.event.kind != EventKind::TagDeleted);
        [self.tag, manifest, Some(self.whole)].into_iter().flatten().collect()
    }
}
