//! An upload session stays on its backend: the backend's key travels in the query of the session's `Location`.
//!
//! That needs no memory in the door, so it survives restarts and holds across several doors. The registry never sees
//! the parameter: it is taken off before the request is forwarded.

use crate::registry::BackendKey;

const PARAMETER: &str = "_portreeve_backend";

/// Adds the key to a session's URL.
pub(super) fn mark(location: &str, key: &BackendKey) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}{PARAMETER}={key}")
}

/// Splits the key off a query: what remains for the registry, byte for byte, and the key.
pub(super) fn unmark(query: &str) -> (String, Option<&str>) {
    let mut key = None;
    let mut rest = String::with_capacity(query.len());
    for pair in query.split('&') {
        match pair.strip_prefix(PARAMETER).and_then(|value| value.strip_prefix('=')) {
            Some(value) => key = Some(value),
            None => {
                if !rest.is_empty() {
                    rest.push('&');
                }
                rest.push_str(pair);
            }
        }
    }
    (rest, key)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;
    use crate::registry::Backends;

    #[test]
    fn a_marked_location_comes_apart_into_what_it_was() {
        let backends = Backends::new([Url::parse("http://127.0.0.1:5001").unwrap()]);
        let key = backends.all()[0].key();
        for (location, query) in [
            ("http://d/v2/a/blobs/uploads/1?_state=x%2By%3D", "_state=x%2By%3D"),
            ("/v2/a/blobs/uploads/1", ""),
        ] {
            let marked = mark(location, key);
            let (_, marked_query) = marked.split_once('?').unwrap();
            // Docker appends its own parameter behind what it was given.
            let continued = format!("{marked_query}&digest=sha256%3Aabc");
            let (rest, found) = unmark(&continued);
            assert_eq!(found, Some(key.as_str()));
            let mut expected = vec![query, "digest=sha256%3Aabc"];
            expected.retain(|part| !part.is_empty());
            assert_eq!(rest, expected.join("&"));
        }
    }
}
