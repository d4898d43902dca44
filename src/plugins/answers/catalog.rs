//! `GET /v2/_catalog` from the record: the names that the caller may see.

use http::header::LINK;
use http::{HeaderValue, StatusCode};

use super::answer::{Unanswered, headers, response};
use super::page::{Asked, link, push_names};
use crate::door::{CatalogScope, Response};
use crate::oci::{Access, RepositoryName};
use crate::store::{PageRequest, Records};

/// How many names an answer has when nobody says how many: as distribution does.
const USUAL: usize = 100;
/// How many names are looked at before others have their turn.
const PART: usize = 100;

pub(super) async fn answer(
    records: &dyn Records,
    scope: &CatalogScope,
    query: &str,
) -> Result<Response, Unanswered> {
    let asked = Asked::parse(query)?;
    let count = asked.count.unwrap_or(USUAL);
    let (names, has_more) = match scope {
        CatalogScope::Whole => {
            let page = records.repository_names(PageRequest { after: asked.last, limit: count }).await?;
            (page.items, page.next.is_some())
        }
        CatalogScope::Visible(viewer) => {
            let sees = |name: &RepositoryName| viewer.may(&Access::to_pull(name.clone()));
            visible(records, sees, asked.last, count).await?
        }
    };
    let mut headers = headers(HeaderValue::from_static("application/json; charset=utf-8"));
    if has_more && let Some(last) = names.last() {
        let more = asked.count.map(|count| format!("&n={count}")).unwrap_or_default();
        headers.insert(LINK, HeaderValue::try_from(link("/v2/_catalog", last.as_str(), &more))?);
    }
    let mut json = b"{\"repositories\":[".to_vec();
    push_names(&mut json, names.iter().map(RepositoryName::as_str));
    json.extend_from_slice(b"]}\n");
    Ok(response(StatusCode::OK, headers, bytes::Bytes::from(json)))
}

/// So many names that may be seen, from behind this one on, and whether there are more.
async fn visible(
    records: &dyn Records,
    sees: impl Fn(&RepositoryName) -> bool,
    mut after: Option<String>,
    count: usize,
) -> Result<(Vec<RepositoryName>, bool), Unanswered> {
    let mut found = Vec::new();
    if count == 0 {
        return Ok((found, false));
    }
    loop {
        let page = records.repository_names(PageRequest { after, limit: PART }).await?;
        for name in page.items.into_iter().filter(&sees) {
            if found.len() == count {
                return Ok((found, true));
            }
            found.push(name);
        }
        let Some(next) = page.next else { return Ok((found, false)) };
        after = Some(next.to_string());
        tokio::task::yield_now().await;
    }
}
