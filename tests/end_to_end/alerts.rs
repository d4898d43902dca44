//! The alerts of `config/alerts.yml`, by a real Prometheus in front of real doors: each fires for the door that has its fault,
//! and for no other.
//!
//! `alerts/rules.yml` has `promtool`'s unit tests of the rules: thresholds, and for how long something has to be so.

mod faults;

use std::any::Any;
use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::prometheus::{Prometheus, promtool};
use crate::support::tool::Tool;
use crate::support::wait::PAUSE;

const RULES: &str = include_str!("../../config/alerts.yml");

/// Within which time all alerts have to fire, on a machine that is busy.
const FIRING: Duration = Duration::from_secs(120);

/// A door with a fault, and what belongs to it.
struct House {
    /// Its name as a target.
    name: &'static str,
    /// Its admin listener: host and port.
    target: String,
    /// The alerts that its fault makes, with the label `origin` of those that have it.
    expected: &'static [&'static str],
    _parts: Box<dyn Any>,
}

/// The names of all alerts.
fn names() -> BTreeSet<&'static str> {
    RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_accepts_the_rules_and_their_unit_tests() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/end_to_end/alerts/rules.yml");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/config/alerts.yml");
    let tool = Tool::new("promtool", "prometheus");
    let said = tool.run(&["check", "rules", rules]).await;
    assert!(said.contains(&format!("{} rules found", names().len())), "{said}");
    tool.run(&["test", "rules", directory]).await;
    let tests = include_str!("alerts/rules.yml");
    for name in names() {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} has no unit test");
    }
    let (is_right, _) = promtool(&["check", "metrics"], "portreeve_test 1\n").await;
    assert!(!is_right, "a metric without help is complained about");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_fires_for_the_door_that_has_its_fault_and_for_no_other() {
    let mut houses = faults::all().await;
    let expected: BTreeSet<(String, String)> = houses
        .iter()
        .flat_map(|house| house.expected.iter().map(|alert| (house.name.to_owned(), (*alert).to_owned())))
        .collect();
    let shown: BTreeSet<&str> = expected.iter().filter_map(|(_, alert)| alert.split(' ').next()).collect();
    assert_eq!(shown, names(), "an alert has no house, or is not there");

    // A fault that holds now is to be seen now.
    let at_once: String = RULES
        .lines()
        .map(|line| if line.trim_start().starts_with("for: ") { "        for: 0s\n" } else { line })
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert_eq!(at_once.matches("for: 0s").count(), names().len());
    let targets: Vec<_> = houses.iter().map(|house| (house.name, house.target.as_str())).collect();
    let prometheus = Prometheus::start(&at_once, &targets).await;

    let deadline = tokio::time::Instant::now() + FIRING;
    loop {
        let firing = firing(&prometheus).await;
        if firing == expected {
            break;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "missing: {:#?}\ntoo many: {:#?}",
            expected.difference(&firing).collect::<Vec<_>>(),
            firing.difference(&expected).collect::<Vec<_>>()
        );
        tokio::time::sleep(PAUSE).await;
    }
    // And it stays so: the healthy door fires none.
    prometheus.until_evaluated(5, FIRING).await;
    assert_eq!(firing(&prometheus).await, expected);
    for alert in prometheus.firing().await {
        for text in ["summary", "description", "action"] {
            let said = alert["annotations"][text].as_str().unwrap_or_default();
            assert!(!said.is_empty() && !said.contains('<'), "{text} of {alert:#}");
        }
        assert!(matches!(alert["labels"]["severity"].as_str(), Some("critical" | "warning")), "{alert:#}");
    }
    houses.clear();
}

/// Which alert is firing for which door.
async fn firing(prometheus: &Prometheus) -> BTreeSet<(String, String)> {
    let text = |alert: &serde_json::Value, label: &str| alert["labels"][label].as_str().map(str::to_owned);
    let alerts = prometheus.firing().await.into_iter().map(|alert| {
        let name = text(&alert, "alertname").unwrap_or_default();
        let name = match text(&alert, "origin") {
            Some(origin) => format!("{name} {origin}"),
            None => name,
        };
        (text(&alert, "instance").unwrap_or_default(), name)
    });
    alerts.collect()
}
