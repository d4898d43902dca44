//! `GET /v2/<name>/tags/list` from the record.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http::header::LINK;
use http::{HeaderValue, StatusCode};

use super::answer::{Unanswered, headers, response};
use super::page::{Asked, link, push_names};
use crate::door::{BoxError, Response, ResponseBody};
use crate::oci::{RepositoryName, Tag};
use crate::store::{PageRequest, Records};

/// How many tags are read at once where all are asked for.
const PART: usize = 1_000;

pub(super) async fn answer(
    records: &Arc<dyn Records>,
    repository: &RepositoryName,
    query: &str,
) -> Result<Response, Unanswered> {
    let asked = Asked::parse(query)?;
    let limit = asked.count.unwrap_or(PART);
    let page = records.tag_names(repository, PageRequest { after: asked.last, limit }).await?;
    // Whether it is known matters only when it has no tag.
    if page.items.is_empty() && records.repository(repository).await?.is_none() {
        return Err(Unanswered::NotRecorded);
    }
    let mut headers = headers(HeaderValue::from_static("application/json; charset=utf-8"));
    let mut json = format!("{{\"name\":\"{repository}\",\"tags\":[").into_bytes();
    push_names(&mut json, page.items.iter().map(Tag::as_str));
    match (asked.count, page.next) {
        // All of them were asked for.
        (None, Some(next)) => {
            Ok(response(StatusCode::OK, headers, rest(Arc::clone(records), repository.clone(), json, next)))
        }
        (count, next) => {
            if let (Some(count), Some(next)) = (count, next) {
                let path = format!("/v2/{repository}/tags/list");
                headers
                    .insert(LINK, HeaderValue::try_from(link(&path, next.as_str(), &format!("&n={count}")))?);
            }
            json.extend_from_slice(END);
            Ok(response(StatusCode::OK, headers, Bytes::from(json)))
        }
    }
}

const END: &[u8] = b"]}\n";

/// The list in pieces: `begun`, which ends with this tag, and all that are behind it.
fn rest(records: Arc<dyn Records>, repository: RepositoryName, begun: Vec<u8>, last: Tag) -> ResponseBody {
    let begun = stream::once(async move { Ok(Bytes::from(begun)) });
    let pages = stream::try_unfold(Some(last), move |last| {
        let (records, repository) = (Arc::clone(&records), repository.clone());
        async move {
            let Some(last) = last else { return Ok(None) };
            let request = PageRequest { after: Some(last.to_string()), limit: PART };
            let page = records.tag_names(&repository, request).await.map_err(BoxError::from)?;
            let mut json = Vec::new();
            if !page.items.is_empty() {
                json.push(b',');
                push_names(&mut json, page.items.iter().map(Tag::as_str));
            }
            if page.next.is_none() {
                json.extend_from_slice(END);
            }
            Ok(Some((Bytes::from(json), page.next)))
        }
    });
    ResponseBody::Pieces(begun.chain(pages).boxed())
}
