//! Headers between client, door and registry.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, FORWARDED, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION,
    TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};
use pingora_http::RequestHeader;

use super::{Exchange, ResponseHead};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Headers that speak of one connection only (RFC 9110 section 7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What the registry is told about the way a request came. `Forwarded` is dropped, since distribution believes it above
/// the others; what a client that is no trusted proxy says of itself is not passed on.
fn forwarding_headers(exchange: &Exchange) -> [(HeaderName, Option<HeaderValue>); 4] {
    let client = &exchange.client;
    let before = if client.is_trusted_proxy { exchange.header(&X_FORWARDED_FOR) } else { None };
    let chain = match before {
        Some(before) => HeaderValue::from_str(&format!("{before}, {}", client.peer)).ok(),
        None => HeaderValue::from_str(&client.peer.to_string()).ok(),
    };
    [
        (FORWARDED, None),
        (X_FORWARDED_FOR, chain),
        (X_FORWARDED_PROTO, Some(HeaderValue::from_static(client.scheme.as_str()))),
        (X_FORWARDED_HOST, client.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok())),
    ]
}

/// The request as the registry is to see it: pingora has removed what speaks of the client's connection.
pub(super) fn prepare_request(
    exchange: &Exchange,
    authority: &str,
    request: &mut RequestHeader,
) -> pingora_core::Result<()> {
    for (name, value) in forwarding_headers(exchange) {
        match value {
            Some(value) => request.insert_header(name, value)?,
            None => {
                request.remove_header(&name);
            }
        }
    }
    request.insert_header(HOST, authority)
}

/// The client's end-to-end headers with the door's forwarding headers, for a request that the door makes itself: without
/// `Host`, framing, and `Expect`, which the door has answered.
pub fn end_to_end_headers(exchange: &Exchange) -> HeaderMap {
    let mut headers = exchange.request.headers.clone();
    remove_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    for (name, value) in forwarding_headers(exchange) {
        match value {
            Some(value) => {
                headers.insert(name, value);
            }
            None => {
                headers.remove(name);
            }
        }
    }
    headers
}

/// Takes out what speaks of one connection only.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The same for a response that is streamed: its framing is pingora's to keep.
pub(super) fn remove_hop_by_hop_from_response(head: &mut ResponseHead) {
    for name in named_by_connection(&head.headers) {
        if name != TRANSFER_ENCODING {
            head.remove_header(&name);
        }
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, UPGRADE] {
        head.remove_header(&name);
    }
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| *name != CONTENT_LENGTH && *name != HOST)
        .collect()
}
