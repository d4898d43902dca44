//! `GET /ui/`: search, what was pushed of late, what is pulled most, how much there is, and whether the record is in step.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::parameters::Parameters;
use super::super::state::WebState;
use super::super::{repositories, statistics, status, tags};
use super::error::PageError;
use super::format::{Number, Size};
use super::icon::Icon;
use super::in_step::InStep;
use super::layout::{Layout, Section};
use super::links;
use super::rows::{RepositoryRow, TagRow};
use super::visit::{Visit, rendered};

/// How many rows each list has.
const ROWS: &str = "8";

#[derive(Template)]
#[template(path = "home.html", config = "src/web/pages/templates/askama.toml")]
struct Home {
    layout: Layout,
    host: String,
    pushed: Vec<TagRow>,
    pulled: Vec<RepositoryRow>,
    /// For those who may see the statistics.
    totals: Option<Totals>,
    /// For those who may see the status.
    in_step: Option<InStep>,
    all_repositories: String,
}

struct Totals {
    repositories: Number,
    tags: Number,
    manifests: Number,
    bytes: Size,
}

/// Shows the first page.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    Parameters::parse(Some(&visit.query), &[])?;
    let viewer = &visit.viewer;
    let newest = Parameters::default().or("sort", "pushed_at").or("n", ROWS);
    let most_pulled = Parameters::default().or("sort", "pulls").or("n", ROWS);
    let pushed = tags::sorted(&state, viewer, None, &newest).await?;
    let pulled = repositories::listed(&state, viewer, &most_pulled).await?;
    let totals = match visit.may_ask("/api/v1/statistics") {
        true => Some(statistics::totals(&state).await?),
        false => None,
    };
    let in_step = match visit.may_ask("/api/v1/status") {
        true => Some(InStep::new(&status::read(&state).await?, &visit)),
        false => None,
    };
    let pulled =
        pulled.items.into_iter().filter(|repository| repository.pulls.is_some_and(|pulls| pulls > 0));
    rendered(&Home {
        layout: visit.layout(Section::None, "Portreeve"),
        host: visit.host().to_owned(),
        pulled: pulled.map(|repository| RepositoryRow::new(repository, &visit)).collect(),
        pushed: pushed.items.into_iter().map(|tag| TagRow::new(tag, &visit)).collect(),
        totals: totals.map(|totals| Totals {
            repositories: Number(totals.repositories),
            tags: Number(totals.tags),
            manifests: Number(totals.manifests),
            bytes: Size(totals.bytes),
        }),
        in_step,
        all_repositories: links::to(links::REPOSITORIES, &[("sort", "last_push")]),
    })
}
