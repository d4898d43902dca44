//! The promise of the route parser: the registry never reads an accepted request line in another way.

use http::Method;

use super::oci::{ErrorCode, Reference, Route};
use super::registry_grammar::{
    DISTRIBUTION_2_8, DISTRIBUTION_3_1, Handler, Reading, first, is_digest, parameters,
};

/// Parses the request line. If it is accepted, both registries must serve the same thing for it; if it is refused, the
/// refusal must be one that a client can be told. Says whether it was accepted.
///
/// # Panics
/// When that does not hold.
pub fn assert_read_in_one_way(method: &Method, path: &str, query: Option<&str>) -> bool {
    let route = match Route::parse(method, path, query) {
        Ok(route) => route,
        Err(refused) => {
            assert!(refused.code.status().is_client_error(), "{refused} is no client error");
            assert!(!refused.message.is_empty() && refused.message.len() < 1024, "{refused}");
            assert_eq!(refused.allow.is_some(), refused.code == ErrorCode::Unsupported, "{refused}");
            return false;
        }
    };
    assert_eq!(route.path(), path, "an accepted path has one spelling");
    assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    let expected = expected_reading(&route);
    assert_eq!(DISTRIBUTION_2_8.read(path), expected, "2.8 reads {method} {path} differently");
    assert_eq!(DISTRIBUTION_3_1.read(path), expected, "3.1 reads {method} {path} differently");
    assert_same_grammar(&route);
    assert_same_query(&route, query.unwrap_or_default());
    let again = Route::parse(method, &route.path(), query);
    assert_eq!(again.as_ref(), Ok(&route), "parsing what was written gives the same");
    true
}

fn expected_reading(route: &Route) -> Reading {
    if let Route::Preflight { of } = route {
        return expected_reading(of);
    }
    let name = route.repository().map(ToString::to_string).unwrap_or_default();
    Reading::Serves(match route {
        Route::Base => Handler::Base,
        Route::Catalog => Handler::Catalog,
        Route::Tags { .. } => Handler::TagsList { name },
        Route::ManifestRead { reference, .. }
        | Route::ManifestPut { reference, .. }
        | Route::ManifestDelete { reference, .. } => {
            Handler::Manifest { name, reference: reference.to_string() }
        }
        Route::BlobRead { digest, .. } | Route::BlobDelete { digest, .. } => {
            Handler::Blob { name, digest: digest.to_string() }
        }
        Route::UploadStart { .. } => Handler::BlobUpload { name },
        Route::Upload { upload, .. } => Handler::BlobUploadChunk { name, uuid: upload.as_str().to_owned() },
        // Neither version has referrers; then it must be nothing else to them.
        Route::Referrers { .. } => return Reading::Unknown,
        Route::Preflight { .. } => unreachable!("looked through above"),
    })
}

fn assert_same_grammar(route: &Route) {
    if let Route::Preflight { of } = route {
        return assert_same_grammar(of);
    }
    if let Some(repository) = route.repository() {
        assert!((1..=255).contains(&repository.as_str().len()), "{repository} has a wrong length");
    }
    match route {
        Route::ManifestRead { reference, .. }
        | Route::ManifestPut { reference, .. }
        | Route::ManifestDelete { reference, .. } => {
            let door_says_digest = matches!(reference, Reference::Digest(_));
            assert_eq!(
                door_says_digest,
                is_digest(reference.as_str()),
                "{reference} is a digest to one of the two"
            );
        }
        Route::Referrers { digest, .. }
        | Route::BlobRead { digest, .. }
        | Route::BlobDelete { digest, .. } => {
            assert!(is_digest(digest.as_str()), "{digest} is none to the registry");
        }
        _ => {}
    }
}

fn assert_same_query(route: &Route, query: &str) {
    if let Route::Preflight { of } = route {
        return assert_same_query(of, query);
    }
    let parameters = parameters(query);
    match route {
        Route::UploadStart { mount, .. } => {
            let door_mounts = mount.as_ref().map(|mount| mount.digest.as_str()).unwrap_or_default();
            assert_eq!(door_mounts, first(&parameters, "mount"), "{query:?} mounts another blob");
            if let Some(mount) = mount {
                let door_reads = mount.from.as_ref().map(|from| from.as_str()).unwrap_or_default();
                assert_eq!(door_reads, first(&parameters, "from"), "{query:?} mounts from elsewhere");
                assert!(is_digest(mount.digest.as_str()), "{} is none to the registry", mount.digest);
            }
        }
        Route::ManifestPut { tags, reference, .. } => {
            let mut asked: Vec<_> =
                parameters.iter().filter(|(key, _)| key == "tag").map(|(_, value)| value.as_str()).collect();
            let door_tags: Vec<_> = tags.iter().map(|tag| tag.as_str()).collect();
            assert!(
                asked.iter().all(|tag| door_tags.contains(tag)),
                "{query:?} asks for more than {door_tags:?}"
            );
            asked.dedup();
            assert!(door_tags.len() <= asked.len(), "{door_tags:?} is more than {query:?} asks for");
            assert!(door_tags.is_empty() || matches!(reference, Reference::Digest(_)), "{query:?} on a tag");
        }
        _ => {}
    }
}
