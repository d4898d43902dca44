//! What a request needs: the access that a route asks for, as distribution asks for it too
//! (`registry/handlers/app.go`, `appendAccessRecords`); and how paths of the door's own say what they need.

use super::scope::{Access, Action, Actions};
use crate::oci::Route;

/// What a request to a path of the door's own needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnAccess {
    /// Nothing of the gate's: it is for everybody, or asks for a secret of its own.
    Open,
    /// Somebody who has logged in, whoever they are: nothing but that the request is malformed can be told.
    Login,
    /// This; administrators may do all that can be done here.
    Needs(Access),
}

/// Tells what a request to a path of the door's own needs: to one that is not known, too.
pub type OwnAccessOf = fn(&http::Uri) -> OwnAccess;

impl Access {
    /// What a route needs. `/v2/` itself needs nothing but somebody who is let in at all. A mount also needs to read its
    /// source, which is not in here: without that it is a plain upload. A preflight comes without credentials and needs
    /// nothing.
    pub fn needed_for(route: &Route) -> Option<Self> {
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

    /// What a mount needs of its source; none if it names none.
    pub fn needed_for_source(route: &Route) -> Option<Self> {
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
    fn every_route_needs_what_distribution_asks_for() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (method, path, needed) in [
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
            let found = Access::needed_for(&route).map(|access| access.to_string()).unwrap_or_default();
            assert_eq!(found, needed, "{method} {path}");
        }
    }

    #[test]
    fn a_mount_needs_to_read_its_source() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let source = |query: &str| {
            let route = Route::parse(&Method::POST, "/v2/a/blobs/uploads/", Some(query)).unwrap();
            Access::needed_for_source(&route).map(|access| access.to_string())
        };
        assert_eq!(source(&format!("mount={digest}&from=b/c")).as_deref(), Some("repository:b/c:pull"));
        assert_eq!(source(&format!("mount={digest}")), None);
        assert_eq!(source(""), None);
    }
}
