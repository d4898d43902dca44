//! `/ui/access/groups`: each group with its members and the rules that name it. For administrators.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::super::groups::{self, GroupItem};
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::error::PageError;
use super::super::format::Number;
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::links;
use super::super::visit::{Visit, rendered};
use super::Head;

const ROWS: &str = "100";
/// How many members of a group stand in its row.
const MEMBERS: usize = 20;

#[derive(Template)]
#[template(path = "access_groups.html", config = "src/web/pages/templates/askama.toml")]
struct GroupsPage {
    layout: Layout,
    head: Head,
    groups: Vec<GroupRow>,
    next: Option<String>,
    first: Option<&'static str>,
}

struct GroupRow {
    name: String,
    /// The first members, each with their page.
    members: Vec<(String, String)>,
    member_count: Number,
    /// How many members do not stand there.
    more: Option<Number>,
    rules: String,
}

impl GroupRow {
    fn new(group: GroupItem) -> Self {
        let GroupItem { name, members, member_count, rules } = group;
        let more = member_count.saturating_sub(MEMBERS.min(members.len()));
        let shown = members.into_iter().take(MEMBERS);
        let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
        Self {
            name,
            members: shown.map(|user| (user.to_string(), links::user(user.as_str()))).collect(),
            member_count: Number(member_count as u64),
            more: (more > 0).then_some(Number(more as u64)),
            rules: rules.join(", "),
        }
    }
}

/// Shows them.
pub(in crate::web::pages) async fn show(
    State(state): State<WebState>,
    visit: Visit,
) -> Result<Response, PageError> {
    let gate = visit.gate().ok_or_else(PageError::no_accounts)?;
    let parameters = Parameters::parse(Some(&visit.query), &["after"])?.or("n", ROWS);
    let list = groups::listed(gate, &state.accounts, parameters.page()?).await?;
    rendered(&GroupsPage {
        layout: visit.layout(Section::None, "Groups"),
        head: Head::new(&visit, links::GROUPS, None),
        groups: list.items.into_iter().map(GroupRow::new).collect(),
        next: list.next.map(|after| links::to(links::GROUPS, &[("after", &after)])),
        first: parameters.text("after").map(|_| links::GROUPS),
    })
}
