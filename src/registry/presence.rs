//! Whether there is a registry at all: an answer alone does not show it, since gateways, captive pages and other services
//! answer as well.

use http::StatusCode;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};

use super::transport::Received;

/// What is behind a backend's URL, as its answer to `/v2/` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A registry, whether or not it lets the door in.
    Registry,
    /// It fails with this status.
    Failing(StatusCode),
    /// Something that answers with this status, but not as a registry does.
    Foreign(StatusCode),
    /// Nothing that answers in time.
    Silent,
}

impl Presence {
    /// Whether it is a registry that can be asked.
    pub const fn is_registry(self) -> bool {
        matches!(self, Self::Registry)
    }

    /// Reads an answer to `GET /v2/` (OCI distribution spec, "Determining Support"): a registry answers 200, or 401 with a
    /// challenge. Some send a body, which is JSON then.
    pub(super) fn of(answer: &Received) -> Self {
        let Received { status, headers, body } = answer;
        if status.is_server_error() {
            return Self::Failing(*status);
        }
        let says_so = headers
            .get("docker-distribution-api-version")
            .is_some_and(|version| version.as_bytes().starts_with(b"registry/"));
        let is_page = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"));
        let is_json = |body: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
        let is_plausible = !is_page
            && body.as_ref().is_ok_and(|body| body.trim_ascii().is_empty() || is_json(body.as_ref()));
        let is_registry = match *status {
            StatusCode::UNAUTHORIZED => says_so || headers.contains_key(WWW_AUTHENTICATE) || is_plausible,
            StatusCode::OK | StatusCode::FORBIDDEN => says_so || is_plausible,
            // Whoever is asked too much is there.
            StatusCode::TOO_MANY_REQUESTS => true,
            _ => says_so && !status.is_redirection(),
        };
        if is_registry { Self::Registry } else { Self::Foreign(*status) }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn presence(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> Presence {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let status = StatusCode::from_u16(status).unwrap();
        Presence::of(&Received { status, headers, body: Ok(Bytes::from_static(body.as_bytes())) })
    }

    const API: (&str, &str) = ("docker-distribution-api-version", "registry/2.0");

    #[test]
    fn what_registries_answer_is_known_as_a_registry() {
        for (status, headers, body) in [
            (200, &[API][..], "{}"),
            (200, &[][..], ""),
            (200, &[("content-type", "application/json")][..], "{}\n"),
            (401, &[("www-authenticate", "Bearer realm=\"https://a/token\"")][..], "no"),
            (401, &[API][..], ""),
            (403, &[][..], r#"{"errors":[{"code":"DENIED"}]}"#),
            (404, &[API][..], "404 page not found"),
            (429, &[][..], "slow down"),
        ] {
            assert_eq!(presence(status, headers, body), Presence::Registry, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn a_page_is_no_registry_whatever_its_status() {
        let html = ("content-type", "text/html; charset=utf-8");
        for status in [200, 204, 302, 307, 401, 403, 404] {
            let found = presence(status, &[html], "<html>please log in</html>");
            assert_eq!(found, Presence::Foreign(StatusCode::from_u16(status).unwrap()));
        }
        assert!(!presence(200, &[], "It works!").is_registry());
        assert!(!presence(404, &[], r#"{"detail":"Not Found"}"#).is_registry());
        assert!(!presence(301, &[API], "").is_registry());
        assert_eq!(presence(503, &[API], ""), Presence::Failing(StatusCode::SERVICE_UNAVAILABLE));
    }
}
