//! `GET` and `DELETE /api/v1/me/logins`: where the caller is signed in by their password, in browsers and by `docker login`.
//! Administrators see and end those of any user.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::{Caller, is_robot};
use super::error::ApiError;
use super::list::List;
use super::parameters::Parameters;
use super::state::WebState;
use crate::auth::{AccountCommand, Identity, LoginKind, LoginLife, LoginShown, SignedInBy, UserName};
use crate::clock::Timestamp;
use crate::store::Page;

/// A login that goes on without the password.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LoginItem {
    /// By which it is ended.
    pub(super) id: String,
    /// `session` of a browser, or the `refresh_token` of `docker login`.
    pub(super) kind: LoginKind,
    pub(super) created: Timestamp,
    /// Of a session to five minutes, of a refresh token to the hour.
    pub(super) last_use: Timestamp,
    /// When it ends, unless it is used.
    pub(super) expires: Timestamp,
    /// Whether that time is over.
    pub(super) expired: bool,
    /// Where it was made, if that is known.
    pub(super) address: Option<String>,
    /// With what it was made, if that is known: as the client says.
    pub(super) agent: Option<String>,
    /// Whether this request came by it.
    pub(super) present: bool,
}

impl LoginItem {
    fn of(
        kind: LoginKind,
        login: LoginShown,
        life: LoginLife,
        now: Timestamp,
        present: Option<&str>,
    ) -> Self {
        let expires = life.end_of(&login);
        let is_present = kind == LoginKind::Session && present == Some(&login.id);
        let LoginShown { id, user: _, created, last_use, address, agent } = login;
        Self {
            id,
            kind,
            created,
            last_use,
            expires,
            expired: now >= expires,
            address: address.map(|address| address.to_string()),
            agent,
            present: is_present,
        }
    }
}

/// Whose logins are asked for; nobody's where a robot asks for its own: those of a user with its name are not.
///
/// # Errors
/// When they are somebody's of whom the caller may not know, or nobody's.
fn whose(
    caller: &Caller,
    own: Option<&Identity>,
    user: Option<UserName>,
    what: &'static str,
) -> Result<Option<UserName>, ApiError> {
    match (own, user) {
        (Some(own), user) if user.as_ref().is_none_or(|user| *user == own.name) => {
            Ok(Some(own.name.clone()).filter(|_| !is_robot(own)))
        }
        (_, Some(user)) if caller.is_administrator() => Ok(Some(user)),
        (_, Some(_)) => Err(ApiError::Forbidden { what }),
        (_, None) => Err(ApiError::MissingParameter { name: "user" }),
    }
}

/// Lists the logins of the caller, or for administrators those of a user, those that were used last in front. There are no more than
/// 120 of one user.
#[utoipa::path(
    get, path = "/api/v1/me/logins", tag = "accounts",
    params(("user" = Option<UserName>, Query, description = "Those of this user.")),
    responses((status = 200, description = "Logins that go on without the password.", body = List<LoginItem>))
)]
pub(super) async fn list(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<LoginItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["user"])?;
    listed(&state, &caller, parameters.optional("user")?).await.map(Json)
}

/// Logins as the API and the pages show them to this caller.
pub(super) async fn listed(
    state: &WebState,
    caller: &Caller,
    user: Option<UserName>,
) -> Result<List<LoginItem>, ApiError> {
    let gate = caller.gate()?;
    let user = whose(caller, caller.identity().await?.as_ref(), user, "to see logins of others")?;
    let present = match caller.signed_in_by() {
        SignedInBy::Session(id) => Some(id.as_str()),
        _ => None,
    };
    let now = gate.clock.now();
    // Of nobody who is known by a password, none goes on.
    let logins = match user {
        Some(user) => match gate.authenticator.find(&user).await? {
            Some(found) => state.accounts.logins_of(&found).await?,
            None => Vec::new(),
        },
        None => Vec::new(),
    };
    let items = logins
        .into_iter()
        .map(|(kind, login)| LoginItem::of(kind, login, gate.logins.life_of(kind), now, present));
    Ok(List::of(Page::<LoginItem, String> { items: items.collect(), next: None }))
}

/// Ends a login of the caller, or all of them; for administrators also those of other users. Access tokens stay. It needs their
/// password, or a session.
#[utoipa::path(
    delete, path = "/api/v1/me/logins", tag = "accounts",
    params(
        ("id" = Option<String>, Query, description = "The identifier of one, as the list shows it."),
        ("all" = Option<bool>, Query, description = "`true` instead of an identifier: all of them."),
        ("user" = Option<UserName>, Query, description = "Those of this user.")
    ),
    responses((status = 204, description = "They go on no more."))
)]
pub(super) async fn end(
    State(state): State<WebState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["id", "all", "user"])?;
    ended(&state, &caller, Which::read(&parameters)?, parameters.optional("user")?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which logins end.
pub(super) enum Which {
    /// The one with this identifier.
    One(String),
    All,
}

impl Which {
    /// As `id` or `all` say: all are named as such, and are not what is left where nothing is.
    ///
    /// # Errors
    /// When they say nothing, or two things.
    pub(super) fn read(parameters: &Parameters) -> Result<Self, ApiError> {
        let all = parameters.optional::<bool>("all")?.unwrap_or_default();
        match (parameters.optional::<String>("id")?, all) {
            (Some(id), false) => Ok(Self::One(id)),
            (None, true) => Ok(Self::All),
            (None, false) => Err(ApiError::MissingParameter { name: "id` or `all=true" }),
            (Some(_), true) => {
                let wrong = "it is either one `id`, or all";
                Err(ApiError::InvalidParameter { name: "all", source: wrong.into() })
            }
        }
    }

    /// Whether the session with this identifier is among them.
    pub(super) fn has(&self, session: &str) -> bool {
        match self {
            Self::One(id) => id == session,
            Self::All => true,
        }
    }
}

/// Ends logins, if the caller may.
pub(super) async fn ended(
    state: &WebState,
    caller: &Caller,
    which: Which,
    user: Option<UserName>,
) -> Result<(), ApiError> {
    caller.gate()?;
    let identity = caller.identity().await?;
    let user = whose(caller, identity.as_ref(), user, "to end logins of others")?;
    caller.require_password()?;
    // A robot has none.
    let Some(user) = user else { return Ok(()) };
    let command = match which {
        Which::One(id) => AccountCommand::EndLogin { user, id },
        Which::All => AccountCommand::EndLogins { user },
    };
    state.accounts.carry_out(command, caller.author().await.as_ref()).await?;
    Ok(())
}
