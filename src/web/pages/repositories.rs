//! `GET /ui/repositories?q=&sort=&order=&after=`: what there is, sorted and filtered.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::parameters::Parameters;
use super::super::repositories;
use super::super::state::WebState;
use super::columns::{Column, Declared, Sorted, columns};
use super::error::PageError;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::rows::RepositoryRow;
use super::visit::{Visit, rendered};

/// How many are shown at once.
const ROWS: &str = "50";

const COLUMNS: [Declared; 6] = [
    Declared { title: "Repository", sort: "name", is_numeric: false, is_usually_descending: false },
    Declared { title: "Tags", sort: "tags", is_numeric: true, is_usually_descending: true },
    Declared { title: "Size", sort: "size", is_numeric: true, is_usually_descending: true },
    Declared { title: "Pulls", sort: "pulls", is_numeric: true, is_usually_descending: true },
    Declared { title: "Last push", sort: "last_push", is_numeric: false, is_usually_descending: true },
    Declared { title: "Last pull", sort: "last_pull", is_numeric: false, is_usually_descending: true },
];

#[derive(Template)]
#[template(path = "repositories.html", config = "src/web/pages/templates/askama.toml")]
struct Repositories {
    layout: Layout,
    host: String,
    /// What the names have in them.
    filter: String,
    sort: String,
    order: String,
    columns: Vec<Column>,
    repositories: Vec<RepositoryRow>,
    /// The first part of the list, where this is a later one.
    first: Option<String>,
    next: Option<String>,
}

/// Shows the repositories.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let known = &["q", "sort", "order", "after"];
    let parameters = Parameters::parse(Some(&visit.query), known)?.or("n", ROWS);
    let text = |name| parameters.text(name).unwrap_or_default();
    let (filter, sort, order) = (text("q"), text("sort"), text("order"));
    let list = repositories::listed(&state, &visit.viewer, &parameters).await?;
    let by = if sort.is_empty() { "name" } else { sort };
    let usually = COLUMNS.iter().any(|column| column.sort == by && column.is_usually_descending);
    let is_descending = if order.is_empty() { usually } else { order == "desc" };
    let part = |after: &str| {
        let parameters = [("q", filter), ("sort", sort), ("order", order), ("after", after)];
        links::to(links::REPOSITORIES, &parameters)
    };
    rendered(&Repositories {
        layout: visit.layout(Section::Repositories, "Repositories"),
        host: visit.host().to_owned(),
        columns: columns(&COLUMNS, links::REPOSITORIES, &Sorted { by, is_descending }, &[("q", filter)]),
        repositories: list.items.into_iter().map(|item| RepositoryRow::new(item, &visit)).collect(),
        first: parameters.text("after").map(|_| part("")),
        next: list.next.map(|after| part(&after)),
        filter: filter.to_owned(),
        sort: sort.to_owned(),
        order: order.to_owned(),
    })
}
