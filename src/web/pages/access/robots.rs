//! `/ui/access/robots`: robots, which are but their access tokens: one more is made, others are revoked. For administrators.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;

use super::super::super::caller::Caller;
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::super::tokens::{self, TokensAsked};
use super::super::error::PageError;
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::redirect::see_other;
use super::super::visit::{Visit, rendered};
use super::super::{form, links};
use super::rows::TokenRow;
use super::token_form::{self, TokenForm};
use super::{FormPage, Head, again};
use crate::auth::TokenKind;
use crate::store::PageRequest;

const ROWS: usize = 100;

#[derive(Template)]
#[template(path = "access_robots.html", config = "src/web/pages/templates/askama.toml")]
struct RobotsPage {
    layout: Layout,
    head: Head,
    tokens: Vec<TokenRow>,
    form: TokenForm,
    next: Option<String>,
    first: Option<&'static str>,
}

impl FormPage for RobotsPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }
}

/// Shows them.
pub(in crate::web::pages) async fn show_robots(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
) -> Result<Response, PageError> {
    rendered(&page(&state, &caller, &visit, &visit.query, TokenForm::default()).await?)
}

async fn page(
    state: &WebState,
    caller: &Caller,
    visit: &Visit,
    query: &str,
    form: TokenForm,
) -> Result<RobotsPage, PageError> {
    visit.gate().ok_or_else(PageError::no_accounts)?;
    let parameters = Parameters::parse(Some(query), &["done", "after"])?;
    let part = PageRequest { after: parameters.optional("after")?, limit: ROWS };
    let list =
        tokens::listed(state, caller, TokensAsked { user: None, kind: Some(TokenKind::Robot), part }).await?;
    Ok(RobotsPage {
        layout: Layout { here: links::ROBOTS.to_owned(), ..visit.layout(Section::None, "Robots") },
        head: Head::new(visit, links::ROBOTS, parameters.text("done")),
        tokens: list.items.into_iter().map(|token| TokenRow::new(token, visit)).collect(),
        form,
        next: list.next.map(|after| links::to(links::ROBOTS, &[("after", &after)])),
        first: parameters.text("after").map(|_| links::ROBOTS),
    })
}

/// `POST /ui/access/robots/token`: one more. The answer shows its access token.
pub(in crate::web::pages) async fn create_robot_token(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let form = TokenForm::read(&form::read(request).await?)?;
    let made = async { Ok::<_, PageError>(tokens::made(&state, &caller, form.of_robot()?).await?) };
    match made.await {
        Ok(created) => Ok(token_form::shown(&visit, created, &form, links::ROBOTS)),
        Err(error) => again(error, page(&state, &caller, &visit, "", form)).await,
    }
}

/// `POST /ui/access/robots/revoke`
pub(in crate::web::pages) async fn revoke_robot_token(
    State(state): State<WebState>,
    caller: Caller,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["id"])?;
    tokens::revoked(&state, &caller, given.required("id")?).await?;
    Ok(see_other(&links::done(links::ROBOTS, "revoked")))
}
