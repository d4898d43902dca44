//! Which paths the door itself answers, and what each of them needs. A path stands beside its access and its handler, so that
//! there is none without an access; what stands nowhere is refused.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::request::Parts;
use axum::routing::MethodRouter;
use url::form_urlencoded;

use super::WebState;
use crate::auth::{Access, Action, Actions, OwnAccess, Viewer};
use crate::oci::RepositoryName;

/// A path that the door itself answers.
pub(super) struct Route {
    /// The path, whole.
    pub path: &'static str,
    /// What a request to it needs, whatever its method.
    pub needs: Needs,
    /// What answers.
    pub answer: MethodRouter<WebState>,
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: probes of orchestrators and load balancers, and what everybody has to reach before they can log in.
    Nothing,
    /// A secret that is not the gate's, which its handler looks at.
    ItsOwnSecret,
    /// The action `catalog`.
    Catalog,
    /// The action `pull` on the repository in the parameter `repository`.
    Pull,
    /// The same where one repository is asked about; an administrator for the history of all, and for another kind.
    PullOrAdmin,
    /// The action `admin`.
    Admin,
}

impl Needs {
    /// What a request with this query needs.
    fn of(self, query: Option<&str>) -> OwnAccess {
        let given = |wanted: &'static str| {
            let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            pairs.filter(move |(name, _)| name == wanted).map(|(_, value)| value)
        };
        let pull = |repository: &str| match RepositoryName::parse(repository) {
            Ok(name) => OwnAccess::Needs(Access::to(name, Actions::of(&[Action::Pull]))),
            // The handler refuses it by the same reading, and shows nothing else.
            Err(_) => OwnAccess::Login,
        };
        let mut repositories = given("repository");
        match self {
            Self::Nothing | Self::ItsOwnSecret => OwnAccess::Open,
            Self::Catalog => OwnAccess::Needs(Access::Catalog),
            Self::Admin => OwnAccess::Needs(Access::Admin),
            Self::PullOrAdmin if given("kind").next().is_some() => OwnAccess::Needs(Access::Admin),
            Self::Pull | Self::PullOrAdmin => match (repositories.next(), repositories.next()) {
                (Some(repository), None) => pull(&repository),
                (None, _) if self == Self::PullOrAdmin => OwnAccess::Needs(Access::Admin),
                // Missing, or given twice: refused by the handler.
                (None | Some(_), _) => OwnAccess::Login,
            },
        }
    }
}

/// What a request to a path of the door's own needs. One that is not known needs an administrator, who is told that it is
/// not there: to everybody else it looks like those that are.
pub fn own_access(uri: &Uri) -> OwnAccess {
    static NEEDS: LazyLock<HashMap<&'static str, Needs>> =
        LazyLock::new(|| super::routes().into_iter().map(|route| (route.path, route.needs)).collect());
    NEEDS.get(uri.path()).copied().unwrap_or(Needs::Admin).of(uri.query())
}

/// A router of these.
pub(super) fn router(routes: impl IntoIterator<Item = Route>) -> Router<WebState> {
    routes.into_iter().fold(Router::new(), |router, Route { path, answer, .. }| router.route(path, answer))
}

impl FromRequestParts<WebState> for Viewer {
    type Rejection = Infallible;

    /// Whom the gate has found. Without a gate everybody sees everything; with one, whoever has not come through it nothing.
    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Infallible> {
        if state.gate.is_none() {
            return Ok(Self::Unrestricted);
        }
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parameters::Parameters;
    use super::*;

    fn needed(path: &str) -> String {
        match own_access(&path.parse().unwrap()) {
            OwnAccess::Open => "open".to_owned(),
            OwnAccess::Login => "login".to_owned(),
            OwnAccess::Needs(access) => access.to_string(),
        }
    }

    #[test]
    fn every_route_needs_what_is_documented_for_it() {
        let open = ["/", "/healthz", "/readyz", "/token", "/.well-known/jwks.json", "/api/v1/notifications"];
        let repository = ["/api/v1/tags", "/api/v1/manifests", "/api/v1/events"];
        let admin = ["/api/v1/status", "/api/v1/sync", "/api/v1/removals", "/api/v1/removals/accept"];
        for path in open {
            assert_eq!(needed(path), "open", "{path}");
        }
        assert_eq!(needed("/api/v1/repositories"), "registry:catalog:*");
        for path in admin {
            assert_eq!(needed(path), "registry:admin:*", "{path}");
        }
        for path in repository {
            assert_eq!(needed(&format!("{path}?repository=a/b")), "repository:a/b:pull", "{path}");
        }
        // A route that is added needs its line here, and in README.
        let known = open.len() + repository.len() + admin.len() + 1;
        assert_eq!(super::super::routes().into_iter().count(), known);
        let readme = include_str!("../../README.md");
        for route in super::super::routes() {
            assert!(
                readme.contains(&format!("`{}", route.path)) || readme.contains(&format!(" {}", route.path)),
                "README.md lacks {}",
                route.path
            );
        }
    }

    #[test]
    fn what_is_no_route_needs_an_administrator() {
        for path in [
            "/nothing",
            "/metrics",
            "/api/v1",
            "/token/",
            "/healthz/x",
            "/api/v1/accounts",
            "//",
            "/%2f",
            "/Token",
        ] {
            assert_eq!(needed(path), "registry:admin:*", "{path}");
        }
    }

    #[test]
    fn a_history_that_is_not_of_one_repository_needs_an_administrator() {
        for (query, expected) in [
            ("", "registry:admin:*"),
            ("n=5", "registry:admin:*"),
            ("kind=auth", "registry:admin:*"),
            ("kind=", "registry:admin:*"),
            ("kind=auth&repository=a", "registry:admin:*"),
            ("repository=a&%6bind=auth", "registry:admin:*"),
            ("repository=a&after=3", "repository:a:pull"),
            ("repository=a&repository=b", "login"),
            ("repository=", "login"),
            ("repository=A", "login"),
        ] {
            assert_eq!(needed(&format!("/api/v1/events?{query}")), expected, "{query}");
        }
    }

    proptest! {
        #[test]
        fn access_is_decided_on_the_repository_that_the_handler_reads(
            query in "((repository|%72epository|n|kind|REPOSITORY)=(a|b|a/b|%61|A|a%2fb|a%00|a\\+b|)[&;]?){0,4}"
        ) {
            let uri: Uri = format!("/api/v1/tags?{query}").parse().unwrap();
            let read = Parameters::parse(uri.query(), &["repository", "n", "kind", "REPOSITORY"])
                .and_then(|parameters| parameters.required::<RepositoryName>("repository"));
            match own_access(&uri) {
                OwnAccess::Needs(access) => {
                    // A handler that goes on does so with this one.
                    if let Ok(name) = read {
                        prop_assert_eq!(access, Access::to(name, Actions::of(&[Action::Pull])));
                    }
                }
                other => prop_assert!(read.is_err(), "{:?} lets {:?} through", other, read),
            }
        }
    }
}
