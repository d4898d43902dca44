//! Which tag a client has just looked at: clients ask which digest a tag has, and then pull that digest. Only `pulls` calls this.
//!
//! What is remembered is a number made of client, repository and digest, so that it takes little room, and looking costs one
//! hash. Two that have the same number would have a pull counted for the wrong tag, and nothing else.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::oci::{Digest, RepositoryName, Tag};

/// How long a client's look at a tag is remembered.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many are remembered of one half: the older half goes when the newer one is full.
const MAXIMUM: usize = 8_192;

/// A look at a tag.
struct Look {
    tag: Tag,
    at: Instant,
}

/// Looks in two halves: where the newer one is full, or has been filled for as long as looks are remembered, it becomes the
/// older one. So nothing has to be searched for what is to be forgotten.
#[derive(Default)]
struct Looks {
    newer: HashMap<u64, Look>,
    older: HashMap<u64, Look>,
    /// Since when the newer half is filled.
    since: Option<Instant>,
}

/// The tags that clients have looked at of late.
#[derive(Default)]
pub(super) struct ResolvedTags {
    looks: Mutex<Looks>,
    numbers: RandomState,
}

impl ResolvedTags {
    /// A client was told that the tag has this digest.
    pub(super) fn remember(&self, client: IpAddr, repository: &RepositoryName, digest: &Digest, tag: &Tag) {
        self.remember_at(Instant::now(), self.number(client, repository, digest), tag);
    }

    /// The tag that led this client to the digest, if one did within the last minute.
    pub(super) fn tag(&self, client: IpAddr, repository: &RepositoryName, digest: &Digest) -> Option<Tag> {
        self.tag_at(Instant::now(), self.number(client, repository, digest))
    }

    fn number(&self, client: IpAddr, repository: &RepositoryName, digest: &Digest) -> u64 {
        self.numbers.hash_one((client, repository.as_str(), digest.as_str()))
    }

    fn remember_at(&self, now: Instant, number: u64, tag: &Tag) {
        let mut looks = self.looks();
        let is_over = looks.since.is_some_and(|since| now.duration_since(since) >= REMEMBERED);
        if is_over || looks.newer.len() >= MAXIMUM {
            looks.older = std::mem::take(&mut looks.newer);
            looks.since = None;
        }
        looks.since.get_or_insert(now);
        looks.newer.insert(number, Look { tag: tag.clone(), at: now });
    }

    fn tag_at(&self, now: Instant, number: u64) -> Option<Tag> {
        let looks = self.looks();
        let look = looks.newer.get(&number).or_else(|| looks.older.get(&number))?;
        (now.duration_since(look.at) < REMEMBERED).then(|| look.tag.clone())
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(name: &str) -> Tag {
        Tag::parse(name).unwrap()
    }

    #[test]
    fn a_look_is_remembered_for_a_minute_and_the_last_one_counts() {
        let (resolved, now) = (ResolvedTags::default(), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        resolved.remember_at(now, 1, &tag("a"));
        resolved.remember_at(after(10), 1, &tag("b"));
        assert_eq!(resolved.tag_at(after(69), 1), Some(tag("b")));
        assert_eq!(resolved.tag_at(after(70), 1), None);
        assert_eq!(resolved.tag_at(now, 2), None);
        // The half in which it stands is the older one by then.
        resolved.remember_at(after(61), 3, &tag("c"));
        assert_eq!(resolved.tag_at(after(69), 1), Some(tag("b")));
    }

    #[test]
    fn so_many_looks_are_remembered_and_no_more_the_newest_among_them() {
        let (resolved, now) = (ResolvedTags::default(), Instant::now());
        let many = 3 * MAXIMUM as u64;
        for number in 0..many {
            resolved.remember_at(now, number, &tag("t"));
        }
        let looks = resolved.looks();
        assert!(looks.newer.len() + looks.older.len() <= 2 * MAXIMUM);
        drop(looks);
        assert_eq!(resolved.tag_at(now, 0), None);
        assert_eq!(resolved.tag_at(now, many - MAXIMUM as u64), Some(tag("t")));
    }

    #[test]
    fn it_is_the_same_client_repository_and_digest_that_counts() {
        let resolved = ResolvedTags::default();
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse::<IpAddr>().unwrap());
        let [r, s] = ["r", "s"].map(|name| RepositoryName::parse(name).unwrap());
        let [one, two] = [b"1", b"2"].map(|content| Digest::sha256(content));
        resolved.remember(a, &r, &one, &tag("t"));
        assert_eq!(resolved.tag(a, &r, &one), Some(tag("t")));
        for (client, repository, digest) in [(b, &r, &one), (a, &s, &one), (a, &r, &two)] {
            assert_eq!(resolved.tag(client, repository, digest), None);
        }
    }
}
