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
    activity, assets, compare, deletion, flaws, guard, home, links, manifest, namespaces, repositories,
    repository, search, sync, theme_choice,
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
        page(links::SYNC, [Need::of("/api/v1/status")], get(sync::show)),
        change("/ui/sync/start", [Need::to(Method::POST, "/api/v1/sync")], post(sync::start)),
        change("/ui/sync/accept", [Need::to(Method::POST, "/api/v1/removals/accept")], post(sync::accept)),
        page(links::FLAWS, [Need::of("/api/v1/health")], get(flaws::show)),
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
        .layer(map_response(guard::with_headers))
}
