//! Requests that a page of another site makes a browser send. Of an open door, or with credentials that the browser keeps, they
//! would have the rights of whoever looks at that page; so what changes anything is refused when a browser says that it comes
//! from elsewhere. Programs say nothing of the kind; but who comes with the cookie of a session is a browser, and has to say that
//! the page is the door's.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::Url;

use super::error::ApiError;
use super::pages;
use crate::auth::{DoorOrigin, Viewer};

/// By which browsers tell whose page a request comes from, where the connection is safe (Fetch Metadata).
const SEC_FETCH_SITE: &str = "sec-fetch-site";

/// Refuses what a page of another site would change. Pages look at it themselves, and answer with one.
pub(super) async fn refuse(request: Request, next: Next) -> Response {
    if is_refused(&request) && !pages::is_page(request.uri().path()) {
        return ApiError::CrossSite.into_response();
    }
    next.run(request).await
}

/// Whether a page of another site would change something by this request.
pub(super) fn is_refused(request: &Request) -> bool {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let is_in_session = matches!(request.extensions().get(), Some(Viewer::InSession(..)));
    let is_from_elsewhere = match page(request.headers(), request.extensions().get()) {
        Page::Own => false,
        Page::Unknown => is_in_session,
        Page::Foreign => true,
    };
    changes && is_from_elsewhere
}

/// Whose page a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// The door's; or no page's, but its user's.
    Own,
    /// Another site's, or none that can be told.
    Foreign,
    /// Of none, as far as is known: programs do not say.
    Unknown,
}

fn page(headers: &HeaderMap, door: Option<&DoorOrigin>) -> Page {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return if matches!(site.as_bytes(), b"same-origin" | b"none") { Page::Own } else { Page::Foreign };
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Page::Unknown };
    // One that is nobody's is foreign: `null`.
    let Some(origin) = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()) else {
        return Page::Foreign;
    };
    // Of `Host` a proxy may have made another one.
    if door.is_some_and(|door| door.has(&origin)) {
        return Page::Own;
    }
    // A page that is read on the way is not one of a door that is not. A door that does not know that a proxy encrypts for it is one.
    if door.is_some_and(DoorOrigin::is_encrypted) && origin.scheme() != "https" {
        return Page::Foreign;
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let here = host.and_then(|host| Url::parse(&format!("{}://{host}/", origin.scheme())).ok());
    match here.is_some_and(|here| here.origin() == origin.origin()) {
        true => Page::Own,
        false => Page::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_says_whose_page_it_comes_from_and_programs_say_nothing() {
        let external = Some("https://registry.example");
        for (site, origin, host, expected) in [
            (None, None, Some("door:5000"), Page::Unknown),
            (Some("same-origin"), Some("https://door"), Some("other"), Page::Own),
            (Some("none"), None, Some("door"), Page::Own),
            (Some("cross-site"), None, Some("door"), Page::Foreign),
            (Some("cross-site"), Some("https://registry.example"), Some("door"), Page::Foreign),
            (Some("same-site"), Some("https://door"), Some("door"), Page::Foreign),
            (None, Some("http://door:5000"), Some("door:5000"), Page::Own),
            (None, Some("http://door"), Some("door:80"), Page::Own),
            (None, Some("http://evil"), Some("door:5000"), Page::Foreign),
            (None, Some("http://door:5001"), Some("door:5000"), Page::Foreign),
            (None, Some("null"), Some("door"), Page::Foreign),
            (None, Some("http://door"), None, Page::Foreign),
            // Behind a proxy that calls the door by another name.
            (None, Some("https://registry.example"), Some("door:5000"), Page::Own),
            (None, Some("http://registry.example"), Some("door:5000"), Page::Foreign),
            // A page that somebody on the way has put in the place of the door's.
            (None, Some("http://registry.example"), Some("registry.example"), Page::Foreign),
            // Behind a proxy that encrypts, of which the door does not know.
            (None, Some("https://door:5000"), Some("door:5000"), Page::Own),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in [(SEC_FETCH_SITE, site), ("origin", origin), ("host", host)] {
                if let Some(value) = value {
                    headers.insert(name, value.parse().unwrap());
                }
            }
            let door = DoorOrigin::of(external, "http", host);
            assert_eq!(page(&headers, Some(&door)), expected, "{headers:?}");
        }
    }
}
