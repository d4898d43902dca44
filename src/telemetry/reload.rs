//! What is read again while the door runs, and whether it could be used: counted alike wherever that is done.

use super::CounterFamily;

/// What is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// Rules and groups, from the configuration.
    Rules,
    /// The file of users.
    Users,
    /// The certificate and its key.
    Certificate,
    /// The keys that tokens are signed with.
    Keys,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadResult {
    /// It is in use.
    Accepted,
    /// It is wrong, or cannot be read; what was in use stays.
    Refused,
}

static RELOADS: CounterFamily = CounterFamily {
    name: "portreeve_reloads_total",
    help: "Times that files were read again while the door ran, by what they hold and what came of it",
    labels: &[("what", &["rules", "users", "certificate", "keys"]), ("result", &["accepted", "refused"])],
};
const SUCCESSFUL: &str = "portreeve_last_reload_successful";
const SUCCESS_TIME: &str = "portreeve_last_reload_success_timestamp_seconds";

impl Reloaded {
    const ALL: [Self; 4] = [Self::Rules, Self::Users, Self::Certificate, Self::Keys];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Users => "users",
            Self::Certificate => "certificate",
            Self::Keys => "keys",
        }
    }

    /// They were read again `now`, in seconds since 1970.
    pub fn count(self, result: ReloadResult, now: f64) {
        let text = match result {
            ReloadResult::Accepted => "accepted",
            ReloadResult::Refused => "refused",
        };
        RELOADS.with([self.as_str(), text]).increment(1);
        self.show(result, now);
    }

    fn show(self, result: ReloadResult, now: f64) {
        let successful = metrics::gauge!(SUCCESSFUL, "what" => self.as_str());
        match result {
            ReloadResult::Accepted => {
                successful.set(1.0);
                metrics::gauge!(SUCCESS_TIME, "what" => self.as_str()).set(now);
            }
            ReloadResult::Refused => successful.set(0.0),
        }
    }
}

/// Describes them to the exporter. What a door starts with, it has read `now`, in seconds since 1970.
pub fn describe_reloads(now: f64) {
    RELOADS.describe();
    metrics::describe_gauge!(
        SUCCESSFUL,
        "1 if the last reading of these files could be used, 0 if the door stays with what it had, by what they hold"
    );
    metrics::describe_gauge!(
        SUCCESS_TIME,
        metrics::Unit::Seconds,
        "When they were last read and could be used, in seconds since 1970"
    );
    for what in Reloaded::ALL {
        what.show(ReloadResult::Accepted, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::test_recorder;

    #[test]
    fn what_is_refused_shows_until_it_is_accepted_again() {
        let (recorder, metrics) = test_recorder();
        let seen = |name: &str| {
            let (text, series) = (metrics.render(), format!("{name}{{what=\"rules\"}} "));
            text.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok())
        };
        ::metrics::with_local_recorder(&recorder, || {
            describe_reloads(10.0);
            assert_eq!((seen(SUCCESSFUL), seen(SUCCESS_TIME)), (Some(1.0), Some(10.0)));
            Reloaded::Rules.count(ReloadResult::Refused, 20.0);
            assert_eq!((seen(SUCCESSFUL), seen(SUCCESS_TIME)), (Some(0.0), Some(10.0)));
            Reloaded::Rules.count(ReloadResult::Accepted, 30.0);
            assert_eq!((seen(SUCCESSFUL), seen(SUCCESS_TIME)), (Some(1.0), Some(30.0)));
        });
    }
}
