//! `/ui/access/users`: all users that are known, and one more. For administrators.

use askama::Template;
use axum::extract::{Request, State};
use axum::response::Response;
use secrecy::SecretString;

use super::super::super::caller::Caller;
use super::super::super::parameters::Parameters;
use super::super::super::state::WebState;
use super::super::super::users::{self, NewUser, UserItem};
use super::super::error::PageError;
use super::super::format::Time;
use super::super::icon::Icon;
use super::super::layout::{Layout, Section};
use super::super::redirect::see_other;
use super::super::visit::{Visit, rendered};
use super::super::{form, links};
use super::{FormPage, Head, again};
use crate::auth::UserName;

const ROWS: &str = "100";

#[derive(Template)]
#[template(path = "access_users.html", config = "src/web/pages/templates/askama.toml")]
struct UsersPage {
    layout: Layout,
    head: Head,
    users: Vec<UserRow>,
    /// Of those of the store alone it is known.
    shows_since: bool,
    next: Option<String>,
    first: Option<&'static str>,
    /// What was written into the form.
    name: String,
    groups: String,
}

impl FormPage for UsersPage {
    fn head(&mut self) -> &mut Head {
        &mut self.head
    }
}

/// A user in the list.
pub(super) struct UserRow {
    pub name: String,
    pub page: String,
    pub groups: String,
    pub sources: &'static str,
    /// Whether they can log in at all.
    pub is_only_named: bool,
    pub is_superseded: bool,
    /// Since when nothing lets them in.
    pub disabled: Option<Time>,
    pub is_locked: bool,
    pub created: Option<Time>,
}

impl UserRow {
    pub(super) fn new(user: UserItem, visit: &Visit) -> Self {
        let (is_only_named, sources) = (user.is_only_named(), user.sources_in_words());
        Self {
            page: links::user(user.name.as_str()),
            name: user.name.to_string(),
            groups: user.groups.join(", "),
            sources,
            is_only_named,
            is_superseded: user.superseded,
            disabled: user.disabled_since.map(|time| visit.time(time)),
            is_locked: user.locked,
            created: user.created.map(|time| visit.time(time)),
        }
    }
}

/// Shows them.
pub(in crate::web::pages) async fn show_users(
    State(state): State<WebState>,
    visit: Visit,
) -> Result<Response, PageError> {
    rendered(&page(&state, &visit, &visit.query, String::new(), String::new()).await?)
}

async fn page(
    state: &WebState,
    visit: &Visit,
    query: &str,
    name: String,
    groups: String,
) -> Result<UsersPage, PageError> {
    let gate = visit.gate().ok_or_else(PageError::no_accounts)?;
    let parameters = Parameters::parse(Some(query), &["done", "after"])?.or("n", ROWS);
    let list = users::listed(gate, &state.accounts, parameters.page()?).await?;
    Ok(UsersPage {
        layout: Layout { here: links::USERS.to_owned(), ..visit.layout(Section::None, "Users") },
        head: Head::new(visit, links::USERS, parameters.text("done")),
        shows_since: list.items.iter().any(|user| user.created.is_some()),
        users: list.items.into_iter().map(|user| UserRow::new(user, visit)).collect(),
        next: list.next.map(|after| links::to(links::USERS, &[("after", &after)])),
        first: parameters.text("after").map(|_| links::USERS),
        name,
        groups,
    })
}

/// The groups that were written into a form.
pub(super) fn read_groups(text: &str) -> Vec<String> {
    text.split(|character: char| character == ',' || character.is_whitespace())
        .filter(|group| !group.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `POST /ui/access/users/add`: one more in the store.
pub(in crate::web::pages) async fn add_user(
    State(state): State<WebState>,
    caller: Caller,
    visit: Visit,
    request: Request,
) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["name", "password", "groups"])?;
    let text = |name| given.text(name).unwrap_or_default();
    let groups = read_groups(text("groups"));
    let added = async {
        let name = UserName::parse(text("name").trim())
            .map_err(|error| PageError::invalid(&format!("This is no name: {error}")))?;
        let wanted = NewUser { name: name.clone(), password: SecretString::from(text("password")), groups };
        let added = users::added(&state, &caller, wanted).await?;
        Ok::<_, PageError>((name, added))
    };
    match added.await {
        Ok((name, added)) if added.warnings.is_empty() => {
            Ok(see_other(&links::done(&links::user(name.as_str()), "added")))
        }
        // Told this once: nothing keeps it.
        Ok((name, added)) => {
            let mut page = page(&state, &visit, "", String::new(), String::new()).await?;
            page.head.failure = Some(format!("{name} was added, but {}.", added.warnings.join("; ")));
            rendered(&page)
        }
        Err(error) => {
            let (name, groups) = (text("name").to_owned(), text("groups").to_owned());
            again(error, page(&state, &visit, "", name, groups)).await
        }
    }
}
