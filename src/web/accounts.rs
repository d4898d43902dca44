//! Commands to the accounts, through the socket alone: a caller who can open that administers the door.

use axum::Json;
use axum::extract::State;

use super::command_peer::{MaybePeer, local_user};
use super::error::ApiError;
use super::state::WebState;
use crate::auth::{AccountAnswer, AccountCommand};

/// Where commands are posted.
pub const ACCOUNTS_PATH: &str = "/api/v1/accounts";

/// Does what a command says.
pub(super) async fn carry_out(
    State(state): State<WebState>,
    peer: MaybePeer,
    Json(command): Json<AccountCommand>,
) -> Result<Json<AccountAnswer>, ApiError> {
    let by = local_user(peer).await;
    Ok(Json(state.accounts.carry_out(command, by.as_ref()).await?))
}
