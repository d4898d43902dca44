//! [`Health`] over maps: looked for whenever it is asked, so that it tells what a backend has to keep up.

use std::convert::Infallible;

use async_trait::async_trait;

use super::{MemoryStore, State, page};
use crate::oci::{Digest, Document, Reference, RepositoryName, Tag};
use crate::store::flaw::{Surroundings, flaws_of, lacking};
use crate::store::row::TagRow;
use crate::store::{Flaw, FlawCounts, FlawRecord, Flawed, Health, Page, PageRequest, StoreError};

/// A repository of the state.
struct Around<'s>(&'s State, &'s RepositoryName);

impl Surroundings for Around<'_> {
    type Error = Infallible;

    fn has_manifest(&self, digest: &Digest) -> Result<bool, Infallible> {
        Ok(self.0.manifests.contains_key(&(self.1.clone(), digest.clone())))
    }

    fn is_led_to(&self, digest: &Digest) -> Result<bool, Infallible> {
        let Self(state, name) = self;
        let is_tagged = state.tags.iter().any(|((of, _), row)| of == *name && row.digest == *digest);
        let names = |document: &Document| document.child_manifests().any(|child| child == digest);
        let mut manifests = state.manifests.iter().filter(|((of, _), _)| of == *name);
        Ok(is_tagged || manifests.any(|(_, (_, manifest))| names(&manifest.document)))
    }
}

impl State {
    fn flawed(&self, flaw: Flaw) -> Vec<FlawRecord> {
        let record = |repository: &RepositoryName, reference, lacks| FlawRecord {
            about: Flawed { repository: repository.clone(), reference },
            lacks,
        };
        match flaw {
            Flaw::EmptyRepository => {
                let empty = self.repositories.iter().filter(|(_, row)| row.is_empty());
                empty.map(|(name, _)| record(name, None, Vec::new())).collect()
            }
            Flaw::LostTag => {
                let lost = self.tags.iter().filter(|(_, row)| row.missing.is_some());
                let record = |((name, tag), row): (&(RepositoryName, Tag), &TagRow)| {
                    record(name, Some(Reference::Tag(tag.clone())), vec![row.digest.clone()])
                };
                lost.map(record).collect()
            }
            Flaw::MissingChildren | Flaw::MissingSubject | Flaw::Untagged => {
                let mut flawed = Vec::new();
                for ((name, digest), (_, manifest)) in &self.manifests {
                    let around = Around(self, name);
                    let Ok(flaws) = flaws_of(&around, digest, Some(&manifest.document));
                    if flaws.contains(&flaw) {
                        let Ok(lacks) = lacking(&around, flaw, &manifest.document);
                        flawed.push(record(name, Some(Reference::Digest(digest.clone())), lacks));
                    }
                }
                flawed
            }
        }
    }
}

#[async_trait]
impl Health for MemoryStore {
    async fn flaw_counts(&self) -> Result<FlawCounts, StoreError> {
        self.point(|state| {
            let mut counts = FlawCounts::default();
            for flaw in Flaw::ALL {
                *counts.of_mut(flaw) = state.flawed(flaw).len() as u64;
            }
            counts
        })
    }

    async fn flawed(
        &self,
        flaw: Flaw,
        request: PageRequest<Flawed>,
    ) -> Result<Page<FlawRecord, Flawed>, StoreError> {
        self.scan(|state| {
            let flawed = state.flawed(flaw).into_iter();
            let behind = flawed.filter(|record| Some(&record.about) > request.after.as_ref());
            page(behind.map(|record| (record.about.clone(), record)), request.limit)
        })
        .await
    }
}
