//! `/ui/access/user?name=`: a user with their access tokens and logins, for administrators, who end them, set another password, and
//! remove users.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use secrecy::SecretString;

use super::super::super::caller::Caller;
use super::super::super::error::ApiError;
use super::super::super::logins::{self, Which};
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::super::tokens::{self, TokensAsked};
use super::super::super::users::{self, NewPassword};
use super::super::error::PageError;
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::redirect::see_other;
use super::super::visit::{Visit, rendered};
use super::super::{form, links};
use super::rows::{LoginRow, TokenRow};
use super::users::UserRow;
use super::{FormPage, Head, again, ended_at};
use crate::auth::{AccountError, TokenKind, UserName};
use crate::store::PageRequest;

/// More than anybody may have.
const MOST: usize = 1000;

#[derive(Template)]
#[template(path = "access_user.html", config = "src/web/pages/templates/askama.toml")]
pub(super) struct UserPage {
    layout: Layout,
    head: Head,
    user: UserRow,
    tokens: Vec<TokenRow>,
    logins: Vec<LoginRow>,
    /// Which rules decide about them.
    rules: String,
    /// Whether it is whoever looks: they change their password where they show the present one.
    is_own: bool,
    /// Whether the password is changed here, and not in a file of users.
    is_kept_here: bool,
    /// Whether the store keeps anything of them that can be removed, or changed.
    is_removable: bool,
    /// The groups that the store keeps, as a form has them.
    stored_groups: String,
}

impl FormPage for UserPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }
}

/// Shows them.
pub(in crate::web::pages) async fn show_user(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["name", "done"])?;
    rendered(&page(&state, &caller, &visit, parameters.required("name")?, parameters.text("done")).await?)
}

/// Their page, with what was done just before.
pub(super) async fn page(
    state: &WebState,
    caller: &Caller,
    visit: &Visit,
    name: UserName,
    done: Option<&str>,
) -> Result<UserPage, PageError> {
    let gate = visit.gate().ok_or_else(PageError::no_accounts)?;
    let known = users::known(gate, &state.accounts, name.clone()).await?;
    let known = known.ok_or_else(|| ApiError::from(AccountError::NoUser(name.clone())))?;
    let (is_kept_here, is_removable) = (known.is_kept_here(), known.created.is_some());
    let stored_groups = known.stored_groups.join(" ");
    let asked = TokensAsked {
        user: Some(name.clone()),
        kind: Some(TokenKind::User),
        part: PageRequest { after: None, limit: MOST },
    };
    let tokens = tokens::listed(state, caller, asked).await?;
    let logins = logins::listed(state, caller, Some(name.clone())).await?;
    let here = links::user(name.as_str());
    Ok(UserPage {
        layout: Layout { here, ..visit.layout(Section::None, name.as_str()) },
        head: Head::new(visit, links::USERS, done),
        rules: links::to(links::RULES, &[("user", name.as_str())]),
        user: UserRow::new(known, visit),
        tokens: tokens.items.into_iter().map(|token| TokenRow::new(token, visit)).collect(),
        logins: logins.items.into_iter().map(|login| LoginRow::new(login, visit)).collect(),
        is_own: visit.viewer.name() == Some(name.as_str()),
        is_kept_here,
        is_removable,
        stored_groups,
    })
}

/// Their page with what was done, and what was probably not meant so. Nothing keeps that: it is told this once.
pub(super) async fn with_warnings(
    state: &WebState,
    caller: &Caller,
    visit: &Visit,
    name: UserName,
    done: &str,
    warnings: &[String],
) -> Result<Response, PageError> {
    let mut page = page(state, caller, visit, name, Some(done)).await?;
    page.head.failure = Some(format!("But {}.", warnings.join("; ")));
    rendered(&page)
}

/// `POST /ui/access/user/password`: another one for them.
pub(in crate::web::pages) async fn set_user_password(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["name", "password"])?;
    let name: UserName = given.required("name")?;
    let password = SecretString::from(given.text("password").unwrap_or_default());
    let wanted = NewPassword { name: Some(name.clone()), current: None, password };
    match users::password_set(&state, &caller, wanted).await {
        Ok(()) => Ok(see_other(&links::done(&links::user(name.as_str()), "password"))),
        Err(error) => again(error.into(), page(&state, &caller, &visit, name, None)).await,
    }
}

/// `POST /ui/access/user/logins`: one of their logins ends, or all.
pub(in crate::web::pages) async fn end_user_logins(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::of_form(&sent, &["name", "id", "all"])?;
    let name: UserName = given.required("name")?;
    let which = Which::read(&given)?;
    let response = ended_at(&caller, Some(&name), &which, &links::user(name.as_str()));
    logins::ended(&state, &caller, which, Some(name)).await?;
    Ok(response)
}

/// `POST /ui/access/user/revoke`: one of their access tokens.
pub(in crate::web::pages) async fn revoke_user_token(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["name", "id"])?;
    let name: UserName = given.required("name")?;
    tokens::revoked(&state, &caller, given.required("id")?).await?;
    Ok(see_other(&links::done(&links::user(name.as_str()), "revoked")))
}

/// `POST /ui/access/user/remove`: they are gone.
pub(in crate::web::pages) async fn remove_user(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["name"])?;
    users::removed(&state, &caller, given.required("name")?).await?;
    Ok(see_other(&links::done(links::USERS, "removed")))
}
