//! What is measured of the registry, besides what other files of this floor count.

use metrics::{Histogram, Unit};

use super::credentials;

const FIRST_BYTE_SECONDS: &str = "portreeve_registry_first_byte_seconds";

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        "portreeve_registry_backend_healthy",
        "1 for a backend that answered when it was asked last, else 0"
    );
    metrics::describe_gauge!(
        "portreeve_registry_credentials_refused",
        "1 while the registry refuses the door's own credentials, or wants some and the door has none, else 0"
    );
    metrics::gauge!("portreeve_registry_credentials_refused").set(0.0);
    metrics::describe_gauge!(
        "portreeve_registry_clock_offset_seconds",
        Unit::Seconds,
        "How far the registry's clock is ahead of the door's"
    );
    metrics::describe_gauge!(
        "portreeve_registry_clock_offset_bound_seconds",
        Unit::Seconds,
        "How far that may be wrong"
    );
    metrics::describe_histogram!(
        FIRST_BYTE_SECONDS,
        Unit::Seconds,
        "How long the registry took until its answer to a client's request began, by route: from when the door turned \
         to it, or from the end of the request's body"
    );
    credentials::CLOCK_CORRECTIONS.describe();
}

/// How long the registry takes until its answers to requests of this route begin. What measures often keeps it.
pub fn first_byte_seconds(route: &'static str) -> Histogram {
    metrics::histogram!(FIRST_BYTE_SECONDS, "route" => route)
}
