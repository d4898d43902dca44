//! The only writer of the record.
//!
//! [`Carrier`] takes a manifest write to the registry and records its outcome; [`Verifier`] asks the registry about one
//! reference and records the difference; [`settle_unknown`] does so for every intent whose outcome is not known until
//! it cannot change any more. `plugins/` hands writes to the carrier; `server.rs` runs the rest.

mod carry;
mod outcome;
mod turn;
mod unknown;
mod verify;

pub use carry::{Carrier, CarryFailure, ManifestWrite};
pub use outcome::Operation;
pub use unknown::{FirstPass, UnknownIntents, settle_unknown};
pub use verify::{Verifier, VerifyError};

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_histogram!(
        "portreeve_settle_seconds",
        Unit::Seconds,
        "From the registry's answer to a manifest write until its record is durable"
    );
    describe_counter!("portreeve_writes_total", "Manifest writes by what became of them");
    describe_counter!("portreeve_verifications_total", "Questions about one reference by what was found");
    describe_gauge!("portreeve_unknown_intents", "Writes whose outcome is being asked for");
}

#[cfg(test)]
mod tests;
