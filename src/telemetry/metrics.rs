//! The metrics: a recorder for the whole process, and its text for Prometheus.
//!
//! Each metric is described (`metrics::describe_*`) where it is counted. Names begin with `portreeve_`
//! and end in their unit; a histogram's buckets follow from that ending.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use super::sample::Sample;
use super::{logging, process};

/// Buckets for durations: from a fast answer out of the store to a transfer of a large layer over a slow line.
const SECONDS_BUCKETS: [f64; 16] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0];
/// Buckets for sizes: from a manifest to a large layer.
const BYTES_BUCKETS: [f64; 8] = [
    1024.0,
    16_384.0,
    262_144.0,
    4_194_304.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    17_179_869_184.0,
];
/// Buckets for numbers, such as the writes of one commit.
const COUNT_BUCKETS: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

/// Why metrics could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The recorder cannot be built.
    #[error("the metrics recorder cannot be built: {0}")]
    Build(#[from] BuildError),
    /// Something else records the metrics of this process.
    #[error("this process already has another metrics recorder")]
    OtherRecorder,
}

/// Reads the metrics of this process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Sets up the recorder of this process, or answers the one that is there: several doors in one process count
    /// together.
    ///
    /// # Errors
    /// When the process has a recorder that is not ours.
    pub fn install() -> Result<Self, MetricsError> {
        static INSTALLED: Mutex<Option<Metrics>> = Mutex::new(None);
        let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = &*installed {
            return Ok(metrics.clone());
        }
        let recorder = builder()?.build_recorder();
        let metrics = Self { handle: recorder.handle() };
        ::metrics::set_global_recorder(recorder).map_err(|_| MetricsError::OtherRecorder)?;
        Ok(installed.insert(metrics).clone())
    }

    /// Moves what was observed into its buckets. To be called every few seconds: observations are kept one by one
    /// until then.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    /// All metrics in the text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        let mut text = self.handle.render();
        // These are not recorded but read when they are asked for.
        let samples = [
            Sample {
                name: "portreeve_build_info",
                help: "The version of the door, as a label",
                kind: "gauge",
                labels: concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}"),
                value: 1.0,
            },
            Sample {
                name: "portreeve_log_lines_dropped_total",
                help: "Lines of the log that came faster than they could be written",
                kind: "counter",
                labels: "",
                #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 lines")]
                value: logging::dropped_lines() as f64,
            },
        ];
        for sample in samples.into_iter().chain(process::samples()) {
            sample.write(&mut text);
        }
        text
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&COUNT_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)?
        .set_buckets_for_metric(Matcher::Suffix("_bytes".to_owned()), &BYTES_BUCKETS)
}

/// A recorder for one test, and what reads it.
#[cfg(test)]
pub(super) fn test_recorder() -> (metrics_exporter_prometheus::PrometheusRecorder, Metrics) {
    let recorder = builder().unwrap().build_recorder();
    let metrics = Metrics { handle: recorder.handle() };
    (recorder, metrics)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installing_twice_is_installing_once() {
        let first = Metrics::install().unwrap();
        let second = Metrics::install().unwrap();
        ::metrics::counter!("portreeve_test_installed_total").increment(3);
        assert!(first.render().contains("portreeve_test_installed_total 3"));
        assert!(second.render().contains("portreeve_test_installed_total 3"));
    }

    #[test]
    fn the_buckets_of_a_histogram_follow_its_unit() {
        let (recorder, metrics) = test_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            ::metrics::histogram!("portreeve_test_seconds").record(0.003);
            ::metrics::histogram!("portreeve_test_bytes").record(5000.0);
            ::metrics::histogram!("portreeve_test_writes").record(3.0);
        });
        metrics.upkeep();
        let text = metrics.render();
        for line in [
            "portreeve_test_seconds_bucket{le=\"0.0025\"} 0",
            "portreeve_test_seconds_bucket{le=\"0.005\"} 1",
            "portreeve_test_bytes_bucket{le=\"16384\"} 1",
            "portreeve_test_writes_bucket{le=\"2\"} 0",
            "portreeve_test_writes_bucket{le=\"4\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn the_process_tells_about_itself() {
        let (_recorder, metrics) = test_recorder();
        let text = metrics.render();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.split(' ').next() == Some(name));
            line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
                .split(' ')
                .nth(1)
                .unwrap()
                .parse()
                .unwrap()
        };
        let version = env!("CARGO_PKG_VERSION");
        assert!(
            (value(&format!("portreeve_build_info{{version=\"{version}\"}}")) - 1.0).abs() < f64::EPSILON
        );
        assert!(value("portreeve_log_lines_dropped_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_open_fds") >= 3.0);
        // Not in the future, and after this was written.
        let now = crate::clock::Timestamp::now().as_milliseconds() as f64 / 1000.0;
        let started = value("process_start_time_seconds");
        assert!(started > 1.7e9 && started < now + 2.0, "{started} {now}");
    }
}
