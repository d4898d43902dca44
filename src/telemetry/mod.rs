//! How the door can be watched: its log and its metrics.
//!
//! Every floor writes through the façades `tracing` and `metrics`; this module decides where that goes. `main.rs`
//! installs the log, `server.rs` the metrics.

mod access_line;
mod access_note;
mod counter;
mod failure_log;
mod log_throttle;
pub mod logging;
pub mod metrics;
mod process;
mod queue;
mod reload;
mod sample;
mod short_lines;
mod source_path;

pub use access_line::AccessLine;
pub use access_note::AccessNote;
pub use counter::CounterFamily;
pub use failure_log::FailureLog;
pub use log_throttle::LogThrottle;
pub use logging::{LogError, LogGuard};
pub use metrics::{Metrics, MetricsError};
pub use reload::{ReloadResult, Reloaded, describe_reloads};
pub use short_lines::cut;
