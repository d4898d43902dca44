//! The turns of answers that read manifests: few do at a time.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::ApiError;

/// How many answers read manifests at a time: each manifest may take several times its length while an answer is made of it.
const AT_ONCE: usize = 4;
/// How long an answer waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// The turns of the answers that read manifests.
#[derive(Debug)]
pub struct ManifestTurns {
    turns: Semaphore,
    patience: Duration,
}

impl Default for ManifestTurns {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE), patience: PATIENCE }
    }
}

impl ManifestTurns {
    /// One that is never had.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { turns: Semaphore::new(0), patience: Duration::ZERO }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(super) async fn take(&self) -> Result<SemaphorePermit<'_>, ApiError> {
        match tokio::time::timeout(self.patience, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            // Nobody closes it.
            Ok(Err(_)) | Err(_) => Err(ApiError::TooManyManifests),
        }
    }
}
