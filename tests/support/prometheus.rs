//! Prometheus itself, and its `promtool`: Debian's package `prometheus` brings both.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::http::http_client;
use super::port;
use super::wait::{PAUSE, until};

/// How long it may take to come up, on a machine that is busy.
const START: Duration = Duration::from_secs(60);

/// Runs `promtool` with this on its standard input: whether it succeeds, and everything that it says.
pub async fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("promtool cannot be run ({error}): Debian's package prometheus brings it")
        });
    let mut stdin = child.stdin.take().unwrap();
    let writing = async move {
        // One that reads nothing has failed, and says so.
        let _ = stdin.write_all(input.as_bytes()).await;
    };
    let ((), output) = tokio::join!(writing, child.wait_with_output());
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

/// A running Prometheus that scrapes every two seconds, and looks at its rules every second. Dropping it kills it.
pub struct Prometheus {
    directory: Arc<TempDir>,
    address: SocketAddr,
    child: Child,
}

impl Prometheus {
    /// Starts one with these rules. It scrapes these targets, each a name that becomes the label `instance`, and an address.
    pub async fn start(rules: &str, targets: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let targets: String = targets
            .iter()
            .map(|(name, address)| {
                format!("      - {{targets: [\"{address}\"], labels: {{instance: {name}}}}}\n")
            })
            .collect();
        let configuration = format!(
            "global: {{scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs:\n  - job_name: portreeve\n    static_configs:\n{targets}"
        );
        std::fs::write(directory.path().join("prometheus.yml"), configuration).unwrap();
        std::fs::write(directory.path().join("rules.yml"), rules).unwrap();
        let directory = Arc::new(directory);
        for _ in 0..10 {
            let mut prometheus = Self::spawn(Arc::clone(&directory), port::free());
            if prometheus.comes_up().await {
                return prometheus;
            }
            // Another process was quicker on this port, or it says why.
            eprintln!("{}", prometheus.log());
        }
        panic!("no Prometheus came up");
    }

    fn spawn(directory: Arc<TempDir>, address: SocketAddr) -> Self {
        let log = std::fs::File::create(directory.path().join("prometheus.log")).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", directory.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("prometheus cannot be run ({error}): Debian's package prometheus brings it")
            });
        Self { directory, address, child }
    }

    /// Waits until it is ready; false when it ended instead.
    async fn comes_up(&mut self) -> bool {
        let ready = format!("http://{}/-/ready", self.address);
        let deadline = tokio::time::Instant::now() + START;
        while tokio::time::Instant::now() < deadline && self.child.try_wait().unwrap().is_none() {
            let answer = http_client().get(&ready).send().await;
            if answer.is_ok_and(|answer| answer.status() == 200) {
                return self.child.try_wait().unwrap().is_none();
            }
            tokio::time::sleep(PAUSE).await;
        }
        false
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("prometheus.log")).unwrap_or_default()
    }

    /// The part `data` of its answer.
    pub async fn ask(&self, path: &str) -> Value {
        let answer = http_client().get(format!("http://{}{path}", self.address)).send().await.unwrap();
        let mut answer: Value = answer.error_for_status().unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        answer["data"].take()
    }

    /// The alerts that are firing, as it shows them.
    pub async fn firing(&self) -> Vec<Value> {
        let alerts = self.ask("/api/v1/alerts").await["alerts"].take();
        let Value::Array(alerts) = alerts else { panic!("no list of alerts: {alerts}") };
        alerts.into_iter().filter(|alert| alert["state"] == "firing").collect()
    }

    /// How often it has evaluated its rules; none of the evaluations was missed.
    pub async fn evaluations(&self) -> u64 {
        let metrics = http_client().get(format!("http://{}/metrics", self.address)).send().await.unwrap();
        let text = metrics.text().await.unwrap();
        let total = |line: &str| {
            let rest = line.strip_prefix("prometheus_rule_group_iterations_total{")?;
            rest.rsplit(' ').next()?.parse::<f64>().ok()
        };
        text.lines().find_map(total).map_or(0, |evaluations| evaluations as u64)
    }

    /// Waits for so many more evaluations of the rules.
    pub async fn until_evaluated(&self, times: u64, within: Duration) {
        let before = self.evaluations().await;
        until("the rules are evaluated", within, async || self.evaluations().await >= before + times).await;
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- prometheus on {}:\n{}", self.address, self.log());
        }
    }
}
