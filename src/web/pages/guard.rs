//! What stands before every page: whether who looks may see it.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::cross_site;
use super::super::state::WebState;
use super::error::PageError;
use super::redirect::see_other;
use super::rights::{Declared, Right};
use super::visit::Visit;
use super::{error_page, links};
use crate::store::AuthEventKind;

/// Lets those see a page who may ask the API for what it shows.
pub(super) async fn admit(
    State((state, declared)): State<(WebState, Declared)>,
    request: Request,
    next: Next,
) -> Response {
    let is_from_elsewhere = cross_site::is_refused(&request);
    let (mut parts, body) = request.into_parts();
    let visit = match Visit::from_request_parts(&mut parts, &state).await {
        Ok(visit) => visit,
        Err(never) => match never {},
    };
    let is_reading = matches!(parts.method, Method::GET | Method::HEAD);
    let denied = declared.needs.iter().find_map(|need| match visit.right_to(need) {
        Right::Granted => None,
        right => Some((need, right)),
    });
    let mut response = match denied {
        _ if is_from_elsewhere => PageError::cross_site().into_response(),
        Some((_, Right::SignInFirst | Right::Granted)) => {
            let next = if is_reading { visit.here() } else { links::HOME.to_owned() };
            see_other(&links::sign_in(&next))
        }
        Some((need, Right::Refused)) => {
            if let Some(gate) = visit.gate() {
                gate.journal().note(
                    AuthEventKind::Refused,
                    visit.viewer.name(),
                    Some(visit.address),
                    need.about(),
                );
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
