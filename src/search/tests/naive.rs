//! The same questions, answered in the simplest way over all that is recorded.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::*;
use crate::clock::Timestamp;
use crate::oci::Digest;
use crate::store::Records as _;

/// All that the asker may see.
pub(super) struct Naive {
    repositories: Vec<RepositoryRecord>,
    tags: Vec<(RepositoryName, TagRecord)>,
    /// What the manifests say of themselves.
    lines: BTreeMap<(RepositoryName, Digest), Vec<String>>,
}

/// What was found, as it is written.
pub(super) fn shown(found: &Found) -> String {
    match found {
        Found::Repository(record) => record.name.to_string(),
        Found::Tag(repository, record) => format!("{repository}:{}", record.tag),
    }
}

/// Where a text stands in another, 0 being best.
fn placement(name: &str, text: &str) -> Option<u8> {
    let at = |place: usize| match name.as_bytes()[..place].last() {
        None if name == text => 0,
        None => 1,
        Some(before) if !before.is_ascii_alphanumeric() => 2,
        Some(_) => 3,
    };
    (0..name.len()).filter(|place| name[*place..].starts_with(text)).map(at).min()
}

fn by_digest(record: &TagRecord, encoded: &str) -> Option<u8> {
    let is_whole = encoded.len() == record.digest.encoded().len();
    record.digest.encoded().starts_with(encoded).then_some(if is_whole { 0 } else { 1 })
}

impl Naive {
    pub(super) async fn read(store: &MemoryStore, visible: &BTreeSet<&'static str>) -> Self {
        let mut repositories = store.repositories(None, first(10_000)).await.unwrap().items;
        repositories.retain(|record| visible.contains(record.name.as_str()));
        let mut tags = store.all_tags(first(10_000)).await.unwrap().items;
        tags.retain(|(name, _)| visible.contains(name.as_str()));
        let mut lines = BTreeMap::new();
        for (repository, record) in &tags {
            // A tag may be left without a manifest for a while.
            let Some(manifest) = store.manifest(repository, &record.digest).await.unwrap() else { continue };
            let pairs = manifest.document.annotations.iter();
            let lines_of_it = pairs.map(|(key, value)| format!("{key}={value}")).collect();
            lines.insert((repository.clone(), record.digest.clone()), lines_of_it);
        }
        Self { repositories, tags, lines }
    }

    /// What is worth looking for.
    pub(super) fn queries(&self) -> Vec<String> {
        let always = [
            "a",
            "-",
            "v1",
            "1",
            "a:v",
            "a-b:v1",
            "b:",
            "abcdef",
            ":latest",
            "none",
            "b/a-a:a-a",
            "team=one",
            "team=t",
            "x=",
        ];
        let mut queries: Vec<String> = always.map(str::to_owned).to_vec();
        if let Some((repository, record)) = self.tags.last() {
            let encoded = record.digest.encoded();
            queries.extend([
                encoded[..7].to_owned(),
                format!("sha256:{}", &encoded[..2]),
                record.digest.to_string(),
            ]);
            queries.push(format!("{repository}@sha256:{}", &encoded[..5]));
        }
        queries
    }

    pub(super) fn find(&self, query: &str) -> Vec<String> {
        let mut found = Vec::new();
        for record in &self.repositories {
            let recent = record.last_push.unwrap_or(samples::at(0));
            let placed = placement(record.name.as_str(), query).filter(|_| !query.contains([':', '@', '=']));
            found.extend(placed.map(|placed| (placed, Reverse(recent), record.name.to_string(), None)));
        }
        for (repository, record) in &self.tags {
            let placed = if query.contains('=') {
                let lines =
                    self.lines.get(&(repository.clone(), record.digest.clone())).into_iter().flatten();
                lines.filter_map(|line| placement(line, query)).filter(|placed| *placed <= 1).min()
            } else if let Some((end, digest)) = query.split_once("@sha256:") {
                by_digest(record, digest).filter(|_| repository.as_str().ends_with(end))
            } else if let Some(digest) = query.strip_prefix("sha256:") {
                by_digest(record, digest)
            } else if query.contains(':') {
                placement(&format!("{repository}:{}", record.tag), query)
            } else {
                let is_hexadecimal = query.len() >= 6 && query.bytes().all(|byte| byte.is_ascii_hexdigit());
                let digest = by_digest(record, query).filter(|_| is_hexadecimal);
                [placement(record.tag.as_str(), query), digest].into_iter().flatten().min()
            };
            let recent =
                Reverse(record.pushed_at.or(record.found_at).unwrap_or(Timestamp::from_milliseconds(0)));
            found.extend(
                placed.map(|placed| (placed, recent, repository.to_string(), Some(record.tag.to_string()))),
            );
        }
        found.sort();
        let shown = |(_, _, repository, tag): (u8, Reverse<Timestamp>, String, Option<String>)| match tag {
            Some(tag) => format!("{repository}:{tag}"),
            None => repository,
        };
        found.into_iter().map(shown).collect()
    }

    /// Every order, and every filter.
    pub(super) fn questions(&self) -> Vec<TagQuestion> {
        let middle = Some(samples::at(20));
        let filters = [
            TagFilter::default(),
            TagFilter { repository: Some(name("a/b")), ..TagFilter::default() },
            TagFilter { containing: Some("1".to_owned()), ..TagFilter::default() },
            TagFilter { pulled_before: middle, ..TagFilter::default() },
            TagFilter { pushed_before: middle, ..TagFilter::default() },
            TagFilter {
                digest: self.tags.first().map(|(_, record)| record.digest.clone()),
                ..TagFilter::default()
            },
            TagFilter { platform: Some("linux/arm64".to_owned()), ..TagFilter::default() },
            TagFilter { annotation: Some("team=two".parse().unwrap()), ..TagFilter::default() },
        ];
        let sorts = [TagSort::Name, TagSort::PushedAt, TagSort::LastPull, TagSort::Size];
        let orders = [SortOrder::Ascending, SortOrder::Descending];
        let all = sorts.into_iter().flat_map(|sort| orders.map(|order| (sort, order)));
        all.flat_map(|(sort, order)| filters.clone().map(|filter| TagQuestion { sort, order, filter }))
            .collect()
    }

    /// Every order of repositories, with a part of their names and without.
    pub(super) fn repository_questions() -> Vec<RepositoryQuestion> {
        use RepositorySort::{LastPull, LastPush, Name, Pulls, Size, Tags};
        let sorts = [Name, LastPush, LastPull, Pulls, Size, Tags];
        let orders = [SortOrder::Ascending, SortOrder::Descending];
        let all = sorts.into_iter().flat_map(|sort| orders.map(|order| (sort, order)));
        all.flat_map(|(sort, order)| {
            [(None, None), (Some("b"), None), (None, Some("a")), (None, Some(""))].map(
                |(containing, namespace)| {
                    let [containing, namespace] =
                        [containing, namespace].map(|text: Option<&str>| text.map(str::to_owned));
                    RepositoryQuestion { sort, order, containing, namespace }
                },
            )
        })
        .collect()
    }

    pub(super) fn repositories(&self, question: &RepositoryQuestion) -> Vec<RepositoryRecord> {
        let RepositoryQuestion { sort, order, containing, namespace } = question;
        let mut found = self.repositories.clone();
        found.retain(|record| {
            let first = record.name.as_str().split_once('/').map_or("", |(first, _)| first);
            containing.as_ref().is_none_or(|part| record.name.as_str().contains(part))
                && namespace.as_ref().is_none_or(|wanted| first == wanted)
        });
        let value = |record: &RepositoryRecord| match sort {
            RepositorySort::Name => 0,
            RepositorySort::LastPush => record.last_push.map_or(0, Timestamp::as_milliseconds),
            RepositorySort::LastPull => record.last_pull.map_or(0, Timestamp::as_milliseconds),
            RepositorySort::Pulls => record.pulls,
            RepositorySort::Size => record.bytes,
            RepositorySort::Tags => record.tags,
        };
        match (sort, order) {
            (RepositorySort::Name, SortOrder::Descending) => found.reverse(),
            (_, SortOrder::Ascending) => found.sort_by_key(value),
            (_, SortOrder::Descending) => found.sort_by_key(|record| Reverse(value(record))),
        }
        found
    }

    pub(super) fn tags(&self, question: &TagQuestion) -> Vec<(RepositoryName, TagRecord)> {
        let TagQuestion { sort, order, filter } = question;
        let TagFilter { repository, containing, pulled_before, pushed_before, digest, platform, annotation } =
            filter;
        let mut tags = self.tags.clone();
        tags.retain(|(name, record)| {
            repository.as_ref().is_none_or(|wanted| wanted == name)
                && containing.as_ref().is_none_or(|part| record.tag.as_str().contains(part))
                && pulled_before.is_none_or(|time| record.last_pull < Some(time))
                && pushed_before.is_none_or(|time| record.pushed_at.is_some_and(|pushed| pushed < time))
                && digest.as_ref().is_none_or(|wanted| *wanted == record.digest)
                && platform.as_ref().is_none_or(|wanted| {
                    record
                        .platforms
                        .iter()
                        .any(|name| name == wanted || name.starts_with(&format!("{wanted}/")))
                })
        });
        if annotation.is_some() {
            let wanted = "team=two".to_owned();
            tags.retain(|(name, record)| {
                let lines = self.lines.get(&(name.clone(), record.digest.clone()));
                lines.is_some_and(|lines| lines.contains(&wanted))
            });
        }
        tags.sort_by_key(|(name, record)| (name.clone(), record.tag.clone()));
        let descending = *order == SortOrder::Descending;
        match sort {
            TagSort::Name if descending => tags.reverse(),
            TagSort::Name => {}
            TagSort::PushedAt if descending => tags.sort_by_key(|(_, record)| Reverse(record.pushed_at)),
            TagSort::PushedAt => tags.sort_by_key(|(_, record)| record.pushed_at),
            TagSort::LastPull if descending => tags.sort_by_key(|(_, record)| Reverse(record.last_pull)),
            TagSort::LastPull => tags.sort_by_key(|(_, record)| record.last_pull),
            TagSort::Size if descending => tags.sort_by_key(|(_, record)| Reverse(record.bytes)),
            TagSort::Size => tags.sort_by_key(|(_, record)| record.bytes),
        }
        tags
    }
}
