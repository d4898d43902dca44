//! `GET`, `POST` and `DELETE /api/v1/users`: all users that are known, and those that the store keeps (`user_changes` has `PATCH`). `POST /api/v1/users/password`: another password, for
//! the caller or, by an administrator, for somebody else. Users of a file are changed in the file.

use std::collections::BTreeMap;

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
    AccountCommand, AccountError, Accounts, Credentials, Gate, Identity, LoginError, UserName, UserShown,
    check_new_password,
};
use crate::clock::Timestamp;
use crate::store::{Page, PageRequest};

/// The longest body: names, and two passwords of at most 4,096 bytes.
const MAXIMUM_BYTES: usize = 64 * 1024;

/// Where a user is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum UserOrigin {
    /// A line of `auth.htpasswd`.
    Htpasswd,
    /// The store.
    Store,
    /// A rule, or a group of the configuration. Who is known from there alone cannot log in; a rule may name a robot as well.
    Configuration,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UserItem {
    pub(super) name: UserName,
    /// Those that the store keeps, and those that the configuration names.
    pub(super) groups: Vec<String>,
    /// Where they are known from.
    pub(super) sources: Vec<UserOrigin>,
    /// Since when the store keeps them, if it does.
    pub(super) created: Option<Timestamp>,
    /// Whether the password in the store counts no more, since `auth.htpasswd` had the name.
    pub(super) superseded: bool,
    /// The groups that the store keeps alone.
    pub(super) stored_groups: Vec<String>,
    /// Since when nothing lets them in, if that is so.
    pub(super) disabled_since: Option<Timestamp>,
    /// Whether logins by their password are locked, from everywhere or from somewhere: `/api/v1/lockouts` has more.
    pub(super) locked: bool,
}

impl UserItem {
    /// Of somebody whom no source has told of yet.
    fn new(gate: &Gate, name: UserName) -> Self {
        let groups = gate.configured_groups(&name);
        Self {
            name,
            groups,
            sources: Vec::new(),
            created: None,
            superseded: false,
            stored_groups: Vec::new(),
            disabled_since: None,
            locked: false,
        }
    }

    /// The same with what the store keeps.
    fn add_stored(&mut self, user: UserShown) {
        let UserShown { name: _, groups, created, is_superseded } = user;
        let news: Vec<String> =
            groups.iter().filter(|group| !self.groups.contains(*group)).cloned().collect();
        self.groups.extend(news);
        self.stored_groups = groups;
        self.sources.push(UserOrigin::Store);
        self.created = Some(created);
        self.superseded = is_superseded;
    }

    /// Whether their password is changed here, and not in a file of users.
    pub(super) fn is_kept_here(&self) -> bool {
        self.sources.contains(&UserOrigin::Store) && !self.sources.contains(&UserOrigin::Htpasswd)
    }

    /// Whether but a rule or a group has the name, so that nobody logs in by it.
    pub(super) fn is_only_named(&self) -> bool {
        self.sources == [UserOrigin::Configuration]
    }

    /// For people: where they are known from, so far as they log in there.
    pub(super) fn sources_in_words(&self) -> &'static str {
        let has = |source| self.sources.contains(&source);
        match (has(UserOrigin::Htpasswd), has(UserOrigin::Store)) {
            (true, true) => "auth.htpasswd, and the store",
            (true, false) => "auth.htpasswd",
            (false, true) => "the store",
            (false, false) => "the configuration",
        }
    }
}

/// A user who was added or changed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChangedUser {
    #[serde(flatten)]
    pub(super) user: UserItem,
    /// What was probably not meant so.
    pub(super) warnings: Vec<String>,
}

/// A user who is to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUser {
    pub(super) name: UserName,
    /// At least eight characters.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    pub(super) password: SecretString,
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// A password that is to take the place of another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPassword {
    /// Whose; without it the caller's own.
    pub(super) name: Option<UserName>,
    /// The caller's present password, if it is their own that changes.
    #[serde(default, deserialize_with = "optional_secret")]
    #[schema(value_type = Option<String>)]
    pub(super) current: Option<SecretString>,
    /// At least eight characters.
    #[serde(deserialize_with = "secret")]
    #[schema(value_type = String)]
    pub(super) password: SecretString,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

fn optional_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// Lists the users of `auth.htpasswd` and of the store, and those whom the configuration names.
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
    let gate = caller.gate()?;
    listed(gate, &state.accounts, page).await.map(Json)
}

/// One user, if they are known from anywhere.
pub(super) async fn known(
    gate: &Gate,
    accounts: &Accounts,
    name: UserName,
) -> Result<Option<UserItem>, ApiError> {
    let stored = accounts.user(&name).await?;
    let is_elsewhere = gate.authenticator.has_user_elsewhere(&name).await?;
    let is_named = gate.named_users().contains(&name);
    let mut user = UserItem::new(gate, name);
    user.sources.extend(is_elsewhere.then_some(UserOrigin::Htpasswd));
    user.sources.extend(is_named.then_some(UserOrigin::Configuration));
    if let Some(stored) = stored {
        user.add_stored(stored);
    }
    if user.sources.is_empty() {
        return Ok(None);
    }
    complete(gate, accounts, std::slice::from_mut(&mut user)).await?;
    Ok(Some(user))
}

/// Adds who is disabled and who is locked to users in the order of their names.
async fn complete(gate: &Gate, accounts: &Accounts, users: &mut [UserItem]) -> Result<(), ApiError> {
    let names: Vec<&UserName> = users.iter().map(|user| &user.name).collect();
    let disabled = accounts.disabled_among(&names).await?;
    let locked = gate.locked_users();
    for user in users {
        let disabling = disabled.iter().find(|disabled| disabled.name == user.name);
        user.disabled_since = disabling.map(|disabled| disabled.since);
        user.locked = locked.contains(user.name.as_str());
    }
    Ok(())
}

/// A part of all users that are known.
pub(super) async fn listed(
    gate: &Gate,
    accounts: &Accounts,
    page: PageRequest<String>,
) -> Result<List<UserItem>, ApiError> {
    let PageRequest { after, limit } = page;
    // One more tells that the list goes on.
    let most = limit.saturating_add(1);
    let behind = after.clone().unwrap_or_default();
    let mut all: BTreeMap<UserName, UserItem> = BTreeMap::new();
    let mut known_from = |name: UserName, source| {
        let item = all.entry(name.clone()).or_insert_with(|| UserItem::new(gate, name));
        item.sources.push(source);
    };
    for name in gate.authenticator.names_elsewhere(&behind, most).await? {
        known_from(name, UserOrigin::Htpasswd);
    }
    for name in gate.named_users().into_iter().filter(|name| name.as_str() > behind.as_str()).take(most) {
        known_from(name, UserOrigin::Configuration);
    }
    let Page { items, next } = accounts.users(PageRequest { after, limit: most }).await?;
    for user in items {
        let name = user.name.clone();
        all.entry(name.clone()).or_insert_with(|| UserItem::new(gate, name)).add_stored(user);
    }
    let mut items: Vec<UserItem> = all.into_values().collect();
    // Behind this one the store may have others.
    if let Some(last) = &next {
        items.retain(|item| item.name.as_str() <= last.as_str());
    }
    let goes_on = items.len() > limit;
    items.truncate(limit);
    let next = if goes_on { items.last().map(|item| item.name.to_string()) } else { next };
    complete(gate, accounts, &mut items).await?;
    Ok(List { items, next })
}

/// What is probably not meant so of the groups of a user who is to be added or changed: that nothing speaks of them.
pub(super) async fn warnings(
    gate: &Gate,
    accounts: &Accounts,
    groups: &[String],
) -> Result<Vec<String>, ApiError> {
    const SHOWN: usize = 10;
    let named = gate.named_groups();
    let unnamed: Vec<String> = groups.iter().filter(|group| !named.contains(*group)).cloned().collect();
    let known: Vec<String> = named.iter().take(SHOWN).map(|group| format!("`{group}`")).collect();
    let remedy = match (known.len(), named.len()) {
        (0, _) => "rules name none".to_owned(),
        (shown, all) if shown == all => format!("there are {}", known.join(", ")),
        (_, all) => format!("there are {all}, such as {}", known.join(", ")),
    };
    let unknown = accounts.groups_without_users(&unnamed).await?;
    let warning = |group| format!("no rule and no user has a group `{group}`; {remedy}");
    Ok(unknown.into_iter().map(warning).collect())
}

/// Adds a user to the store.
#[utoipa::path(
    post, path = "/api/v1/users", tag = "accounts", request_body = NewUser,
    responses((status = 201, description = "The user.", body = ChangedUser))
)]
pub(super) async fn add(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<ChangedUser>), ApiError> {
    caller.gate()?;
    caller.require_administrator("to add users")?;
    let remedy = "; write {\"name\": …, \"password\": …, \"groups\": []}";
    let wanted = json_body::read(request, MAXIMUM_BYTES, remedy).await?;
    Ok((StatusCode::CREATED, Json(added(&state, &caller, wanted).await?)))
}

/// Adds a user, if the caller may.
pub(super) async fn added(
    state: &WebState,
    caller: &Caller,
    wanted: NewUser,
) -> Result<ChangedUser, ApiError> {
    let gate = caller.gate()?;
    caller.require_administrator("to add users")?;
    let NewUser { name, password, groups } = wanted;
    check_is_changed_here(gate, &name).await?;
    let hash = hash(gate, caller, password).await?;
    let warnings = warnings(gate, &state.accounts, &groups).await?;
    let command = AccountCommand::AddUser { name: name.clone(), hash, groups };
    state.accounts.carry_out(command, caller.author().await.as_ref()).await?;
    let stored = state.accounts.user(&name).await?.ok_or_else(|| AccountError::NoUser(name.clone()))?;
    let mut user = UserItem::new(gate, name);
    user.add_stored(stored);
    Ok(ChangedUser { user, warnings })
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
    removed(&state, &caller, parameters.required("name")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a user, if the caller may.
pub(super) async fn removed(state: &WebState, caller: &Caller, name: UserName) -> Result<(), ApiError> {
    let gate = caller.gate()?;
    caller.require_administrator("to remove users")?;
    // What the store has beside a file can be removed all the same.
    if state.accounts.user(&name).await?.is_none() {
        check_is_changed_here(gate, &name).await?;
    }
    state.accounts.carry_out(AccountCommand::RemoveUser { name }, caller.author().await.as_ref()).await?;
    Ok(())
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
    caller.gate()?;
    caller.identity().await?;
    let wanted = json_body::read(request, MAXIMUM_BYTES, PASSWORD_REMEDY).await?;
    password_set(&state, &caller, wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to write instead of a body that cannot be read.
const PASSWORD_REMEDY: &str =
    "; write {\"current\": …, \"password\": …}, or for somebody else {\"name\": …, \"password\": …}";

/// Sets another password, if the caller may.
pub(super) async fn password_set(
    state: &WebState,
    caller: &Caller,
    wanted: NewPassword,
) -> Result<(), ApiError> {
    let gate = caller.gate()?;
    let identity = caller.identity().await?;
    let NewPassword { name, current, password } = wanted;
    let missing = |what: &'static str| ApiError::InvalidBody { source: what.into(), remedy: PASSWORD_REMEDY };
    let (name, present) = match (identity, name) {
        (Some(identity), name) if name.as_ref().is_none_or(|name| *name == identity.name) => {
            if is_robot(&identity) {
                return Err(ApiError::Forbidden { what: "as a robot to have a password" });
            }
            check_is_changed_here(gate, &identity.name).await?;
            let current = current.ok_or_else(|| missing("`current` is missing"))?;
            let present = check_current(gate, caller, &identity, current).await?;
            (identity.name, Some(present))
        }
        (_, Some(name)) => {
            caller.require_administrator("to change the passwords of others")?;
            check_is_changed_here(gate, &name).await?;
            (name, None)
        }
        (_, None) => return Err(missing("`name` is missing")),
    };
    let hash = hash(gate, caller, password).await?;
    let command = AccountCommand::SetPassword { name, hash, present };
    state.accounts.carry_out(command, caller.author().await.as_ref()).await?;
    Ok(())
}

/// What their password is known by, if this is it; a wrong one counts as any failed login does.
async fn check_current(
    gate: &Gate,
    caller: &Caller,
    identity: &Identity,
    current: SecretString,
) -> Result<String, ApiError> {
    let credentials = Credentials { name: identity.name.clone(), password: current };
    // A large future.
    match Box::pin(gate.prove(&credentials, caller.address())).await {
        // An access token is no password.
        Ok(proven) => proven.proof().map(str::to_owned).ok_or(ApiError::WrongPassword),
        Err(LoginError::Wrong(_)) => Err(ApiError::WrongPassword),
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
