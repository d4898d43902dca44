//! Counts the connections of clients that the door closes by itself.

use crate::telemetry::CounterFamily;

pub(super) static REFUSED: CounterFamily = CounterFamily {
    name: "portreeve_connections_refused_total",
    help: "Connections of clients that were closed at once, or because no request came in time, by cause",
    labels: &[(
        "cause",
        &["limit", "address_limit", "displaced", "accept", "tls", "head", "silent", "slow_head", "idle"],
    )],
};

/// Counts a connection that was closed at once, or because no request came in time.
pub(super) fn count_refused(cause: &'static str) {
    REFUSED.with([cause]).increment(1);
}
