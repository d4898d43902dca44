//! `GET /api/v1/me`: who the caller is.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, is_robot};
use super::error::ApiError;
use super::parameters::Parameters;
use super::state::WebState;
use crate::auth::{SignedInBy, UserName};

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// Nothing at an open door, and on the socket for commands.
    name: Option<UserName>,
    /// With those that the configuration names.
    groups: Vec<String>,
    /// Whether this request may do what is for administrators: none may that came with an access token, or with a token that is not
    /// for that.
    administrator: bool,
    /// Whether it is a robot.
    robot: bool,
    /// `password`, `session` for a browser that is signed in to the pages, `access_token`, or `token` for one of `/token`; nothing where
    /// nothing is asked.
    #[schema(value_type = Option<String>)]
    signed_in_by: Option<&'static str>,
    /// The identifier of the access token that was shown, to the door or to `/token`.
    access_token: Option<String>,
    /// Whether the door asks who its callers are. An open door has no accounts.
    has_accounts: bool,
}

/// Shows who the caller is.
#[utoipa::path(
    get, path = "/api/v1/me", tag = "accounts",
    responses((status = 200, description = "The caller.", body = Me))
)]
pub(super) async fn show(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<Me>, ApiError> {
    Parameters::parse(query.as_deref(), &[])?;
    let identity = caller.identity().await?;
    let signed_in_by = match caller.signed_in_by() {
        SignedInBy::Nothing => None,
        SignedInBy::Password => Some("password"),
        SignedInBy::Session(_) => Some("session"),
        SignedInBy::AccessToken(_) => Some("access_token"),
        SignedInBy::Token(_) => Some("token"),
    };
    Ok(Json(Me {
        administrator: caller.is_administrator(),
        robot: identity.as_ref().is_some_and(is_robot),
        signed_in_by,
        access_token: caller.signed_in_by().access_token().map(str::to_owned),
        has_accounts: state.gate.is_some(),
        name: identity.as_ref().map(|identity| identity.name.clone()),
        groups: identity.map(|identity| identity.groups).unwrap_or_default(),
    }))
}
