//! A question of the door's own to the registry.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method};

use super::Backend;
use super::transport::{Request, RequestTimeout};
use crate::oci::Access;

/// How long an answer that is no manifest may be.
pub(super) const MAXIMUM_ANSWER_BYTES: usize = 1024 * 1024;
/// What the door calls itself when it asks for itself; a write that it carries keeps its client's name.
const AGENT: &str = concat!("portreeve/", env!("CARGO_PKG_VERSION"));

/// A question of the door's own to the registry.
pub(super) struct Question<'a> {
    /// What is asked, as errors say it.
    pub asked: &'a str,
    /// Its method.
    pub method: Method,
    /// The path and query below the backend's root.
    pub path: &'a str,
    /// Which media types may be answered; any if none are named.
    pub accept: Option<&'static str>,
    /// What is sent along: its media type, and its bytes.
    pub content: Option<(&'static str, Bytes)>,
    /// What access it takes; none for `/v2/` itself.
    pub access: Option<Access>,
    /// How long the answer's body may be, in bytes.
    pub limit: usize,
}

impl<'a> Question<'a> {
    /// A `GET` of this path, of which at most 1 MiB is read.
    pub(super) fn get(asked: &'a str, path: &'a str) -> Self {
        let (method, limit) = (Method::GET, MAXIMUM_ANSWER_BYTES);
        Self { asked, method, path, accept: None, content: None, access: None, limit }
    }

    /// The request by which this backend is asked, without credentials.
    pub(super) fn to(&self, backend: &Backend) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(accept) = self.accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        let mut body = Bytes::new();
        if let Some((media_type, bytes)) = &self.content {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
            body = bytes.clone();
        }
        Request {
            method: self.method.clone(),
            url: format!("{}{}", backend.url(), self.path),
            headers,
            body,
            limit: self.limit,
            timeout: RequestTimeout::Answer,
        }
    }
}
