//! `GET /v2/<name>/referrers/<digest>` from the record (OCI distribution spec, "Listing Referrers").
//!
//! A fallback tag needs no look of its own: what its index lists is recorded with it, each manifest by its own `subject`, its
//! artifact type and annotations taken from the manifest itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http::header::LINK;
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use url::form_urlencoded;

use super::answer::{Unanswered, headers, response};
use super::page::link;
use crate::door::{Refusal, Response};
use crate::oci::{Digest, Document, ErrorCode, MediaType, RepositoryName};
use crate::store::{ManifestRecord, PageRequest, Records};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// How many referrers are read at once.
const PART: usize = 100;
/// About how long the list in one answer may become, in bytes; what follows is linked to. A manifest may have 4 MiB.
const LONGEST: usize = 2 * 1024 * 1024;

/// An image index with these manifests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

/// A referrer as the specification wants it described.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: MediaType,
    size: u64,
    digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<MediaType>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// About how long it is as JSON, in bytes.
    fn length(&self) -> usize {
        let annotations = self.annotations.iter().map(|(name, value)| name.len() + value.len() + 16);
        256 + annotations.sum::<usize>()
    }
}

impl From<ManifestRecord> for Descriptor {
    fn from(record: ManifestRecord) -> Self {
        let Document { media_type, size, artifact_type, annotations, .. } = record.document;
        Self { media_type, size, digest: record.digest, artifact_type, annotations }
    }
}

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Any of these artifact types; all if there are none.
    artifact_types: BTreeSet<String>,
    /// From behind this one on.
    last: Option<Digest>,
}

impl Asked {
    fn parse(query: &str) -> Result<Self, Unanswered> {
        let mut asked = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).filter(|(_, value)| !value.is_empty()) {
            match name.as_ref() {
                "artifactType" => {
                    asked.artifact_types.insert(value.into_owned());
                }
                "last" => {
                    let last = Digest::parse(&value).map_err(|invalid| {
                        Unanswered::Refused(Refusal::of(ErrorCode::DigestInvalid, invalid))
                    })?;
                    asked.last = Some(last);
                }
                _ => {}
            }
        }
        Ok(asked)
    }

    fn wants(&self, descriptor: &Descriptor) -> bool {
        let artifact_type = descriptor.artifact_type.as_ref().map_or("", MediaType::as_str);
        self.artifact_types.is_empty() || self.artifact_types.contains(artifact_type)
    }

    /// The parameters of the filter, for a link.
    fn parameters(&self) -> String {
        let encoded = |text: &String| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        self.artifact_types.iter().map(|wanted| format!("&artifactType={}", encoded(wanted))).collect()
    }
}

pub(super) async fn answer(
    records: &dyn Records,
    repository: &RepositoryName,
    subject: &Digest,
    query: &str,
) -> Result<Response, Unanswered> {
    let asked = Asked::parse(query)?;
    let (mut manifests, mut length) = (Vec::new(), 0);
    let mut after = asked.last.clone();
    let next = loop {
        let request = PageRequest { after, limit: PART };
        let page = records.referrers(repository, subject, request).await?;
        for descriptor in page.items.into_iter().map(Descriptor::from).filter(|found| asked.wants(found)) {
            length += descriptor.length();
            manifests.push(descriptor);
        }
        if page.next.is_none() || length > LONGEST {
            break page.next;
        }
        after = page.next;
    };
    let mut headers = headers(HeaderValue::from_static(MediaType::OCI_INDEX));
    if !asked.artifact_types.is_empty() {
        headers.insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let Some(next) = next {
        let path = format!("/v2/{repository}/referrers/{subject}");
        headers.insert(LINK, HeaderValue::try_from(link(&path, next.as_str(), &asked.parameters()))?);
    }
    let index = Index { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests };
    let json = serde_json::to_vec(&index).map_err(|error| Unanswered::Head(error.into()))?;
    Ok(response(StatusCode::OK, headers, Bytes::from(json)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_any_number_of_types_and_an_empty_one_is_none() {
        let parse = |query: &str| Asked::parse(query).unwrap();
        assert_eq!(parse(""), Asked::default());
        assert_eq!(parse("artifactType="), Asked::default());
        let two = parse("artifactType=b%2Fc%2Bd&x=1&artifactType=a");
        assert_eq!(two.artifact_types, BTreeSet::from(["a".to_owned(), "b/c+d".to_owned()]));
        assert_eq!(two.parameters(), "&artifactType=a&artifactType=b%2Fc%2Bd");
        let digest = Digest::sha256(b"one");
        assert_eq!(parse(&format!("last={digest}")).last, Some(digest));
        assert!(matches!(Asked::parse("last=sha256:x"), Err(Unanswered::Refused(_))));
    }
}
