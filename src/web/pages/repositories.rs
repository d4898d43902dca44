//! `GET /ui/repositories?q=&namespace=&sort=&order=&after=`: what there is, sorted and filtered.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::parameters::Parameters;
use super::super::repositories;
use super::super::state::WebState;
use super::error::PageError;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::pager::Pager;
use super::rows::RepositoryRow;
use super::sorted_list::{Declared, DeclaredList, SortedList};
use super::visit::{Visit, rendered};

/// How many are shown at once.
const ROWS: &str = "50";

const LIST: DeclaredList = DeclaredList { path: links::REPOSITORIES, columns: &COLUMNS, usual_sort: "name" };
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
    list: SortedList,
    /// The namespace whose repositories are shown; nothing for all.
    namespace: Option<String>,
    repositories: Vec<RepositoryRow>,
    pager: Pager,
}

/// Shows the repositories.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let known = &["q", "namespace", "sort", "order", "after"];
    let parameters = Parameters::parse(Some(&visit.query), known)?;
    let list = SortedList::read(&LIST, &parameters, &["namespace"]);
    let namespace = parameters.text("namespace").filter(|namespace| !namespace.is_empty());
    let mut asked = list.asked(ROWS);
    if let Some(namespace) = namespace {
        asked = asked.or("namespace", namespace);
    }
    let found = repositories::listed(&state, &visit.viewer, &asked).await?;
    rendered(&Repositories {
        layout: visit.layout(Section::Repositories, "Repositories"),
        host: visit.host().to_owned(),
        repositories: found.items.into_iter().map(|item| RepositoryRow::new(item, &visit)).collect(),
        pager: list.pager(found.next),
        namespace: namespace.map(str::to_owned),
        list,
    })
}
