//! `/ui/access/rules`: the rules as they are read, and which of them decides about somebody. For administrators.

use std::future::ready;

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::super::decisions::{self, Decided, RuleItem};
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::error::PageError;
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::links;
use super::super::visit::{Visit, rendered};
use super::{FormPage, Head, again};

#[derive(Template)]
#[template(path = "access_rules.html", config = "src/web/pages/templates/askama.toml")]
struct RulesPage {
    layout: Layout,
    head: Head,
    rules: Vec<RuleRow>,
    groups: Vec<(String, String)>,
    user: String,
    repository: String,
    decided: Option<Decided>,
}

impl FormPage for RulesPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }
}

struct RuleRow {
    number: usize,
    who: String,
    repositories: String,
    actions: String,
    denies: bool,
    /// Whether it decides about what was asked.
    decides: bool,
}

/// Shows them.
pub(in crate::web::pages) async fn show(
    State(state): State<WebState>,
    visit: Visit,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["user", "repository"])?;
    let gate = visit.gate().ok_or_else(PageError::no_accounts)?;
    let (user, repository) =
        (parameters.text("user").unwrap_or_default(), parameters.text("repository").unwrap_or_default());
    let decided = match user.is_empty() {
        true => Ok(None),
        false => {
            decisions::decided(gate, &state.accounts, user, Some(repository).filter(|name| !name.is_empty()))
                .await
                .map(Some)
                .map_err(PageError::from)
        }
    };
    let (decided, error) = match decided {
        Ok(decided) => (decided, None),
        Err(error) => (None, Some(error)),
    };
    let decides = |number: usize| {
        decided
            .as_ref()
            .is_some_and(|decided| decided.decisions.iter().any(|decision| decision.rule == Some(number)))
    };
    let row = |RuleItem { number, who, repositories, actions, deny }: RuleItem| RuleRow {
        number,
        who: who.join(", "),
        repositories: repositories.join(" "),
        actions: actions.join(", "),
        denies: deny,
        decides: decides(number),
    };
    let page = RulesPage {
        layout: visit.layout(Section::None, "Rules"),
        head: Head::new(&visit, links::RULES, None),
        rules: decisions::rules(gate).into_iter().map(row).collect(),
        groups: decisions::groups(gate).into_iter().map(|(group, users)| (group, users.join(", "))).collect(),
        user: user.to_owned(),
        repository: repository.to_owned(),
        decided,
    };
    match error {
        Some(error) => again(error, ready(Ok(page))).await,
        None => rendered(&page),
    }
}
