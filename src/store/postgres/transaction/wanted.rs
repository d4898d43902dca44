//! What is to be loaded: the keys of rows, and the questions that answer them all at once.

use std::collections::BTreeSet;

use super::super::failure::{Failure, stored};
use super::super::query::{Query, query};
use crate::oci::{Digest, Reference, RepositoryName, Tag};
use crate::store::tombstone::Buried;
use crate::store::{Change, Sequence};

/// See the module.
#[derive(Debug, Default)]
pub(in crate::store::postgres) struct Wanted {
    pub repositories: BTreeSet<RepositoryName>,
    pub tags: BTreeSet<(RepositoryName, Tag)>,
    pub manifests: BTreeSet<(RepositoryName, Digest)>,
    pub blobs: BTreeSet<(RepositoryName, Digest)>,
    pub tombstones: BTreeSet<(RepositoryName, Buried)>,
    /// All open intents of these repositories.
    pub intents_of: BTreeSet<RepositoryName>,
    /// These, and all others of their repositories.
    pub intents: BTreeSet<Sequence>,
}

const REPOSITORIES: &str = "SELECT name, content FROM repositories WHERE name = ANY($1)";
const TAGS: &str = "
SELECT t.repository, t.tag, t.content FROM unnest($1::text[], $2::text[]) AS k(repository, tag)
JOIN tags t ON t.repository = k.repository AND t.tag = k.tag";
const MANIFESTS: &str = "
SELECT m.repository, m.digest, m.content, m.document FROM unnest($1::text[], $2::text[]) AS k(repository, digest)
JOIN manifests m ON m.repository = k.repository AND m.digest = k.digest";
const BLOBS: &str = "
SELECT b.repository, b.digest, b.content FROM unnest($1::text[], $2::text[]) AS k(repository, digest)
JOIN blobs b ON b.repository = k.repository AND b.digest = k.digest";
const TOMBSTONES: &str = "
SELECT t.repository, t.reference, t.content FROM unnest($1::text[], $2::text[]) AS k(repository, reference)
JOIN tombstones t ON t.repository = k.repository AND t.reference = k.reference";
/// The columns of an intent.
macro_rules! intents {
    ($rest:literal) => {
        concat!("SELECT sequence, door, door_epoch, since, retry, content FROM intents ", $rest)
    };
}
pub(in crate::store::postgres) use intents;

const INTENTS: &str = intents!(
    "WHERE repository = ANY($1) OR repository IN (SELECT repository FROM intents WHERE sequence = ANY($2))"
);

impl Wanted {
    /// What a change touches.
    pub(in crate::store::postgres) fn change(&mut self, change: &Change) {
        let repository = match change {
            Change::ManifestPut { repository, manifest, tags } => {
                self.manifest(repository, &manifest.digest);
                for tag in tags {
                    self.tag(repository, tag);
                }
                let blobs = manifest.document.blobs().into_keys();
                self.blobs.extend(blobs.map(|digest| (repository.clone(), digest.clone())));
                repository
            }
            Change::TagDeleted { repository, tag } => {
                self.tag(repository, tag);
                repository
            }
            Change::ManifestDeleted { repository, digest, .. } => {
                self.manifest(repository, digest);
                repository
            }
            Change::ReferenceMissing { repository, reference }
            | Change::ReferencePresent { repository, reference } => {
                self.reference(repository, reference);
                repository
            }
            Change::RepositoryFound { repository } | Change::RepositoryGone { repository } => repository,
        };
        self.repositories.insert(repository.clone());
        self.intents_of.insert(repository.clone());
        self.tombstones.insert((repository.clone(), Buried::Repository));
    }

    fn reference(&mut self, repository: &RepositoryName, reference: &Reference) {
        match reference {
            Reference::Tag(tag) => self.tag(repository, tag),
            Reference::Digest(digest) => self.manifest(repository, digest),
        }
    }

    fn tag(&mut self, repository: &RepositoryName, tag: &Tag) {
        self.tags.insert((repository.clone(), tag.clone()));
        self.tombstones.insert((repository.clone(), Buried::Tag(tag.clone())));
    }

    fn manifest(&mut self, repository: &RepositoryName, digest: &Digest) {
        self.manifests.insert((repository.clone(), digest.clone()));
        self.tombstones.insert((repository.clone(), Buried::Manifest(digest.clone())));
    }

    /// The questions for what is wanted, in the order in which [`Rows::take`](super::rows::Rows::take) has their answers.
    pub(super) fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        if !self.repositories.is_empty() {
            let names: Vec<String> = self.repositories.iter().map(ToString::to_string).collect();
            queries.push(query!(REPOSITORIES, names));
        }
        let mut pairs = |sql, keys: (Vec<String>, Vec<String>)| {
            if !keys.0.is_empty() {
                queries.push(query!(sql, keys.0, keys.1));
            }
        };
        pairs(TAGS, texts(&self.tags));
        pairs(MANIFESTS, texts(&self.manifests));
        pairs(BLOBS, texts(&self.blobs));
        let tombstones = self.tombstones.iter();
        pairs(
            TOMBSTONES,
            tombstones.map(|(name, buried)| (name.to_string(), buried.as_str().to_owned())).unzip(),
        );
        if !self.intents_of.is_empty() || !self.intents.is_empty() {
            let names: Vec<String> = self.intents_of.iter().map(ToString::to_string).collect();
            let numbers: Vec<i64> = self.intents.iter().map(|intent| stored(intent.get())).collect();
            queries.push(query!(INTENTS, names, numbers));
        }
        queries
    }
}

fn texts<K: ToString>(keys: &BTreeSet<(RepositoryName, K)>) -> (Vec<String>, Vec<String>) {
    keys.iter().map(|(name, key)| (name.to_string(), key.to_string())).unzip()
}

/// A tag from a column.
pub(in crate::store::postgres) fn tag(text: &str) -> Result<Tag, Failure> {
    Tag::parse(text).map_err(|cause| Failure::corrupt("tag column", cause))
}

/// A digest from a column.
pub(in crate::store::postgres) fn digest(text: &str) -> Result<Digest, Failure> {
    Digest::parse(text).map_err(|cause| Failure::corrupt("digest column", cause))
}

/// A tag or digest from a column.
pub(in crate::store::postgres) fn reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|cause| Failure::corrupt("reference column", cause))
}

/// The name of a repository from a column.
pub(in crate::store::postgres) fn name(text: &str) -> Result<RepositoryName, Failure> {
    RepositoryName::parse(text).map_err(|cause| Failure::corrupt("repository column", cause))
}
