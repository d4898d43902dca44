//! Interchangeable backends of the one logical registry.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::StatusCode;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::{CredentialsProblem, ProbeResult};
use crate::telemetry::FailureLog;

/// One backend: where it is, and whether it answers.
#[derive(Debug)]
pub struct Backend {
    url: Url,
    authority: String,
    key: BackendKey,
    address: ArcSwapOption<SocketAddr>,
    healthy: AtomicBool,
    /// The status of something else that answered the last probe in place of a registry; else zero.
    foreign: AtomicU16,
    last_probe_answer: ArcSwapOption<Instant>,
    /// How long that answer took, in microseconds; zero before there is one.
    probe_latency: AtomicU64,
    /// Why it did not let the door in, when it was shown the door's credentials last.
    credentials_problem: ArcSwapOption<CredentialsProblem>,
    /// Whether its name could be resolved.
    resolution: FailureLog,
}

/// What an upload session's `Location` says about its backend: eight hexadecimal digits of a hash of the backend's
/// URL, so that it reveals no address, and means the same after a restart and at another door.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BackendKey(String);

impl BackendKey {
    fn of(url: &Url) -> Self {
        Self(hex::encode(&Sha256::digest(url.as_str())[..4]))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BackendKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Backend {
    fn new(url: Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let address = match url.host() {
            Some(url::Host::Ipv4(ip)) => url.port_or_known_default().map(|port| SocketAddr::from((ip, port))),
            Some(url::Host::Ipv6(ip)) => url.port_or_known_default().map(|port| SocketAddr::from((ip, port))),
            Some(url::Host::Domain(_)) | None => None,
        };
        Self {
            authority,
            key: BackendKey::of(&url),
            address: ArcSwapOption::from_pointee(address),
            healthy: AtomicBool::new(true),
            foreign: AtomicU16::new(0),
            last_probe_answer: ArcSwapOption::empty(),
            probe_latency: AtomicU64::new(0),
            credentials_problem: ArcSwapOption::empty(),
            resolution: FailureLog::new(),
            url,
        }
    }

    /// Its URL, without a path.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Host, and port unless it is the scheme's own: what belongs in `Host`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// The name for TLS.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// What names it in an upload's `Location`.
    pub fn key(&self) -> &BackendKey {
        &self.key
    }

    /// Where it was last resolved to; `None` for a name that was never resolved.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address.load().as_deref().copied()
    }

    /// Whether it answered when it was last tried.
    pub fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// The status with which something answered in its place that is no registry.
    pub fn foreign_status(&self) -> Option<StatusCode> {
        StatusCode::from_u16(self.foreign.load(Ordering::Relaxed)).ok()
    }

    /// Notes what a probe shows.
    pub fn note_probe(&self, result: ProbeResult) {
        let status = match result {
            ProbeResult::Foreign(status) => status.as_u16(),
            ProbeResult::Registry | ProbeResult::Failing(_) | ProbeResult::Silent(_) => 0,
        };
        if self.foreign.swap(status, Ordering::Relaxed) != status && status != 0 {
            tracing::warn!(
                backend = %self.url, status,
                "what answers is no registry: it answers /v2/ as no registry does; is registry.url right?"
            );
        }
        self.note_health(result.is_registry());
    }

    /// Notes that it answered, or did not. The log says so when that is news. An answer makes no registry of what is none.
    pub fn note_health(&self, healthy: bool) {
        let healthy = healthy && self.foreign.load(Ordering::Relaxed) == 0;
        if self.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            if healthy {
                tracing::info!(backend = %self.url, "the registry answers again");
            } else {
                tracing::warn!(backend = %self.url, "the registry does not answer");
            }
        }
    }

    /// Notes whether it lets the door in. The log says so when that is news.
    pub(super) fn note_credentials(&self, problem: Option<CredentialsProblem>) {
        let before = self.credentials_problem.swap(problem.map(Arc::new));
        match (before.as_deref(), problem) {
            (before, Some(problem)) if before != Some(&problem) => {
                tracing::error!(backend = %self.url, "{problem}");
            }
            (Some(_), None) => {
                tracing::info!(backend = %self.url, "the registry takes the door's credentials again")
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
    }

    /// Why it does not let the door in.
    pub fn credentials_problem(&self) -> Option<CredentialsProblem> {
        self.credentials_problem.load().as_deref().copied()
    }

    /// Notes that it has answered a probe, and how long that took.
    pub(super) fn note_probe_answer(&self, latency: Duration) {
        self.last_probe_answer.store(Some(Arc::new(Instant::now())));
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX).max(1);
        self.probe_latency.store(microseconds, Ordering::Relaxed);
    }

    /// How long the last answer to a probe took; `None` if there never was one.
    pub fn probe_latency(&self) -> Option<Duration> {
        let microseconds = self.probe_latency.load(Ordering::Relaxed);
        (microseconds > 0).then(|| Duration::from_micros(microseconds))
    }

    /// When it last answered a probe; `None` if it never did.
    pub fn last_probe_answer(&self) -> Option<Instant> {
        self.last_probe_answer.load().as_deref().copied()
    }

    /// Looks its name up; an address that was given as such stays.
    pub(super) async fn resolve(&self) {
        let Some(url::Host::Domain(name)) = self.url.host() else { return };
        let port = self.url.port_or_known_default().unwrap_or(80);
        match tokio::net::lookup_host((name, port)).await {
            Ok(addresses) => {
                if self.resolution.worked() {
                    tracing::info!(backend = %self.url, "the registry's name can be resolved again");
                }
                let addresses: Vec<_> = addresses.collect();
                // Stay with the address in use while it is still one of them: connections are kept per address.
                if !self.address().is_some_and(|current| addresses.contains(&current)) {
                    self.address.store(addresses.first().copied().map(Arc::new));
                }
            }
            Err(error) if self.resolution.failed(&error) => {
                tracing::warn!(backend = %self.url, %error, "the registry's name cannot be resolved");
            }
            Err(_) => {}
        }
    }
}

/// All backends of the registry; at least one.
#[derive(Debug)]
pub struct Backends {
    all: Vec<Arc<Backend>>,
    next: AtomicUsize,
}

impl Backends {
    /// From the configured URLs, of which there must be one at least: with none, every choice is `None`.
    pub fn new(urls: impl IntoIterator<Item = Url>) -> Self {
        Self {
            all: urls.into_iter().map(|url| Arc::new(Backend::new(url))).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// All of them, in the configured order.
    pub fn all(&self) -> &[Arc<Backend>] {
        &self.all
    }

    /// Why one of them does not let the door in.
    pub fn credentials_problem(&self) -> Option<CredentialsProblem> {
        self.all.iter().find_map(|backend| backend.credentials_problem())
    }

    /// Whether there are several, so that an upload session has to name its own.
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// The backend with this key.
    pub fn with_key(&self, key: &str) -> Option<&Arc<Backend>> {
        self.all.iter().find(|backend| backend.key.as_str() == key)
    }

    /// The next one in turn that is healthy and not among `tried`; when none is healthy, the next one that was not
    /// tried, since a probe may be older than its recovery.
    pub fn choose(&self, tried: &[BackendKey]) -> Option<Arc<Backend>> {
        if let [only] = self.all.as_slice() {
            return (!tried.contains(&only.key)).then(|| Arc::clone(only));
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let in_turn = || {
            (0..self.all.len())
                .map(|step| &self.all[start.wrapping_add(step) % self.all.len()])
                .filter(|backend| !tried.contains(&backend.key))
        };
        in_turn().find(|backend| backend.is_healthy()).or_else(|| in_turn().next()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Backends {
        Backends::new((1..=3).map(|last| Url::parse(&format!("http://127.0.0.{last}:5001")).unwrap()))
    }

    #[test]
    fn healthy_backends_take_turns() {
        let backends = three();
        let chosen: std::collections::BTreeSet<_> =
            (0..3).map(|_| backends.choose(&[]).unwrap().authority().to_owned()).collect();
        assert_eq!(chosen.len(), 3);
    }

    #[test]
    fn an_unhealthy_backend_is_passed_over_while_another_is_healthy() {
        let backends = three();
        backends.all()[0].note_health(false);
        backends.all()[2].note_health(false);
        for _ in 0..6 {
            assert_eq!(backends.choose(&[]).unwrap().authority(), "127.0.0.2:5001");
        }
    }

    #[test]
    fn what_is_no_registry_is_not_made_healthy_by_its_answers() {
        let backends = three();
        let backend = &backends.all()[0];
        backend.note_probe(ProbeResult::Foreign(StatusCode::OK));
        backend.note_health(true);
        assert_eq!((backend.is_healthy(), backend.foreign_status()), (false, Some(StatusCode::OK)));
        backend.note_probe(ProbeResult::Registry);
        assert_eq!((backend.is_healthy(), backend.foreign_status()), (true, None));
    }

    #[test]
    fn a_backend_that_does_not_let_the_door_in_says_why_until_it_does() {
        let backends = three();
        let backend = &backends.all()[0];
        let refused = CredentialsProblem::of(StatusCode::UNAUTHORIZED, true);
        backend.note_credentials(refused);
        assert_eq!(
            backend.credentials_problem(),
            Some(CredentialsProblem::Refused(StatusCode::UNAUTHORIZED))
        );
        backend.note_credentials(CredentialsProblem::of(StatusCode::OK, true));
        assert_eq!(backend.credentials_problem(), None);
    }

    #[test]
    fn when_none_is_healthy_each_is_tried_once() {
        let backends = three();
        backends.all().iter().for_each(|backend| backend.note_health(false));
        let mut tried = Vec::new();
        while let Some(backend) = backends.choose(&tried) {
            tried.push(backend.key().clone());
        }
        assert_eq!(tried.len(), 3);
    }

    #[test]
    fn a_key_means_the_same_backend_whatever_the_order() {
        let one = Backends::new([Url::parse("http://a:1").unwrap(), Url::parse("http://b:1").unwrap()]);
        let other = Backends::new([Url::parse("http://b:1").unwrap(), Url::parse("http://a:1").unwrap()]);
        let key = one.all()[0].key().as_str().to_owned();
        assert_eq!(other.with_key(&key).unwrap().host(), "a");
    }
}
