//! How commands show on a terminal how far they are: `portreeve sync` what the door says of a sweep, with nothing reckoned here,
//! and `portreeve store` the rows that it copies.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::sync::{RunningSweep, SweepPhase};

/// A bar for a sweep that nothing is known of yet.
pub(super) fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::no_length().with_message("waiting");
    // The template is a constant; were it wrong, the bar would look otherwise.
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} repositories, {msg}") {
        bar.set_style(style);
    }
    bar
}

/// A bar for rows that are copied.
pub(super) fn copy_bar() -> ProgressBar {
    let bar = ProgressBar::no_length().with_message("beginning");
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {per_sec}, {eta} left") {
        bar.set_style(style);
    }
    bar
}

/// Shows how far the running sweep is, when the one with this number is waited for.
pub(super) fn show(bar: &ProgressBar, running: &RunningSweep, number: u64) {
    // More than there are is as good as not known.
    bar.set_length(running.repositories_expected.unwrap_or(running.repositories_done));
    bar.set_position(running.repositories_done);
    bar.set_message(message(running, number));
}

/// Where it is, how quick, how long it will take, and what it has found.
fn message(running: &RunningSweep, number: u64) -> String {
    let place = match running.phase {
        _ if running.number < number => "another sweep ends",
        SweepPhase::Catalog => "reading the catalog",
        SweepPhase::Unlisted => "asking about what it does not list",
    };
    let RunningSweep { repositories_per_second, seconds_left, tags, found, .. } = running;
    let left = seconds_left.map_or_else(String::new, |seconds| {
        format!(", {} left", humantime::format_duration(Duration::from_secs(seconds)))
    });
    format!("{tags} tags, {found} found: {place}, {repositories_per_second:.1}/s{left}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::store::SweepKind;

    #[test]
    fn it_tells_place_rate_time_left_and_what_was_found_as_the_door_says_them() {
        let running = RunningSweep {
            number: 2,
            kind: SweepKind::Deep,
            phase: SweepPhase::Catalog,
            started_at: Timestamp::from_milliseconds(0),
            resumed: false,
            repositories_done: 40,
            repositories_expected: Some(100),
            repositories_per_second: 12.34,
            seconds_left: Some(65),
            tags: 80,
            found: 3,
            problems: 0,
        };
        assert_eq!(message(&running, 2), "80 tags, 3 found: reading the catalog, 12.3/s, 1m 5s left");
        assert!(message(&running, 3).contains("another sweep ends"));
        let unlisted = RunningSweep { phase: SweepPhase::Unlisted, seconds_left: None, ..running };
        assert_eq!(message(&unlisted, 2), "80 tags, 3 found: asking about what it does not list, 12.3/s");
    }
}
