//! `GET`, `POST` and `DELETE /api/v1/tokens`: access tokens of users and of robots, and logins that go on without their password.

use std::time::Duration;

use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::{self, Caller, is_robot};
use super::error::ApiError;
use super::json_body;
use super::list::List;
use super::parameters::{Paging, Parameters};
use super::state::WebState;
use crate::auth::{
    AccountAnswer, AccountCommand, AccountError, Identity, KnownToken, LoginLife, TokenCursor, TokenFilter,
    TokenKind, UserName,
};
use crate::clock::Timestamp;
use crate::store::{Page, PageRequest};

/// The longest body: a name and some hundred patterns.
const MAXIMUM_BYTES: usize = 16 * 1024;
/// A token that is good for longer is meant to be good for ever.
const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);

/// An access token or a login, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TokenItem {
    /// By which it is revoked.
    pub(super) id: String,
    pub(super) kind: TokenKind,
    /// By which its bearer logs in: the user, or the robot.
    pub(super) name: UserName,
    /// What it is for; nothing of a login.
    pub(super) label: Option<String>,
    /// Repositories that it is for, as patterns; nothing of a login, which is for whatever its user may do.
    pub(super) repositories: Option<Vec<String>>,
    /// What it is for there; nothing of a login.
    pub(super) actions: Option<Vec<String>>,
    pub(super) created: Timestamp,
    /// When it ends; of a login, unless it is used. Nothing for one that is good until it is revoked.
    pub(super) expires: Option<Timestamp>,
    /// Whether that time is over.
    pub(super) expired: bool,
    /// To the hour.
    pub(super) last_use: Option<Timestamp>,
}

impl TokenItem {
    fn of(token: KnownToken, life: LoginLife, now: Timestamp) -> Self {
        let kind = token.kind();
        match token {
            KnownToken::Access { token, .. } => Self {
                id: token.id,
                kind,
                name: token.name,
                label: Some(token.label),
                repositories: Some(token.repositories),
                actions: Some(token.actions),
                created: token.created,
                expires: token.expires,
                expired: token.is_expired,
                last_use: token.last_use,
            },
            KnownToken::Login(login) => {
                let expires = life.end_of(&login);
                Self {
                    id: login.id,
                    kind,
                    name: login.user,
                    label: None,
                    repositories: None,
                    actions: None,
                    created: login.created,
                    expires: Some(expires),
                    expired: now >= expires,
                    last_use: Some(login.last_use),
                }
            }
        }
    }
}

/// What an access token is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// What a token of the caller's own is for: visible characters.
    pub(super) label: Option<UserName>,
    /// In place of it the name by which a robot logs in, which no user may have: for administrators.
    pub(super) robot: Option<UserName>,
    /// Repositories, as patterns such as `team/**`.
    pub(super) repositories: Vec<String>,
    /// `pull`, `push`, `delete`, or `*`.
    pub(super) actions: Vec<String>,
    /// For how long it is good, such as `90d`; without it until it is revoked.
    pub(super) expires_in: Option<String>,
}

/// An access token that was made.
#[derive(Serialize, ToSchema)]
pub(super) struct Created {
    /// By which it is revoked.
    pub(super) id: String,
    /// By which name its bearer logs in.
    pub(super) name: UserName,
    /// The password to log in with. It is shown this once.
    pub(super) token: String,
    pub(super) expires: Option<Timestamp>,
}

/// What to write instead of a body that cannot be read.
const REMEDY: &str = "; write {\"label\": …, \"repositories\": [\"team/**\"], \"actions\": [\"pull\"], \"expires_in\": \"90d\"}, \
     or \"robot\" instead of \"label\"";

/// Lists access tokens in the order of their identifiers, and then logins: the caller's own, or everybody's for administrators.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "accounts",
    params(
        ("user" = Option<UserName>, Query, description = "Those of this user or robot."),
        ("kind" = Option<TokenKind>, Query, description = "Those of this kind."),
        Paging
    ),
    responses((status = 200, description = "Access tokens and logins.", body = List<TokenItem>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<TokenItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["user", "kind", "n", "after"])?;
    let asked = TokensAsked {
        user: parameters.optional("user")?,
        kind: parameters.optional("kind")?,
        part: parameters.page()?,
    };
    listed(&state, &caller, asked).await.map(Json)
}

/// Which tokens are asked for.
pub(super) struct TokensAsked {
    /// Those of this user or robot.
    pub(super) user: Option<UserName>,
    pub(super) kind: Option<TokenKind>,
    pub(super) part: PageRequest<TokenCursor>,
}

/// Tokens as the API and the pages show them to this caller.
pub(super) async fn listed(
    state: &WebState,
    caller: &Caller,
    asked: TokensAsked,
) -> Result<List<TokenItem>, ApiError> {
    let TokensAsked { user, kind, part } = asked;
    let gate = caller.gate()?;
    let identity = caller.identity().await?;
    let mut filter = filter(caller, identity.as_ref(), user, kind)?;
    if let Some(own) = identity.filter(|identity| filter.name.as_ref() == Some(&identity.name)) {
        // Nothing of another user who had the name.
        filter.proof =
            Some(gate.authenticator.find(&own.name).await?.map(|found| found.proof).unwrap_or_default());
    }
    let Page { items, next } = state.accounts.tokens(&filter, part).await?;
    let (life, now) = (gate.logins.life, gate.clock.now());
    let items = items.into_iter().map(|token| TokenItem::of(token, life, now)).collect();
    Ok(List::<TokenItem>::of(Page { items, next }))
}

/// Those that are asked for, of those that the caller may see.
fn filter(
    caller: &Caller,
    identity: Option<&Identity>,
    user: Option<UserName>,
    kind: Option<TokenKind>,
) -> Result<TokenFilter, ApiError> {
    let name = match (identity, user) {
        (_, user) if caller.is_administrator() => user,
        (Some(Identity { name, .. }), user) if user.as_ref().is_none_or(|user| user == name) => {
            Some(name.clone())
        }
        _ => return Err(ApiError::Forbidden { what: "to see tokens of others" }),
    };
    let may_see = |seen: &TokenKind| {
        caller.is_administrator() || identity.is_some_and(|identity| is_of_their_kind(identity, *seen))
    };
    let is_asked_for = |seen: &TokenKind| kind.is_none_or(|kind| kind == *seen);
    let kinds = TokenKind::ALL.into_iter().filter(|seen| may_see(seen) && is_asked_for(seen)).collect();
    Ok(TokenFilter { kinds, name, proof: None })
}

/// Whether they have tokens of this kind. A robot never has a user's, should it ever have a user's name.
fn is_of_their_kind(identity: &Identity, kind: TokenKind) -> bool {
    (kind == TokenKind::Robot) == is_robot(identity)
}

/// Makes an access token: one of the caller's own, or for administrators one of a robot. It needs their password.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "accounts", request_body = NewToken,
    responses((status = 201, description = "The token, shown this once.", body = Created))
)]
pub(super) async fn create(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    caller.gate()?;
    let wanted = json_body::read(request, MAXIMUM_BYTES, REMEDY).await?;
    Ok((StatusCode::CREATED, Json(made(&state, &caller, wanted).await?)))
}

/// Makes an access token, if the caller may.
pub(super) async fn made(state: &WebState, caller: &Caller, wanted: NewToken) -> Result<Created, ApiError> {
    let gate = caller.gate()?;
    let identity = caller.identity().await?;
    let invalid = |wrong: &'static str| ApiError::InvalidBody { source: wrong.into(), remedy: REMEDY };
    let (name, user) = match (wanted.label, wanted.robot) {
        (Some(label), None) => {
            caller.require_password()?;
            let user = caller::name(identity.as_ref());
            (
                label,
                Some(
                    user.cloned()
                        .ok_or_else(|| invalid("whoever uses the socket has no tokens of their own"))?,
                ),
            )
        }
        (None, Some(robot)) => {
            caller.require_administrator("to make tokens of robots")?;
            if gate.authenticator.has_user(&robot).await? {
                return Err(AccountError::Exists(robot).into());
            }
            (robot, None)
        }
        (None, None) | (Some(_), Some(_)) => {
            return Err(invalid("it has either a `label` or the name of a `robot`"));
        }
    };
    let expires_in = wanted.expires_in.map(|text| time(&text)).transpose()?;
    let command = AccountCommand::CreateToken {
        name,
        user,
        repositories: wanted.repositories,
        actions: wanted.actions,
        expires_in: expires_in.map(|time| time.as_secs()),
    };
    match state.accounts.carry_out(command, caller.author().await.as_ref()).await? {
        AccountAnswer::Created { id, name, token, expires } => Ok(Created { id, name, token, expires }),
        AccountAnswer::Done
        | AccountAnswer::Users { .. }
        | AccountAnswer::Disabled { .. }
        | AccountAnswer::Tokens { .. } => Err(ApiError::NotFound),
    }
}

/// Reads for how long a token is to be good.
fn time(text: &str) -> Result<Duration, ApiError> {
    let wrong = |source: &'static str| ApiError::InvalidBody {
        source: source.into(),
        remedy: "; write a number with its unit, such as \"12h\" or \"90d\", of at most ten years",
    };
    match humantime::parse_duration(text) {
        Ok(time) if time < Duration::from_secs(1) => Err(wrong("`expires_in` is less than a second")),
        Ok(time) if time > LONGEST => Err(wrong("`expires_in` is more than ten years")),
        Ok(time) => Ok(time),
        Err(_) => Err(wrong("`expires_in` is no duration")),
    }
}

/// Revokes an access token, or ends a login: one of the caller's own, or anybody's for administrators. It needs their password,
/// unless an access token revokes itself.
#[utoipa::path(
    delete, path = "/api/v1/tokens", tag = "accounts",
    params(("id" = String, Query, description = "Its identifier, as the list shows it.")),
    responses((status = 204, description = "It is good no more."))
)]
pub(super) async fn revoke(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["id"])?;
    revoked(&state, &caller, parameters.required("id")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Revokes one, if the caller may.
pub(super) async fn revoked(state: &WebState, caller: &Caller, id: String) -> Result<(), ApiError> {
    caller.gate()?;
    let identity = caller.identity().await?;
    let is_theirs = |token: &KnownToken| {
        caller.is_administrator()
            || identity.as_ref().is_some_and(|identity| {
                identity.name == *token.name() && is_of_their_kind(identity, token.kind())
            })
    };
    // One of somebody else is as one that is not there.
    let known = state.accounts.token(&id).await?;
    if known.filter(is_theirs).is_none() {
        return Err(AccountError::NoToken(id).into());
    }
    if caller.signed_in_by().access_token() != Some(&id) {
        caller.require_password()?;
    }
    state.accounts.carry_out(AccountCommand::RevokeToken { id }, caller.author().await.as_ref()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_a_second_to_ten_years() {
        assert_eq!(time("90d").unwrap(), Duration::from_hours(90 * 24));
        for wrong in ["", "0", "0s", "999ms", "11y", "90", "-1d", "soon", "99999999999999999999y"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
