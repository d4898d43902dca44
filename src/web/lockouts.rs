//! `GET` and `DELETE /api/v1/lockouts`: names, access tokens and networks that are locked after failed logins, and letting go of
//! them. For administrators. They are those of this door: each has its own, and none outlives it.

use axum::Json;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::error::ApiError;
use super::list::List;
use super::parameters::{Paging, Parameters};
use crate::auth::{LockCursor, LockKind, LockShown, UserName, WantedUnlock};
use crate::clock::Timestamp;
use crate::store::PageRequest;

/// A lock after failed logins.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct LockItem {
    /// By which it is let go of.
    pub(super) id: String,
    /// What is locked: `user`, logins by a user's password from everywhere, except where the user has logged in within a day;
    /// `user_at_network`, those from one network; `access_token`, logins by an access token from one network; `network`, logins of a
    /// network by any password, which are not refused but answered later.
    pub(super) kind: LockKind,
    /// The user, where there is one of that name: any other may be a password in the wrong place, and is not told.
    pub(super) user: Option<String>,
    /// The identifier of the access token.
    pub(super) token: Option<String>,
    /// An address, or an IPv6 /64; nothing if it is from everywhere.
    pub(super) network: Option<String>,
    /// How many logins failed.
    pub(super) failures: u32,
    /// When the last one did.
    pub(super) last: Timestamp,
    /// Until when it lasts, unless more fail.
    pub(super) until: Timestamp,
    /// Why, in words.
    pub(super) reason: String,
}

impl From<LockShown> for LockItem {
    fn from(lock: LockShown) -> Self {
        let LockShown { id, named, network, failures, last, until } = lock;
        let kind = id.kind();
        let network = network.map(|network| network.to_string());
        let (user, token) = match kind {
            LockKind::User | LockKind::UserAtNetwork => (named, None),
            LockKind::AccessToken | LockKind::Network => (None, named),
        };
        let what = match kind {
            LockKind::User | LockKind::UserAtNetwork => "wrong passwords",
            LockKind::AccessToken => "wrong secrets",
            LockKind::Network => "wrong passwords for any names",
        };
        let from = network.as_deref().unwrap_or("everywhere");
        let reason = format!("{failures} {what} from {from}");
        Self { id: id.to_string(), kind, user, token, network, failures, last, until, reason }
    }
}

/// Lists what is locked now: users and access tokens in the order of their names, then names that nobody has, then networks.
#[utoipa::path(
    get, path = "/api/v1/lockouts", tag = "accounts",
    params(Paging, ("user" = Option<UserName>, Query, description = "Locks of this user alone.")),
    responses((status = 200, description = "What is locked.", body = List<LockItem>))
)]
pub(super) async fn list(
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Json<List<LockItem>>, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["n", "after", "user"])?;
    listed(&caller, parameters.optional("user")?, parameters.page()?).map(Json)
}

/// What is locked, as the API and the pages show it.
pub(super) fn listed(
    caller: &Caller,
    user: Option<UserName>,
    page: PageRequest<LockCursor>,
) -> Result<List<LockItem>, ApiError> {
    Ok(List::of(caller.gate()?.locks(user.as_ref(), page)))
}

/// Lets go of a lock, or of all locks of a user: the failed logins behind it are forgotten.
#[utoipa::path(
    delete, path = "/api/v1/lockouts", tag = "accounts",
    params(
        ("id" = Option<String>, Query, description = "The identifier of one, as the list shows it."),
        ("user" = Option<UserName>, Query, description = "Instead of an identifier: all of this user.")
    ),
    responses((status = 204, description = "It is locked no more."))
)]
pub(super) async fn unlock(caller: Caller, RawQuery(query): RawQuery) -> Result<StatusCode, ApiError> {
    let parameters = Parameters::parse(query.as_deref(), &["id", "user"])?;
    let wanted = match (parameters.optional("id")?, parameters.optional("user")?) {
        (Some(id), None) => WantedUnlock::Lock(id),
        (None, Some(user)) => WantedUnlock::User(user),
        (None, None) => return Err(ApiError::MissingParameter { name: "id" }),
        (Some(_), Some(_)) => {
            let wrong = "it is either one `id`, or all of a user";
            return Err(ApiError::InvalidParameter { name: "user", source: wrong.into() });
        }
    };
    unlocked(&caller, &wanted).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets go of locks, if the caller may.
pub(super) async fn unlocked(caller: &Caller, wanted: &WantedUnlock) -> Result<(), ApiError> {
    let gate = caller.gate()?;
    caller.require_administrator("to unlock users")?;
    match gate.unlock(wanted, caller.author().await.as_ref()) {
        true => Ok(()),
        false => Err(ApiError::NotLocked),
    }
}
