//! What a pull-through cache says of its origin.

use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    errors: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    detail: Detail,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Detail {
    /// As 2.8 passes the origin's answer on.
    Errors { errors: Vec<Cause> },
    /// As 3.x puts it into words.
    Words(String),
}

#[derive(Deserialize)]
struct Cause {
    code: String,
}

/// Whether the body of a cache's 500 is its origin's own "not there" about a manifest. Distribution 2.8 answers a question
/// about a digest that neither of them has with `UNKNOWN`, and with the origin's answer as its detail; 3.1 with that in words.
/// Where the origin cannot be reached, the detail is another.
pub(super) fn is_not_found_at_origin(body: &[u8]) -> bool {
    serde_json::from_slice::<Body>(body).is_ok_and(|body| {
        let [Entry { detail }] = body.errors.as_slice() else { return false };
        match detail {
            Detail::Errors { errors } => {
                matches!(errors.as_slice(), [cause] if cause.code == "MANIFEST_UNKNOWN")
            }
            Detail::Words(words) => words.starts_with("manifest unknown: "),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_origins_own_denial_of_the_manifest_is_absence() {
        // As 2.8.2 wrote them.
        let denied = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Name":"a","Revision":"sha256:b"}}]}}]}"#;
        let away = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Op":"Get","URL":"http://127.0.0.1:1/v2/","Err":{"Op":"dial","Net":"tcp"}}}]}"#;
        assert!(is_not_found_at_origin(denied));
        // As 3.1.1 wrote it.
        let in_words = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"manifest unknown: manifest unknown"}]}"#;
        assert!(is_not_found_at_origin(in_words));
        for other in [
            &away[..],
            b"",
            b"{}",
            br#"{"errors":[]}"#,
            br#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#,
            br#"{"errors":[{"code":"UNKNOWN","detail":{"errors":[]}}]}"#,
            br#"{"errors":[{"code":"UNKNOWN","detail":{"errors":[{"code":"UNAUTHORIZED"}]}}]}"#,
            br#"{"errors":[{"code":"UNKNOWN","detail":{"errors":[{"code":"MANIFEST_UNKNOWN"},{"code":"DENIED"}]}}]}"#,
        ] {
            assert!(!is_not_found_at_origin(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
