//! What has to be true of a history.

use std::collections::{BTreeMap, BTreeSet};

use super::registry::{Registry, Thing};
use crate::oci::{Digest, Tag};
use crate::store::{Event, EventKind, PageRequest, Source, Store};

const ALL: usize = 10_000;

/// When all is quiet: the store equals the registry.
pub async fn in_step(store: &dyn Store, registry: &Registry) -> Result<(), String> {
    let (_, repositories) = registry.findable();
    let page = PageRequest { after: None, limit: ALL };
    let known = store.repositories(None, page).await.unwrap().items;
    let names: BTreeSet<String> = known.iter().map(|known| known.name.to_string()).collect();
    equal("repositories", &names, &repositories)?;
    contents(store, registry).await
}

/// The store has the registry's tags, and no manifest that is not there, and no write is open.
pub async fn contents(store: &dyn Store, registry: &Registry) -> Result<(), String> {
    let (tags, _) = registry.findable();
    let known = store.repositories(None, PageRequest { after: None, limit: ALL }).await.unwrap().items;
    let (mut recorded, mut manifests) = (BTreeMap::new(), BTreeSet::new());
    for repository in &known {
        let name = repository.name.as_str();
        for tag in store.tags(&repository.name, PageRequest { after: None, limit: ALL }).await.unwrap().items
        {
            recorded.insert(Thing::new(name, tag.tag.as_str()), tag.digest);
        }
        for manifest in
            store.manifests(&repository.name, PageRequest { after: None, limit: ALL }).await.unwrap().items
        {
            manifests.insert(Thing::new(name, manifest.digest.as_str()));
        }
    }
    equal("tags", &recorded, &tags)?;
    let there = registry.things();
    let ghosts: Vec<_> = manifests.difference(&there).collect();
    if !ghosts.is_empty() {
        return Err(format!("the store has manifests that are not there: {ghosts:?}"));
    }
    let lacking = |(thing, digest): &(&Thing, &Digest)| {
        !manifests.contains(&Thing::new(&thing.repository, digest.as_str()))
    };
    if let Some((tag, digest)) = tags.iter().find(lacking) {
        return Err(format!("the store lacks the manifest {digest} of {tag:?}"));
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

fn in_short(event: &Event) -> String {
    let Event { sequence, kind, source, repository, tag, digest, .. } = event;
    let (tag, digest) =
        (tag.as_ref().map(Tag::as_str), digest.as_ref().map(|digest| &digest.as_str()[7..15]));
    format!("{sequence} {source:?} {kind:?} {repository} {tag:?} {digest:?}\n")
}

/// The history as a whole: its numbers grow, and no removal was found more often than the thing stopped being there.
pub async fn history(store: &dyn Store, registry: &Registry) -> Result<(), String> {
    let events: Vec<Event> = store.events(None, PageRequest { after: None, limit: ALL }).await.unwrap().items;
    if !events.is_sorted_by(|first, second| first.sequence < second.sequence) {
        return Err("sequence numbers do not grow".to_owned());
    }
    let mut removed: BTreeMap<Thing, usize> = BTreeMap::new();
    // What was observed is left out: a deletion by digest takes with it the tags that are recorded for it, as the registry
    // does, and one that was moved around the door meanwhile is mended by the question that follows.
    for event in events.iter().filter(|event| event.source != Source::Observed) {
        let repository = event.repository.as_str();
        let name = match event.kind {
            EventKind::TagDeleted => event.tag.as_ref().map(ToString::to_string),
            EventKind::ManifestDeleted => event.digest.as_ref().map(ToString::to_string),
            EventKind::RepositoryGone => Some(String::new()),
            EventKind::ManifestPut | EventKind::RepositoryFound => None,
        };
        if let Some(name) = name {
            *removed.entry(Thing::new(repository, &name)).or_default() += 1;
        }
    }
    for (thing, times) in removed {
        let vanished = registry.vanished(&thing);
        if times > vanished {
            return Err(format!(
                "{thing:?} was removed {times} times and vanished {vanished} times; the history:\n{}",
                events.iter().map(in_short).collect::<String>()
            ));
        }
    }
    Ok(())
}
