//! Every page: its address, the routes of the API whose rights it demands, and what shows it. A page without its line here does
//! not exist, and one that demands nothing shows nothing of the record.

use axum::Router;
use axum::http::Method;
use axum::middleware::{from_fn_with_state, map_response};
use axum::routing::{MethodRouter, any, get, post};
use tower_http::compression::CompressionLayer;

use super::super::state::WebState;
use super::error::PageError;
use super::redirect::see_other;
use super::rights::{Declared, Need};
use super::{
    access, activity, assets, compare, deletion, flaws, guard, headers, home, links, manifest, namespaces,
    repositories, repository, search, sign_in, sync, theme_choice,
};

/// A page.
pub(in crate::web) struct Page {
    pub(in crate::web) path: &'static str,
    pub(super) declared: Declared,
    handler: MethodRouter<WebState>,
}

#[cfg(test)]
impl Page {
    /// The routes of the API whose rights it demands.
    pub(in crate::web) fn routes(&self) -> impl Iterator<Item = &'static str> {
        self.declared.needs.iter().map(Need::route)
    }
}

/// A page that shows what these routes of the API answer.
fn page<const N: usize>(path: &'static str, needs: [Need; N], handler: MethodRouter<WebState>) -> Page {
    Page { path, declared: Declared { needs: needs.into(), changes: false }, handler }
}

/// A page that changes something, too, as these routes of the API do.
fn change<const N: usize>(path: &'static str, needs: [Need; N], handler: MethodRouter<WebState>) -> Page {
    Page { path, declared: Declared { needs: needs.into(), changes: true }, handler }
}

/// The pages.
pub(in crate::web) fn all() -> Vec<Page> {
    vec![
        page(links::HOME, [Need::of("/api/v1/tags"), Need::of("/api/v1/repositories")], get(home::show)),
        page(links::SEARCH, [Need::of("/api/v1/search")], get(search::show)),
        page(links::REPOSITORIES, [Need::of("/api/v1/repositories")], get(repositories::show)),
        page(links::NAMESPACES, [Need::of("/api/v1/repositories")], get(namespaces::show)),
        page(
            links::REPOSITORY,
            ["/api/v1/tags", "/api/v1/manifests", "/api/v1/events"]
                .map(|route| Need::of(route).of_repository_in("name")),
            get(repository::show),
        ),
        page(
            links::MANIFEST,
            [Need::of("/api/v1/manifests"), Need::of("/api/v1/tags"), Need::of("/api/v1/events")],
            get(manifest::show),
        ),
        page(links::COMPARE, [Need::of("/api/v1/manifests")], get(compare::show)),
        change(
            links::DELETE,
            [
                Need::of("/api/v1/manifests"),
                Need::to(Method::DELETE, "/api/v1/tags"),
                Need::to(Method::DELETE, "/api/v1/manifests"),
                Need::to(Method::DELETE, "/api/v1/repositories"),
            ],
            get(deletion::ask).post(deletion::delete),
        ),
        change(links::UNDELETE, [Need::to(Method::POST, "/api/v1/undelete")], post(deletion::undelete)),
        page(links::ACTIVITY, [Need::of("/api/v1/events")], get(activity::show)),
        page(
            links::SYNC,
            ["/api/v1/status", "/api/v1/removals", "/api/v1/health"].map(Need::of),
            get(sync::show),
        ),
        change("/ui/sync/start", [Need::to(Method::POST, "/api/v1/sync")], post(sync::start)),
        change("/ui/sync/accept", [Need::to(Method::POST, "/api/v1/removals/accept")], post(sync::accept)),
        page(links::FLAWS, [Need::of("/api/v1/health")], get(flaws::show)),
        page(
            links::ACCESS,
            [Need::of("/api/v1/tokens"), Need::of("/api/v1/me/logins")],
            get(access::show_own),
        ),
        change(
            "/ui/access/token",
            [Need::to(Method::POST, "/api/v1/tokens")],
            post(access::create_own_token),
        ),
        change(
            "/ui/access/token/revoke",
            [Need::to(Method::DELETE, "/api/v1/tokens")],
            post(access::revoke_own_token),
        ),
        change(
            "/ui/access/logins/end",
            [Need::to(Method::DELETE, "/api/v1/me/logins")],
            post(access::end_own_logins),
        ),
        change(
            "/ui/access/password",
            [Need::to(Method::POST, "/api/v1/users/password")],
            post(access::set_own_password),
        ),
        page(links::USERS, [Need::of("/api/v1/users")], get(access::show_users)),
        change("/ui/access/users/add", [Need::to(Method::POST, "/api/v1/users")], post(access::add_user)),
        page(
            links::USER,
            ["/api/v1/users", "/api/v1/tokens", "/api/v1/me/logins"].map(Need::of),
            get(access::show_user),
        ),
        change(
            "/ui/access/user/password",
            [Need::of("/api/v1/users"), Need::to(Method::POST, "/api/v1/users/password")],
            post(access::set_user_password),
        ),
        change(
            "/ui/access/user/logins",
            [Need::of("/api/v1/users"), Need::to(Method::DELETE, "/api/v1/me/logins")],
            post(access::end_user_logins),
        ),
        change(
            "/ui/access/user/revoke",
            [Need::of("/api/v1/users"), Need::to(Method::DELETE, "/api/v1/tokens")],
            post(access::revoke_user_token),
        ),
        change(
            "/ui/access/user/disable",
            [Need::of("/api/v1/users"), Need::to(Method::PATCH, "/api/v1/users")],
            post(access::disable_user),
        ),
        change(
            "/ui/access/user/groups",
            [Need::of("/api/v1/users"), Need::to(Method::PATCH, "/api/v1/users")],
            post(access::set_user_groups),
        ),
        change(
            "/ui/access/user/remove",
            [Need::to(Method::DELETE, "/api/v1/users")],
            post(access::remove_user),
        ),
        page(
            links::ROBOTS,
            [Need::of("/api/v1/users"), Need::of("/api/v1/tokens")],
            get(access::show_robots),
        ),
        change(
            "/ui/access/robots/token",
            [Need::of("/api/v1/users"), Need::to(Method::POST, "/api/v1/tokens")],
            post(access::create_robot_token),
        ),
        change(
            "/ui/access/robots/revoke",
            [Need::of("/api/v1/users"), Need::to(Method::DELETE, "/api/v1/tokens")],
            post(access::revoke_robot_token),
        ),
        page(links::RULES, [Need::of("/api/v1/access")], get(access::rules)),
        // What happened at the gate is for administrators, as the users are.
        page(links::FAILURES, [Need::of("/api/v1/users"), Need::of("/api/v1/events")], get(access::failures)),
        page(links::GROUPS, [Need::of("/api/v1/groups")], get(access::groups)),
        page(links::LOCKOUTS, [Need::of("/api/v1/lockouts")], get(access::show_lockouts)),
        change(
            "/ui/access/lockouts/unlock",
            [Need::to(Method::DELETE, "/api/v1/lockouts")],
            post(access::unlock),
        ),
        // Where somebody proves who they are, and forgets it.
        page(links::SIGN_IN, [], get(sign_in::show).post(sign_in::sign_in)),
        page(links::SIGN_OUT, [], post(sign_in::sign_out)),
        page(links::SIGN_OUT_EVERYWHERE, [], post(sign_in::sign_out_everywhere)),
        // A choice of colours is the browser's own.
        page("/ui/theme", [], post(theme_choice::choose)),
    ]
}

/// A router of them, of what they are made of, and of the answer to all other paths below theirs.
pub(in crate::web) fn router(state: &WebState) -> Router<WebState> {
    let not_found = Page {
        path: "/ui/{*path}",
        declared: Declared::default(),
        handler: any(async || PageError::not_found()),
    };
    let with_guard = |router: Router<WebState>, Page { path, declared, handler }: Page| {
        let admit = from_fn_with_state((state.clone(), declared), guard::admit);
        router.route(path, handler.fallback(async || PageError::not_found()).layer(admit))
    };
    all()
        .into_iter()
        .chain([not_found])
        .fold(Router::new(), with_guard)
        .route("/ui", get(async || see_other(links::HOME)))
        .route("/ui/assets/{file}", get(assets::show))
        .layer(CompressionLayer::new())
        .layer(map_response(headers::added))
}
