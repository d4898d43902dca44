//! Bodies of requests, each no longer than its route has use for. A handler asks for one when it has looked at the head: until
//! then no client is made to send it.

use axum::body::{self, Bytes};
use axum::extract::Request;
use axum::http::header;
use http_body_util::LengthLimitError;

/// A body that is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyRefused {
    #[error("the request's body is longer than the {limit} bytes that are allowed here")]
    TooLong { limit: usize },
    #[error("the request's body broke off")]
    BrokenOff,
}

/// Reads a body of at most `limit` bytes; one that is announced to be longer is not read at all.
///
/// # Errors
/// When it is longer, or breaks off.
pub(super) async fn read(request: Request, limit: usize) -> Result<Bytes, BodyRefused> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if announced.and_then(|length| length.parse().ok()).is_some_and(|length: usize| length > limit) {
        return Err(BodyRefused::TooLong { limit });
    }
    body::to_bytes(request.into_body(), limit).await.map_err(|error| {
        match error.into_inner().is::<LengthLimitError>() {
            true => BodyRefused::TooLong { limit },
            false => BodyRefused::BrokenOff,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &'static str, announced: Option<&'static str>) -> Request {
        let mut request = Request::new(body::Body::from(body));
        if let Some(announced) = announced {
            request.headers_mut().insert(header::CONTENT_LENGTH, announced.parse().unwrap());
        }
        request
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        for (body, announced, taken) in [
            ("", None, true),
            ("1234", None, true),
            ("1234", Some("4"), true),
            ("12345", None, false),
            ("12345", Some("5"), false),
            ("", Some("5"), false),
        ] {
            let read = read(request(body, announced), 4).await;
            let expected = if taken { Ok(Bytes::from(body)) } else { Err(BodyRefused::TooLong { limit: 4 }) };
            assert_eq!(read, expected, "{body:?} {announced:?}");
        }
    }
}
