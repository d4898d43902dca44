//! Forms on the page of a user: they are disabled or enabled, or are in other groups. For administrators.

use axum::extract::{Request, State};
use axum::response::Response;

use super::super::super::caller::Caller;
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::super::user_changes::{UserChange, changed};
use super::super::error::PageError;
use super::super::redirect::see_other;
use super::super::visit::Visit;
use super::super::{form, links};
use super::{again, user, users};
use crate::auth::UserName;

/// `POST /ui/access/user/disable`: nothing lets them in any more; or they log in again.
pub(in crate::web::pages) async fn disable_user(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["name", "disabled"])?;
    let disabled: bool = given.required("disabled")?;
    let wanted = UserChange { disabled: Some(disabled), groups: None };
    let done = if disabled { "disabled" } else { "enabled" };
    change(&state, &caller, &visit, given.required("name")?, wanted, done).await
}

/// `POST /ui/access/user/groups`: these instead of those that the store has of them.
pub(in crate::web::pages) async fn set_user_groups(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["name", "groups"])?;
    let groups = users::read_groups(given.text("groups").unwrap_or_default());
    let wanted = UserChange { disabled: None, groups: Some(groups) };
    change(&state, &caller, &visit, given.required("name")?, wanted, "groups").await
}

async fn change(
    state: &WebState,
    caller: &Caller,
    visit: &Visit,
    name: UserName,
    wanted: UserChange,
    done: &str,
) -> Result<Response, PageError> {
    match changed(state, caller, name.clone(), wanted).await.map_err(PageError::from) {
        Ok(changed) if changed.warnings.is_empty() => {
            Ok(see_other(&links::done(&links::user(name.as_str()), done)))
        }
        // It is done; what was probably not meant so is told with it.
        Ok(changed) => user::with_warnings(state, caller, visit, name, done, &changed.warnings).await,
        Err(error) => again(error, user::page(state, caller, visit, name, None)).await,
    }
}
