//! What is wrong with what is held.

use std::ops::Bound;

use redb::ReadOnlyTable;

use super::super::failure::Failure;
use super::super::tables::{
    FLAWS, MANIFESTS, META, ManifestRows, TAGS, TwoKeys, decode_document, flaw_counts, row_in, stored_name,
    stored_reference,
};
use super::page::Filling;
use super::{NotThere, Snapshot};
use crate::oci::{Digest, Reference, RepositoryName};
use crate::store::flaw::{Surroundings, lacking};
use crate::store::row::TagRow;
use crate::store::{Flaw, FlawCounts, FlawRecord, Flawed, Page, PageRequest};

/// The manifests of a repository.
struct Around<'t> {
    manifests: &'t ReadOnlyTable<TwoKeys, ManifestRows>,
    repository: &'t RepositoryName,
}

impl Surroundings for Around<'_> {
    type Error = Failure;

    fn has_manifest(&self, digest: &Digest) -> Result<bool, Failure> {
        Ok(self.manifests.get((self.repository.as_str(), digest.as_str()))?.is_some())
    }

    fn is_led_to(&self, _: &Digest) -> Result<bool, Failure> {
        // What something lacks does not depend on it.
        Ok(true)
    }
}

impl Snapshot {
    pub(crate) fn flaw_counts(&self) -> Result<FlawCounts, Failure> {
        flaw_counts(&self.0.open_table(META)?)
    }

    pub(crate) fn flawed(
        &self,
        flaw: Flaw,
        page: &PageRequest<Flawed>,
    ) -> Result<Page<FlawRecord, Flawed>, Failure> {
        let (table, kind) = (self.0.open_table(FLAWS)?, flaw.as_str());
        let (manifests, tags) = (self.0.open_table(MANIFESTS)?, self.0.open_table(TAGS)?);
        let after = page.after.as_ref().map(|Flawed { repository, reference }| {
            (kind, repository.as_str(), reference.as_ref().map_or("", Reference::as_str))
        });
        let mut filling = Filling::new(page);
        let range = (after.map_or(Bound::Included((kind, "", "")), Bound::Excluded), Bound::Unbounded);
        for entry in table.range::<(&str, &str, &str)>(range)? {
            let (key, ()) = (entry?.0, ());
            let (of_kind, name, reference) = key.value();
            if of_kind != kind {
                break;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let repository = stored_name(name)?;
            let reference = (!reference.is_empty()).then(|| stored_reference(reference)).transpose()?;
            let gone = || Failure::corrupt(format!("what is wrong in `{repository}`"), NotThere);
            let mut lacks = Vec::new();
            match &reference {
                None => {}
                Some(Reference::Tag(tag)) => {
                    let row: TagRow = row_in(&tags, "tag", &repository, tag.as_str())?.ok_or_else(gone)?;
                    lacks.push(row.digest);
                }
                Some(Reference::Digest(digest)) => {
                    let rows = manifests.get((name, digest.as_str()))?.ok_or_else(gone)?;
                    let document = rows.value().1;
                    if !filling.has_room(document.len()) {
                        return Ok(filling.part());
                    }
                    let document = decode_document(&repository, digest, document)?;
                    lacks =
                        lacking(&Around { manifests: &manifests, repository: &repository }, flaw, &document)?;
                }
            }
            let about = Flawed { repository, reference };
            filling.push(about.clone(), FlawRecord { about, lacks });
        }
        Ok(filling.end())
    }
}
