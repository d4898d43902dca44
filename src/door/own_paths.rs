//! What the door itself answers, beside `/v2/`. `web/` makes it and `server.rs` hands it over: the door knows none of the
//! paths.

use http::{Method, StatusCode, Uri};

use crate::auth::{Requirement, RequirementOf};

/// The paths that the door itself answers.
#[derive(Clone)]
pub struct OwnPaths {
    /// Answers them.
    pub router: axum::Router,
    /// Tells what a request to one of them requires.
    pub requirement_of: RequirementOf,
    /// The answer to a request that goes there and is refused.
    pub refusal: RefusalAnswer,
}

/// The headers and the body of a refusal with this status and message; none where the words of the distribution specification
/// are right.
pub type RefusalAnswer = fn(&Uri, StatusCode, &str) -> Option<http::Response<Vec<u8>>>;

impl OwnPaths {
    /// Whether the request is a probe, which is answered however many requests are in flight: a load balancer that gets no
    /// answer takes the whole door out of service.
    pub(super) fn is_probe(&self, method: &Method, uri: &Uri) -> bool {
        (self.requirement_of)(method, uri) == Requirement::Probe
    }
}
