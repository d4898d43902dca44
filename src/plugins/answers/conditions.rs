//! `If-None-Match` (RFC 9110 section 13.1.2). Pure.

use http::HeaderMap;
use http::header::IF_NONE_MATCH;

use crate::oci::Digest;

/// Whether the client has what it asks for already: one of the entity tags that it names is this digest, or it names any. A
/// digest without quotes counts as well, as it does at registries.
pub(super) fn has_it(headers: &HeaderMap, digest: &Digest) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).any(|tag| {
        // Entity tags are compared weakly here. No digest has a comma in it.
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag);
        tag == "*" || opaque == digest.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_what_one_of_its_entity_tags_names() {
        let digest = Digest::sha256(b"one");
        let other = Digest::sha256(b"other");
        for (value, expected) in [
            (format!("\"{digest}\""), true),
            (format!("{digest}"), true),
            (format!("W/\"{digest}\""), true),
            (format!("\"{other}\" , \"{digest}\""), true),
            ("*".to_owned(), true),
            (format!("\"{other}\""), false),
            ("\"*\"".to_owned(), false),
            (String::new(), false),
            (format!("\"{digest}"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(IF_NONE_MATCH, value.parse().unwrap());
            assert_eq!(has_it(&headers, &digest), expected, "{value}");
        }
        let mut headers = HeaderMap::new();
        assert!(!has_it(&headers, &digest));
        headers.append(IF_NONE_MATCH, "\"a\"".parse().unwrap());
        headers.append(IF_NONE_MATCH, format!("\"{digest}\"").parse().unwrap());
        assert!(has_it(&headers, &digest), "in a second field");
    }
}
