//! The log as the configuration has it.

use tracing::Level;

use crate::config::{Config, LogFormat, LogLevel};
use crate::telemetry::logging::{LineFormat, LogSettings};

/// What the log of a door is set up with.
pub fn log_settings(config: &Config) -> LogSettings {
    let level = match config.log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let format = match config.log.format {
        LogFormat::Auto => LineFormat::Auto,
        LogFormat::Text => LineFormat::Text,
        LogFormat::Json => LineFormat::Json,
    };
    LogSettings { level, format }
}
