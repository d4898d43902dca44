//! What an answer of the registry says: a manifest, that there is none, or nothing that counts.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use super::transport::BodyError;
use super::{MalformedAnswer, RegistryError, WriteAnswer, retry_after};
use crate::clock::Timestamp;
use crate::oci::{Digest, Manifest, MediaType, Reference, first_error_code};

/// The header in which a registry names the digest of what it stored or sends.
const DOCKER_CONTENT_DIGEST: &str = "docker-content-digest";

/// The body, if it is whole.
pub(super) fn whole_body(asked: &str, body: Result<Bytes, BodyError>) -> Result<Bytes, RegistryError> {
    body.map_err(|source| RegistryError::Broken { asked: asked.to_owned(), source })
}

/// An answer that is neither what was asked for nor "not there".
pub(super) fn refusal(asked: String, status: StatusCode, headers: &HeaderMap) -> RegistryError {
    RegistryError::Refused { asked, status, retry_after: retry_after(headers, Timestamp::now()) }
}

/// The digest in `Docker-Content-Digest`, if there is a valid one.
pub(super) fn digest_named(headers: &HeaderMap) -> Option<Digest> {
    let value = headers.get(DOCKER_CONTENT_DIGEST)?;
    Digest::parse(value.to_str().ok()?).ok()
}

impl WriteAnswer {
    /// The digest that the registry says it stored, if it says so.
    pub fn digest(&self) -> Option<Digest> {
        digest_named(&self.headers)
    }
}

/// The manifest in an answer of 200.
///
/// # Errors
/// When it is none, or another one than was asked for.
pub(super) fn read_manifest(
    asked: String,
    reference: &Reference,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Manifest, RegistryError> {
    let media_type =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(MediaType::from_header);
    let in_header = digest_named(headers);
    let asked_for = match reference {
        Reference::Digest(digest) => Some(digest.clone()),
        Reference::Tag(_) => None,
    };
    for digest in asked_for.iter().chain(&in_header) {
        if digest.matches(&body) == Some(false) {
            let source = MalformedAnswer::OtherBytes(digest.clone());
            return Err(RegistryError::Malformed { asked, source });
        }
    }
    let named = asked_for.or(in_header);
    let manifest = if named.as_ref().and_then(|digest| digest.matches(&body)) == Some(true) {
        // What the registry holds is recorded even if its document is not what its type promises.
        Manifest::parse(body.clone(), media_type.clone()).unwrap_or_else(|error| {
            tracing::warn!(%asked, %error, "the registry holds a manifest that cannot be read; its name and bytes are kept");
            Manifest::unread(body, media_type.unwrap_or_else(|| MediaType::from("")))
        })
    } else {
        // Nothing says that these bytes are the registry's: a gateway answers its page with 200 as well.
        Manifest::recognise(body, media_type)
            .map_err(|error| RegistryError::Malformed { asked, source: error.into() })?
    };
    Ok(match named {
        Some(digest) => manifest.with_digest(digest),
        None => manifest,
    })
}

/// Whether a registry that was asked for a digest names another one. One of another algorithm may be of the same bytes.
pub(super) fn contradicts(named: &Digest, asked_for: &Reference) -> bool {
    match asked_for {
        Reference::Digest(digest) => digest.algorithm() == named.algorithm() && digest != named,
        Reference::Tag(_) => false,
    }
}

/// Whether the body of a 404 is the specification's, so that it speaks for the registry.
pub(super) fn is_not_found(body: &[u8]) -> bool {
    let unknown = ["MANIFEST_UNKNOWN", "NAME_UNKNOWN", "NOT_FOUND", "BLOB_UNKNOWN"];
    first_error_code(body).is_some_and(|code| unknown.contains(&code.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_specifications_own_404_means_absence() {
        assert!(is_not_found(
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"x","detail":{"Tag":"a"}}]}"#
        ));
        assert!(is_not_found(br#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#));
        for other in [
            &b""[..],
            b"404 page not found",
            b"<html>",
            br#"{"errors":[]}"#,
            br#"{"errors":[{"code":"UNKNOWN"}]}"#,
        ] {
            assert!(!is_not_found(other), "{}", String::from_utf8_lossy(other));
        }
    }

    const IMAGE: &str = r#"{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0},"layers":[]}"#;

    fn read(reference: &str, headers: &[(http::HeaderName, &str)], body: &str) -> Option<Manifest> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let reference = Reference::parse(reference).unwrap();
        read_manifest("GET".to_owned(), &reference, &headers, Bytes::copy_from_slice(body.as_bytes())).ok()
    }

    #[test]
    fn without_a_digest_only_what_is_recognisably_a_manifest_counts() {
        let digest = http::HeaderName::from_static(DOCKER_CONTENT_DIGEST);
        let page = "<html>please log in</html>";
        for media_type in ["text/html", "application/json", MediaType::OCI_MANIFEST, ""] {
            for body in [
                page,
                "",
                "{}",
                "[]",
                "null",
                r#"{"schemaVersion":2}"#,
                r#"{"errors":[]}"#,
                r#"{"config":{},"layers":[]}"#,
            ] {
                assert_eq!(read("latest", &[(CONTENT_TYPE, media_type)], body), None, "{media_type} {body}");
            }
        }
        // A registry that sends no type and no digest.
        for media_type in ["text/plain", "application/json", MediaType::OCI_MANIFEST] {
            let found = read("latest", &[(CONTENT_TYPE, media_type)], IMAGE).unwrap();
            assert_eq!(
                (found.digest.clone(), found.document.media_type.as_str()),
                (Digest::sha256(IMAGE.as_bytes()), MediaType::OCI_MANIFEST)
            );
        }
        // The digest vouches for what the door cannot read.
        let own = Digest::sha256(page.as_bytes());
        assert!(read("latest", &[(digest, own.as_str())], page).is_some());
        assert!(read(own.as_str(), &[], page).is_some());
    }

    #[test]
    fn a_body_that_contradicts_the_digest_in_its_header_is_malformed_however_it_was_asked_for() {
        let name = http::HeaderName::from_static(DOCKER_CONTENT_DIGEST);
        let (own, other) = (Digest::sha256(IMAGE.as_bytes()), Digest::sha256(b"other"));
        for reference in ["latest", own.as_str()] {
            let headers = [(CONTENT_TYPE, MediaType::OCI_MANIFEST), (name.clone(), other.as_str())];
            assert_eq!(read(reference, &headers, IMAGE), None, "{reference}");
        }
    }

    #[test]
    fn a_registry_that_names_another_digest_than_the_one_asked_for_is_not_believed() {
        let asked = Reference::Digest(Digest::sha256(b"a"));
        assert!(contradicts(&Digest::sha256(b"b"), &asked));
        assert!(!contradicts(&Digest::sha256(b"a"), &asked));
        let sha512 = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
        assert!(!contradicts(&sha512, &asked), "it may be of the same bytes");
    }

    #[test]
    fn bytes_that_do_not_have_the_digest_asked_for_are_no_manifest() {
        let reference = Reference::Digest(Digest::sha256(b"something else"));
        let answer =
            read_manifest("GET".to_owned(), &reference, &HeaderMap::new(), Bytes::from_static(b"{}"));
        assert!(matches!(answer, Err(RegistryError::Malformed { .. })));
    }
}
