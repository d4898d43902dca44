//! The caller of a route that writes to the registry: who they are, for the history, and how their writes come there.

use std::convert::Infallible;
use std::net::IpAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::command_peer::{CommandPeer, name_of};
use super::device::agent;
use super::state::WebState;
use crate::auth::Viewer;
use crate::registry::RequestCredentials;
use crate::store::Actor;
use crate::sync::WriteContext;

/// By whom the registry is written to.
pub(super) struct Writer(pub WriteContext);

impl FromRequestParts<WebState> for Writer {
    type Rejection = Infallible;

    /// The caller as the gate found them, or the user of the system at the other end of the socket. The registry is shown what it
    /// is shown of a client of `/v2/`: the door's own credentials, or, of an open door without any, the caller's.
    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Infallible> {
        let Ok(viewer) = Viewer::from_request_parts(parts, state).await;
        let peer = parts.extensions.get::<ConnectInfo<CommandPeer>>().cloned().map(axum::Extension);
        let is_local = peer.is_some();
        let user = name_of(&viewer, peer).await;
        let address = parts.extensions.get::<IpAddr>().copied();
        let agent = agent(&parts.headers);
        let mut headers = HeaderMap::new();
        let credentials = match &state.writes.credentials {
            Some(credentials) => Some(RequestCredentials::new(credentials.clone(), user.clone(), Vec::new())),
            None => {
                let authorization = parts.headers.get(header::AUTHORIZATION).filter(|_| !is_local);
                headers.extend(authorization.map(|value| (header::AUTHORIZATION, value.clone())));
                None
            }
        };
        Ok(Self(WriteContext { actor: Actor { user, address, agent }, headers, credentials }))
    }
}
