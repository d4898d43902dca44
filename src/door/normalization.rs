//! A request is normalized before anything reads it: a target in origin form, one authority, one `Cookie`.

use http::header::{COOKIE, HOST};
use http::{HeaderValue, StatusCode, Version};
use pingora_core::protocols::http::authority::{RawTargetAuthority, raw_target_authority};
use pingora_http::RequestHeader;

use super::Refusal;
use crate::oci::ErrorCode;

/// The longest authority, in bytes: a name of 253 with a port.
const LONGEST_AUTHORITY: usize = 300;

/// The most headers.
const MOST_HEADERS: usize = 256;

/// Normalizes a request, and answers which authority the client asks for; none if it names none, as an HTTP/1.0 client may.
///
/// A target in absolute form counts more than `Host` (RFC 9112 section 3.2.2). That the two agree, and that there is one
/// `Host` at most, pingora has seen to for both versions of HTTP.
///
/// # Errors
/// When it names no authority although its version wants one, or something that is none (RFC 9112 section 3.2).
pub(super) fn normalize(request: &mut RequestHeader) -> Result<Option<String>, Refusal> {
    if request.version == Version::HTTP_2 {
        join_cookies(request)?;
    }
    let in_target = match raw_target_authority(request.raw_path()) {
        RawTargetAuthority::None => None,
        RawTargetAuthority::AmbiguousAuthority => return Err(refused("the request target is ambiguous")),
        RawTargetAuthority::Absolute { scheme, authority, path_and_query } => {
            if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"https") {
                return Err(refused("the scheme of the request target must be `http` or `https`"));
            }
            Some((authority.to_owned(), origin_form(path_and_query)))
        }
    };
    let authority = match in_target {
        Some((authority, target)) => {
            request
                .set_raw_path(&target)
                .map_err(|error| refused("the request target is none").because(error))?;
            let value =
                HeaderValue::from_bytes(&authority).map_err(|error| refused(NO_HOST).because(error))?;
            request.insert_header(HOST, value).map_err(|error| refused(NO_HOST).because(error))?;
            authority
        }
        None => match (request.uri.authority(), request.headers.get(HOST)) {
            (Some(authority), _) => authority.as_str().as_bytes().to_owned(),
            (None, Some(host)) => host.as_bytes().to_owned(),
            (None, None) if request.version == Version::HTTP_11 => {
                return Err(refused("an HTTP/1.1 request must name its `Host`"));
            }
            (None, None) => return Ok(None),
        },
    };
    if authority.is_empty() {
        return Ok(None);
    }
    let authority = String::from_utf8(authority).map_err(|error| refused(NO_HOST).because(error))?;
    if is_authority(&authority) { Ok(Some(authority)) } else { Err(refused(NO_HOST)) }
}

/// Refuses a request target with a fragment (RFC 9112 section 3.2 has none), which the parser of URIs cuts off: the registry
/// would be asked for something else. `head` is the head of an HTTP/1.1 request as it came.
///
/// # Errors
/// When its first line has a `#`.
pub(super) fn refuse_fragment(head: &[u8]) -> Result<(), Refusal> {
    let mut line =
        head.iter().skip_while(|byte| matches!(byte, b'\r' | b'\n')).take_while(|byte| **byte != b'\n');
    if line.any(|byte| *byte == b'#') {
        return Err(refused("the request target must not have a `#`"));
    }
    Ok(())
}

/// Refuses a request with more headers than pingora takes by HTTP/1.1: each takes some memory besides its bytes, and a list of
/// HTTP/2 may have thousands.
///
/// # Errors
/// 431 (RFC 6585 section 5) when there are more.
pub(super) fn refuse_many_headers(request: &RequestHeader) -> Result<(), Refusal> {
    if request.headers.len() <= MOST_HEADERS {
        return Ok(());
    }
    let message = format!("the request has more than the {MOST_HEADERS} headers that are allowed");
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Err(Refusal::new(ErrorCode::Unsupported, message).with_status(status))
}

const NO_HOST: &str = "`Host` must be a host, perhaps with a port";

/// Whether text is a host, perhaps with a port: it comes to stand in URLs and headers.
pub fn is_authority(text: &str) -> bool {
    text.len() <= LONGEST_AUTHORITY
        && text.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.as_str().contains('@'))
}

/// A path and query behind an authority, as it stands on a request line of its own.
fn origin_form(path_and_query: &[u8]) -> Vec<u8> {
    let slash: &[u8] = if path_and_query.starts_with(b"/") { b"" } else { b"/" };
    [slash, path_and_query].concat()
}

/// HTTP/2 lets a client split its cookies over several fields; in HTTP/1.1 they have to be one (RFC 9113 section 8.2.3).
fn join_cookies(request: &mut RequestHeader) -> Result<(), Refusal> {
    let mut cookies = request.headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (cookies.next(), cookies.next()) else { return Ok(()) };
    let mut joined = [first.as_bytes(), b"; ", second.as_bytes()].concat();
    for cookie in cookies {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(cookie.as_bytes());
    }
    let malformed = "the cookies of the request cannot be one";
    let mut joined = HeaderValue::from_bytes(&joined).map_err(|error| refused(malformed).because(error))?;
    joined.set_sensitive(true);
    request.insert_header(COOKIE, joined).map_err(|error| refused(malformed).because(error))
}

/// The specification has no code for a bad request line; `NAME_INVALID` comes nearest.
fn refused(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::NameInvalid, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, target: &str, headers: &[(&'static str, &'static str)]) -> RequestHeader {
        let mut request = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        request.set_version(version);
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    #[test]
    fn a_target_in_absolute_form_is_read_as_its_path_at_its_authority() {
        for (target, path, authority) in [
            ("http://door.example/v2/a/tags/list?n=1", "/v2/a/tags/list?n=1", "door.example"),
            ("HTTPS://door.example:5000/v2/", "/v2/", "door.example:5000"),
            ("http://door.example", "/", "door.example"),
            ("http://door.example?x", "/?x", "door.example"),
        ] {
            for headers in [&[][..], &[("host", "other.example")]] {
                let mut request = request(Version::HTTP_11, target, headers);
                assert_eq!(normalize(&mut request).unwrap().as_deref(), Some(authority), "{target}");
                assert_eq!(request.raw_path(), path.as_bytes(), "{target}");
                assert_eq!(request.headers["host"], authority);
            }
        }
        for target in ["ftp://door.example/v2/", "http:/v2/", "http://a\\b/v2/", "ws://door.example/v2/"] {
            assert!(normalize(&mut request(Version::HTTP_11, target, &[])).is_err(), "{target}");
        }
    }

    #[test]
    fn a_request_names_a_host_as_its_version_wants_it() {
        let host = |version, value: Option<&'static str>| {
            let headers: Vec<_> = value.into_iter().map(|value| ("host", value)).collect();
            normalize(&mut request(version, "/v2/", &headers)).map_err(|refusal| refusal.status.as_u16())
        };
        assert_eq!(host(Version::HTTP_11, Some("door:5000")), Ok(Some("door:5000".to_owned())));
        assert_eq!(host(Version::HTTP_11, Some("[::1]:5000")), Ok(Some("[::1]:5000".to_owned())));
        assert_eq!(host(Version::HTTP_11, Some("")), Ok(None));
        assert_eq!(host(Version::HTTP_11, None), Err(400));
        assert_eq!(host(Version::HTTP_10, None), Ok(None));
        for wrong in ["a b", "a/b", "a\",service=\"b", "user@door", "door:x/y"] {
            assert_eq!(host(Version::HTTP_11, Some(wrong)), Err(400), "{wrong}");
        }
    }

    #[test]
    fn cookies_of_http2_become_one() {
        let several = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("host", "door"), ("cookie", "d=4")];
        let cookies = |version| {
            let mut request = request(version, "/v2/", &several);
            normalize(&mut request).unwrap();
            let values = request.headers.get_all("cookie").iter();
            values.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(cookies(Version::HTTP_2), ["a=1; b=2; c=3; d=4"]);
        assert_eq!(cookies(Version::HTTP_11), ["a=1", "b=2; c=3", "d=4"]);
    }
}
