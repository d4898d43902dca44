//! What a request to a path of the door's own requires. `web/` declares it beside each path, the plugin `authorization`
//! enforces it.

use crate::oci::Access;

/// What a request to a path of the door's own requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    /// Nothing, and the door answers it whatever else is in flight: the probes of orchestrators and load balancers, which
    /// take the whole door out of service if they hear nothing.
    Probe,
    /// Nothing that the gate looks at: the path is for everybody, or its handler asks for a secret of its own.
    Public,
    /// Nothing, but what the request shows is looked at: the handler of a page decides, so that it can ask for a login by a page.
    Page,
    /// A login of any user or robot, or a token of one: what is answered is their own, or says no more than that the request is
    /// malformed.
    SignedIn,
    /// A token or a login, whichever: what is answered has no more than the caller may pull.
    Filtered,
    /// This access; administrators have every access to paths of the door's own.
    Access(Access),
}

/// Tells what a request requires. Also for a path that no table names, which is refused to all but administrators.
pub type RequirementOf = fn(&http::Method, &http::Uri) -> Requirement;
