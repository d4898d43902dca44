//! Waiting for a condition instead of for time.

use std::time::Duration;

use tokio::time::Instant;

/// Between two looks at a condition.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Looks at a condition until it holds; fails the test, naming `what`, when it does not hold `within` the time.
pub async fn until(what: &str, within: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        tokio::time::sleep(PAUSE).await;
    }
}
