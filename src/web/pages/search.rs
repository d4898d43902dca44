//! `GET /ui/search?q=&after=`: repositories and tags that fit. The script shows the same below the search field, as it is typed.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::super::parameters::Parameters;
use super::super::search::{self, FoundItem};
use super::super::state::WebState;
use super::error::PageError;
use super::icon::Icon;
use super::layout::{Layout, Section};
use super::links;
use super::pager::Pager;
use super::rows::{RepositoryRow, TagRow};
use super::visit::{Visit, rendered};

/// How many are shown at once.
const ROWS: &str = "50";

#[derive(Template)]
#[template(path = "search.html", config = "src/web/pages/templates/askama.toml")]
struct Search {
    layout: Layout,
    found: Vec<Found>,
    pager: Pager,
}

enum Found {
    Repository(RepositoryRow),
    Tag(TagRow),
}

/// Shows what was found.
pub(super) async fn show(State(state): State<WebState>, visit: Visit) -> Result<Response, PageError> {
    let parameters = Parameters::parse(Some(&visit.query), &["q", "after"])?;
    let wanted = parameters.text("q").unwrap_or_default().trim().to_owned();
    let mut asked = Parameters::default().or("q", &wanted).or("n", ROWS);
    if let Some(after) = parameters.text("after") {
        asked = asked.or("after", after);
    }
    let part = |after: &str| links::to(links::SEARCH, &[("q", &wanted), ("after", after)]);
    let first = parameters.text("after").map(|_| part(""));
    let (mut found, mut pager) = (Vec::new(), Pager::new(first.clone(), None));
    // Nothing is looked for yet.
    if !wanted.is_empty() {
        let list = search::found(&state, &visit.viewer, &asked).await?;
        found = list.items;
        pager = Pager::new(first, list.next.map(|after| part(&after))).called("From the beginning", "More");
    }
    let shown = |item| match item {
        FoundItem::Repository(repository) => Found::Repository(RepositoryRow::new(repository, &visit)),
        FoundItem::Tag(tag) => Found::Tag(TagRow::new(tag, &visit)),
    };
    let title = if wanted.is_empty() { "Search".to_owned() } else { format!("{wanted} – Search") };
    let found = found.into_iter().map(shown).collect();
    rendered(&Search {
        layout: Layout { query: wanted, ..visit.layout(Section::None, &title) },
        found,
        pager,
    })
}
