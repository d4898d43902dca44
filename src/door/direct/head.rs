//! Reading the head of an ordinary request, strictly.
//!
//! Ordinary is what HTTP clients send who ask for something: `GET` or `HEAD` of a path, one `Host`, no body, no wish for another
//! protocol or for the end of the connection. A head that could be read in two ways, or that has to be refused, is none: pingora
//! reads it. What is ordinary, pingora reads in the same way; tests compare the two.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use memchr::memmem;
use pingora_http::RequestHeader;

/// The longest ordinary head, in bytes.
const MOST_BYTES: usize = 16 * 1024;
/// The most headers of one.
const MOST_HEADERS: usize = 64;
/// How an ordinary request line begins.
const METHODS: [&[u8]; 2] = [b"GET /", b"HEAD /"];

/// How far a head is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// It may become an ordinary one.
    Unfinished,
    /// It is whole, and nothing follows.
    Whole,
    /// It is not ordinary.
    Other,
}

/// Looks at the bytes with which a request begins.
pub(super) fn progress(bytes: &[u8]) -> Progress {
    let may_begin = METHODS.iter().any(|method| bytes.starts_with(method) || method.starts_with(bytes));
    if !may_begin {
        return Progress::Other;
    }
    for end in memchr::memchr_iter(b'\n', bytes) {
        let line = &bytes[..end];
        if line.ends_with(b"\r\n\r") {
            return if end + 1 == bytes.len() { Progress::Whole } else { Progress::Other };
        }
        if !line.ends_with(b"\r") {
            return Progress::Other;
        }
    }
    if bytes.len() < MOST_BYTES { Progress::Unfinished } else { Progress::Other }
}

/// Whether the door surely knows no answer to what this head asks for: to blobs only the registry has, and, unless the door
/// `answers_tags`, to manifests under a tag. Such a head need not be read here.
pub(super) fn is_of_the_registry(bytes: &[u8], answers_tags: bool) -> bool {
    let mut words = bytes.splitn(3, |byte| *byte == b' ');
    let target = words.nth(1).unwrap_or_default();
    let is_under_tag = || {
        // A digest has a colon, a tag has none.
        memmem::rfind(target, b"/manifests/").is_some_and(|at| !target[at..].contains(&b':'))
    };
    memmem::find(target, b"/blobs/").is_some() || (!answers_tags && is_under_tag())
}

/// Reads a whole head; none if it is not ordinary.
pub(super) fn parse(bytes: &Bytes) -> Option<RequestHeader> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    let status = parsed.parse(bytes).ok()?;
    if status != httparse::Status::Complete(bytes.len()) || parsed.version != Some(1) {
        return None;
    }
    let (method, target) = (parsed.method?, parsed.path?);
    if !is_ordinary_target(target) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for header in parsed.headers.iter() {
        let name = name_of(header.name)?;
        if !is_ordinary_header(&name, header.value) {
            return None;
        }
        headers.append(name, HeaderValue::from_maybe_shared(bytes.slice_ref(header.value)).ok()?);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(_), None) = (hosts.next(), hosts.next()) else { return None };
    let (mut request, ()) = http::Request::new(()).into_parts();
    request.method = Method::from_bytes(method.as_bytes()).ok()?;
    request.uri = Uri::from_maybe_shared(bytes.slice_ref(target.as_bytes())).ok()?;
    request.version = Version::HTTP_11;
    request.headers = headers;
    Some(RequestHeader::from(request))
}

/// The name of a header. The usual ones are found sooner than by `http`, which has many to look among.
fn name_of(text: &str) -> Option<HeaderName> {
    const USUAL: [HeaderName; 6] = [HOST, ACCEPT, USER_AGENT, AUTHORIZATION, ACCEPT_ENCODING, CONNECTION];
    let usual = USUAL.iter().find(|usual| usual.as_str().eq_ignore_ascii_case(text));
    usual.cloned().or_else(|| HeaderName::from_bytes(text.as_bytes()).ok())
}

/// Whether a target is a path in visible ASCII.
fn is_ordinary_target(target: &str) -> bool {
    target.starts_with('/')
        && !target.starts_with("//")
        && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Whether a header neither frames a body nor is about the connection, other than to keep it.
fn is_ordinary_header(name: &HeaderName, value: &[u8]) -> bool {
    if *name == CONNECTION {
        return value.eq_ignore_ascii_case(b"keep-alive");
    }
    if *name == HOST {
        return !value.is_empty() && !value.contains(&b'@');
    }
    let others = [CONTENT_LENGTH, TRANSFER_ENCODING, TE, TRAILER, EXPECT, UPGRADE];
    !others.contains(name) && name != "keep-alive" && name != "proxy-connection" && name != "http2-settings"
}

#[cfg(test)]
mod tests;
