//! What is held: each repository with its tags, manifests, blobs and images, one after the other.
//!
//! What one repository has may be much. So of its digests only some are remembered at a time, and its rows are gone through again for the
//! others.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};

use super::super::{FindingKind, Part, Row};
use super::history::History;
use super::walk::{Cursor, Walk};
use crate::oci::{Digest, RepositoryName};
use crate::store::StoreError;
use crate::store::row::{RepositoryRow, TagRow};

/// The beginning of a digest, by which it is remembered.
type Short = u128;

/// Places in the parts of which repositories consist.
struct Places {
    repositories: Cursor,
    tags: Cursor,
    manifests: Cursor,
    blobs: Cursor,
    images: Cursor,
}

/// What is looked at.
struct Look<'a> {
    unsettled: &'a HashSet<RepositoryName>,
    history: &'a History,
    hashes: RandomState,
    remembered: u64,
}

/// What is remembered of a repository.
#[derive(Default)]
struct Remembered {
    /// What a tag says of each manifest.
    manifests: HashMap<Short, u64>,
    /// How often each blob is named.
    blobs: HashMap<Short, u64>,
}

/// Looks at all of them, with about so many manifests remembered at a time.
pub(super) fn check_repositories(
    remembered: u64,
    walk: &mut Walk<'_, '_>,
    unsettled: &HashSet<RepositoryName>,
    history: &History,
) -> Result<(), StoreError> {
    let look = Look { unsettled, history, hashes: RandomState::new(), remembered };
    let mut places = Places {
        repositories: Cursor::of(Part::Repositories),
        tags: Cursor::of(Part::Tags),
        manifests: Cursor::of(Part::Manifests),
        blobs: Cursor::of(Part::Blobs),
        images: Cursor::of(Part::Images),
    };
    while let Some(name) = places.next_name(walk)? {
        look.check(walk, &mut places, &name)?;
    }
    Ok(())
}

impl Places {
    /// The next repository of which there is anything.
    fn next_name(&mut self, walk: &mut Walk<'_, '_>) -> Result<Option<RepositoryName>, StoreError> {
        let Self { repositories, tags, manifests, blobs, images } = self;
        let mut next: Option<RepositoryName> = None;
        for cursor in [repositories, tags, manifests, blobs, images] {
            let Some(name) = cursor.peek(walk)?.and_then(repository_of) else { continue };
            if next.as_ref().is_none_or(|next| name < next) {
                next = Some(name.clone());
            }
        }
        Ok(next)
    }
}

impl Look<'_> {
    fn check(
        &self,
        walk: &mut Walk<'_, '_>,
        places: &mut Places,
        name: &RepositoryName,
    ) -> Result<(), StoreError> {
        let row = match next_in(&mut places.repositories, walk, name)? {
            Some(Row::Repository { row, .. }) => Some(row.clone()),
            _ => None,
        };
        // What is kept may be wrong. No repository has more manifests than the record has rows.
        let manifests = row.as_ref().map_or(0, |row| row.manifests).min(walk.telling.expected);
        let passes = manifests / self.remembered + 1;
        let begin =
            [places.manifests.place(), places.tags.place(), places.blobs.place(), places.images.place()];
        let mut found = RepositoryRow::default();
        for pass in 0..passes {
            if pass == 0 {
                let Places { tags, manifests, blobs, images, .. } = places;
                self.pass(walk, name, [manifests, tags, blobs, images], (pass, passes), Some(&mut found))?;
            } else {
                let [mut manifests, mut tags, mut blobs, mut images] = begin.each_ref().map(Cursor::place);
                let cursors = [&mut manifests, &mut tags, &mut blobs, &mut images];
                self.pass(walk, name, cursors, (pass, passes), None)?;
            }
        }
        let Some(row) = row else {
            return walk.telling.found(
                FindingKind::Orphan,
                name.as_str(),
                "what it has is there, and it is not",
            );
        };
        for (what, kept, found) in [
            ("tags", row.tags, found.tags),
            ("manifests", row.manifests, found.manifests),
            ("bytes", row.bytes, found.bytes),
            ("tags that the registry denies", row.missing_tags, found.missing_tags),
            ("manifests that the registry denies", row.missing_manifests, found.missing_manifests),
        ] {
            walk.telling.compare(FindingKind::RepositorySums, name.as_str(), what, kept, found)?;
        }
        Ok(())
    }

    /// Goes through the rows of a repository, and remembers this part of the digests. What concerns no digest is looked at where `sums`
    /// are wanted.
    fn pass(
        &self,
        walk: &mut Walk<'_, '_>,
        name: &RepositoryName,
        [manifests, tags, blobs, images]: [&mut Cursor; 4],
        (pass, passes): (u64, u64),
        mut sums: Option<&mut RepositoryRow>,
    ) -> Result<(), StoreError> {
        let mut remembered = Remembered::default();
        let is_of_this_pass = |short: Short| short % Short::from(passes) == Short::from(pass);
        while let Some(row) = next_in(manifests, walk, name)? {
            let Row::Manifest { digest, row, document, bytes, .. } = row else { continue };
            let named = document.blobs();
            let short = short(digest);
            if is_of_this_pass(short) {
                let size = named.values().fold(document.size, |sum, size| sum.saturating_add(*size));
                remembered
                    .manifests
                    .insert(short, self.hashes.hash_one((document.media_type.as_str(), size)));
            }
            for blob in named.into_keys().map(self::short).filter(|blob| is_of_this_pass(*blob)) {
                *remembered.blobs.entry(blob).or_default() += 1;
            }
            let Some(sums) = &mut sums else { continue };
            sums.manifests += 1;
            sums.missing_manifests += u64::from(row.missing.is_some());
            sums.bytes = sums.bytes.wrapping_add(document.size);
            if digest.matches(&bytes.0) == Some(false) || document.size != bytes.0.len() as u64 {
                let place = format!("{name}@{digest}");
                walk.telling.found(
                    FindingKind::AlteredManifest,
                    place,
                    "its bytes are not those of its digest",
                )?;
            }
        }
        while let Some(row) = next_in(tags, walk, name)? {
            let Row::Tag { tag, row, .. } = row else { continue };
            let place = || format!("{name}:{tag}");
            if let Some(sums) = &mut sums {
                sums.tags += 1;
                sums.missing_tags += u64::from(row.missing.is_some());
                if !self.history.has(row.sequence) {
                    let what = format!("its event {} is not there", row.sequence);
                    walk.telling.found(FindingKind::History, place(), what)?;
                }
            }
            let short = short(&row.digest);
            if is_of_this_pass(short) {
                self.check_tag(walk, name, &place(), row, remembered.manifests.get(&short))?;
            }
        }
        while let Some(row) = next_in(blobs, walk, name)? {
            let Row::Blob { digest, row, .. } = row else { continue };
            if let Some(sums) = &mut sums {
                sums.bytes = sums.bytes.wrapping_add(row.size);
            }
            let short = short(digest);
            if is_of_this_pass(short) {
                let named = remembered.blobs.remove(&short).unwrap_or(0);
                let place = format!("{name}@{digest}");
                walk.telling.compare(
                    FindingKind::BlobCount,
                    &place,
                    "manifests that name it",
                    row.holders,
                    named,
                )?;
            }
        }
        for (short, named) in remembered.blobs {
            let place = format!("{name}, a blob whose digest begins with {short:032x}");
            walk.telling.compare(FindingKind::BlobCount, &place, "manifests that name it", 0, named)?;
        }
        while let Some(row) = next_in(images, walk, name)? {
            let Row::Image { digest, .. } = row else { continue };
            let short = short(digest);
            if is_of_this_pass(short) && !remembered.manifests.contains_key(&short) {
                let what = "what the image says is there, and its manifest is not";
                walk.telling.found(FindingKind::Orphan, format!("{name}@{digest}"), what)?;
            }
        }
        Ok(())
    }

    fn check_tag(
        &self,
        walk: &mut Walk<'_, '_>,
        name: &RepositoryName,
        place: &str,
        row: &TagRow,
        manifest: Option<&u64>,
    ) -> Result<(), StoreError> {
        match manifest {
            None if self.unsettled.contains(name) => Ok(()),
            None => {
                let what = format!("it points to {}, which is not there", row.digest);
                walk.telling.found(FindingKind::DanglingTag, place, what)
            }
            Some(says) if *says != self.hashes.hash_one((row.media_type.as_str(), row.bytes)) => {
                let what = format!("its type or size is not that of {}", row.digest);
                walk.telling.found(FindingKind::TagRow, place, what)
            }
            Some(_) => Ok(()),
        }
    }
}

/// The next row of this repository.
fn next_in<'c>(
    cursor: &'c mut Cursor,
    walk: &mut Walk<'_, '_>,
    name: &RepositoryName,
) -> Result<Option<&'c Row>, StoreError> {
    match cursor.peek(walk)?.and_then(repository_of).map(|next| next.cmp(name)) {
        Some(Ordering::Equal) => cursor.next(walk),
        Some(Ordering::Less | Ordering::Greater) | None => Ok(None),
    }
}

fn repository_of(row: &Row) -> Option<&RepositoryName> {
    match row {
        Row::Repository { name, .. } => Some(name),
        Row::Tag { repository, .. }
        | Row::Manifest { repository, .. }
        | Row::Blob { repository, .. }
        | Row::Image { repository, .. } => Some(repository),
        _ => None,
    }
}

/// What a digest is remembered by. Nobody finds two with the same beginning.
fn short(digest: &Digest) -> Short {
    digest.encoded().get(..32).and_then(|digits| Short::from_str_radix(digits, 16).ok()).unwrap_or_default()
}
