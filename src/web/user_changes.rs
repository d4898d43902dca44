//! `PATCH /api/v1/users?name=`: a user is disabled or enabled, or is in other groups. For administrators. Users of a file are
//! disabled here, too; their groups stand in the configuration.

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::caller::{Caller, name as name_of};
use super::error::ApiError;
use super::json_body;
use super::parameters::Parameters;
use super::state::WebState;
use super::users::{self, ChangedUser};
use crate::auth::{AccountCommand, AccountError, UserName};

/// The longest body: names of groups.
const MAXIMUM_BYTES: usize = 64 * 1024;

/// What is to be changed of a user; what is not named stays.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChange {
    /// `true`: nothing lets them in any more, and all their logins end; `false`: they log in as before.
    #[serde(default)]
    pub(super) disabled: Option<bool>,
    /// The groups that the store keeps of them, beside those of the configuration.
    #[serde(default)]
    pub(super) groups: Option<Vec<String>>,
}

/// Disables or enables a user, wherever they are known from, or puts one of the store into other groups.
#[utoipa::path(
    patch, path = "/api/v1/users", tag = "accounts", request_body = UserChange,
    params(("name" = UserName, Query, description = "Whom.")),
    responses((status = 200, description = "The user as they are now.", body = ChangedUser))
)]
pub(super) async fn change(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Json<ChangedUser>, ApiError> {
    caller.gate()?;
    caller.require_administrator("to change users")?;
    let name = Parameters::parse(query.as_deref(), &["name"])?.required("name")?;
    let remedy = "; write {\"disabled\": true} or {\"groups\": [\u{2026}]}";
    let wanted = json_body::read(request, MAXIMUM_BYTES, remedy).await?;
    changed(&state, &caller, name, wanted).await.map(Json)
}

/// Changes a user, if the caller may.
pub(super) async fn changed(
    state: &WebState,
    caller: &Caller,
    name: UserName,
    wanted: UserChange,
) -> Result<ChangedUser, ApiError> {
    let gate = caller.gate()?;
    caller.require_administrator("to change users")?;
    let known = || async { users::known(gate, &state.accounts, name.clone()).await };
    let user = known().await?.filter(|user| !user.is_only_named());
    let user = user.ok_or_else(|| AccountError::NoUser(name.clone()))?;
    let UserChange { disabled, groups } = wanted;
    if groups.is_some() && user.created.is_none() {
        return Err(ApiError::GroupsElsewhere(name));
    }
    if disabled == Some(true) && name_of(caller.identity().await?.as_ref()) == Some(&name) {
        return Err(ApiError::OwnDisabling);
    }
    let warnings = match &groups {
        Some(groups) => users::warnings(gate, &state.accounts, groups).await?,
        None => Vec::new(),
    };
    // Whoever is in the way of harm is shut out first.
    let disabling = disabled.map(|disabled| match disabled {
        true => AccountCommand::DisableUser { name: name.clone() },
        false => AccountCommand::EnableUser { name: name.clone() },
    });
    let grouping = groups.map(|groups| AccountCommand::SetGroups { name: name.clone(), groups });
    let by = caller.author().await;
    for command in disabling.into_iter().chain(grouping) {
        state.accounts.carry_out(command, by.as_ref()).await?;
    }
    let user = known().await?.ok_or_else(|| AccountError::NoUser(name.clone()))?;
    Ok(ChangedUser { user, warnings })
}
