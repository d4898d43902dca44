//! `/ui/access`: whoever looks at it sees their access tokens and logins, makes and ends them, and changes their password.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use secrecy::SecretString;

use super::super::super::caller::{Caller, is_robot};
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
use super::token_form::{self, TokenForm};
use super::{FormPage, Head, again, ended_at};
use crate::auth::TokenKind;
use crate::store::PageRequest;

/// More than anybody may have.
const MOST: usize = 1000;

#[derive(Template)]
#[template(path = "access_own.html", config = "src/web/pages/templates/askama.toml")]
struct OwnPage {
    layout: Layout,
    head: Head,
    name: String,
    groups: String,
    tokens: Vec<TokenRow>,
    logins: Vec<LoginRow>,
    form: TokenForm,
    /// Whether access tokens can be made and revoked, logins ended and the password changed by whoever looks.
    may_change: bool,
    /// Whether the password is changed here, and not in a file of users.
    is_password_here: bool,
}

impl FormPage for OwnPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }
}

/// Shows what is their own.
pub(in crate::web::pages) async fn show_own(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["done"])?;
    rendered(&own(&state, &caller, &visit, parameters.text("done"), TokenForm::default()).await?)
}

async fn own(
    state: &WebState,
    caller: &Caller,
    visit: &Visit,
    done: Option<&str>,
    form: TokenForm,
) -> Result<OwnPage, PageError> {
    let gate = visit.gate().ok_or_else(PageError::no_accounts)?;
    let identity = caller.identity().await?.ok_or_else(PageError::no_accounts)?;
    let kind = if is_robot(&identity) { TokenKind::Robot } else { TokenKind::User };
    let name = identity.name;
    let asked = TokensAsked {
        user: Some(name.clone()),
        kind: Some(kind),
        part: PageRequest { after: None, limit: MOST },
    };
    let tokens = tokens::listed(state, caller, asked).await?;
    let logins = logins::listed(state, caller, Some(name.clone())).await?;
    let known = users::known(gate, &state.accounts, name.clone()).await?;
    let is_password_here = known.is_some_and(|user| user.is_kept_here());
    Ok(OwnPage {
        layout: Layout { here: links::ACCESS.to_owned(), ..visit.layout(Section::None, "Access") },
        head: Head::new(visit, links::ACCESS, done),
        name: name.to_string(),
        groups: identity.groups.join(", "),
        tokens: tokens.items.into_iter().map(|token| TokenRow::new(token, visit)).collect(),
        logins: logins.items.into_iter().map(|login| LoginRow::new(login, visit)).collect(),
        form,
        may_change: caller.has_password(),
        is_password_here,
    })
}

/// `POST /ui/access/token`: one more access token. The answer shows it.
pub(in crate::web::pages) async fn create_own_token(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let form = TokenForm::read(&form::read(request).await?)?;
    let made = async { Ok::<_, PageError>(tokens::made(&state, &caller, form.of_user()?).await?) };
    match made.await {
        Ok(created) => Ok(token_form::shown(&visit, created, &form, links::ACCESS)),
        Err(error) => again(error, own(&state, &caller, &visit, None, form)).await,
    }
}

/// `POST /ui/access/token/revoke`
pub(in crate::web::pages) async fn revoke_own_token(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["id"])?;
    tokens::revoked(&state, &caller, given.required("id")?).await?;
    Ok(see_other(&links::done(links::ACCESS, "revoked")))
}

/// `POST /ui/access/logins/end`: one of them, or all.
pub(in crate::web::pages) async fn end_own_logins(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::of_form(&sent, &["id", "all"])?;
    let which = Which::read(&given)?;
    let response = ended_at(&caller, None, &which, links::ACCESS);
    logins::ended(&state, &caller, which, None).await?;
    Ok(response)
}

/// `POST /ui/access/password`: another one. All logins end, the one by which it was sent as well.
pub(in crate::web::pages) async fn set_own_password(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["user", "current", "password", "again"])?;
    let text = |name| given.text(name).unwrap_or_default();
    let changed = async {
        if text("password") != text("again") {
            return Err(PageError::invalid("The new password was written in two ways"));
        }
        let current = Some(SecretString::from(text("current")));
        let wanted = NewPassword { name: None, current, password: SecretString::from(text("password")) };
        Ok(users::password_set(&state, &caller, wanted).await?)
    };
    match changed.await {
        Ok(()) => Ok(see_other(&links::signed_out_by_password())),
        Err(error) => again(error, own(&state, &caller, &visit, None, TokenForm::default())).await,
    }
}
