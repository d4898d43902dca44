//! Looks whether what the file keeps beside its rows follows from them: what rows are found by, sums, and what is noted to be wrong.
//!
//! Each row is looked for where it has to be found. Only where there is more than that, everything there is looked at as well.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, ReadableTableMetadata as _};

use super::super::failure::Failure;
use super::super::snapshot::missing;
use super::super::tables::{
    CHILDREN, DELETED_MANIFESTS, DELETED_MANIFESTS_BY_AGE, EVENT_TIMES, EVENTS, EVENTS_BY_REPOSITORY, FLAWS,
    IMAGES, MANIFESTS, META, META_BYTES, META_DELETED_BYTES, ManifestRows, REFERRERS, REPOSITORIES, TAGS,
    TAGS_BY_MANIFEST, TOMBSTONES, TOMBSTONES_BY_AGE, ThreeKeys, TwoKeys, auth_events, decode,
    decode_document, flaw_counts, number, optional, stored_digest, stored_name,
};
use crate::oci::{Digest, Document, ImageConfig, RepositoryName};
use crate::store::copy::{FindingKind, Tally, Telling};
use crate::store::event_range::{block_of, numbers_of};
use crate::store::flaw::{Surroundings, flaws_of};
use crate::store::image::platform_of;
use crate::store::row::{RepositoryRow, TagRow};
use crate::store::tombstone::Tombstone;
use crate::store::{AuthEvent, AuthEventKind, Event, Flaw, FlawCounts};

/// How many rows are looked at before who waits is told.
const TOLD: u64 = 10_000;

/// The look.
pub(super) struct Look<'r, 'l, 't> {
    pub read: &'r ReadTransaction,
    pub telling: &'l mut Telling<'t>,
}

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
    /// Looks at everything.
    pub(super) fn check(&mut self, tally: &Tally) -> Result<(), Failure> {
        let mut flaws = Flaws { index: self.index("flaws", FLAWS)?, counts: FlawCounts::default() };
        self.repositories(&mut flaws)?;
        self.tags(&mut flaws)?;
        self.manifests(&mut flaws)?;
        self.flaws(&flaws)?;
        self.images()?;
        self.events()?;
        self.tombstones()?;
        self.deleted()?;
        self.auth_events()?;
        self.sums(tally)
    }

    fn index(
        &self,
        name: &'static str,
        table: redb::TableDefinition<'static, ThreeKeys, ()>,
    ) -> Result<Index, Failure> {
        Ok(Index { name, table: self.read.open_table(table)?, found: 0 })
    }

    fn found(&mut self, kind: FindingKind, place: String, what: String) -> Result<(), Failure> {
        self.telling.found(kind, place, what).map_err(Failure::Refused)
    }

    fn lacks(&mut self, table: &str, place: String) -> Result<(), Failure> {
        self.found(FindingKind::Index, place, format!("it is not found by `{table}`"))
    }

    fn has_too_much(&mut self, table: &str, place: String) -> Result<(), Failure> {
        self.found(FindingKind::Index, place, format!("`{table}` leads there, and that is not so"))
    }

    /// Tells now and then that it goes on.
    fn goes_on(&mut self, rows: u64) -> Result<(), Failure> {
        match rows.is_multiple_of(TOLD) {
            true => self.telling.looked_at(0).map_err(Failure::Refused),
            false => Ok(()),
        }
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

    fn events(&mut self) -> Result<(), Failure> {
        let by_repository = self.read.open_table(EVENTS_BY_REPOSITORY)?;
        let times = optional(self.read, EVENT_TIMES)?;
        let table = self.read.open_table(EVENTS)?;
        let mut found = 0;
        // The earliest and the latest time of the block that is gone through.
        let mut block: Option<(u64, u64, u64)> = None;
        for (rows, entry) in (0..).zip(table.iter()?) {
            let (number, row) = entry?;
            let number = number.value();
            let event: Event = decode(|| format!("event {number}"), row.value())?;
            if event.sequence.get() != number {
                let what = format!("it says that it is {}", event.sequence);
                self.found(FindingKind::History, format!("event {number}"), what)?;
            }
            match by_repository.get((event.repository.as_str(), number))?.is_some() {
                true => found += 1,
                false => self.lacks("events_by_repository", format!("event {number}"))?,
            }
            let (time, of) = (event.time.as_milliseconds(), block_of(number));
            block = match block {
                Some((now, earliest, latest)) if now == of => {
                    Some((of, earliest.min(time), latest.max(time)))
                }
                other => {
                    self.times(times.as_ref(), other)?;
                    Some((of, time, time))
                }
            };
            self.goes_on(rows)?;
        }
        self.times(times.as_ref(), block)?;
        if by_repository.len()? > found {
            for entry in by_repository.iter()? {
                let (key, ()) = (entry?.0, ());
                let (name, number) = key.value();
                let event: Option<Event> = table
                    .get(number)?
                    .map(|row| decode(|| format!("event {number}"), row.value()))
                    .transpose()?;
                if event.is_none_or(|event| event.repository.as_str() != name) {
                    self.has_too_much("events_by_repository", format!("event {number} of {name}"))?;
                }
            }
        }
        Ok(())
    }

    /// Compares the times that are kept of a block, if any are.
    fn times(
        &mut self,
        times: Option<&ReadOnlyTable<u64, (u64, u64)>>,
        block: Option<(u64, u64, u64)>,
    ) -> Result<(), Failure> {
        let (Some(times), Some((block, earliest, latest))) = (times, block) else { return Ok(()) };
        match times.get(block)?.map(|kept| kept.value()) {
            Some(kept) if kept != (earliest, latest) => {
                let (first, last) = numbers_of(block);
                let what = "the times by which they are found are not theirs".to_owned();
                self.found(FindingKind::Index, format!("events {first} to {last}"), what)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn tombstones(&mut self) -> Result<(), Failure> {
        let by_age = self.read.open_table(TOMBSTONES_BY_AGE)?;
        let table = self.read.open_table(TOMBSTONES)?;
        for entry in table.iter()? {
            let (key, row) = entry?;
            let (name, buried) = key.value();
            let row: Tombstone = decode(|| format!("tombstone of `{buried}` in `{name}`"), row.value())?;
            if by_age.get((row.at.as_milliseconds(), name, buried))?.is_none() {
                self.lacks("tombstones_by_age", format!("what is left of {buried} in {name}"))?;
            }
        }
        self.as_many("tombstones_by_age", by_age.len()?, table.len()?)
    }

    fn deleted(&mut self) -> Result<(), Failure> {
        let by_age = self.read.open_table(DELETED_MANIFESTS_BY_AGE)?;
        let table = self.read.open_table(DELETED_MANIFESTS)?;
        for entry in table.iter()? {
            let (key, rows) = entry?;
            let ((name, digest), (at, document, bytes)) = (key.value(), rows.value());
            let size = by_age.get((at, name, digest))?.map(|size| size.value());
            if size != Some((document.len() + bytes.len()) as u64) {
                self.lacks("deleted_manifests_by_age", format!("the deleted {name}@{digest}"))?;
            }
        }
        self.as_many("deleted_manifests_by_age", by_age.len()?, table.len()?)
    }

    fn as_many(&mut self, table: &str, found: u64, rows: u64) -> Result<(), Failure> {
        match found > rows {
            true => self.has_too_much(table, format!("{} of {found} rows", found - rows)),
            false => Ok(()),
        }
    }

    fn auth_events(&mut self) -> Result<(), Failure> {
        for kind in AuthEventKind::ALL {
            let Some(table) = optional(self.read, auth_events(kind))? else { continue };
            for entry in table.iter()? {
                let (number, row) = entry?;
                let number = number.value();
                let event: AuthEvent = decode(|| format!("event {number} of the gate"), row.value())?;
                if event.kind != kind {
                    self.has_too_much(&format!("{kind:?}"), format!("event {number} of the gate"))?;
                }
            }
        }
        Ok(())
    }

    fn sums(&mut self, tally: &Tally) -> Result<(), Failure> {
        let meta = self.read.open_table(META)?;
        let missing = missing(&meta)?;
        for (name, kept, found) in [
            ("bytes of all repositories", number(&meta, META_BYTES)?, tally.totals.bytes),
            ("bytes of deleted manifests", number(&meta, META_DELETED_BYTES)?, tally.deleted.bytes),
            ("tags that the registry denies", missing.tags, tally.missing.tags),
            ("manifests that the registry denies", missing.manifests, tally.missing.manifests),
        ] {
            let compared = self.telling.compare(FindingKind::RecordSums, "the record", name, kept, found);
            compared.map_err(Failure::Refused)?;
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
