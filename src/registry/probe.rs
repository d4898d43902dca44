//! Probing a backend: whether a registry is behind it. An answer alone does not show that, since gateways, captive portals and
//! other services answer as well.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};

use super::client::SendError;
use super::credentials::RequestCredentials;
use super::probe_result::CredentialsProblem;
use super::question::Question;
use super::timeouts::PROBE_TIMEOUT;
use super::transport::Received;
use super::{Backend, ConnectionFault, ProbeResult, RegistryClient};

impl RegistryClient {
    /// Whether a registry is behind this backend now.
    pub async fn probe(&self, backend: &Backend) -> ProbeResult {
        let begun = Instant::now();
        let asking = self.send(backend, Question::get("say what it is", "v2/").to(backend));
        match self.within_time(asking).await {
            Ok(Ok(answer)) => note(backend, &answer, begun.elapsed()),
            Ok(Err(error)) => ProbeResult::Silent(error.fault()),
            Err(silent) => silent,
        }
    }

    /// The same, by a request with the door's credentials. Notes whether the backend takes them, if it says so.
    pub(super) async fn probe_with_credentials(&self, backend: &Backend) -> ProbeResult {
        let credentials = RequestCredentials::new(Arc::clone(self.credentials()), None, Vec::new());
        let question = Question::get("say what it is", "v2/").to(backend);
        let begun = Instant::now();
        let answer = match self.within_time(self.send_with_credentials(backend, &credentials, question)).await
        {
            Ok(Ok(answer)) => answer,
            // The keys are at fault, and not the registry.
            Ok(Err(SendError::Signing(_))) => return self.probe(backend).await,
            Ok(Err(SendError::Transport(error))) => return ProbeResult::Silent(error.fault()),
            Err(silent) => return silent,
        };
        let result = note(backend, &answer, begun.elapsed());
        let problem = CredentialsProblem::of(answer.status, self.credentials().is_some());
        if result.is_registry() && (answer.status.is_success() || problem.is_some()) {
            backend.note_credentials(problem);
        }
        result
    }

    /// What comes of asking, or that the backend is silent.
    async fn within_time<T>(&self, asking: impl Future<Output = T>) -> Result<T, ProbeResult> {
        tokio::time::timeout(self.timeout().min(PROBE_TIMEOUT), asking)
            .await
            .map_err(|_elapsed| ProbeResult::Silent(Some(ConnectionFault::TimedOut)))
    }
}

/// Reads an answer, which is a sign of life if it is a registry's.
fn note(backend: &Backend, answer: &Received, latency: Duration) -> ProbeResult {
    let result = read(answer);
    if result.is_registry() {
        backend.note_probe_answer(latency);
    }
    result
}

/// Reads an answer to `GET /v2/` (OCI distribution spec, "Determining Support"): a registry answers 200, or 401 with a
/// challenge. Some send a body, which is JSON then.
fn read(answer: &Received) -> ProbeResult {
    let Received { status, headers, body } = answer;
    if status.is_server_error() {
        return ProbeResult::Failing(*status);
    }
    let says_so = headers
        .get("docker-distribution-api-version")
        .is_some_and(|version| version.as_bytes().starts_with(b"registry/"));
    let is_page = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("text/html"));
    let is_json = |body: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    let is_plausible =
        !is_page && body.as_ref().is_ok_and(|body| body.trim_ascii().is_empty() || is_json(body.as_ref()));
    let is_registry = match *status {
        StatusCode::UNAUTHORIZED => says_so || headers.contains_key(WWW_AUTHENTICATE) || is_plausible,
        StatusCode::OK | StatusCode::FORBIDDEN => says_so || is_plausible,
        // A registry that is asked too often is there.
        StatusCode::TOO_MANY_REQUESTS => true,
        _ => says_so && !status.is_redirection(),
    };
    if is_registry { ProbeResult::Registry } else { ProbeResult::Foreign(*status) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;

    fn probed(status: u16, headers: &[(&'static str, &'static str)], body: &'static str) -> ProbeResult {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect::<HeaderMap>();
        let status = StatusCode::from_u16(status).unwrap();
        read(&Received { status, headers, body: Ok(Bytes::from_static(body.as_bytes())) })
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
            assert_eq!(probed(status, headers, body), ProbeResult::Registry, "{status} {headers:?} {body}");
        }
    }

    #[test]
    fn a_page_is_no_registry_whatever_its_status() {
        let html = ("content-type", "text/html; charset=utf-8");
        for status in [200, 204, 302, 307, 401, 403, 404] {
            let found = probed(status, &[html], "<html>please log in</html>");
            assert_eq!(found, ProbeResult::Foreign(StatusCode::from_u16(status).unwrap()));
        }
        assert!(!probed(200, &[], "It works!").is_registry());
        assert!(!probed(404, &[], r#"{"detail":"Not Found"}"#).is_registry());
        assert!(!probed(301, &[API], "").is_registry());
        assert_eq!(probed(503, &[API], ""), ProbeResult::Failing(StatusCode::SERVICE_UNAVAILABLE));
    }
}
