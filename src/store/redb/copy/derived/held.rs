//! What is held: by what tags, manifests and images are found, and what is noted to be wrong with them.

use redb::{ReadOnlyTable, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};

use super::super::super::failure::Failure;
use super::super::super::tables::{
    CHILDREN, FLAWS, IMAGES, MANIFESTS, META, ManifestRows, REFERRERS, REPOSITORIES, TAGS, TAGS_BY_MANIFEST,
    ThreeKeys, TwoKeys, decode, decode_document, flaw_counts, stored_digest, stored_name,
};
use super::look::Look;
use crate::oci::{Digest, Document, ImageConfig, RepositoryName};
use crate::store::copy::FindingKind;
use crate::store::flaw::{Surroundings, flaws_of};
use crate::store::image::platform_of;
use crate::store::row::{RepositoryRow, TagRow};
use crate::store::{Flaw, FlawCounts};

/// A table of what rows are found by, while each row is looked for there.
struct Index {
    name: &'static str,
    table: ReadOnlyTable<ThreeKeys, ()>,
    /// How many rows were found there.
    found: u64,
}

impl Index {
    /// Whether there is more in it than was found.
    fn has_more(&self) -> Result<bool, Failure> {
        Ok(self.table.len()? > self.found)
    }

    fn has(&mut self, key: (&str, &str, &str)) -> Result<bool, Failure> {
        let has = self.table.get(key)?.is_some();
        self.found += u64::from(has);
        Ok(has)
    }
}

/// The flaws that are noted, while each is looked for.
struct Flaws {
    index: Index,
    counts: FlawCounts,
}

/// What leads to a manifest, and what its repository has.
struct Around<'a> {
    tables: &'a HeldTables,
    repository: &'a RepositoryName,
}

struct HeldTables {
    manifests: ReadOnlyTable<TwoKeys, ManifestRows>,
    tags_by_manifest: ReadOnlyTable<ThreeKeys, ()>,
    children: ReadOnlyTable<ThreeKeys, ()>,
}

impl Surroundings for Around<'_> {
    type Error = Failure;

    fn has_manifest(&self, digest: &Digest) -> Result<bool, Failure> {
        Ok(self.tables.manifests.get((self.repository.as_str(), digest.as_str()))?.is_some())
    }

    fn is_led_to(&self, digest: &Digest) -> Result<bool, Failure> {
        let (name, digest) = (self.repository.as_str(), digest.as_str());
        for table in [&self.tables.tags_by_manifest, &self.tables.children] {
            let first = table.range((name, digest, "")..)?.next().transpose()?;
            if first.is_some_and(|(key, _)| matches!(key.value(), (of, to, _) if of == name && to == digest))
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Look<'_, '_, '_> {
    /// Looks at all of it.
    pub(super) fn held(&mut self) -> Result<(), Failure> {
        let mut flaws = Flaws { index: self.index("flaws", FLAWS)?, counts: FlawCounts::default() };
        self.repositories(&mut flaws)?;
        self.tags(&mut flaws)?;
        self.manifests(&mut flaws)?;
        self.flaws(&flaws)?;
        self.images()
    }

    fn index(
        &self,
        name: &'static str,
        table: TableDefinition<'static, ThreeKeys, ()>,
    ) -> Result<Index, Failure> {
        Ok(Index { name, table: self.read.open_table(table)?, found: 0 })
    }

    fn flaw(&mut self, flaws: &mut Flaws, flaw: Flaw, name: &str, reference: &str) -> Result<(), Failure> {
        *flaws.counts.of_mut(flaw) += 1;
        if flaws.index.has((flaw.as_str(), name, reference))? {
            return Ok(());
        }
        self.found(
            FindingKind::Flaws,
            format!("{name} {reference}"),
            format!("`{}` is not noted", flaw.as_str()),
        )
    }

    fn repositories(&mut self, flaws: &mut Flaws) -> Result<(), Failure> {
        for entry in self.read.open_table(REPOSITORIES)?.iter()? {
            let (name, row) = entry?;
            let name = name.value();
            let row: RepositoryRow = decode(|| format!("repository row of `{name}`"), row.value())?;
            if row.is_empty() {
                self.flaw(flaws, Flaw::EmptyRepository, name, "")?;
            }
        }
        Ok(())
    }

    fn tags(&mut self, flaws: &mut Flaws) -> Result<(), Failure> {
        let mut index = self.index("tags_by_manifest", TAGS_BY_MANIFEST)?;
        let table = self.read.open_table(TAGS)?;
        for (rows, entry) in (0..).zip(table.iter()?) {
            let (key, row) = entry?;
            let (name, tag) = key.value();
            let row: TagRow = decode(|| format!("tag row of `{tag}` in `{name}`"), row.value())?;
            if !index.has((name, row.digest.as_str(), tag))? {
                self.lacks(index.name, format!("{name}:{tag}"))?;
            }
            if row.missing.is_some() {
                self.flaw(flaws, Flaw::LostTag, name, tag)?;
            }
            self.goes_on(rows)?;
        }
        if index.has_more()? {
            for entry in index.table.iter()? {
                let (key, ()) = (entry?.0, ());
                let (name, digest, tag) = key.value();
                let row = table.get((name, tag))?;
                let row: Option<TagRow> = row
                    .map(|row| decode(|| format!("tag row of `{tag}` in `{name}`"), row.value()))
                    .transpose()?;
                if row.is_none_or(|row| row.digest.as_str() != digest) {
                    self.has_too_much(index.name, format!("{name}:{tag} as {digest}"))?;
                }
            }
        }
        Ok(())
    }

    fn manifests(&mut self, flaws: &mut Flaws) -> Result<(), Failure> {
        let mut children = self.index("children", CHILDREN)?;
        let mut referrers = self.index("referrers", REFERRERS)?;
        let tables = HeldTables {
            manifests: self.read.open_table(MANIFESTS)?,
            tags_by_manifest: self.read.open_table(TAGS_BY_MANIFEST)?,
            children: self.read.open_table(CHILDREN)?,
        };
        for (rows, entry) in (0..).zip(tables.manifests.iter()?) {
            let (key, content) = entry?;
            let (name, digest) = (stored_name(key.value().0)?, stored_digest(key.value().1)?);
            let document = decode_document(&name, &digest, content.value().1)?;
            for (index, named) in
                [(&mut children, children_of(&document)), (&mut referrers, subject_of(&document))]
            {
                for to in named {
                    if !index.has((name.as_str(), to.as_str(), digest.as_str()))? {
                        self.lacks(index.name, format!("{name}@{digest} by {to}"))?;
                    }
                }
            }
            let around = Around { tables: &tables, repository: &name };
            for flaw in flaws_of(&around, &digest, Some(&document))? {
                self.flaw(flaws, flaw, name.as_str(), digest.as_str())?;
            }
            self.goes_on(rows)?;
        }
        for (index, named) in
            [(children, children_of as fn(&Document) -> Vec<Digest>), (referrers, subject_of)]
        {
            if index.has_more()? {
                self.named_by_none(&index, &tables, named)?;
            }
        }
        Ok(())
    }

    /// Tells what a table says that documents name, and that they do not.
    fn named_by_none(
        &mut self,
        index: &Index,
        tables: &HeldTables,
        named: fn(&Document) -> Vec<Digest>,
    ) -> Result<(), Failure> {
        for entry in index.table.iter()? {
            let (key, ()) = (entry?.0, ());
            let (name, to, from) = key.value();
            let (name, digest) = (stored_name(name)?, stored_digest(from)?);
            let is_named = match tables.manifests.get((name.as_str(), from))? {
                Some(rows) => {
                    let document = decode_document(&name, &digest, rows.value().1)?;
                    named(&document).iter().any(|digest| digest.as_str() == to)
                }
                None => false,
            };
            if !is_named {
                self.has_too_much(index.name, format!("{name}@{from} by {to}"))?;
            }
        }
        Ok(())
    }

    /// All that have a flaw were looked for.
    fn flaws(&mut self, flaws: &Flaws) -> Result<(), Failure> {
        let kept = flaw_counts(&self.read.open_table(META)?)?;
        for flaw in Flaw::ALL {
            let compared = self.telling.compare(
                FindingKind::Flaws,
                "the record",
                flaw.as_str(),
                kept.of(flaw),
                flaws.counts.of(flaw),
            );
            compared.map_err(Failure::Refused)?;
        }
        if flaws.index.has_more()? {
            let more = flaws.index.table.len()? - flaws.index.found;
            self.found(FindingKind::Flaws, "flaws".to_owned(), format!("{more} are noted of what has none"))?;
        }
        Ok(())
    }

    fn images(&mut self) -> Result<(), Failure> {
        for entry in self.read.open_table(IMAGES)?.iter()? {
            let (key, content) = entry?;
            let ((name, digest), (platform, config)) = (key.value(), content.value());
            let config: Option<ImageConfig> = decode(|| format!("image `{digest}` in `{name}`"), config)?;
            if platform_of(config.as_ref()).unwrap_or_default() != platform {
                let what = format!("its platform is kept as `{platform}`, and the image says something else");
                self.found(FindingKind::Index, format!("{name}@{digest}"), what)?;
            }
        }
        Ok(())
    }
}

/// The manifests that an index names, each once.
fn children_of(document: &Document) -> Vec<Digest> {
    let mut children: Vec<Digest> = document.child_manifests().cloned().collect();
    children.sort_unstable();
    children.dedup();
    children
}

/// The manifest that one is about.
fn subject_of(document: &Document) -> Vec<Digest> {
    document.subject.iter().map(|subject| subject.digest.clone()).collect()
}
