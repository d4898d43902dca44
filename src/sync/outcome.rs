//! What the registry's answer to a write means: pure.

use std::sync::Arc;

use http::StatusCode;

use super::write::ManifestWrite;
use crate::oci::{Manifest, Reference, RepositoryName, Tag};
use crate::registry::WriteAnswer;
use crate::store::{Change, Write};

/// What an answer says about the registry.
#[derive(Debug)]
pub(super) enum Meaning {
    /// It did this.
    Done(Change),
    /// It says "success", but not as the specification has it: a registry that is lax may have done this, and a page in
    /// its place has not. It has to be asked before the client hears of a success.
    Unconfirmed(Change),
    /// It did nothing.
    Nothing,
    /// It may have done something: it has to be asked.
    Unknown,
}

impl ManifestWrite {
    /// What the intent announces.
    pub(super) fn announced(&self) -> Write {
        match self {
            Self::Put { reference, tags, manifest, .. } => {
                let mut all: Vec<Tag> = tags.clone();
                if let Reference::Tag(tag) = reference
                    && !all.contains(tag)
                {
                    all.push(tag.clone());
                }
                let digest = match reference {
                    Reference::Digest(digest) => digest.clone(),
                    Reference::Tag(_) => manifest.digest.clone(),
                };
                Write::Put { digest, tags: all }
            }
            Self::Delete { reference, .. } => Write::Delete { reference: reference.clone() },
        }
    }

    /// Reads the registry's answer.
    pub(super) fn meaning(&self, answer: &WriteAnswer) -> Meaning {
        if answer.status.is_success() {
            return match self {
                Self::Put { repository, reference, manifest, .. } => {
                    put_done(repository, reference, manifest, answer)
                }
                Self::Delete { repository, reference } => deleted(repository, reference, answer.status),
            };
        }
        match (self, answer.status) {
            // A deletion is not atomic in the registry, and "not there" is news if the record says otherwise; these
            // refusals come before it has begun.
            (
                Self::Delete { .. },
                StatusCode::BAD_REQUEST
                | StatusCode::UNAUTHORIZED
                | StatusCode::FORBIDDEN
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::TOO_MANY_REQUESTS,
            ) => Meaning::Nothing,
            (Self::Put { .. }, status) if status.is_client_error() => Meaning::Nothing,
            _ => Meaning::Unknown,
        }
    }
}

/// A manifest is put when the answer is 201 (OCI distribution spec, "Pushing manifests"), or another success that names
/// the digest of what was sent.
fn put_done(
    repository: &RepositoryName,
    reference: &Reference,
    manifest: &Arc<Manifest>,
    answer: &WriteAnswer,
) -> Meaning {
    let named = answer.digest();
    let is_named = named.as_ref().map(|digest| manifest.has_digest(digest));
    let is_done = match is_named {
        Some(Some(true)) => true,
        // It stored something else than it was sent.
        Some(Some(false)) => false,
        // No digest, or one of an algorithm that the door cannot compute.
        None | Some(None) => answer.status == StatusCode::CREATED,
    };
    let named = named.filter(|_| is_named != Some(Some(false)));
    let digest = named.unwrap_or_else(|| match reference {
        Reference::Digest(digest) => digest.clone(),
        Reference::Tag(_) => manifest.digest.clone(),
    });
    let mut tags = accepted_tags(answer);
    if let Reference::Tag(tag) = reference
        && !tags.contains(tag)
    {
        tags.push(tag.clone());
    }
    let manifest = if manifest.digest == digest {
        Arc::clone(manifest)
    } else {
        Arc::new(Manifest::clone(manifest).with_digest(digest))
    };
    let change = Change::ManifestPut { repository: repository.clone(), manifest, tags };
    if is_done { Meaning::Done(change) } else { Meaning::Unconfirmed(change) }
}

/// A deletion is accepted by 202 (OCI distribution spec, "Deleting manifests").
fn deleted(repository: &RepositoryName, reference: &Reference, status: StatusCode) -> Meaning {
    let repository = repository.clone();
    let change = match reference {
        Reference::Tag(tag) => Change::TagDeleted { repository, tag: tag.clone() },
        Reference::Digest(digest) => {
            Change::ManifestDeleted { repository, digest: digest.clone(), undecided: Vec::new() }
        }
    };
    if status == StatusCode::ACCEPTED { Meaning::Done(change) } else { Meaning::Unconfirmed(change) }
}

/// The tags that the registry says it set: `OCI-Tag`, repeated or as lists (OCI distribution spec, "Pushing manifests
/// with multiple tags"). A registry that does not know of `?tag=` sends none, and set none.
fn accepted_tags(answer: &WriteAnswer) -> Vec<Tag> {
    let mut tags = Vec::new();
    let values = answer.headers.get_all("oci-tag").iter().filter_map(|value| value.to_str().ok());
    for text in values.flat_map(|value| value.split(',')) {
        match Tag::parse(text.trim()) {
            Ok(tag) if !tags.contains(&tag) => tags.push(tag),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the registry's OCI-Tag names what is no tag"),
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;
    use crate::oci::Digest;

    fn repository() -> RepositoryName {
        RepositoryName::parse("team/app").unwrap()
    }

    fn put(reference: Reference) -> ManifestWrite {
        let manifest = Manifest::parse(Bytes::from_static(b"text"), None).unwrap();
        let manifest = Arc::new(manifest);
        ManifestWrite::Put { repository: repository(), reference, tags: Vec::new(), manifest }
    }

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> WriteAnswer {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .fold(HeaderMap::new(), |mut map, (name, value)| {
                map.append(name, value);
                map
            });
        WriteAnswer { status: StatusCode::from_u16(status).unwrap(), headers, body: Bytes::new() }
    }

    fn tags_of(meaning: Meaning) -> Vec<String> {
        match meaning {
            Meaning::Done(Change::ManifestPut { tags, .. }) => tags.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_put_by_tag_sets_that_tag_and_those_that_the_registry_names() {
        let write = put(Reference::Tag(Tag::parse("latest").unwrap()));
        assert_eq!(tags_of(write.meaning(&answer(201, &[]))), ["latest"]);
        let answer = answer(201, &[("oci-tag", "v1, v1.2"), ("oci-tag", "v2")]);
        assert_eq!(tags_of(write.meaning(&answer)), ["v1", "v1.2", "v2", "latest"]);
    }

    #[test]
    fn tags_asked_for_by_query_count_only_if_the_registry_names_them() {
        let write = put(Reference::Digest(Digest::sha256(b"text")));
        assert!(tags_of(write.meaning(&answer(201, &[]))).is_empty());
    }

    #[test]
    fn a_registry_that_names_another_digest_than_that_of_the_bytes_has_to_be_asked() {
        let write = put(Reference::Tag(Tag::parse("latest").unwrap()));
        let other = Digest::sha256(b"other");
        let answer = answer(201, &[("docker-content-digest", other.as_str())]);
        assert!(matches!(write.meaning(&answer), Meaning::Unconfirmed(_)));
    }

    #[test]
    fn a_success_of_another_kind_counts_for_a_put_only_if_it_names_the_digest() {
        let write = put(Reference::Tag(Tag::parse("latest").unwrap()));
        let own = Digest::sha256(b"text");
        for status in [200, 202, 203, 204, 206] {
            let page = answer(status, &[("content-type", "text/html")]);
            assert!(matches!(write.meaning(&page), Meaning::Unconfirmed(_)), "{status}");
            let named = answer(status, &[("docker-content-digest", own.as_str())]);
            assert_eq!(tags_of(write.meaning(&named)), ["latest"], "{status}");
        }
    }

    #[test]
    fn only_202_accepts_a_deletion() {
        for reference in [Reference::Digest(Digest::sha256(b"text")), Reference::parse("latest").unwrap()] {
            let write = ManifestWrite::Delete { repository: repository(), reference };
            assert!(matches!(write.meaning(&answer(202, &[])), Meaning::Done(_)));
            for status in [200, 201, 203, 204] {
                assert!(matches!(write.meaning(&answer(status, &[])), Meaning::Unconfirmed(_)), "{status}");
            }
        }
    }

    #[test]
    fn a_refused_put_did_nothing_and_a_server_error_may_have() {
        let write = put(Reference::Tag(Tag::parse("latest").unwrap()));
        for status in [400, 401, 403, 404, 405, 413, 429] {
            assert!(matches!(write.meaning(&answer(status, &[])), Meaning::Nothing), "{status}");
        }
        for status in [500, 502, 503, 504, 307] {
            assert!(matches!(write.meaning(&answer(status, &[])), Meaning::Unknown), "{status}");
        }
    }

    #[test]
    fn a_deletion_that_was_refused_before_it_began_did_nothing_and_any_other_has_to_be_asked_about() {
        let write = ManifestWrite::Delete {
            repository: repository(),
            reference: Reference::Digest(Digest::sha256(b"text")),
        };
        for status in [400, 401, 403, 405, 429] {
            assert!(matches!(write.meaning(&answer(status, &[])), Meaning::Nothing), "{status}");
        }
        for status in [404, 409, 500, 502] {
            assert!(matches!(write.meaning(&answer(status, &[])), Meaning::Unknown), "{status}");
        }
    }
}
