//! Counts the connections of clients that the door closes by itself.

/// Counts a connection that was closed at once, or because no request came in time.
pub(super) fn count_refused(cause: &'static str) {
    metrics::counter!("portreeve_connections_refused_total", "cause" => cause).increment(1);
}
