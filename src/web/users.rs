//! `GET`, `POST` and `DELETE /api/v1/users`: the users that the store keeps. `POST /api/v1/users/password`: another password, for
//! the caller or, by an administrator, for somebody else. Users of a file are changed in the file.

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::caller::{Caller, is_robot};
use super::error::ApiError;
use super::json_body;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::{
    AccountCommand, AccountError, Credentials, Gate, Identity, LoginError, UserName, UserShown,
    check_new_password,
};
use crate::clock::Timestamp;

/// The longest body: names, and two passwords of at most 4,096 bytes.
const MAXIMUM_BYTES: usize = 64 * 1024;

/// A user that the store keeps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserItem {
    name: UserName,
    /// Those that the store keeps; the configuration may name others.
    groups: Vec<String>,
    created: Timestamp,
    /// Whether the password counts no more, since `auth.htpasswd` had the name.
    superseded: bool,
}

impl From<UserShown> for UserItem {
    fn from(user: UserShown) -> Self {
        let UserShown { name, groups, created, is_superseded } = user;
        Self { name, groups, created, superseded: is_superseded }
    }
}

/// A user who is to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    name: UserName,
    /// At least eight characters.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    password: SecretString,
    #[serde(default)]
    groups: Vec<String>,
}

/// A password that is to take the place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// Whose; without it the caller's own.
    name: Option<UserName>,
    /// The caller's present password, if it is their own that changes.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>)]
    current: Option<SecretString>,
    /// At least eight characters.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    password: SecretString,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// Lists the users that the store keeps.
#[utoipa::path(
    get, path = "/api/v1/users", tag = "accounts", params(Paging),
    responses((status = 200, description = "Users in bytewise order.", body = List<UserItem>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<UserItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["n", "after"])?;
    let page = parameters.page::<String>()?;
    caller.gate()?;
    Ok(Json(List::of(state.accounts.users(page).await?)))
}

/// Adds a user to the store.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "accounts", request_body = NewUser,
    responses((status = 201, description = "The user.", body = UserItem))
)]
pub(super) async fn add(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<UserItem>), ApiError> {
    let gate = caller.gate()?;
    caller.require_administrator("to add users")?;
    let remedy = "; write {\"name\": …, \"password\": …, \"groups\": []}";
    let NewUser { name, password, groups } = json_body::read(request, MAXIMUM_BYTES, remedy).await?;
    check_is_changed_here(gate, &name).await?;
    let hash = hash(gate, &caller, password).await?;
    let command = AccountCommand::AddUser { name: name.clone(), hash, groups };
    state.accounts.carry_out(command, caller.author().await.as_ref()).await?;
    let user = state.accounts.user(&name).await?.ok_or(AccountError::NoUser(name))?;
    Ok((StatusCode::CREATED, Json(user.into())))
}

/// Removes a user of the store, with their access tokens and logins.
#[utoipa::path(
    delete, path = "/api/v1/users", tag = "accounts",
    params(("name" = UserName, Query, description = "Whom.")),
    responses((status = 204, description = "The user is gone."))
)]
pub(super) async fn remove(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["name"])?;
    let name: UserName = parameters.required("name")?;
    let gate = caller.gate()?;
    caller.require_administrator("to remove users")?;
    // What the store has beside a file can be removed all the same.
    if state.accounts.user(&name).await?.is_none() {
        check_is_changed_here(gate, &name).await?;
    }
    state.accounts.carry_out(AccountCommand::RemoveUser { name }, caller.author().await.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a user of the store another password, which ends their logins: the caller, who shows the present one, or somebody else by
/// an administrator.
#[utoipa::path(
    post, path = "/api/v1/users/password", tag = "accounts", request_body = NewPassword,
    responses((status = 204, description = "It counts from now on."))
)]
pub(super) async fn set_password(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let gate = caller.gate()?;
    let identity = caller.identity().await?;
    let remedy =
        "; write {\"current\": …, \"password\": …}, or for somebody else {\"name\": …, \"password\": …}";
    let NewPassword { name, current, password } = json_body::read(request, MAXIMUM_BYTES, remedy).await?;
    let missing = |what: &'static str| ApiError::InvalidBody { source: what.into(), remedy };
    let name = match (identity, name) {
        (Some(identity), name) if name.as_ref().is_none_or(|name| *name == identity.name) => {
            if is_robot(&identity) {
                return Err(ApiError::Forbidden { what: "as a robot to have a password" });
            }
            check_is_changed_here(gate, &identity.name).await?;
            let current = current.ok_or_else(|| missing("`current` is missing"))?;
            check_current(gate, &caller, &identity, current).await?;
            identity.name
        }
        (_, Some(name)) => {
            caller.require_administrator("to change the passwords of others")?;
            check_is_changed_here(gate, &name).await?;
            name
        }
        (_, None) => return Err(missing("`name` is missing")),
    };
    let hash = hash(gate, &caller, password).await?;
    state
        .accounts
        .carry_out(AccountCommand::SetPassword { name, hash }, caller.author().await.as_ref())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether it is their password; a wrong one counts as any failed login does.
async fn check_current(
    gate: &Gate,
    caller: &Caller,
    identity: &Identity,
    current: SecretString,
) -> Result<(), ApiError> {
    let credentials = Credentials { name: identity.name.clone(), password: current };
    // A large future.
    match Box::pin(gate.login(&credentials, caller.address())).await {
        Ok(Identity { limits: None, .. }) => Ok(()),
        // An access token is no password.
        Ok(Identity { limits: Some(_), .. }) | Err(LoginError::Wrong(_)) => Err(ApiError::WrongPassword),
        Err(error) => Err(error.into()),
    }
}

/// Makes sure that no file keeps the user.
async fn check_is_changed_here(gate: &Gate, name: &UserName) -> Result<(), ApiError> {
    match gate.authenticator.has_user_elsewhere(name).await? {
        true => Err(ApiError::UserElsewhere(name.clone())),
        false => Ok(()),
    }
}

/// The hash of a new password, if it may be one.
async fn hash(gate: &Gate, caller: &Caller, password: SecretString) -> Result<String, ApiError> {
    check_new_password(password.expose_secret())?;
    Ok(gate.authenticator.hash(password, caller.address()).await?)
}
