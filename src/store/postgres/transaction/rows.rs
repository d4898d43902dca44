//! The rows that were loaded, as they will be, and what of them has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio_postgres::Row;

use super::super::failure::{Failure, decode, encode, number, stored};
use super::super::query::{Query, query};
use super::wanted::{Wanted, digest, name, tag};
use crate::oci::{Digest, Document, Manifest, RepositoryName, Tag};
use crate::store::row::{BlobRow, ManifestRow, RepositoryRow, TagRow};
use crate::store::tombstone::{Buried, Past, Tombstone};
use crate::store::{DoorId, Incarnation, Intent, IntentState, Sequence};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub repositories: Slots<RepositoryName, RepositoryRow>,
    pub tags: Slots<(RepositoryName, Tag), TagRow>,
    pub manifests: Slots<(RepositoryName, Digest), HeldManifest>,
    pub blobs: Slots<(RepositoryName, Digest), BlobRow>,
    pub tombstones: Slots<(RepositoryName, Buried), Tombstone>,
    pub intents: OpenIntents,
}

/// Rows of one table by their keys; nothing where it is known that there is none.
#[derive(Debug)]
pub(super) struct Slots<K, T> {
    slots: BTreeMap<K, Option<T>>,
    changed: BTreeSet<K>,
}

/// A manifest of a repository.
#[derive(Clone, Debug)]
pub(super) struct HeldManifest {
    pub row: ManifestRow,
    pub document: Document,
    /// All of it, where it is new.
    pub content: Option<Arc<Manifest>>,
}

/// Open intents, by repositories of which all are there.
#[derive(Debug, Default)]
pub(super) struct OpenIntents {
    of: BTreeMap<RepositoryName, BTreeMap<Sequence, Arc<Intent>>>,
    /// Nothing where there is none.
    places: BTreeMap<Sequence, Option<RepositoryName>>,
    changed: BTreeSet<Sequence>,
}

impl<K, T> Default for Slots<K, T> {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, T> Slots<K, T> {
    /// Whether it is known what is there.
    pub(super) fn has(&self, key: &K) -> bool {
        self.slots.contains_key(key)
    }

    pub(super) fn get(&self, key: &K) -> Option<&T> {
        self.slots.get(key).and_then(Option::as_ref)
    }

    /// All that are there.
    pub(super) fn known(&self) -> impl Iterator<Item = (&K, &T)> {
        self.slots.iter().filter_map(|(key, row)| row.as_ref().map(|row| (key, row)))
    }

    /// It is this from now on, or nothing.
    pub(super) fn set(&mut self, key: K, row: Option<T>) {
        self.changed.insert(key.clone());
        self.slots.insert(key, row);
    }

    /// The database has this there.
    pub(super) fn load(&mut self, key: K, row: Option<T>) {
        self.slots.entry(key).or_insert(row);
    }

    /// Nothing is known any more of these, of which none has changed.
    pub(super) fn forget(&mut self, is_gone: impl Fn(&K) -> bool) {
        self.slots.retain(|key, _| !is_gone(key));
    }

    /// What has changed since this was called last: what is there now, and the keys of what is not.
    fn take_changes(&mut self) -> (Vec<(&K, &T)>, Vec<K>) {
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.changed) {
            match self.slots.get_key_value(&key) {
                Some((key, Some(row))) => there.push((key, row)),
                _ => gone.push(key),
            }
        }
        (there, gone)
    }
}

impl OpenIntents {
    pub(super) fn has(&self, repository: &RepositoryName) -> bool {
        self.of.contains_key(repository)
    }

    pub(super) fn knows(&self, intent: Sequence) -> bool {
        self.places.contains_key(&intent)
    }

    pub(super) fn get(&self, intent: Sequence) -> Option<Arc<Intent>> {
        let place = self.places.get(&intent)?.as_ref()?;
        self.of.get(place)?.get(&intent).cloned()
    }

    /// Those of a repository, oldest first.
    pub(super) fn of(&self, repository: &RepositoryName) -> Vec<Arc<Intent>> {
        self.of.get(repository).map(|open| open.values().cloned().collect()).unwrap_or_default()
    }

    /// Adds an intent, or takes it for what it is from now on.
    pub(super) fn set(&mut self, intent: Arc<Intent>) {
        self.changed.insert(intent.sequence);
        self.insert(intent);
    }

    pub(super) fn remove(&mut self, intent: Sequence) {
        if let Some(Some(place)) = self.places.insert(intent, None)
            && let Some(open) = self.of.get_mut(&place)
        {
            open.remove(&intent);
        }
        self.changed.insert(intent);
    }

    fn insert(&mut self, intent: Arc<Intent>) {
        self.places.insert(intent.sequence, Some(intent.repository.clone()));
        self.of.entry(intent.repository.clone()).or_default().insert(intent.sequence, intent);
    }

    fn take(&mut self, wanted: Wanted, rows: &[Row]) -> Result<(), Failure> {
        // What was here before may have changed since; all of a repository is here, or nothing.
        let mut found: BTreeMap<RepositoryName, Vec<Arc<Intent>>> = BTreeMap::new();
        for row in rows {
            let intent = intent_of(row)?;
            found.entry(intent.repository.clone()).or_default().push(Arc::new(intent));
        }
        let names: BTreeSet<RepositoryName> =
            wanted.intents_of.into_iter().chain(found.keys().cloned()).collect();
        for repository in names {
            if !self.of.contains_key(&repository) {
                self.of.insert(repository.clone(), BTreeMap::new());
                found.remove(&repository).into_iter().flatten().for_each(|intent| self.insert(intent));
            }
        }
        for intent in wanted.intents {
            self.places.entry(intent).or_insert(None);
        }
        Ok(())
    }

    fn take_changes(&mut self) -> Result<Vec<Query>, Failure> {
        let (mut there, mut gone) = (Vec::new(), Vec::new());
        for sequence in std::mem::take(&mut self.changed) {
            match self.get(sequence) {
                Some(intent) => there.push(intent),
                None => gone.push(stored(sequence.get())),
            }
        }
        let mut queries = Vec::new();
        if !there.is_empty() {
            let mut retries = Vec::new();
            let mut contents = Vec::new();
            for intent in &there {
                retries.push(match &intent.state {
                    IntentState::Unknown { retry, .. } => Some(encode("retry", retry)?),
                    IntentState::Waiting | IntentState::Carried { .. } => None,
                });
                contents.push(encode("intent", &**intent)?);
            }
            let numbers =
                |of: fn(&Intent) -> u64| there.iter().map(|intent| stored(of(intent))).collect::<Vec<i64>>();
            let since = |intent: &Arc<Intent>| intent.state.heard_since().map(|since| stored(since.get()));
            queries.push(query!(
                SET_INTENTS,
                numbers(|intent| intent.sequence.get()),
                there.iter().map(|intent| intent.repository.to_string()).collect::<Vec<_>>(),
                numbers(|intent| intent.holder.door.0),
                numbers(|intent| intent.holder.epoch),
                there.iter().map(since).collect::<Vec<_>>(),
                retries,
                contents,
            ));
        }
        if !gone.is_empty() {
            queries.push(query!("DELETE FROM intents WHERE sequence = ANY($1)", gone));
        }
        Ok(queries)
    }
}

const SET_INTENTS: &str = "
INSERT INTO intents (sequence, repository, door, door_epoch, since, retry, content)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[], $7::bytea[])
ON CONFLICT (sequence) DO UPDATE SET since = excluded.since, retry = excluded.retry";
const SET_REPOSITORIES: &str = "
INSERT INTO repositories (name, is_empty, is_missing, content)
SELECT * FROM unnest($1::text[], $2::boolean[], $3::boolean[], $4::bytea[])
ON CONFLICT (name) DO UPDATE
SET is_empty = excluded.is_empty, is_missing = excluded.is_missing, content = excluded.content";
const SET_TAGS: &str = "
INSERT INTO tags (repository, tag, digest, is_missing, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::bytea[])
ON CONFLICT (repository, tag) DO UPDATE
SET digest = excluded.digest, is_missing = excluded.is_missing, content = excluded.content";
const REMOVE_TAGS: &str = "
DELETE FROM tags t USING unnest($1::text[], $2::text[]) AS k(repository, tag)
WHERE t.repository = k.repository AND t.tag = k.tag";
const ADD_MANIFESTS: &str = "
INSERT INTO manifests (repository, digest, subject, content, document, bytes)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[])
ON CONFLICT (repository, digest) DO UPDATE SET content = excluded.content";
const SET_MANIFESTS: &str = "
UPDATE manifests m SET content = k.content FROM unnest($1::text[], $2::text[], $3::bytea[]) AS k(repository, digest, content)
WHERE m.repository = k.repository AND m.digest = k.digest";
const ADD_CHILDREN: &str = "
INSERT INTO children (repository, child, parent, place)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[])
ON CONFLICT DO NOTHING";
const SET_BLOBS: &str = "
INSERT INTO blobs (repository, digest, content) SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[])
ON CONFLICT (repository, digest) DO UPDATE SET content = excluded.content";
const REMOVE_BLOBS: &str = "
DELETE FROM blobs b USING unnest($1::text[], $2::text[]) AS k(repository, digest)
WHERE b.repository = k.repository AND b.digest = k.digest";
const SET_TOMBSTONES: &str = "
INSERT INTO tombstones (repository, reference, at, digest, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::bytea[])
ON CONFLICT (repository, reference) DO UPDATE
SET at = excluded.at, digest = excluded.digest, content = excluded.content";
const REMOVE_TOMBSTONES: &str = "
DELETE FROM tombstones t USING unnest($1::text[], $2::text[]) AS k(repository, reference)
WHERE t.repository = k.repository AND t.reference = k.reference";

impl Rows {
    /// Takes in the answers to what was wanted.
    pub(super) fn take(&mut self, wanted: Wanted, answers: Vec<Vec<Row>>) -> Result<(), Failure> {
        let mut answers = answers.into_iter();
        let mut next =
            |is_asked: bool| if is_asked { answers.next().unwrap_or_default() } else { Vec::new() };
        for row in next(!wanted.repositories.is_empty()) {
            let name = name(row.try_get(0)?)?;
            let content = decode(|| format!("repository row of `{name}`"), row.try_get(1)?)?;
            self.repositories.load(name, Some(content));
        }
        for row in next(!wanted.tags.is_empty()) {
            let (name, tag) = (name(row.try_get(0)?)?, tag(row.try_get(1)?)?);
            let content = decode(|| format!("tag row of `{tag}` in `{name}`"), row.try_get(2)?)?;
            self.tags.load((name, tag), Some(content));
        }
        for row in next(!wanted.manifests.is_empty()) {
            let (name, digest) = (name(row.try_get(0)?)?, digest(row.try_get(1)?)?);
            let content = decode(|| format!("manifest row of `{digest}` in `{name}`"), row.try_get(2)?)?;
            let document = decode(|| format!("document of `{digest}` in `{name}`"), row.try_get(3)?)?;
            let held = HeldManifest { row: content, document, content: None };
            self.manifests.load((name, digest), Some(held));
        }
        for row in next(!wanted.blobs.is_empty()) {
            let (name, digest) = (name(row.try_get(0)?)?, digest(row.try_get(1)?)?);
            let content = decode(|| format!("blob row of `{digest}` in `{name}`"), row.try_get(2)?)?;
            self.blobs.load((name, digest), Some(content));
        }
        let mut stones = BTreeMap::new();
        for row in next(!wanted.tombstones.is_empty()) {
            let (name, reference): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let content: Tombstone =
                decode(|| format!("tombstone of `{reference}` in `{name}`"), row.try_get(2)?)?;
            stones.insert((name.to_owned(), reference.to_owned()), content);
        }
        let intents = next(!wanted.intents.is_empty() || !wanted.intents_of.is_empty());
        let Wanted { repositories, tags, manifests, blobs, tombstones, intents_of, intents: numbers } =
            wanted;
        repositories.into_iter().for_each(|key| self.repositories.load(key, None));
        tags.into_iter().for_each(|key| self.tags.load(key, None));
        manifests.into_iter().for_each(|key| self.manifests.load(key, None));
        blobs.into_iter().for_each(|key| self.blobs.load(key, None));
        for (name, buried) in tombstones {
            let found = stones.remove(&(name.to_string(), buried.as_str().to_owned()));
            self.tombstones.load((name, buried), found);
        }
        self.intents.take(Wanted { intents_of, intents: numbers, ..Wanted::default() }, &intents)
    }

    /// The statements that write what has changed since this was called last.
    pub(super) fn changes(&mut self) -> Result<Vec<Query>, Failure> {
        let mut queries = self.intents.take_changes()?;
        // A repository goes with all that is in it, by itself.
        let (there, _) = self.repositories.take_changes();
        if !there.is_empty() {
            let mut contents = Vec::new();
            for (_, row) in &there {
                contents.push(encode("repository row", row)?);
            }
            queries.push(query!(
                SET_REPOSITORIES,
                there.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>(),
                there.iter().map(|(_, row)| row.is_empty()).collect::<Vec<_>>(),
                there.iter().map(|(_, row)| !row.missing().is_none()).collect::<Vec<_>>(),
                contents,
            ));
        }
        let (there, gone) = self.tags.take_changes();
        if !there.is_empty() {
            let mut contents = Vec::new();
            for (_, row) in &there {
                contents.push(encode("tag row", row)?);
            }
            queries.push(query!(
                SET_TAGS,
                there.iter().map(|((name, _), _)| name.to_string()).collect::<Vec<_>>(),
                there.iter().map(|((_, tag), _)| tag.to_string()).collect::<Vec<_>>(),
                there.iter().map(|(_, row)| row.digest.to_string()).collect::<Vec<_>>(),
                there.iter().map(|(_, row)| row.missing.is_some()).collect::<Vec<_>>(),
                contents,
            ));
        }
        remove(&mut queries, REMOVE_TAGS, gone, |tag| tag.to_string());
        queries.extend(self.changes_of_manifests()?);
        let (there, gone) = self.blobs.take_changes();
        if !there.is_empty() {
            let mut contents = Vec::new();
            for (_, row) in &there {
                contents.push(encode("blob row", row)?);
            }
            queries.push(query!(
                SET_BLOBS,
                there.iter().map(|((name, _), _)| name.to_string()).collect::<Vec<_>>(),
                there.iter().map(|((_, digest), _)| digest.to_string()).collect::<Vec<_>>(),
                contents,
            ));
        }
        remove(&mut queries, REMOVE_BLOBS, gone, |digest| digest.to_string());
        let (there, gone) = self.tombstones.take_changes();
        if !there.is_empty() {
            let mut contents = Vec::new();
            for (_, row) in &there {
                contents.push(encode("tombstone", row)?);
            }
            queries.push(query!(
                SET_TOMBSTONES,
                there.iter().map(|((name, _), _)| name.to_string()).collect::<Vec<_>>(),
                there.iter().map(|((_, buried), _)| buried.as_str().to_owned()).collect::<Vec<_>>(),
                there.iter().map(|(_, row)| stored(row.at.as_milliseconds())).collect::<Vec<_>>(),
                there.iter().map(|(_, row)| digest_of(row).map(ToString::to_string)).collect::<Vec<_>>(),
                contents,
            ));
        }
        remove(&mut queries, REMOVE_TOMBSTONES, gone, |buried| buried.as_str().to_owned());
        Ok(queries)
    }

    /// Those that come and those whose rows change. What goes does so by itself.
    fn changes_of_manifests(&mut self) -> Result<Vec<Query>, Failure> {
        let (there, _) = self.manifests.take_changes();
        let mut queries = Vec::new();
        let (mut new, mut changed) = (Vec::new(), (Vec::new(), Vec::new(), Vec::new()));
        for ((name, digest), held) in there {
            let content = encode("manifest row", &held.row)?;
            match &held.content {
                Some(manifest) => new.push((name, manifest, content)),
                None => {
                    changed.0.push(name.to_string());
                    changed.1.push(digest.to_string());
                    changed.2.push(content);
                }
            }
        }
        if !new.is_empty() {
            let mut documents = Vec::new();
            let mut children = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for (name, manifest, _) in &new {
                documents.push(encode("document", &manifest.document)?);
                for (place, child) in (0_i32..).zip(manifest.document.child_manifests()) {
                    children.3.push(place);
                    children.0.push(name.to_string());
                    children.1.push(child.to_string());
                    children.2.push(manifest.digest.to_string());
                }
            }
            let subject = |manifest: &Manifest| {
                manifest.document.subject.as_ref().map(|about| about.digest.to_string())
            };
            queries.push(query!(
                ADD_MANIFESTS,
                new.iter().map(|(name, ..)| name.to_string()).collect::<Vec<_>>(),
                new.iter().map(|(_, manifest, _)| manifest.digest.to_string()).collect::<Vec<_>>(),
                new.iter().map(|(_, manifest, _)| subject(manifest)).collect::<Vec<_>>(),
                new.iter().map(|(.., content)| content.clone()).collect::<Vec<_>>(),
                documents,
                new.iter().map(|(_, manifest, _)| manifest.bytes.to_vec()).collect::<Vec<_>>(),
            ));
            if !children.0.is_empty() {
                queries.push(query!(ADD_CHILDREN, children.0, children.1, children.2, children.3));
            }
        }
        if !changed.0.is_empty() {
            queries.push(query!(SET_MANIFESTS, changed.0, changed.1, changed.2));
        }
        Ok(queries)
    }
}

fn remove<K>(
    queries: &mut Vec<Query>,
    sql: &'static str,
    gone: Vec<(RepositoryName, K)>,
    text: impl Fn(&K) -> String,
) {
    if !gone.is_empty() {
        let keys: (Vec<String>, Vec<String>) =
            gone.iter().map(|(name, key)| (name.to_string(), text(key))).unzip();
        queries.push(query!(sql, keys.0, keys.1));
    }
}

/// An intent from its columns.
pub(in crate::store::postgres) fn intent_of(row: &Row) -> Result<Intent, Failure> {
    let sequence = Sequence::new(number(row.try_get(0)?));
    let holder = Incarnation { door: DoorId(number(row.try_get(1)?)), epoch: number(row.try_get(2)?) };
    let since: Option<i64> = row.try_get(3)?;
    let retry: Option<&[u8]> = row.try_get(4)?;
    let state = match (since.map(|since| Sequence::new(number(since))), retry) {
        (None, _) => IntentState::Waiting,
        (Some(since), None) => IntentState::Carried { since },
        (Some(since), Some(retry)) => {
            IntentState::Unknown { since, retry: decode(|| format!("retry of intent {sequence}"), retry)? }
        }
    };
    let intent: Intent = decode(|| format!("intent {sequence}"), row.try_get(5)?)?;
    Ok(Intent { sequence, holder, state, ..intent })
}

/// What a tag pointed to whose past is kept.
fn digest_of(tombstone: &Tombstone) -> Option<&Digest> {
    match &tombstone.past {
        Past::Tag(row) => Some(&row.digest),
        Past::Manifest(_) | Past::Repository(_) => None,
    }
}
