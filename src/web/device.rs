//! From where a request comes, as it is kept with a login that it makes.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

use crate::auth::Device;
use crate::store::Actor;
use crate::telemetry::cut;

/// The address, and what the client calls itself.
pub(super) fn device(address: IpAddr, headers: &HeaderMap) -> Device {
    Device { address: Some(address), agent: agent(headers) }
}

/// What the client calls itself, cut.
pub(super) fn agent(headers: &HeaderMap) -> Option<String> {
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.map(|agent| cut(agent, Actor::AGENT_BYTES).to_owned())
}
