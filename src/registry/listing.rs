//! The registry's listings, page by page: the catalog, and the tags of a repository.
//!
//! Registries page in many ways: `n` is obeyed, clamped, ignored or refused, `Link` is relative or absolute, and the
//! order is not bytewise. What a page says is a hint at what to compare, never the truth about what is not on it.

use http::header::LINK;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use super::page_size::PageSize;
use super::question::Question;
use super::response::{is_not_found, refusal, whole_body};
use super::transport::Received;
use super::{BodyError, Causes, MalformedAnswer, PageLimit, RegistryClient, RegistryError};
use crate::oci::{Access, RepositoryName};

/// How long a page may be: registries that ignore `n` send everything at once.
const MAXIMUM_PAGE_BYTES: usize = 32 * 1024 * 1024;

/// Where the next page of a listing is: its path and query, as the registry wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Continuation(String);

impl Continuation {
    /// Path and query.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same place with at most so many names, whatever number the registry wrote. Nothing else of its query is touched.
    fn with_at_most(&self, names: usize) -> String {
        let (path, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let mut is_limited = false;
        let mut parts: Vec<String> = Vec::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.strip_prefix("n=") {
                Some(number) => {
                    is_limited = true;
                    let number = number.parse().map_or(names, |number: usize| number.min(names));
                    parts.push(format!("n={number}"));
                }
                None => parts.push(part.to_owned()),
            }
        }
        if !is_limited {
            parts.push(format!("n={names}"));
        }
        format!("{path}?{}", parts.join("&"))
    }
}

/// A page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingPage {
    /// The names as they were sent: repositories or tags, whether or not the grammar allows them.
    pub names: Vec<String>,
    /// Where the next page is, unless this was the last one.
    pub next: Option<Continuation>,
}

#[derive(Deserialize)]
struct Catalog {
    // Named so that it may be null, but not missing.
    #[serde(deserialize_with = "Option::deserialize")]
    repositories: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(deserialize_with = "Option::deserialize")]
    tags: Option<Vec<String>>,
}

impl RegistryClient {
    /// A page of the catalog: the first one, or the one that a page before named. Asks for fewer names where the registry
    /// does not manage as many.
    ///
    /// # Errors
    /// Whenever there is no clear answer; [`RegistryError::Refused`] where the registry has no catalog.
    pub async fn catalog(&self, from: Option<&Continuation>) -> Result<ListingPage, RegistryError> {
        with_smaller_pages(self.catalog_limit(), async |limit| self.catalog_page(from, limit).await).await
    }

    /// A page of a repository's tags, as [`RegistryClient::catalog`] gives one of the catalog. `Ok(None)` is the registry's
    /// own "not there", which some say of repositories that have manifests but no tags.
    ///
    /// # Errors
    /// Whenever there is no clear answer.
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        from: Option<&Continuation>,
    ) -> Result<Option<ListingPage>, RegistryError> {
        let fetch = async |limit| self.tags_page(repository, from, limit).await;
        with_smaller_pages(self.tags_limit(), fetch).await
    }

    /// How many names a page of the catalog is to have now.
    pub fn catalog_limit(&self) -> PageLimit {
        self.catalog_pages.limit()
    }

    /// How many names a page of tags is to have now.
    pub fn tags_limit(&self) -> PageLimit {
        self.tag_pages.limit()
    }

    /// A page of the catalog with at most so many names. One that comes is remembered for
    /// [`RegistryClient::catalog_limit`].
    ///
    /// # Errors
    /// Whenever there is no clear answer; see [`PageLimit::smaller_after`].
    pub async fn catalog_page(
        &self,
        from: Option<&Continuation>,
        limit: PageLimit,
    ) -> Result<ListingPage, RegistryError> {
        let asked = "list the catalog";
        let size = &self.catalog_pages;
        let (answer, limit) = self.page(asked, "v2/_catalog", from, Access::Catalog, size, limit).await?;
        if answer.status != StatusCode::OK {
            return Err(refusal(asked.to_owned(), answer.status, &answer.headers));
        }
        let page = read_page(asked, "v2/_catalog", from, answer, |catalog: Catalog| catalog.repositories)?;
        size.note_received(limit, page.names.len());
        Ok(page)
    }

    /// A page of a repository's tags with at most so many names. One that comes is remembered for
    /// [`RegistryClient::tags_limit`].
    ///
    /// # Errors
    /// Whenever there is no clear answer; see [`PageLimit::smaller_after`].
    pub async fn tags_page(
        &self,
        repository: &RepositoryName,
        from: Option<&Continuation>,
        limit: PageLimit,
    ) -> Result<Option<ListingPage>, RegistryError> {
        let asked = format!("list the tags of {repository}");
        let path = format!("v2/{repository}/tags/list");
        let size = &self.tag_pages;
        let (answer, limit) =
            self.page(&asked, &path, from, Access::to_pull(repository.clone()), size, limit).await?;
        match answer.status {
            StatusCode::OK => {
                let page = read_page(&asked, &path, from, answer, |tags: Tags| tags.tags)?;
                size.note_received(limit, page.names.len());
                Ok(Some(page))
            }
            StatusCode::NOT_FOUND if is_not_found(&whole_body(&asked, answer.body)?) => Ok(None),
            StatusCode::NOT_FOUND => {
                Err(RegistryError::Malformed { asked, source: MalformedAnswer::ForeignNotFound })
            }
            status => Err(refusal(asked, status, &answer.headers)),
        }
    }

    /// Asks for a page, and if the number of names is refused, for a smaller one from then on. Answers also which number
    /// was not refused.
    async fn page(
        &self,
        asked: &str,
        path: &str,
        from: Option<&Continuation>,
        access: Access,
        size: &PageSize,
        mut limit: PageLimit,
    ) -> Result<(Received, PageLimit), RegistryError> {
        let ask = async |wanted: &str| {
            let access = Some(access.clone());
            self.ask(Question { access, limit: MAXIMUM_PAGE_BYTES, ..Question::get(asked, wanted) }).await
        };
        if let Some(next) = from {
            if let Some(names) = limit.names()
                && size.is_small(limit)
            {
                let answer = ask(&next.with_at_most(names)).await?;
                // A registry may take its own continuation only, as it wrote it.
                if answer.status != StatusCode::BAD_REQUEST {
                    return Ok((answer, limit));
                }
            }
            return Ok((ask(next.as_str()).await?, limit));
        }
        let wanted = limit;
        loop {
            let answer = match limit.names() {
                Some(names) => ask(&format!("{path}?n={names}")).await?,
                None => ask(path).await?,
            };
            if answer.status != StatusCode::BAD_REQUEST {
                if limit != wanted {
                    size.note_accepted(limit);
                }
                return Ok((answer, limit));
            }
            match limit.after_refusal() {
                Some(next) => limit = next,
                // It was not the number that was refused.
                None => return Ok((answer, limit)),
            }
        }
    }
}

/// Fetches a page; where that fails, one of fewer names, as long as that may help.
async fn with_smaller_pages<T>(
    mut limit: PageLimit,
    fetch: impl AsyncFn(PageLimit) -> Result<T, RegistryError>,
) -> Result<T, RegistryError> {
    loop {
        let error = match fetch(limit).await {
            Ok(page) => return Ok(page),
            Err(error) => error,
        };
        limit = limit.smaller_after(&error).ok_or(error)?;
    }
}

fn read_page<T: DeserializeOwned>(
    asked: &str,
    path: &str,
    from: Option<&Continuation>,
    answer: Received,
    names: impl FnOnce(T) -> Option<Vec<String>>,
) -> Result<ListingPage, RegistryError> {
    let body = whole_body(asked, answer.body)?;
    let malformed = |source| RegistryError::Malformed { asked: asked.to_owned(), source };
    let page = serde_json::from_slice(&body).map_err(|error| {
        // Some gateways end a body in the middle as if that were its end.
        if error.is_eof() && !body.is_empty() {
            let source = BodyError::Broken(Causes::default());
            return RegistryError::Broken { asked: asked.to_owned(), source };
        }
        malformed(MalformedAnswer::Listing(error))
    })?;
    // The names are long enough without the bytes in which they came.
    drop(body);
    let next = match next_link(&answer.headers) {
        Some(link) => Some(continuation(path, from, link).map_err(malformed)?),
        None => None,
    };
    Ok(ListingPage { names: names(page).unwrap_or_default(), next })
}

/// The target of the `Link` with `rel="next"` (RFC 8288 section 3).
fn next_link(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(links).find_map(|(target, parameters)| is_next(parameters).then_some(target))
}

/// Targets and parameters of a `Link` header.
fn links(mut value: &str) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let (target, rest) = value.split_once('<')?.1.split_once('>')?;
        // A comma within a target is passed over already; one within a parameter ends it too early at worst.
        let (parameters, others) = rest.split_once(',').unwrap_or((rest, ""));
        value = others;
        Some((target, parameters))
    })
}

fn is_next(parameters: &str) -> bool {
    parameters.split(';').filter_map(|parameter| parameter.split_once('=')).any(|(name, value)| {
        let relations = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("rel")
            && relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
    })
}

/// Reads where the next page is. Only the query is news: scheme and host of an absolute link are those by which the
/// registry believes to be known, and no link may lead to anything else than this very listing.
fn continuation(
    path: &str,
    from: Option<&Continuation>,
    link: &str,
) -> Result<Continuation, MalformedAnswer> {
    let here = format!("http://registry/{path}");
    let target = Url::parse(&here).and_then(|here| here.join(link))?;
    // A gateway may put a prefix of its own before the registry's paths.
    if !target.path().ends_with(&format!("/{path}")) {
        return Err(MalformedAnswer::OtherListing);
    }
    let next = Continuation(match target.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    });
    if target.query().is_none() || from == Some(&next) {
        return Err(MalformedAnswer::SamePage);
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn next(link: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(LINK, HeaderValue::from_str(link).unwrap());
        next_link(&headers).map(str::to_owned)
    }

    #[test]
    fn the_link_to_the_next_page_is_found_among_others_in_any_spelling() {
        for link in [
            r#"</v2/_catalog?last=b&n=2>; rel="next""#,
            "</v2/_catalog?last=b&n=2>;rel=next",
            r#"</first>; rel="first", </v2/_catalog?last=b&n=2> ; type="a"; REL="prev next""#,
        ] {
            assert_eq!(next(link).as_deref(), Some("/v2/_catalog?last=b&n=2"), "{link}");
        }
        for link in ["", "</a>", r#"</a>; rel="prev""#, "/v2/_catalog?last=b; rel=next", r#"<; rel="next""#] {
            assert_eq!(next(link), None, "{link}");
        }
    }

    #[test]
    fn only_path_and_query_of_a_link_count_and_only_this_listing_is_followed() {
        let read = |link| continuation("v2/_catalog", None, link).ok().map(|Continuation(path)| path);
        let wanted = Some("v2/_catalog?last=a%2Fb&n=2".to_owned());
        assert_eq!(read("/v2/_catalog?last=a%2Fb&n=2"), wanted);
        assert_eq!(read("https://elsewhere.test:444/v2/_catalog?last=a%2Fb&n=2"), wanted);
        assert_eq!(read("_catalog?last=a%2Fb&n=2"), wanted);
        assert_eq!(read("/inner/v2/_catalog?last=a%2Fb&n=2"), wanted);
        assert_eq!(read("?last=a%2Fb&n=2"), wanted);
        for link in ["/v2/x/tags/list?last=b", "/other?last=b", "/v2/_catalog", "http://[?last=b"] {
            assert_eq!(read(link), None, "{link}");
        }
        let from = Continuation("v2/_catalog?last=b".to_owned());
        assert!(continuation("v2/_catalog", Some(&from), "/v2/_catalog?last=b").is_err());
    }

    #[test]
    fn a_page_is_made_smaller_by_its_number_alone() {
        for (link, smaller) in [
            ("v2/_catalog?last=a%2Fb&n=1000", "v2/_catalog?last=a%2Fb&n=10"),
            ("v2/_catalog?n=5&last=b", "v2/_catalog?n=5&last=b"),
            ("v2/_catalog?n=x&next=t0k%3D%3D", "v2/_catalog?n=10&next=t0k%3D%3D"),
            ("v2/_catalog?next_page=n%3D7", "v2/_catalog?next_page=n%3D7&n=10"),
        ] {
            assert_eq!(Continuation(link.to_owned()).with_at_most(10), smaller);
        }
    }

    #[test]
    fn an_answer_without_names_is_an_empty_page_and_one_that_is_no_listing_is_none() {
        let page = |body: &'static str| {
            let (status, headers) = (StatusCode::OK, HeaderMap::new());
            let answer = Received { status, headers, body: Ok(body.into()) };
            read_page("ask", "v2/x/tags/list", None, answer, |tags: Tags| tags.tags).map(|page| page.names)
        };
        assert_eq!(page(r#"{"name":"x","tags":["a","b"]}"#).unwrap(), ["a", "b"]);
        assert!(page(r#"{"name":"x","tags":null}"#).unwrap().is_empty());
        for body in [
            "",
            "<html>",
            "[]",
            "null",
            r#"{"name":"x","tags":["a","#,
            r#"{"tags":[1]}"#,
            "{}",
            r#"{"tags":{}}"#,
        ] {
            assert!(page(body).is_err(), "{body}");
        }
    }
}
