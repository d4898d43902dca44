//! `GET /ui/namespaces?q=&sort=&order=&after=`: what namespaces hold together.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::namespaces::Namespace;
use super::super::parameters::Parameters;
use super::super::repositories;
use super::super::state::WebState;
use super::error::PageError;
use super::format::{Number, Size, Time, span};
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::pager::Pager;
use super::sorted_list::{Declared, DeclaredList, SortedList};
use super::visit::{Visit, rendered};

/// How many are shown at once.
const ROWS: &str = "50";

const LIST: DeclaredList = DeclaredList { path: links::NAMESPACES, columns: &COLUMNS, usual_sort: "name" };
const COLUMNS: [Declared; 5] = [
    Declared { title: "Namespace", sort: "name", is_numeric: false, is_usually_descending: false },
    Declared { title: "Tags", sort: "tags", is_numeric: true, is_usually_descending: true },
    Declared { title: "Size", sort: "size", is_numeric: true, is_usually_descending: true },
    Declared { title: "Last push", sort: "last_push", is_numeric: false, is_usually_descending: true },
    Declared { title: "Last pull", sort: "last_pull", is_numeric: false, is_usually_descending: true },
];

#[derive(Template)]
#[template(path = "namespaces.html", config = "src/web/pages/templates/askama.toml")]
struct Namespaces {
    layout: Layout,
    list: SortedList,
    namespaces: Vec<Row>,
    /// How long ago this was found, unless it was just now.
    age: Option<String>,
    pager: Pager,
}

/// A namespace in the list.
struct Row {
    /// None for what has names without a namespace.
    name: Option<Named>,
    repositories: Number,
    tags: Number,
    bytes: Size,
    last_push: Option<Time>,
    last_pull: Option<Time>,
}

/// The name of a namespace, and the page of its repositories.
struct Named {
    name: Box<str>,
    page: String,
}

impl Row {
    fn new(namespace: Namespace, visit: &Visit) -> Self {
        let Namespace { namespace, repositories, tags, manifests: _, bytes, last_push, last_pull, pulls: _ } =
            namespace;
        let page = links::to(links::REPOSITORIES, &[("namespace", &namespace)]);
        Self {
            name: (!namespace.is_empty()).then_some(Named { name: namespace, page }),
            repositories: Number(repositories),
            tags: Number(tags),
            bytes: Size(bytes),
            last_push: last_push.map(|time| visit.time(time)),
            last_pull: last_pull.map(|time| visit.time(time)),
        }
    }
}

/// Shows the namespaces.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let known = &["q", "sort", "order", "after"];
    let parameters = Parameters::parse(Some(&visit.query), known)?;
    let list = SortedList::read(&LIST, &parameters, &[]);
    let found = repositories::namespaces(&state, &visit.viewer, &list.asked(ROWS)).await?;
    let age = found.age();
    rendered(&Namespaces {
        layout: visit.layout(Section::Repositories, "Namespaces"),
        namespaces: found.items.into_iter().map(|item| Row::new(item, &visit)).collect(),
        age: (age.as_secs() > 0).then(|| span(age)),
        pager: list.pager(found.next),
        list,
    })
}
