//! What a path of the door's own requires, as the table in `routes.rs` declares it beside the path.

use url::form_urlencoded;

use crate::auth::Requirement;
use crate::oci::{Access, Action, Actions, RepositoryName};

/// The value of `kind` by which the events of the gate are asked for.
pub(super) const GATE: &str = "auth";

/// The access that a route declares. There is no route without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteAccess {
    /// Everybody, also while the door takes no other requests: probes.
    Probe,
    /// Everybody: what a client has to reach before it can log in.
    Public,
    /// Everybody who knows a secret that is not the gate's. The handler checks it.
    OwnSecret,
    /// Every caller with a token for it, or who has logged in. The handler shows what they may pull.
    VisibleCatalog,
    /// Callers who may do this to the repository in the parameter `repository`.
    Repository(Action),
    /// The same where one repository is asked about; [`RouteAccess::VisibleCatalog`] where all are.
    RepositoryOrVisibleCatalog(Action),
    /// What [`RouteAccess::Repository`] asks for where one repository is asked about. Where all are, the handler shows what the caller may pull; what happened at
    /// the gate is for administrators.
    Events(Action),
    /// Every user and robot, whatever they may do. The handler shows what is their own.
    SignedIn,
    /// Administrators.
    Administrator,
}

impl RouteAccess {
    /// What a request with this query requires.
    pub(super) fn requirement(self, query: Option<&str>) -> Requirement {
        let given = |wanted: &'static str| {
            let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            pairs.filter(move |(name, _)| name == wanted).map(|(_, value)| value)
        };
        let in_repository = |action, repository: &str| match RepositoryName::parse(repository) {
            Ok(name) => Requirement::Access(Access::to(name, Actions::of(&[action]))),
            // The handler refuses it by the same reading, and shows nothing else.
            Err(_) => Requirement::SignedIn,
        };
        let mut repositories = given("repository");
        match self {
            Self::Probe => Requirement::Probe,
            Self::Public | Self::OwnSecret => Requirement::Public,
            Self::VisibleCatalog => Requirement::Access(Access::VisibleCatalog),
            Self::SignedIn => Requirement::SignedIn,
            Self::Administrator => Requirement::Access(Access::Admin),
            Self::Events(_) if given("kind").any(|kind| kind == GATE) => Requirement::Access(Access::Admin),
            Self::Repository(action) | Self::RepositoryOrVisibleCatalog(action) | Self::Events(action) => {
                match (repositories.next(), repositories.next(), self) {
                    (Some(repository), None, _) => in_repository(action, &repository),
                    (None, _, Self::Events(_)) => Requirement::Filtered,
                    (None, _, Self::RepositoryOrVisibleCatalog(_)) => {
                        Requirement::Access(Access::VisibleCatalog)
                    }
                    // Missing where it has to be there, or given twice: refused by the handler.
                    (None | Some(_), ..) => Requirement::SignedIn,
                }
            }
        }
    }
}
