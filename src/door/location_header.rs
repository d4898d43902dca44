//! `Location` of everything but uploads is rewritten to the door's URL: pure.

use http::{Method, StatusCode};

use super::uri_reference::UriReference;
use crate::oci::{RepositoryName, Route};

/// The `Location` that the client is to see, if it differs from the registry's.
///
/// An answer that names something the client made (2xx) is always about a path of this door. A redirect may lead to
/// object storage and is left alone, unless it names one of the registry's own addresses. `asked` is the path that the
/// registry was asked for, `repository` the one that it is about, `door` scheme and authority as the client knows them.
pub(super) fn rewritten(
    status: StatusCode,
    location: &str,
    asked: &str,
    repository: Option<&RepositoryName>,
    door: &str,
    is_own: impl Fn(&UriReference<'_>) -> bool,
) -> Option<String> {
    let reference = UriReference::parse(location)?;
    let target = reference.resolve(asked);
    let is_absolute = reference.authority.is_some();
    if !status.is_success() {
        return (is_absolute && is_own(&reference)).then(|| format!("{door}{target}"));
    }
    let here = match without_prefix(&target, repository) {
        Some(path) => path,
        None if target.starts_with("/v2/") => &target,
        None => return None,
    };
    if is_absolute {
        return Some(format!("{door}{here}"));
    }
    (here.len() < target.len()).then(|| here.to_owned())
}

/// The target without what a gateway puts before the registry's paths: what is left is something of this repository.
fn without_prefix<'a>(target: &'a str, repository: Option<&RepositoryName>) -> Option<&'a str> {
    target.match_indices("/v2/").map(|(at, _)| &target[at..]).find(|rest| {
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (*rest, None),
        };
        Route::parse(&Method::GET, path, query).is_ok_and(|route| route.repository() == repository)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKENDS: [&str; 2] = ["127.0.0.1:5001", "registry.internal"];

    fn rewrite(status: u16, location: &str) -> Option<String> {
        let status = StatusCode::from_u16(status).unwrap();
        let repository = RepositoryName::parse("a").unwrap();
        let is_own =
            |reference: &UriReference<'_>| BACKENDS.iter().any(|backend| reference.is_at("http", backend));
        let asked = "/v2/a/manifests/tag";
        rewritten(status, location, asked, Some(&repository), "https://door.example", is_own)
    }

    #[test]
    fn what_a_client_made_is_at_the_door_whatever_the_registry_calls_itself() {
        let path = "/v2/a/manifests/sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = format!("https://door.example{path}");
        for before in [
            "http://127.0.0.1:5001",
            "http://elsewhere:80",
            "https://door.example",
            "//elsewhere",
            "http://elsewhere/prefix",
        ] {
            assert_eq!(rewrite(201, &format!("{before}{path}")), Some(expected.clone()), "{before}");
        }
        assert_eq!(rewrite(201, &format!("/prefix{path}")).as_deref(), Some(path));
        assert_eq!(
            rewrite(202, "http://elsewhere/v2/other/thing").as_deref(),
            Some("https://door.example/v2/other/thing")
        );
        assert_eq!(rewrite(201, "http://elsewhere/thing"), None);
    }

    #[test]
    fn a_path_stays_a_path() {
        assert_eq!(rewrite(202, "/v2/a/blobs/uploads/1"), None);
        assert_eq!(rewrite(307, "/v2/a"), None);
    }

    #[test]
    fn a_redirect_to_object_storage_is_left_alone_and_one_to_the_registry_itself_is_not() {
        assert_eq!(rewrite(307, "https://bucket.storage/v2/x?signature=1"), None);
        assert_eq!(rewrite(307, "//bucket.storage/v2/x?signature=1"), None);
        assert_eq!(rewrite(307, "http://127.0.0.1:5001/v2/x").as_deref(), Some("https://door.example/v2/x"));
        assert_eq!(rewrite(307, "//127.0.0.1:5001/v2/x").as_deref(), Some("https://door.example/v2/x"));
        assert_eq!(rewrite(307, "http://REGISTRY.internal/x").as_deref(), Some("https://door.example/x"));
        assert_eq!(rewrite(307, "http://registry.internal:80/x").as_deref(), Some("https://door.example/x"));
    }
}
