//! Waiting for a condition instead of for time.

use std::fmt::Debug;
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

/// Looks at a state until it is so, and answers it; fails the test, naming `what` and the state that was seen last, when it does
/// not come to that `within` the time.
pub async fn until_seen<T: Debug>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> T,
    is_so: impl Fn(&T) -> bool,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        let seen = look().await;
        if is_so(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {within:?}: {what}; seen last:\n{seen:#?}");
        tokio::time::sleep(PAUSE).await;
    }
}
