//! Headers between client, door and registry.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue};
use pingora_http::RequestHeader;

use super::request_id::X_REQUEST_ID;
use super::{Exchange, ForwardedAuthorization, ResponseHead};
use crate::auth::without_sessions;
use crate::registry::SentCredentials;

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
fn forwarding_headers(exchange: &Exchange) -> [(HeaderName, Option<HeaderValue>); 5] {
    let client = &exchange.client;
    let mut chain: Vec<&str> = Vec::new();
    if client.is_trusted_proxy {
        let before = exchange.request.headers.get_all(X_FORWARDED_FOR).iter();
        chain.extend(before.filter_map(|value| value.to_str().ok()));
    }
    let (address, peer) = (client.address, client.peer.to_string());
    let address = (chain.is_empty() && address != client.peer).then(|| address.to_string());
    // Learnt from `Forwarded`.
    chain.extend(address.as_deref());
    let chain = match chain.is_empty() {
        true => HeaderValue::try_from(peer).ok(),
        false => HeaderValue::try_from([chain.as_slice(), &[&peer]].concat().join(", ")).ok(),
    };
    [
        (FORWARDED, None),
        (X_FORWARDED_FOR, chain),
        (X_FORWARDED_PROTO, Some(HeaderValue::from_static(client.scheme.as_str()))),
        (X_REQUEST_ID, Some(exchange.request_id.value())),
        (X_FORWARDED_HOST, client.host.as_deref().and_then(|host| HeaderValue::from_str(host).ok())),
    ]
}

/// The cookies that the registry is sent: a browser's session at the door is none of its business.
fn cookies(headers: &HeaderMap) -> Vec<HeaderValue> {
    headers.get_all(COOKIE).iter().filter_map(without_sessions).collect()
}

/// The request as the registry is to see it: pingora has removed what speaks of the client's connection.
///
/// `sent` is what the backend is sent in place of the client's credentials.
pub(super) fn prepare_request(
    exchange: &Exchange,
    authority: &str,
    sent: Option<&SentCredentials>,
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
    if request.headers.contains_key(COOKIE) {
        let cookies = cookies(&request.headers);
        request.remove_header(&COOKIE);
        for cookie in cookies {
            request.append_header(COOKIE, cookie)?;
        }
    }
    if let Some(sent) = sent {
        match &sent.authorization {
            Some(value) => request.insert_header(AUTHORIZATION, value.clone())?,
            None => {
                request.remove_header(&AUTHORIZATION);
            }
        }
    }
    request.insert_header(HOST, exchange.forwarding.host.as_deref().unwrap_or(authority))
}

/// The client's end-to-end headers with the door's forwarding headers, for a request that the door makes itself: without
/// framing, `Expect`, which the door has answered, `Host`, unless it is to be another one than the backend's, and
/// `Authorization`, unless that is the client's.
pub fn end_to_end_headers(exchange: &Exchange) -> HeaderMap {
    let mut headers = exchange.request.headers.clone();
    remove_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    let cookies = cookies(&headers);
    headers.remove(COOKIE);
    headers.extend(cookies.into_iter().map(|cookie| (COOKIE, cookie)));
    headers.extend(
        exchange.forwarding.host.as_deref().and_then(|host| Some((HOST, HeaderValue::from_str(host).ok()?))),
    );
    if let ForwardedAuthorization::OfTheDoor(_) = &exchange.forwarding.authorization {
        headers.remove(AUTHORIZATION);
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::door::{Client, Scheme, Target};

    fn exchange(headers: &[(&'static str, &'static str)], is_trusted_proxy: bool) -> Exchange {
        let mut request = RequestHeader::build("PUT", b"/v2/a/manifests/b", None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        let peer = "192.0.2.1".parse().unwrap();
        let client = Client {
            peer,
            address: peer,
            scheme: Scheme::Https,
            host: Some("door.example".to_owned()),
            is_trusted_proxy,
            user: None,
            token: None,
        };
        Exchange {
            request_id: Default::default(),
            started: Instant::now(),
            request,
            target: Target::Own,
            client,
            backend: None,
            forwarding: Default::default(),
            viewer: Default::default(),
            catalog: Default::default(),
            note: None,
        }
    }

    fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn what_speaks_of_one_connection_or_of_framing_is_not_passed_on() {
        let exchange = exchange(
            &[
                ("connection", "close, x-private"),
                ("x-private", "1"),
                ("keep-alive", "timeout=5"),
                ("te", "trailers"),
                ("upgrade", "websocket"),
                ("expect", "100-continue"),
                ("content-length", "5"),
                ("transfer-encoding", "chunked"),
                ("host", "door.example"),
                ("content-type", "text/plain"),
                ("authorization", "Basic x"),
                ("cookie", "a=1; __Host-portreeve=secret; b=2"),
            ],
            false,
        );
        let headers = end_to_end_headers(&exchange);
        let mut names: Vec<_> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        let expected = [
            "authorization",
            "content-type",
            "cookie",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(
            value(&headers, "cookie"),
            Some("a=1; b=2"),
            "a session is none of the registry's business"
        );
    }

    #[test]
    fn a_client_cannot_say_where_it_came_from_unless_it_is_a_trusted_proxy() {
        let told = [("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7;proto=http")];
        let headers = end_to_end_headers(&exchange(&told, false));
        assert_eq!(value(&headers, "x-forwarded-for"), Some("192.0.2.1"));
        assert_eq!(value(&headers, "forwarded"), None);
        let headers = end_to_end_headers(&exchange(&told, true));
        assert_eq!(value(&headers, "x-forwarded-for"), Some("198.51.100.7, 192.0.2.1"));
        assert_eq!(value(&headers, "x-forwarded-proto"), Some("https"));
        assert_eq!(value(&headers, "x-forwarded-host"), Some("door.example"));
    }
}
