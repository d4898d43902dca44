//! The answers to requests that are refused before they come here: in the words of the API to those of its paths, as pages to
//! browsers. Others are told in the words of the distribution specification, which are the door's.

use axum::http::{HeaderValue, Response, StatusCode, Uri, header};

use super::error::ErrorBody;
use super::pages;

/// The answer to a refused request for a path of the API; none for other paths.
pub fn refusal(uri: &Uri, status: StatusCode, message: &str) -> Option<Response<Vec<u8>>> {
    if !uri.path().starts_with("/api/") {
        return None;
    }
    let body = serde_json::to_vec(&ErrorBody::of_refusal(status, message)).ok()?;
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(response)
}

/// The same of a door that shows pages.
pub fn refusal_with_pages(uri: &Uri, status: StatusCode, message: &str) -> Option<Response<Vec<u8>>> {
    if pages::is_page(uri.path()) { pages::refused(status, message) } else { refusal(uri, status, message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_answered_in_its_own_words() {
        let answer = |answer: fn(&Uri, StatusCode, &str) -> _, path: &str| -> Option<(String, String)> {
            let answer: Response<Vec<u8>> =
                answer(&path.parse().unwrap(), StatusCode::UNAUTHORIZED, "the <name> is wrong")?;
            let media_type = answer.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            Some((media_type, String::from_utf8(answer.into_body()).unwrap()))
        };
        let (media_type, body) = answer(refusal_with_pages, "/api/v1/tags").unwrap();
        assert_eq!(media_type, "application/json");
        assert_eq!(body, r#"{"error":{"code":"unauthorized","message":"the <name> is wrong"}}"#);
        let (media_type, body) = answer(refusal_with_pages, "/ui/repositories?q=a").unwrap();
        assert_eq!(media_type, "text/html; charset=utf-8");
        assert!(body.contains("The &#60;name&#62; is wrong.") && body.contains("portreeve-"), "{body}");
        assert!(answer(refusal_with_pages, "/v2/").is_none() && answer(refusal, "/ui/").is_none());
    }
}
