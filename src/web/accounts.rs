//! Commands to the accounts, through the socket alone: a caller who can open that administers the door.

use axum::Json;
use axum::extract::{Request, State};

use super::body;
use super::command_peer::{MaybePeer, local_user};
use super::error::ApiError;
use super::state::WebState;
use crate::auth::{AccountAnswer, AccountCommand, Author};

/// Where commands are posted.
pub const ACCOUNTS_PATH: &str = "/api/v1/accounts";

/// The longest command.
const MAXIMUM_BYTES: usize = 2 * 1024 * 1024;

/// Does what a command says.
pub(super) async fn carry_out(
    State(state): State<WebState>,
    peer: MaybePeer,
    request: Request,
) -> Result<Json<AccountAnswer>, ApiError> {
    let body = body::read(request, MAXIMUM_BYTES).await?;
    let invalid = |error: serde_json::Error| ApiError::InvalidBody { source: error.into(), remedy: "" };
    let command: AccountCommand = serde_json::from_slice(&body).map_err(invalid)?;
    let by = local_user(peer).await.as_ref().map(Author::from);
    Ok(Json(state.accounts.carry_out(command, by.as_ref()).await?))
}
