//! `/ui/access/lockouts`: users, access tokens and networks that are locked after failed logins, and letting go of them. For
//! administrators.

use askama::Template;
use axum::extract::Request;
use axum::response::Response;

use super::super::super::caller::Caller;
use super::super::super::lockouts::{self, LockItem};
use super::super::super::parameters::Parameters;
use super::super::error::PageError;
use super::super::format::{Number, Time};
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::redirect::see_other;
use super::super::visit::{Visit, rendered};
use super::super::{form, links};
use super::Head;
use crate::auth::{LockKind, WantedUnlock};

const ROWS: &str = "100";

#[derive(Template)]
#[template(path = "access_lockouts.html", config = "src/web/pages/templates/askama.toml")]
struct LockoutsPage {
    layout: Layout,
    head: Head,
    locks: Vec<LockRow>,
    next: Option<String>,
    first: Option<&'static str>,
}

struct LockRow {
    id: String,
    /// What is locked, where that is no user of whom there is a page.
    what: &'static str,
    /// A user, or the identifier of an access token.
    name: String,
    page: Option<String>,
    network: Option<String>,
    effect: &'static str,
    failures: Number,
    last: Time,
    until: Time,
}

impl LockRow {
    fn new(lock: LockItem, visit: &Visit) -> Self {
        let page = lock.user.as_deref().map(links::user);
        let (what, effect) = match lock.kind {
            LockKind::User => {
                ("A name that nobody has", "refused where they have not logged in within a day")
            }
            LockKind::UserAtNetwork => ("A name that nobody has", "refused"),
            LockKind::AccessToken => ("An access token", "refused"),
            LockKind::Network => ("Any password", "answered later"),
        };
        Self {
            id: lock.id,
            what,
            name: lock.user.or(lock.token).unwrap_or_default(),
            page,
            network: lock.network,
            effect,
            failures: Number(lock.failures.into()),
            last: visit.time(lock.last),
            until: visit.time(lock.until),
        }
    }
}

/// Shows them.
pub(in crate::web::pages) async fn show_lockouts(
    caller: Caller,
    visit: Visit,
) -> Result<Response, PageError> {
    visit.gate().ok_or_else(PageError::no_accounts)?;
    let parameters = Parameters::parse(Some(&visit.query), &["done", "after"])?.or("n", ROWS);
    let list = lockouts::listed(&caller, None, parameters.page()?)?;
    rendered(&LockoutsPage {
        layout: Layout { here: links::LOCKOUTS.to_owned(), ..visit.layout(Section::None, "Locked") },
        head: Head::new(&visit, links::LOCKOUTS, parameters.text("done")),
        locks: list.items.into_iter().map(|lock| LockRow::new(lock, &visit)).collect(),
        next: list.next.map(|after| links::to(links::LOCKOUTS, &[("after", &after)])),
        first: parameters.text("after").map(|_| links::LOCKOUTS),
    })
}

/// `POST /ui/access/lockouts/unlock`
pub(in crate::web::pages) async fn unlock(caller: Caller, request: Request) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["id"])?;
    lockouts::unlocked(&caller, &WantedUnlock::Lock(given.required("id")?)).await?;
    Ok(see_other(&links::done(links::LOCKOUTS, "unlocked")))
}
