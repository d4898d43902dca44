//! Counters whose series are all known in advance, so that each is there, at 0, from the start: a rate over a series that
//! appears with its first count does not see that count.

use metrics::{Counter, Label};

/// A counter with what its labels may be. A `static` of each beside what counts; the floor's `describe_metrics` describes
/// it.
#[derive(Debug)]
pub struct CounterFamily {
    /// Its name: `portreeve_…_total`.
    pub name: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// Each label with all values that it may have; none for a counter without labels.
    pub labels: &'static [(&'static str, &'static [&'static str])],
}

impl CounterFamily {
    /// Describes it to the exporter, and has every series begin at 0. To be called once the recorder is installed.
    pub fn describe(&self) {
        metrics::describe_counter!(self.name, self.help);
        let mut series = vec![Vec::new()];
        for (label, values) in self.labels {
            let with_value = |before: &Vec<Label>, value: &'static str| {
                let mut labels = before.clone();
                labels.push(Label::from_static_parts(label, value));
                labels
            };
            series = series
                .iter()
                .flat_map(|before| values.iter().map(|value| with_value(before, value)))
                .collect();
        }
        for labels in series {
            // To be registered is to be shown.
            let _ = metrics::counter!(self.name, labels);
        }
    }

    /// The counter whose labels have these values, in the order in which they are declared.
    ///
    /// Looks it up each time; what counts for every request keeps it.
    pub fn with<const LABELS: usize>(&self, values: [&'static str; LABELS]) -> Counter {
        debug_assert_eq!(LABELS, self.labels.len(), "{} has other labels", self.name);
        let labels = self.labels.iter().zip(values).map(|((label, known), value)| {
            debug_assert!(known.contains(&value), "{}: {label}=\"{value}\" is not declared", self.name);
            Label::from_static_parts(label, value)
        });
        metrics::counter!(self.name, labels.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::test_recorder;

    static TRIED: CounterFamily = CounterFamily {
        name: "portreeve_test_tried_total",
        help: "Attempts by kind and result",
        labels: &[("kind", &["one", "two"]), ("result", &["good", "bad"])],
    };
    static PLAIN: CounterFamily =
        CounterFamily { name: "portreeve_test_plain_total", help: "Plain", labels: &[] };

    #[test]
    fn every_series_is_there_before_anything_is_counted() {
        let (recorder, metrics) = test_recorder();
        ::metrics::with_local_recorder(&recorder, || {
            TRIED.describe();
            PLAIN.describe();
            TRIED.with(["two", "bad"]).increment(3);
        });
        let text = metrics.render();
        for line in [
            "# HELP portreeve_test_tried_total Attempts by kind and result",
            "portreeve_test_tried_total{kind=\"one\",result=\"good\"} 0",
            "portreeve_test_tried_total{kind=\"one\",result=\"bad\"} 0",
            "portreeve_test_tried_total{kind=\"two\",result=\"good\"} 0",
            "portreeve_test_tried_total{kind=\"two\",result=\"bad\"} 3",
            "portreeve_test_plain_total 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    #[should_panic(expected = "result=\"ugly\" is not declared")]
    fn a_value_that_is_not_declared_is_a_mistake() {
        let _ = TRIED.with(["one", "ugly"]);
    }
}
