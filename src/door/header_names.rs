//! Canonical names of headers over HTTP/1.1, in answers that the door makes.
//!
//! Names are compared without regard to case (RFC 9110 section 5.1), but old clients and scripts are not that careful. An
//! answer that is streamed keeps the registry's own spelling.

use bytes::BytesMut;
use http::HeaderName;
use http::header::{ETAG, TE, WWW_AUTHENTICATE};
use pingora_core::Result;

use super::ResponseHead;

/// The same head, with each name as its specification spells it.
pub(super) fn with_canonical_names(head: &ResponseHead) -> Result<ResponseHead> {
    let mut canonical = ResponseHead::build(head.status, Some(head.headers.len()))?;
    for (name, value) in &head.headers {
        canonical.append_header(canonical_name(name), value.clone())?;
    }
    Ok(canonical)
}

/// `Docker-Content-Digest`, `OCI-Subject`, `WWW-Authenticate`.
fn canonical_name(name: &HeaderName) -> String {
    let mut canonical = BytesMut::with_capacity(name.as_str().len());
    write_canonical(name, &mut canonical);
    // Names of headers are ASCII.
    String::from_utf8_lossy(&canonical).into_owned()
}

/// Writes the name of a header as its specification spells it.
pub(super) fn write_canonical(name: &HeaderName, out: &mut BytesMut) {
    match *name {
        ETAG => out.extend_from_slice(b"ETag"),
        TE => out.extend_from_slice(b"TE"),
        WWW_AUTHENTICATE => out.extend_from_slice(b"WWW-Authenticate"),
        _ => {
            let begin = out.len();
            out.extend_from_slice(name.as_str().as_bytes());
            for word in out[begin..].split_mut(|byte| *byte == b'-') {
                let capitals =
                    if matches!(&*word, b"oci" | b"uuid") { word.len() } else { word.len().min(1) };
                word[..capitals].make_ascii_uppercase();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelt_as_their_specifications_spell_them() {
        for spelt in [
            "Allow",
            "Cache-Control",
            "Content-Length",
            "Content-Type",
            "Docker-Content-Digest",
            "Docker-Distribution-Api-Version",
            "Docker-Upload-UUID",
            "ETag",
            "Location",
            "OCI-Filters-Applied",
            "OCI-Subject",
            "OCI-Tag",
            "Range",
            "Retry-After",
            "WWW-Authenticate",
            "X-Content-Type-Options",
        ] {
            let name: HeaderName = spelt.parse().unwrap();
            assert_eq!(canonical_name(&name), spelt);
        }
        assert_eq!(canonical_name(&"a--b-".parse().unwrap()), "A--B-");
    }

    #[test]
    fn repeated_headers_keep_their_order() {
        let mut head = ResponseHead::build(201, None).unwrap();
        for tag in ["a", "b"] {
            head.append_header("oci-tag", tag).unwrap();
        }
        let mut wire = Vec::new();
        with_canonical_names(&head).unwrap().header_to_h1_wire(&mut wire);
        assert_eq!(String::from_utf8(wire).unwrap(), "OCI-Tag: a\r\nOCI-Tag: b\r\n");
    }
}
