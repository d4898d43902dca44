//! Pages about who may come in and what they may do, at `/ui/access`: each its own file. All have the same tabs above them, of
//! which everybody sees those that they may open, and say what was done, or why it was not.

mod failures;
mod groups;
mod lockouts;
mod own;
mod robots;
mod rows;
mod rules;
mod token_form;
mod user;
mod user_changes;
mod users;

pub(super) use self::{failures::show as failures, groups::show as groups, rules::show as rules};
pub(super) use self::{lockouts::*, own::*, robots::*, user::*, user_changes::*, users::*};

use askama::Template;
use axum::http::header;
use axum::response::Response;

use super::super::caller::Caller;
use super::super::logins::Which;
use super::error::PageError;
use super::layout::SectionLink;
use super::links;
use super::redirect::see_other;
use super::visit::{Visit, rendered};
use crate::auth::{SignedInBy, UserName};

/// What stands above each of these pages.
pub(super) struct Head {
    tabs: Vec<SectionLink>,
    /// What was done.
    done: Option<&'static str>,
    /// Why something was not.
    failure: Option<String>,
}

/// The tabs, each with its name, its page, and the route of the API whose rights it demands.
const TABS: [(&str, &str, &str); 7] = [
    ("Mine", links::ACCESS, "/api/v1/me"),
    ("Users", links::USERS, "/api/v1/users"),
    ("Robots", links::ROBOTS, "/api/v1/users"),
    ("Groups", links::GROUPS, "/api/v1/groups"),
    ("Rules", links::RULES, "/api/v1/access"),
    ("Failed logins", links::FAILURES, "/api/v1/users"),
    ("Locked", links::LOCKOUTS, "/api/v1/lockouts"),
];

/// What was done, by the word that stands for it in the address to which a form leads.
const DONE: [(&str, &str); 10] = [
    ("revoked", "The access token is revoked: it is good no more."),
    ("ended", "The login is ended."),
    ("all-ended", "All logins that went on by the password are ended. Access tokens stay."),
    ("password", "The password is another one now, and all logins by the old one are ended."),
    ("added", "The user is added."),
    ("disabled", "The user is disabled: nothing lets them in, and all their logins are ended."),
    ("enabled", "The user is enabled, and logs in as before."),
    ("groups", "The groups are others now."),
    ("unlocked", "It is unlocked: the failed logins are forgotten."),
    ("removed", "The user is removed, with all access tokens and logins."),
];

impl Head {
    /// Above the page of this tab, with what was done just before.
    fn new(visit: &Visit, tab: &str, done: Option<&str>) -> Self {
        let seen = TABS.into_iter().filter(|(.., route)| visit.may_ask(route));
        let tabs = seen.map(|(name, page, _)| SectionLink { name, page, is_here: page == tab }).collect();
        let said = DONE.into_iter().find(|(word, _)| Some(*word) == done);
        Self { tabs, done: said.map(|(_, words)| words), failure: None }
    }
}

/// What a form could not do is told on its page, where the form can be filled in again; else by a page for itself.
fn fits_the_form(error: &PageError) -> bool {
    error.status.is_client_error() && error.status.as_u16() != 404
}

/// A page with a form, which says above it why something was not done.
trait FormPage: Template {
    /// What stands above it.
    fn head(&mut self) -> &mut Head;
}

/// The page with the form once more, with what was filled in and with why it was not done. What has nothing to do with the form is
/// told by a page for itself.
async fn again<P: FormPage>(
    error: PageError,
    page: impl Future<Output = Result<P, PageError>>,
) -> Result<Response, PageError> {
    if !fits_the_form(&error) {
        return Err(error);
    }
    let mut page = page.await?;
    page.head().failure = Some(error.message);
    let mut response = rendered(&page)?;
    *response.status_mut() = error.status;
    response.headers_mut().extend(error.retry_after.map(|wait| (header::RETRY_AFTER, wait)));
    Ok(response)
}

/// Leads on from where logins of this user were ended: to the page, or to sign in again, if the session is among them by which that
/// was asked for.
fn ended_at(caller: &Caller, user: Option<&UserName>, which: &Which, page: &str) -> Response {
    let is_own = match caller.signed_in_by() {
        SignedInBy::Session(id) => which.has(id) && user.is_none_or(|user| caller.is_called(user)),
        _ => false,
    };
    let done = match which {
        Which::One(_) => "ended",
        Which::All => "all-ended",
    };
    see_other(&if is_own { links::sign_in(page) } else { links::done(page, done) })
}
