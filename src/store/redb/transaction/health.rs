//! What is wrong with what is held, kept up within the transaction that changes it.
//!
//! What a change may concern is noted while rows are written, and judged once at the end of the transaction: a push writes its
//! manifest before its tag, and nothing is wrong with it in between.

use memchr::memmem;
use redb::{ReadableTable, WriteTransaction};

use super::super::failure::Failure;
use super::super::tables::{
    REPOSITORIES, TAGS, behind, decode, decode_document, flaw_count, flaw_counts, stored_digest, stored_name,
};
use super::record::{Tables, remove_three};
use crate::oci::{Digest, Document, Manifest, RepositoryName};
use crate::store::flaw::{OF_MANIFESTS, Surroundings, flaws_of};
use crate::store::row::{RepositoryRow, TagRow};
use crate::store::{Flaw, FlawCounts};

/// One of these stands in the row of a document that names other manifests, and in none that does not: within a text the
/// quotation marks would be escaped.
const NAMING: [&[u8]; 2] = [b"\"children\":", b"\"subject\":"];

/// The repository of a manifest within the transaction.
struct Around<'t, 'txn> {
    tables: &'t Tables<'txn>,
    repository: &'t RepositoryName,
}

impl Surroundings for Around<'_, '_> {
    type Error = Failure;

    fn has_manifest(&self, digest: &Digest) -> Result<bool, Failure> {
        Ok(self.tables.manifests.read()?.get((self.repository.as_str(), digest.as_str()))?.is_some())
    }

    fn is_led_to(&self, digest: &Digest) -> Result<bool, Failure> {
        let (name, digest) = (self.repository.as_str(), digest.as_str());
        for table in [&self.tables.tags_by_manifest, &self.tables.children] {
            let first = table.read()?.range((name, digest, "")..)?.next().transpose()?;
            if first.is_some_and(|(key, _)| matches!(key.value(), (of, to, _) if of == name && to == digest))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The tables that tell what leads to a manifest.
#[derive(Clone, Copy)]
enum Leading {
    /// Indexes that name it.
    Children,
    /// Manifests that are about it.
    Referrers,
}

/// Reads what a row of a manifest says, if that names other manifests.
fn naming_document(
    repository: &RepositoryName,
    digest: &Digest,
    row: &[u8],
) -> Result<Option<Document>, Failure> {
    let names = NAMING.iter().any(|member| memmem::find(row, member).is_some());
    names.then(|| decode_document(repository, digest, row)).transpose()
}

impl Tables<'_> {
    /// What is wrong with this manifest may have changed.
    pub(super) fn note_touched(&mut self, repository: &RepositoryName, digest: &Digest) {
        self.touched.insert((repository.clone(), digest.clone()));
    }

    /// A manifest comes.
    pub(super) fn note_manifest(
        &mut self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), Failure> {
        let (name, digest) = (repository.as_str(), &manifest.digest);
        for child in manifest.document.child_manifests() {
            self.children.write()?.insert((name, child.as_str(), digest.as_str()), ())?;
            self.note_touched(repository, child);
        }
        self.note_touched(repository, digest);
        // Only what lacks something may have lacked this one. What this transaction has touched is judged in any case.
        let counts = self.flaw_counts()?;
        if counts.missing_children > 0 {
            self.note_leading(Leading::Children, repository, digest)?;
        }
        if counts.missing_subject > 0 {
            self.note_leading(Leading::Referrers, repository, digest)?;
        }
        Ok(())
    }

    /// A manifest goes. To be called while its row is there.
    pub(super) fn note_manifest_removed(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let name = repository.as_str();
        let document = match self.manifests.read()?.get((name, digest.as_str()))? {
            Some(rows) => naming_document(repository, digest, rows.value().1)?,
            None => None,
        };
        for child in document.iter().flat_map(Document::child_manifests) {
            self.children.write()?.remove((name, child.as_str(), digest.as_str()))?;
            self.note_touched(repository, child);
        }
        self.note_touched(repository, digest);
        self.note_leading(Leading::Children, repository, digest)?;
        self.note_leading(Leading::Referrers, repository, digest)
    }

    /// A manifest comes or goes: that concerns the indexes that name it, or those that are about it.
    fn note_leading(
        &mut self,
        leading: Leading,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<(), Failure> {
        let name = repository.as_str();
        let table = match leading {
            Leading::Children => &self.children,
            Leading::Referrers => &self.referrers,
        };
        for entry in table.read()?.range((name, digest.as_str(), "")..)? {
            let (key, ()) = (entry?.0, ());
            match key.value() {
                (of, to, from) if of == name && to == digest.as_str() => {
                    self.touched.insert((repository.clone(), stored_digest(from)?));
                }
                _ => break,
            }
        }
        Ok(())
    }

    /// A repository has this row now.
    pub(super) fn note_repository(
        &mut self,
        repository: &RepositoryName,
        row: &RepositoryRow,
    ) -> Result<(), Failure> {
        self.set_flaw(Flaw::EmptyRepository, repository, "", row.is_empty())
    }

    /// A tag has this row now.
    pub(super) fn note_tag(
        &mut self,
        repository: &RepositoryName,
        tag: &str,
        row: &TagRow,
    ) -> Result<(), Failure> {
        self.note_touched(repository, &row.digest);
        self.set_flaw(Flaw::LostTag, repository, tag, row.missing.is_some())
    }

    /// A tag goes that pointed there.
    pub(super) fn note_tag_removed(
        &mut self,
        repository: &RepositoryName,
        tag: &str,
        digest: &Digest,
    ) -> Result<(), Failure> {
        self.note_touched(repository, digest);
        self.set_flaw(Flaw::LostTag, repository, tag, false)
    }

    /// All of a repository goes.
    pub(super) fn remove_flaws_of(&mut self, repository: &RepositoryName) -> Result<(), Failure> {
        let (name, end) = (repository.as_str(), behind(repository));
        remove_three(self.children.write()?, (name, "", "")..(end.as_str(), "", ""))?;
        for flaw in Flaw::ALL {
            if self.flaw_counts()?.of(flaw) > 0 {
                let kind = flaw.as_str();
                let removed = remove_three(self.flaws.write()?, (kind, name, "")..(kind, end.as_str(), ""))?;
                self.count_flaws(flaw, |count| count.saturating_sub(removed))?;
            }
        }
        Ok(())
    }

    /// Judges what was touched.
    pub(super) fn judge_touched(&mut self) -> Result<(), Failure> {
        for (repository, digest) in std::mem::take(&mut self.touched) {
            let found = match self.manifests.read()?.get((repository.as_str(), digest.as_str()))? {
                Some(rows) => Some(naming_document(&repository, &digest, rows.value().1)?),
                None => None,
            };
            let around = Around { tables: self, repository: &repository };
            let flaws = match found {
                Some(document) => flaws_of(&around, &digest, document.as_ref())?,
                None => Vec::new(),
            };
            for flaw in OF_MANIFESTS {
                self.set_flaw(flaw, &repository, digest.as_str(), flaws.contains(&flaw))?;
            }
        }
        Ok(())
    }

    fn set_flaw(
        &mut self,
        flaw: Flaw,
        repository: &RepositoryName,
        reference: &str,
        has_it: bool,
    ) -> Result<(), Failure> {
        let key = (flaw.as_str(), repository.as_str(), reference);
        if has_it {
            if self.flaws.write()?.insert(key, ())?.is_none() {
                self.count_flaws(flaw, |count| count.saturating_add(1))?;
            }
        } else if self.flaw_counts()?.of(flaw) > 0 && self.flaws.read()?.get(key)?.is_some() {
            self.flaws.write()?.remove(key)?;
            self.count_flaws(flaw, |count| count.saturating_sub(1))?;
        }
        Ok(())
    }

    /// How many there are of each kind: where there is none, as a rule, no table is touched.
    fn flaw_counts(&mut self) -> Result<FlawCounts, Failure> {
        if let Some(counts) = self.flaw_counts {
            return Ok(counts);
        }
        let counts = flaw_counts(self.meta.read()?)?;
        self.flaw_counts = Some(counts);
        Ok(counts)
    }

    fn count_flaws(&mut self, flaw: Flaw, count: impl FnOnce(u64) -> u64) -> Result<(), Failure> {
        let mut counts = self.flaw_counts()?;
        let of_kind = counts.of_mut(flaw);
        *of_kind = count(*of_kind);
        self.meta.write()?.insert(flaw_count(flaw), *of_kind)?;
        self.flaw_counts = Some(counts);
        Ok(())
    }
}

/// Looks for what is wrong in a store that has not kept that up. One repository after the other, so that what is noted stays
/// small.
pub(in super::super) fn find_flaws(transaction: &WriteTransaction) -> Result<(), Failure> {
    let mut names = Vec::new();
    {
        let repositories = transaction.open_table(REPOSITORIES)?;
        for entry in repositories.iter()? {
            let (name, row) = entry?;
            let name = stored_name(name.value())?;
            let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.value())?;
            names.push((name, row));
        }
    }
    for (name, row) in &names {
        let end = behind(name);
        let range = (name.as_str(), "")..(end.as_str(), "");
        let mut lost = Vec::new();
        if row.missing_tags > 0 {
            for entry in transaction.open_table(TAGS)?.range(range.clone())? {
                let (key, row) = entry?;
                let tag = key.value().1.to_owned();
                let row: TagRow = decode(|| format!("tag row of `{tag}` in `{name}`"), row.value())?;
                lost.extend(row.missing.is_some().then_some((tag, row)));
            }
        }
        let mut tables = Tables::of(transaction);
        tables.note_repository(name, row)?;
        for (tag, row) in &lost {
            tables.note_tag(name, tag, row)?;
        }
        let mut links = Vec::new();
        for entry in tables.manifests.read()?.range(range)? {
            let (key, rows) = entry?;
            let digest = stored_digest(key.value().1)?;
            let document = naming_document(name, &digest, rows.value().1)?;
            let children = document.iter().flat_map(Document::child_manifests);
            links.extend(children.map(|child| (child.clone(), digest.clone())));
            tables.touched.insert((name.clone(), digest));
        }
        for (child, index) in &links {
            tables.children.write()?.insert((name.as_str(), child.as_str(), index.as_str()), ())?;
        }
        tables.judge_touched()?;
    }
    Ok(())
}
