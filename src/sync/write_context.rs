//! What the requests of one caller's writes have in common: who asks for them, and how they come to the registry.

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::oci::{Access, Actions, Reference, RepositoryName};
use crate::registry::{OutgoingWrite, RequestCredentials};
use crate::store::Actor;

/// Who asks for writes, and what the requests for them are made of.
#[derive(Clone, Debug)]
pub struct WriteContext {
    /// Who asks for them.
    pub actor: Actor,
    /// The client's end-to-end headers with the door's forwarding headers; without those of a body.
    pub headers: HeaderMap,
    /// The door's credentials, if they replace the client's own.
    pub credentials: Option<RequestCredentials>,
}

impl WriteContext {
    /// A request without a body to this reference, which needs these actions.
    pub(super) fn outgoing(
        &self,
        method: Method,
        repository: &RepositoryName,
        reference: &Reference,
        actions: Actions,
    ) -> OutgoingWrite {
        let access = Access::to(repository.clone(), actions);
        OutgoingWrite {
            method,
            path_and_query: format!("/v2/{repository}/manifests/{reference}"),
            headers: self.headers.clone(),
            body: Bytes::new(),
            credentials: self.credentials.as_ref().map(|credentials| credentials.for_access(access)),
        }
    }
}
