//! Requests that a page of another site makes a browser send. Of an open door, or with credentials that the browser keeps, they
//! would have the rights of whoever looks at that page; so what changes anything is refused when a browser says that it comes
//! from elsewhere. Programs say nothing of the kind.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::error::ApiError;

/// By which browsers tell whose page a request comes from, where the connection is safe (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Refuses what a page of another site would change.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if changes && is_cross_site(request.headers()) {
        return ApiError::CrossSite.into_response();
    }
    next.run(request).await
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match (origin, host) {
        (Some(origin), Some(host)) => {
            let here = Url::parse(&format!("{}://{host}/", origin.scheme())).ok();
            here.is_none_or(|here| here.origin() != origin.origin())
        }
        // An origin that is nobody's, or a request that does not say whom it is for.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_says_whose_page_it_comes_from_and_programs_say_nothing() {
        for (site, origin, host, expected) in [
            (None, None, Some("door:5000"), false),
            (Some("same-origin"), Some("https://door"), Some("other"), false),
            (Some("none"), None, Some("door"), false),
            (Some("cross-site"), None, Some("door"), true),
            (Some("same-site"), Some("https://door"), Some("door"), true),
            (None, Some("http://door:5000"), Some("door:5000"), false),
            (None, Some("http://door"), Some("door:80"), false),
            (None, Some("http://evil"), Some("door:5000"), true),
            (None, Some("http://door:5001"), Some("door:5000"), true),
            (None, Some("null"), Some("door"), true),
            (None, Some("http://door"), None, true),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(SEC_FETCH_SITE, site), ("origin", origin), ("host", host)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            assert_eq!(is_cross_site(&headers), expected, "{headers:?}");
        }
    }
}
