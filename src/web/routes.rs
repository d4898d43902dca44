//! Every path that the door itself answers, with the access that it requires and its handler: a path without an access does
//! not compile, and one that stands in no table here is refused.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{MethodRouter, delete, get, post};

use super::access::RouteAccess;
use super::state::WebState;
use super::{
    accounts, backup, decisions, deletions, events, flaws, groups, health, lockouts, logins, manifests, me,
    notifications, openapi, pages, record_check, removals, repositories, search, statistics, status, sync,
    tags, token, tokens, user_changes, users,
};
use crate::auth::Requirement;
use crate::oci::Action;

/// A path that the door itself answers.
pub(super) struct Route {
    /// The path, whole.
    path: &'static str,
    /// What a request to it requires, unless its method is one of the next.
    access: RouteAccess,
    /// What other methods require.
    methods: Vec<(Method, RouteAccess)>,
    /// What answers.
    handler: MethodRouter<WebState>,
}

const fn route(path: &'static str, access: RouteAccess, handler: MethodRouter<WebState>) -> Route {
    Route { path, access, methods: Vec::new(), handler }
}

impl Route {
    /// The same path, which takes this method, too, and requires something else for that.
    fn with(mut self, method: Method, access: RouteAccess, handler: MethodRouter<WebState>) -> Self {
        self.methods.push((method, access));
        self.handler = self.handler.merge(handler);
        self
    }

    /// What a request with this method requires.
    fn access(&self, method: &Method) -> RouteAccess {
        let of_the_method = self.methods.iter().find(|(other, _)| other == method);
        of_the_method.map_or(self.access, |(_, access)| *access)
    }
}

/// The paths of the door's own listener.
pub(super) fn of_the_door() -> [Route; 29] {
    use RouteAccess::{
        Administrator, Events, OwnSecret, Probe, Public, Repository, RepositoryOrVisibleCatalog, SignedIn,
        VisibleCatalog,
    };
    [
        route("/", Public, get(health::about)),
        route("/healthz", Probe, get(health::alive)),
        route("/readyz", Probe, get(health::ready)),
        route("/token", Public, get(token::get).post(token::post)),
        route("/.well-known/jwks.json", Public, get(token::keys)),
        route("/api/v1/status", Administrator, get(status::show)),
        route("/api/v1/health", Administrator, get(flaws::count_or_list)),
        route("/api/v1/statistics", Administrator, get(statistics::show)),
        route("/api/v1/repositories", VisibleCatalog, get(repositories::list)).with(
            Method::DELETE,
            Repository(Action::Delete),
            delete(deletions::delete_repository),
        ),
        route("/api/v1/search", VisibleCatalog, get(search::find)),
        route("/api/v1/tags", RepositoryOrVisibleCatalog(Action::Pull), get(tags::list)).with(
            Method::DELETE,
            Repository(Action::Delete),
            delete(deletions::delete_tag),
        ),
        route("/api/v1/tags/delete", Repository(Action::Delete), post(deletions::delete_tags)),
        route("/api/v1/manifests", Repository(Action::Pull), get(manifests::list_or_show)).with(
            Method::DELETE,
            Repository(Action::Delete),
            delete(deletions::delete_manifest),
        ),
        route("/api/v1/undelete", Repository(Action::Push), post(deletions::undelete)),
        route("/api/v1/events", Events(Action::Pull), get(events::list_of_kind)),
        route("/api/v1/events/stream", Events(Action::Pull), get(events::stream)),
        route("/api/v1/openapi.json", Public, get(openapi::show)),
        route("/api/v1/notifications", OwnSecret, post(notifications::take)),
        route("/api/v1/sync", Administrator, post(sync::start)),
        route("/api/v1/removals", Administrator, get(removals::list)),
        route("/api/v1/removals/accept", Administrator, post(removals::accept)),
        route("/api/v1/access", Administrator, get(decisions::show)),
        route("/api/v1/me", SignedIn, get(me::show)),
        route("/api/v1/me/logins", SignedIn, get(logins::list).delete(logins::end)),
        route("/api/v1/tokens", SignedIn, get(tokens::list).post(tokens::create).delete(tokens::revoke)),
        route(
            "/api/v1/users",
            Administrator,
            get(users::list).post(users::add).patch(user_changes::change).delete(users::remove),
        ),
        route("/api/v1/users/password", SignedIn, post(users::set_password)),
        route("/api/v1/groups", Administrator, get(groups::list)),
        route("/api/v1/lockouts", Administrator, get(lockouts::list).delete(lockouts::unlock)),
    ]
}

/// The paths of the door's own listener that belong to the API.
#[cfg(test)]
pub(super) fn of_the_api() -> Vec<&'static str> {
    of_the_door().into_iter().map(|route| route.path).filter(|path| path.starts_with("/api/")).collect()
}

/// What the socket for commands answers beside the door's own paths.
pub(super) fn of_the_socket() -> [Route; 3] {
    [
        route(accounts::ACCOUNTS_PATH, RouteAccess::Administrator, post(accounts::carry_out)),
        route(backup::BACKUP_PATH, RouteAccess::Administrator, get(backup::make)),
        route(record_check::CHECK_PATH, RouteAccess::Administrator, get(record_check::look)),
    ]
}

/// The paths of the admin listener, which is never exposed: nothing is asked of its callers.
pub(super) fn of_the_admin_listener() -> [Route; 3] {
    [
        route("/healthz", RouteAccess::Probe, get(health::alive)),
        route("/readyz", RouteAccess::Probe, get(health::ready)),
        route("/metrics", RouteAccess::Public, get(health::metrics)),
    ]
}

/// What a request to a path of the door's own requires. One that is not known requires an administrator, who is told that it
/// is not there: to every other caller it looks like those that are.
pub fn requirement_of(method: &Method, uri: &Uri) -> Requirement {
    requirement(method, uri.path(), uri.query())
}

/// The same of a door that shows pages, which themselves look at who may see them.
pub fn requirement_with_pages(method: &Method, uri: &Uri) -> Requirement {
    match uri.path() {
        path if pages::is_asset(path) => Requirement::Public,
        path if pages::is_page(path) => Requirement::Page,
        _ => requirement_of(method, uri),
    }
}

/// What a request with this method and query to a path of the door's own requires.
pub(super) fn requirement(method: &Method, path: &str, query: Option<&str>) -> Requirement {
    static ROUTES: LazyLock<HashMap<&'static str, Route>> =
        LazyLock::new(|| of_the_door().into_iter().map(|route| (route.path, route)).collect());
    let access = ROUTES.get(path).map_or(RouteAccess::Administrator, |route| route.access(method));
    access.requirement(query)
}

/// A router of these.
pub(super) fn router(routes: impl IntoIterator<Item = Route>) -> Router<WebState> {
    routes.into_iter().fold(Router::new(), |router, Route { path, handler, .. }| router.route(path, handler))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parameters::Parameters;
    use super::*;
    use crate::auth::Requirement;
    use crate::oci::{Access, Actions, RepositoryName};

    fn required(path: &str) -> String {
        match requirement_of(&Method::GET, &path.parse().unwrap()) {
            Requirement::Public => "public".to_owned(),
            Requirement::Probe => "probe".to_owned(),
            Requirement::Page => "page".to_owned(),
            Requirement::SignedIn => "signed in".to_owned(),
            Requirement::Filtered => "filtered".to_owned(),
            Requirement::Access(access) => access.to_string(),
        }
    }

    #[test]
    fn every_route_requires_what_is_documented_for_it() {
        let probes = ["/healthz", "/readyz"];
        let public =
            ["/", "/token", "/.well-known/jwks.json", "/api/v1/notifications", "/api/v1/openapi.json"];
        let repository = ["/api/v1/tags", "/api/v1/manifests", "/api/v1/events", "/api/v1/events/stream"];
        let admin = [
            "/api/v1/status",
            "/api/v1/health",
            "/api/v1/statistics",
            "/api/v1/sync",
            "/api/v1/removals",
            "/api/v1/removals/accept",
            "/api/v1/users",
            "/api/v1/access",
            "/api/v1/lockouts",
            "/api/v1/groups",
        ];
        let signed_in = ["/api/v1/me", "/api/v1/me/logins", "/api/v1/tokens", "/api/v1/users/password"];
        for path in probes {
            assert_eq!(required(path), "probe", "{path}");
        }
        for path in public {
            assert_eq!(required(path), "public", "{path}");
        }
        assert_eq!(required("/api/v1/repositories"), "registry:catalog:pull");
        for path in admin {
            assert_eq!(required(path), "registry:admin:*", "{path}");
        }
        for path in signed_in {
            assert_eq!(required(path), "signed in", "{path}");
        }
        for path in repository {
            assert_eq!(required(&format!("{path}?repository=a/b")), "repository:a/b:pull", "{path}");
        }
        for (method, path, action) in [
            (Method::DELETE, "/api/v1/tags", "delete"),
            (Method::DELETE, "/api/v1/manifests", "delete"),
            (Method::DELETE, "/api/v1/repositories", "delete"),
            (Method::POST, "/api/v1/tags/delete", "delete"),
            (Method::POST, "/api/v1/undelete", "push"),
        ] {
            let requirement = requirement_of(&method, &format!("{path}?repository=a/b").parse().unwrap());
            let Requirement::Access(access) = requirement else { panic!("{method} {path}: {requirement:?}") };
            assert_eq!(access.to_string(), format!("repository:a/b:{action}"), "{method} {path}");
            let unnamed = requirement_of(&method, &path.parse().unwrap());
            assert_eq!(unnamed, Requirement::SignedIn, "its handler refuses it");
        }
        // A route that is added has its line here, and in the operator's guide.
        assert_eq!(required("/api/v1/search"), "registry:catalog:pull");
        assert_eq!(required("/api/v1/tags"), "registry:catalog:pull", "each sees what they may pull");
        let known = probes.len() + public.len() + repository.len() + admin.len() + signed_in.len();
        let known = known + 2 + 2;
        assert_eq!(of_the_door().into_iter().count(), known);
        let guide = include_str!("../../config/README.md");
        for route in of_the_door() {
            assert!(
                guide.contains(&format!("`{}", route.path)) || guide.contains(&format!(" {}", route.path)),
                "config/README.md lacks {}",
                route.path
            );
        }
    }

    #[test]
    fn pages_look_at_who_asks_and_what_they_are_made_of_is_everybodys() {
        let required = |path: &str| requirement_with_pages(&Method::GET, &path.parse().unwrap());
        for (path, expected) in [
            ("/ui/", Requirement::Page),
            ("/ui", Requirement::Page),
            ("/ui/assets", Requirement::Page),
            ("/ui/assets/portreeve.css", Requirement::Public),
            ("/ui/assets/?x", Requirement::Public),
            ("/api/v1/me", Requirement::SignedIn),
        ] {
            assert_eq!(required(path), expected, "{path}");
        }
    }

    #[test]
    fn a_path_that_no_table_names_is_refused_to_all_but_administrators() {
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
            assert_eq!(required(path), "registry:admin:*", "{path}");
        }
    }

    #[test]
    fn a_history_of_all_repositories_shows_what_may_be_pulled_and_that_of_the_gate_is_for_administrators() {
        for (query, expected) in [
            ("", "filtered"),
            ("n=5", "filtered"),
            ("kind=auth", "registry:admin:*"),
            ("kind=", "filtered"),
            ("kind=manifest_put", "filtered"),
            ("kind=manifest_put&kind=auth", "registry:admin:*"),
            ("kind=auth&repository=a", "registry:admin:*"),
            ("repository=a&%6bind=auth", "registry:admin:*"),
            ("repository=a&after=3", "repository:a:pull"),
            ("repository=a&repository=b", "signed in"),
            ("repository=", "signed in"),
            ("repository=A", "signed in"),
        ] {
            for path in ["/api/v1/events", "/api/v1/events/stream"] {
                assert_eq!(required(&format!("{path}?{query}")), expected, "{path}?{query}");
            }
        }
    }

    proptest! {
        #[test]
        fn access_is_decided_on_the_repository_that_the_handler_reads(
            query in "((repository|%72epository|n|kind|REPOSITORY)=(a|b|a/b|%61|A|a%2fb|a%00|a\\+b|)[&;]?){0,4}"
        ) {
            let uri: Uri = format!("/api/v1/tags?{query}").parse().unwrap();
            let read = Parameters::parse(uri.query(), &["repository", "n", "kind", "REPOSITORY"])
                .and_then(|parameters| parameters.optional::<RepositoryName>("repository"));
            match requirement_of(&Method::GET, &uri) {
                Requirement::Access(access) => {
                    // A handler that goes on does so with this one.
                    if let Ok(Some(name)) = read {
                        prop_assert_eq!(access, Access::to(name, Actions::of(&[Action::Pull])));
                    }
                }
                other => prop_assert!(!matches!(read, Ok(Some(_))), "{:?} lets {:?} through", other, read),
            }
        }
    }
}
