//! The access that a request to the registry requires, by its route, as distribution requires it too
//! (`registry/handlers/app.go`, `appendAccessRecords`).

use super::Route;
use super::scope::{Access, Action, Actions};

impl Access {
    /// The access that a route requires. `/v2/` itself requires none beyond being let in at all. A mount also requires that
    /// the client may read its source, which is not in here: without that it is a plain upload. A preflight comes without
    /// credentials and requires nothing.
    pub fn required_by(route: &Route) -> Option<Self> {
        let (repository, actions) = match route {
            Route::Base | Route::Preflight { .. } => return None,
            Route::Catalog => return Some(Self::Catalog),
            Route::Tags { repository }
            | Route::ManifestRead { repository, .. }
            | Route::Referrers { repository, .. }
            | Route::BlobRead { repository, .. } => (repository, Actions::of(&[Action::Pull])),
            Route::ManifestPut { repository, .. }
            | Route::UploadStart { repository, .. }
            | Route::Upload { repository, .. } => (repository, Actions::of(&[Action::Pull, Action::Push])),
            Route::ManifestDelete { repository, .. } | Route::BlobDelete { repository, .. } => {
                (repository, Actions::of(&[Action::Delete]))
            }
        };
        Some(Self::to(repository.clone(), actions))
    }

    /// The access that a mount requires to its source; none if the request names none.
    pub fn required_by_mount_source(route: &Route) -> Option<Self> {
        match route {
            Route::UploadStart { mount: Some(mount), .. } => {
                Some(Self::to(mount.from.clone()?, Actions::of(&[Action::Pull])))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn every_route_requires_what_distribution_requires() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (method, path, required) in [
            (Method::GET, "/v2/".to_owned(), ""),
            (Method::GET, "/v2/_catalog".to_owned(), "registry:catalog:*"),
            (Method::GET, "/v2/a/b/tags/list".to_owned(), "repository:a/b:pull"),
            (Method::HEAD, "/v2/a/manifests/t".to_owned(), "repository:a:pull"),
            (Method::PUT, "/v2/a/manifests/t".to_owned(), "repository:a:pull,push"),
            (Method::DELETE, "/v2/a/manifests/t".to_owned(), "repository:a:delete"),
            (Method::GET, format!("/v2/a/blobs/{digest}"), "repository:a:pull"),
            (Method::DELETE, format!("/v2/a/blobs/{digest}"), "repository:a:delete"),
            (Method::GET, format!("/v2/a/referrers/{digest}"), "repository:a:pull"),
            (Method::POST, "/v2/a/blobs/uploads/".to_owned(), "repository:a:pull,push"),
            (Method::PATCH, "/v2/a/blobs/uploads/1".to_owned(), "repository:a:pull,push"),
            (Method::DELETE, "/v2/a/blobs/uploads/1".to_owned(), "repository:a:pull,push"),
            (Method::OPTIONS, "/v2/a/manifests/t".to_owned(), ""),
            (Method::OPTIONS, "/v2/_catalog".to_owned(), ""),
        ] {
            let route = Route::parse(&method, &path, None).unwrap();
            let found = Access::required_by(&route).map(|access| access.to_string()).unwrap_or_default();
            assert_eq!(found, required, "{method} {path}");
        }
    }

    #[test]
    fn a_mount_requires_access_to_its_source() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let source = |query: &str| {
            let route = Route::parse(&Method::POST, "/v2/a/blobs/uploads/", Some(query)).unwrap();
            Access::required_by_mount_source(&route).map(|access| access.to_string())
        };
        assert_eq!(source(&format!("mount={digest}&from=b/c")).as_deref(), Some("repository:b/c:pull"));
        assert_eq!(source(&format!("mount={digest}")), None);
        assert_eq!(source(""), None);
    }
}
