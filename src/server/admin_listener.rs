//! The admin listener: metrics and health over plain HTTP.

use std::io;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::limited_listener::LimitedListener;
use crate::door::Listener;

/// How many connections it has.
pub(super) const ADMIN_CONNECTIONS: usize = 16;
/// How long a connection lives: many scrapes, and no limit for a client that connects again.
const ADMIN_LIFETIME: Duration = Duration::from_mins(1);

/// Answers by this router until told to stop. Needs a runtime.
///
/// # Errors
/// When the system does not let it listen.
pub(super) fn serve(
    listener: Listener,
    router: axum::Router,
    stop: CancellationToken,
) -> io::Result<impl Future<Output = ()>> {
    let listener = tokio::net::TcpListener::from_std(listener.into_std())?;
    let listener = LimitedListener::new(listener, "admin", ADMIN_CONNECTIONS, Some(ADMIN_LIFETIME));
    Ok(async move {
        let served = axum::serve(listener, router).into_future();
        if let Some(Err(error)) = stop.run_until_cancelled(served).await {
            tracing::error!(%error, "the admin listener failed");
        }
    })
}
