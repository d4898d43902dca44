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

use axum::response::{IntoResponse, Response};

use super::error::PageError;
use super::layout::SectionLink;
use super::links;
use super::visit::{Visit, rendered};

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

/// A page that tells why something was not done.
fn told(error: &PageError, page: &impl askama::Template) -> Response {
    match rendered(page) {
        Ok(mut response) => {
            *response.status_mut() = error.status;
            let wait = error.retry_after.clone().map(|wait| (axum::http::header::RETRY_AFTER, wait));
            response.headers_mut().extend(wait);
            response
        }
        Err(error) => error.into_response(),
    }
}
