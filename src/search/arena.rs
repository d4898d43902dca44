//! What is searched: the names of all repositories and tags, and a few columns beside them. Pure; who fills it says what the
//! record holds.
//!
//! A name that is there once keeps its number; what goes leaves its place empty. When much is empty, all is built anew.

mod recorded_at;
mod tag_view;

use std::hash::{BuildHasher as _, RandomState};

use hashbrown::HashTable;

pub(super) use self::recorded_at::RecordedAt;
pub(super) use self::tag_view::TagView;
use super::annotations::Annotations;
use super::digests::DigestHead;
use super::names::Names;
use super::newest::Newest;
use super::platforms::PlatformSets;
use crate::clock::Timestamp;
use crate::oci::{RepositoryName, Tag};
use crate::store::{RepositoryRecord, TagRecord};

/// The number of a repository.
pub(super) type RepositoryNumber = u32;

/// In the place of a tag's repository: the tag is gone.
const GONE: RepositoryNumber = u32::MAX;
/// How many places may be empty, however few are taken.
const FEW: usize = 10_000;

/// There is no room for further names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Arena {
    repositories: Repositories,
    tags: Tags,
    platforms: PlatformSets,
    /// Filled when first asked for.
    annotations: Option<Annotations>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Repositories {
    names: Names,
    index: HashTable<RepositoryNumber>,
    /// None for one that is gone.
    rows: Vec<Option<RepositoryColumns>>,
    live: usize,
}

#[derive(Debug, Default)]
struct Tags {
    names: Names,
    /// The live ones, by repository and name.
    index: HashTable<u32>,
    columns: Columns,
    newest: Newest,
}

/// What is known of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RepositoryColumns {
    pub tags: u64,
    pub bytes: u64,
    /// When something was pulled from it last.
    pub last_pull: Option<Timestamp>,
    /// When something was pushed to it last.
    pub last_push: Option<Timestamp>,
    /// The pulls from it that its tags know of: later ones may have been of any of them.
    pub pulls: PullState,
}

/// Pulls from a repository: how many, and when the last was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PullState {
    count: u64,
    last: Option<Timestamp>,
}

/// What is known of each tag, by its number.
#[derive(Debug, Default)]
struct Columns {
    repository: Vec<RepositoryNumber>,
    recorded_at: Vec<RecordedAt>,
    /// Zero for none.
    last_pull: Vec<Timestamp>,
    bytes: Vec<u64>,
    digest: Vec<DigestHead>,
    platforms: Vec<u32>,
}

impl PullState {
    /// That of this repository.
    pub(super) const fn of(record: &RepositoryRecord) -> Self {
        Self { count: record.pulls, last: record.last_pull }
    }

    /// How many.
    pub(super) const fn count(self) -> u64 {
        self.count
    }
}

impl Arena {
    /// An empty one with room for so many tags.
    pub(super) fn with_room(tags: usize) -> Self {
        let mut arena = Self::default();
        arena.tags.names.reserve(tags);
        let Columns { repository, recorded_at, last_pull, bytes, digest, platforms } =
            &mut arena.tags.columns;
        repository.reserve_exact(tags);
        recorded_at.reserve_exact(tags);
        last_pull.reserve_exact(tags);
        bytes.reserve_exact(tags);
        digest.reserve_exact(tags);
        platforms.reserve_exact(tags);
        arena
    }

    /// The bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        let Self { repositories, tags, platforms, annotations, hasher: _ } = self;
        let Columns { repository, recorded_at, last_pull, bytes, digest, platforms: sets } = &tags.columns;
        let columns = repository.capacity() * size_of::<RepositoryNumber>()
            + recorded_at.capacity() * size_of::<RecordedAt>()
            + last_pull.capacity() * size_of::<Timestamp>()
            + bytes.capacity() * size_of::<u64>()
            + digest.capacity() * size_of::<DigestHead>()
            + sets.capacity() * size_of::<u32>();
        let rows = repositories.rows.capacity() * size_of::<Option<RepositoryColumns>>();
        let indices = repositories.index.allocation_size() + tags.index.allocation_size();
        let annotations = annotations.as_ref().map_or(0, Annotations::memory);
        repositories.names.memory()
            + tags.names.memory()
            + rows
            + columns
            + indices
            + platforms.memory()
            + annotations
    }

    /// What manifests say of themselves, if that is there.
    pub(super) const fn annotations(&self) -> Option<&Annotations> {
        self.annotations.as_ref()
    }

    /// The same, to be filled or kept up.
    pub(super) const fn annotations_mut(&mut self) -> &mut Option<Annotations> {
        &mut self.annotations
    }

    /// Whether so many places are empty that it should be built anew.
    pub(super) fn is_wasteful(&self) -> bool {
        let is_wasteful = |all: usize, live: usize| all - live > live + FEW;
        is_wasteful(self.tags.names.len(), self.tags.index.len())
            || is_wasteful(self.repositories.names.len(), self.repositories.live)
    }

    /// Takes up what the record says of a repository. Its tags are taken up later, if they are not there yet.
    pub(super) fn put_repository(&mut self, record: &RepositoryRecord) -> Result<(), Full> {
        let number = self.number_or_add(&record.name)?;
        let pulls = self.repository_at(number).map_or_else(|| PullState::of(record), |known| known.pulls);
        let RepositoryRecord { tags, bytes, last_push, last_pull, .. } = record;
        let columns = RepositoryColumns {
            tags: *tags,
            bytes: *bytes,
            last_push: *last_push,
            last_pull: *last_pull,
            pulls,
        };
        self.repositories.put(number, columns);
        Ok(())
    }

    /// Notes that all tags of a repository were taken up since it was read.
    pub(super) fn note_pulls(&mut self, record: &RepositoryRecord) {
        if let Some(number) = self.number(&record.name)
            && let Some(Some(row)) = self.repositories.rows.get_mut(number as usize)
        {
            row.pulls = PullState::of(record);
            row.last_pull = record.last_pull;
        }
    }

    /// What is known of a repository; none if it is not there.
    pub(super) fn repository(&self, name: &RepositoryName) -> Option<&RepositoryColumns> {
        self.repository_at(self.number(name)?)
    }

    /// Removes these repositories, and their tags.
    pub(super) fn remove_repositories(&mut self, names: &[RepositoryName]) {
        let numbers: Vec<_> = names.iter().filter_map(|name| self.number(name)).collect();
        self.remove_tags_of(&numbers);
        for number in numbers {
            self.repositories.remove(number);
        }
    }

    /// Removes all tags of these repositories.
    pub(super) fn remove_all_tags(&mut self, names: &[RepositoryName]) {
        let numbers: Vec<_> = names.iter().filter_map(|name| self.number(name)).collect();
        self.remove_tags_of(&numbers);
    }

    fn remove_tags_of(&mut self, repositories: &[RepositoryNumber]) {
        if repositories.is_empty() {
            return;
        }
        let mut is_of = vec![false; self.repositories.names.len()];
        for number in repositories {
            is_of[*number as usize] = true;
        }
        for number in 0..self.tags.columns.repository.len() {
            let repository = self.tags.columns.repository[number];
            if repository != GONE && is_of[repository as usize] {
                // There are no more tags than numbers.
                self.remove_tag_at(u32::try_from(number).unwrap_or(GONE));
            }
        }
    }

    /// Takes up what the record says of a tag. The repository need not be there yet.
    pub(super) fn put_tag(&mut self, repository: &RepositoryName, record: &TagRecord) -> Result<(), Full> {
        let platforms = self.platforms.number(&record.platforms).ok_or(Full)?;
        let repository = self.number_or_add(repository)?;
        let digest = DigestHead::of(&record.digest);
        let last_pull = record.last_pull.unwrap_or(Timestamp::from_milliseconds(0));
        let name = record.tag.as_str();
        let hash = self.hash(repository, name);
        let columns = &mut self.tags.columns;
        if let Some(number) = self.tags.index.find(hash, |number| {
            columns.repository[*number as usize] == repository && self.tags.names.get(*number) == name
        }) {
            let (number, place) = (*number, *number as usize);
            let before = std::mem::replace(&mut columns.recorded_at[place], RecordedAt::of(record));
            columns.last_pull[place] = last_pull;
            columns.bytes[place] = record.bytes;
            columns.digest[place] = digest;
            columns.platforms[place] = platforms;
            self.tags.newest.put(number, Some(before.time()), |number| columns.time_of(number));
            return Ok(());
        }
        let number = self.tags.names.push(name).filter(|number| *number != GONE).ok_or(Full)?;
        columns.repository.push(repository);
        columns.recorded_at.push(RecordedAt::of(record));
        columns.last_pull.push(last_pull);
        columns.bytes.push(record.bytes);
        columns.digest.push(digest);
        columns.platforms.push(platforms);
        let (hasher, tags) = (&self.hasher, &mut self.tags);
        let hash_of = |number: &u32| {
            hasher.hash_one((tags.columns.repository[*number as usize], tags.names.get(*number)))
        };
        tags.index.insert_unique(hash, number, hash_of);
        let columns = &tags.columns;
        tags.newest.put(number, None, |number| columns.time_of(number));
        Ok(())
    }

    /// Removes a tag.
    pub(super) fn remove_tag(&mut self, repository: &RepositoryName, tag: &Tag) {
        let Some(repository) = self.number(repository) else { return };
        let found = self.tags.index.find(self.hash(repository, tag.as_str()), |number| {
            self.tags.columns.repository[*number as usize] == repository
                && self.tags.names.get(*number) == tag.as_str()
        });
        if let Some(number) = found {
            self.remove_tag_at(*number);
        }
    }

    fn remove_tag_at(&mut self, number: u32) {
        let repository = &mut self.tags.columns.repository[number as usize];
        let hash = self.hasher.hash_one((*repository, self.tags.names.get(number)));
        *repository = GONE;
        if let Ok(entry) = self.tags.index.find_entry(hash, |other| *other == number) {
            entry.remove();
        }
    }

    fn hash(&self, repository: RepositoryNumber, tag: &str) -> u64 {
        self.hasher.hash_one((repository, tag))
    }

    /// The number of a repository that is there, or was.
    pub(super) fn number(&self, name: &RepositoryName) -> Option<RepositoryNumber> {
        let hash = self.hasher.hash_one(name.as_str());
        let repositories = &self.repositories;
        repositories.index.find(hash, |number| repositories.names.get(*number) == name.as_str()).copied()
    }

    fn number_or_add(&mut self, name: &RepositoryName) -> Result<RepositoryNumber, Full> {
        if let Some(number) = self.number(name) {
            return Ok(number);
        }
        let repositories = &mut self.repositories;
        let number = repositories.names.push(name.as_str()).filter(|number| *number != GONE).ok_or(Full)?;
        repositories.rows.push(None);
        let names = &repositories.names;
        let hash_of = |number: &RepositoryNumber| self.hasher.hash_one(names.get(*number));
        repositories.index.insert_unique(self.hasher.hash_one(name.as_str()), number, hash_of);
        Ok(number)
    }

    /// How many numbers of repositories there are, those included that are gone.
    pub(super) fn repository_numbers(&self) -> usize {
        self.repositories.names.len()
    }

    /// The repositories' names, those included that are gone.
    pub(super) const fn repository_names(&self) -> &Names {
        &self.repositories.names
    }

    /// What is known of the repository with this number, if it is there.
    pub(super) fn repository_at(&self, number: RepositoryNumber) -> Option<&RepositoryColumns> {
        self.repositories.rows.get(number as usize)?.as_ref()
    }

    /// The repositories that are there, in no order.
    pub(super) fn repositories(&self) -> impl Iterator<Item = (RepositoryNumber, &RepositoryColumns)> {
        (0..).zip(&self.repositories.rows).filter_map(|(number, row)| Some((number, row.as_ref()?)))
    }

    /// The tags' names, those included that are gone.
    pub(super) const fn tag_names(&self) -> &Names {
        &self.tags.names
    }

    /// The tag with this number, if it is there.
    pub(super) fn tag(&self, number: u32) -> Option<TagView<'_>> {
        let repository = self.tags.columns.repository.get(number as usize)?;
        (*repository != GONE).then_some(TagView { arena: self, number })
    }

    /// The newest tags: all that are as new as [`Arena::newest_since`], and some more.
    pub(super) fn newest(&self) -> impl Iterator<Item = TagView<'_>> {
        self.tags.newest.numbers().iter().filter_map(|number| self.tag(*number))
    }

    /// From when on all tags are among the newest.
    pub(super) const fn newest_since(&self) -> Timestamp {
        self.tags.newest.since()
    }

    /// All tags, in no order.
    pub(super) fn tags(&self) -> impl Iterator<Item = TagView<'_>> {
        (0..u32::try_from(self.tags.names.len()).unwrap_or(GONE)).filter_map(|number| self.tag(number))
    }

    /// The tags of the repositories that are asked for, in no order.
    pub(super) fn tags_of(
        &self,
        is_asked_for: impl Fn(RepositoryNumber) -> bool,
    ) -> impl Iterator<Item = TagView<'_>> {
        self.where_in(&self.tags.columns.repository, move |repository| is_asked_for(*repository))
    }

    /// The tags with the digests that are asked for, in no order.
    pub(super) fn tags_with(
        &self,
        is_asked_for: impl Fn(DigestHead) -> bool,
    ) -> impl Iterator<Item = TagView<'_>> {
        self.where_in(&self.tags.columns.digest, move |digest| is_asked_for(*digest))
    }

    /// The tags with what is asked for in a column: reads that alone of all the others.
    fn where_in<'a, T>(
        &'a self,
        column: &'a [T],
        is_asked_for: impl Fn(&T) -> bool,
    ) -> impl Iterator<Item = TagView<'a>> {
        let asked_for = (0..).zip(column).filter(move |(_, value)| is_asked_for(value));
        asked_for.filter_map(|(number, _)| self.tag(number))
    }

    /// For each set of platforms by its number whether it has this platform.
    pub(super) fn sets_with(&self, platform: &str) -> Vec<bool> {
        self.platforms.having(platform)
    }
}

impl Columns {
    /// When a tag was recorded; none if it is gone.
    fn time_of(&self, number: u32) -> Option<Timestamp> {
        let is_there = self.repository.get(number as usize).is_some_and(|repository| *repository != GONE);
        self.recorded_at.get(number as usize).map(|recorded| recorded.time()).filter(|_| is_there)
    }
}

impl Repositories {
    fn put(&mut self, number: RepositoryNumber, columns: RepositoryColumns) {
        let Some(row) = self.rows.get_mut(number as usize) else { return };
        if row.replace(columns).is_none() {
            self.live += 1;
        }
    }

    fn remove(&mut self, number: RepositoryNumber) {
        let Some(row) = self.rows.get_mut(number as usize) else { return };
        if row.take().is_some() {
            self.live -= 1;
        }
    }
}
