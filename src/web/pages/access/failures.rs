//! `/ui/access/failures`: logins that failed, the latest first, each with its reason. For administrators.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::super::events::{self, AuthEventItem};
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::error::PageError;
use super::super::format::{Number, Time};
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::links;
use super::super::visit::{Visit, rendered};
use super::Head;
use crate::store::AuthEventKind;

const ROWS: &str = "100";

#[derive(Template)]
#[template(path = "access_failures.html", config = "src/web/pages/templates/askama.toml")]
struct FailuresPage {
    layout: Layout,
    head: Head,
    failures: Vec<FailureRow>,
    next: Option<String>,
    first: Option<&'static str>,
}

struct FailureRow {
    time: Time,
    user: String,
    /// The page of the user, where somebody has the name.
    page: Option<String>,
    address: String,
    reason: String,
    count: Number,
}

impl FailureRow {
    fn new(failure: AuthEventItem, visit: &Visit) -> Self {
        let event = failure.event;
        // What stands for a name that nobody has.
        let page = event.user.as_deref().filter(|user| !user.contains(':')).map(links::user);
        Self {
            time: visit.time(event.time),
            user: event.user.unwrap_or_default(),
            page,
            address: event.address.map(|address| address.to_string()).unwrap_or_default(),
            reason: event.about,
            count: Number(event.count),
        }
    }
}

/// Shows them.
pub(in crate::web::pages) async fn show(
    State(state): State<WebState>,
    visit: Visit,
) -> Result<Response, PageError> {
    visit.gate().ok_or_else(PageError::no_accounts)?;
    let parameters = Parameters::parse(Some(&visit.query), &["after"])?.or("n", ROWS);
    let list =
        events::listed_of_gate(&state, &visit.viewer, &parameters, Some(AuthEventKind::LoginFailed)).await?;
    rendered(&FailuresPage {
        layout: visit.layout(Section::None, "Failed logins"),
        head: Head::new(&visit, links::FAILURES, None),
        failures: list.items.into_iter().map(|failure| FailureRow::new(failure, &visit)).collect(),
        next: list.next.map(|after| links::to(links::FAILURES, &[("after", &after)])),
        first: parameters.text("after").map(|_| links::FAILURES),
    })
}
