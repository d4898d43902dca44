//! The platforms of two indexes, each beside the same one.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::super::format::{ShortDigest, shortened};
use super::super::links;
use super::standing::{NAME, Standing};
use crate::oci::{Digest, Document, Reference, RepositoryName};

/// A platform of one of them, or of both.
pub(super) struct PartRow {
    pub standing: Standing,
    pub platform: String,
    pub from: Option<ShortDigest>,
    pub towards: Option<ShortDigest>,
    /// Where the two are compared, if they differ.
    pub page: Option<String>,
}

/// The platforms of both, each beside the same one. What several parts of one index are for stands there as often: those that both name
/// beside each other, and the others in their order.
pub(super) fn parts(repository: &RepositoryName, old: &Document, new: &Document) -> Vec<PartRow> {
    fn by_platform(document: &Document) -> BTreeMap<String, Vec<&Digest>> {
        let mut parts: BTreeMap<String, Vec<&Digest>> = BTreeMap::new();
        for child in &document.children {
            let Some(platform) = child.platform.as_ref().map(ToString::to_string) else { continue };
            if platform != "unknown/unknown" {
                parts.entry(platform).or_default().push(&child.digest);
            }
        }
        parts
    }
    let (mut old, mut new) = (by_platform(old), by_platform(new));
    let platforms: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    let mut rows = Vec::new();
    for platform in platforms {
        let (before, after) =
            (old.remove(&platform).unwrap_or_default(), new.remove(&platform).unwrap_or_default());
        for (from, towards) in aligned(before, after) {
            rows.push(PartRow::new(repository, &platform, from, towards));
        }
    }
    rows
}

/// What both have beside each other, then what is left of the two in their order.
fn aligned<'a>(
    before: Vec<&'a Digest>,
    after: Vec<&'a Digest>,
) -> impl Iterator<Item = (Option<&'a Digest>, Option<&'a Digest>)> {
    let (in_before, in_after): (HashSet<&Digest>, HashSet<&Digest>) =
        (before.iter().copied().collect(), after.iter().copied().collect());
    let kept: Vec<_> = before.iter().copied().filter(|digest| in_after.contains(digest)).collect();
    let gone: Vec<_> = before.into_iter().filter(|digest| !in_after.contains(digest)).collect();
    let came: Vec<_> = after.into_iter().filter(|digest| !in_before.contains(digest)).collect();
    let pairs = (0..gone.len().max(came.len()))
        .map(move |place| (gone.get(place).copied(), came.get(place).copied()));
    kept.into_iter().map(|digest| (Some(digest), Some(digest))).chain(pairs)
}

impl PartRow {
    fn new(
        repository: &RepositoryName,
        platform: &str,
        from: Option<&Digest>,
        towards: Option<&Digest>,
    ) -> Self {
        let page = from.zip(towards).filter(|(from, towards)| from != towards).map(|(from, towards)| {
            let by_digest = |digest: &Digest| Reference::Digest(digest.clone());
            links::compare(repository, &by_digest(from), &by_digest(towards))
        });
        Self {
            standing: match (from, towards) {
                (Some(_), None) => Standing::Removed,
                (None, _) => Standing::Added,
                (Some(_), Some(_)) => Standing::Kept,
            },
            platform: shortened(platform, NAME),
            from: from.map(|digest| ShortDigest::of(repository, digest)),
            towards: towards.map(|digest| ShortDigest::of(repository, digest)),
            page,
        }
    }
}
