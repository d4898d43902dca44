//! One metric that is not recorded but read when the metrics are asked for, and how Prometheus is told of it.

use std::fmt::Write;

/// The value of one metric.
pub(super) struct Sample {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// `counter` or `gauge`.
    pub(super) kind: &'static str,
    /// With their braces, or nothing.
    pub(super) labels: &'static str,
    pub(super) value: f64,
}

impl Sample {
    /// Appends it in the text format of Prometheus.
    pub(super) fn write(&self, text: &mut String) {
        let Self { name, help, kind, labels, value } = self;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}\n");
    }
}
