//! What a page demands of who looks at it: the rights of the API's routes whose answers it shows, as their table declares them.
//! There is no other list of rights.

use std::sync::Arc;

use axum::http::Method;
use url::form_urlencoded::{self, Serializer};

use super::super::routes;
use crate::auth::{Gate, Requirement, Viewer};
use crate::oci::Access;

/// A route of the API, whose rights a page demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Need {
    method: Method,
    route: &'static str,
    /// The parameter of the page that names the repository, where that is not `repository`.
    repository: &'static str,
}

/// The parameter of the API's routes.
const REPOSITORY: &str = "repository";

impl Need {
    /// What this route demands of who reads.
    pub(super) const fn of(route: &'static str) -> Self {
        Self::to(Method::GET, route)
    }

    /// What this route demands of a request with this method.
    pub(super) const fn to(method: Method, route: &'static str) -> Self {
        Self { method, route, repository: REPOSITORY }
    }

    /// The same of a page at which this parameter names the repository.
    pub(super) const fn of_repository_in(mut self, parameter: &'static str) -> Self {
        self.repository = parameter;
        self
    }

    /// What the route requires when it is asked with the query of the page.
    fn requirement(&self, query: &str) -> Requirement {
        let mut asked = Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            // A field that was left empty in a form.
            if value.is_empty() {
                continue;
            }
            if name == self.repository {
                asked.append_pair(REPOSITORY, &value);
            } else if name != REPOSITORY {
                asked.append_pair(&name, &value);
            }
        }
        routes::requirement(&self.method, self.route, Some(&asked.finish()))
    }

    /// Whether who looks at a page with this query may ask the route for what it shows.
    pub(super) fn right_of(&self, viewer: &Viewer, gate: Option<&Arc<Gate>>, query: &str) -> Right {
        // At an open door everybody may ask for everything. What is somebody's own the handler has not.
        if matches!(viewer, Viewer::Unrestricted) {
            return Right::Granted;
        }
        let requirement = self.requirement(query);
        if !viewer.is_nobody() {
            return if viewer.meets(&requirement) { Right::Granted } else { Right::Refused };
        }
        // Lists show what may be pulled. Where that is nothing for whoever has not signed in, an empty page would say that
        // nothing is there.
        let is_list =
            matches!(requirement, Requirement::Filtered | Requirement::Access(Access::VisibleCatalog));
        let shows_nothing = is_list && !gate.is_some_and(|gate| gate.allows_anonymous_pulls());
        if viewer.meets(&requirement) && !shows_nothing { Right::Granted } else { Right::SignInFirst }
    }

    /// The route.
    #[cfg(test)]
    pub(super) const fn route(&self) -> &'static str {
        self.route
    }

    /// In words for the journal.
    pub(super) fn about(&self) -> String {
        format!("a page that shows {}", self.route)
    }
}

/// What a page is declared to do.
#[derive(Clone, Debug, Default)]
pub(super) struct Declared {
    /// Routes of the API: who looks at the page may ask all of them.
    pub(super) needs: Vec<Need>,
    /// Whether it changes what the door keeps, so that it is off at an open door unless that is configured.
    pub(super) changes: bool,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Right {
    /// They may.
    Granted,
    /// Nobody knows who they are: whether they may is seen when they have signed in.
    SignInFirst,
    /// They are known, and may not.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_that_a_page_names_is_the_one_that_rights_are_asked_for() {
        let need = Need::of("/api/v1/tags").of_repository_in("name");
        let access = |query| match need.requirement(query) {
            Requirement::Access(access) => access.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(access("name=team/app"), "repository:team/app:pull");
        assert_eq!(access("name=team%2Fapp&sort=x"), "repository:team/app:pull");
        assert_eq!(access("name=team/app&repository=other"), "repository:team/app:pull");
        assert_eq!(access("name=a&name=b"), "SignedIn", "the page refuses it by the same reading");
        assert_eq!(access("name=&name=team/app"), "repository:team/app:pull");
        assert_eq!(access("name="), access(""), "a field of a form that was left empty");
    }
}
