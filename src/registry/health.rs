//! Keeping an eye on the backends.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::RegistryClient;

/// How often a backend that answers is asked, and one that does not.
const PACE_HEALTHY: Duration = Duration::from_secs(5);
const PACE_UNHEALTHY: Duration = Duration::from_millis(500);
/// How long a health probe waits, unless `registry.timeout` is shorter.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(5);

/// Asks every backend for `/v2/` again and again, and resolves names anew, until told to stop. Dropping the future at
/// any point is harmless.
pub async fn watch_health(client: Arc<RegistryClient>, stop: CancellationToken) {
    // Often enough to show that a backend lives which is at a commit for longer than `registry.timeout`.
    let pace_healthy = PACE_HEALTHY.min(client.timeout() / 3);
    let watches = client.backends().all().iter().map(|backend| {
        let client = Arc::clone(&client);
        async move {
            loop {
                backend.resolve().await;
                let presence = client.probe(backend).await;
                backend.note_presence(presence);
                let answers = presence.is_registry();
                let gauge = metrics::gauge!("portreeve_registry_backend_healthy", "backend" => backend.authority().to_owned());
                gauge.set(if answers { 1.0 } else { 0.0 });
                tokio::time::sleep(if answers { pace_healthy } else { PACE_UNHEALTHY }).await;
            }
        }
    });
    let forever = futures_util::future::join_all(watches);
    stop.run_until_cancelled(forever).await;
}
