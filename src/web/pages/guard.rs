//! What stands before every page: whether who looks may see it, and what every answer has.

use std::net::IpAddr;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::state::WebState;
use super::error::PageError;
use super::redirect::see_other;
use super::rights::{Declared, Right};
use super::visit::Visit;
use super::{error_page, links};
use crate::store::AuthEventKind;

/// What a page may load, and where it may send anything: nothing but what is here. No script and no style stands in the HTML.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Every answer has these: pages, assets and errors.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Lets those see a page who may ask the API for what it shows.
pub(super) async fn admit(
    State((state, declared)): State<(WebState, Declared)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let visit = match Visit::from_request_parts(&mut parts, &state).await {
        Ok(visit) => visit,
        Err(never) => match never {},
    };
    let is_reading = matches!(parts.method, Method::GET | Method::HEAD);
    let address = parts.extensions.get::<IpAddr>().copied();
    let denied = declared.needs.iter().find_map(|need| match visit.right_to(need) {
        Right::Granted => None,
        right => Some((need, right)),
    });
    let mut response = match denied {
        Some((_, Right::SignInFirst | Right::Granted)) => {
            let next = if is_reading { visit.here() } else { links::HOME.to_owned() };
            see_other(&links::sign_in(&next))
        }
        Some((need, Right::Refused)) => {
            if let Some(gate) = visit.gate() {
                gate.journal().note(AuthEventKind::Refused, visit.viewer.name(), address, need.about());
            }
            PageError::forbidden().into_response()
        }
        None if declared.changes && !visit.may_change() => PageError::read_only().into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    if let Some(error) = response.extensions_mut().remove::<PageError>() {
        response = error_page::shown(error, &visit);
    }
    response
}

/// What every answer has.
pub(super) async fn with_headers(mut response: Response) -> Response {
    let headers: &mut HeaderMap = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
