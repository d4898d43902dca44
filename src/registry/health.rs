//! Health checks of the backends.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::RegistryClient;

/// The time between two probes of a backend that answers, and of one that does not.
const INTERVAL_HEALTHY: Duration = Duration::from_secs(5);
const INTERVAL_UNHEALTHY: Duration = Duration::from_millis(500);

/// Asks every backend for `/v2/` again and again, and resolves names anew, until told to stop. Dropping the future at
/// any point is harmless. Where the door `shows_itself` to the registry, it is asked with the door's credentials, or without any
/// if it has none, and it is shown whether the registry lets it in.
pub async fn watch_health(client: Arc<RegistryClient>, shows_itself: bool, stop: CancellationToken) {
    // Often enough to be a sign of life of a backend that is at a commit for longer than `registry.timeout`.
    let interval_healthy = INTERVAL_HEALTHY.min(client.timeout() / 3);
    let checks = client.backends().all().iter().map(|backend| {
        let client = Arc::clone(&client);
        async move {
            loop {
                backend.resolve().await;
                let result = match shows_itself {
                    true => client.probe_with_credentials(backend).await,
                    false => client.probe(backend).await,
                };
                backend.note_probe(result);
                let answers = result.is_registry();
                let gauge = metrics::gauge!("portreeve_registry_backend_healthy", "backend" => backend.authority().to_owned());
                gauge.set(if answers { 1.0 } else { 0.0 });
                if shows_itself {
                    let is_refused = client.backends().credentials_problem().is_some();
                    metrics::gauge!("portreeve_registry_credentials_refused").set(f64::from(u8::from(is_refused)));
                }
                tokio::time::sleep(if answers { interval_healthy } else { INTERVAL_UNHEALTHY }).await;
            }
        }
    });
    let forever = futures_util::future::join_all(checks);
    stop.run_until_cancelled(forever).await;
}
