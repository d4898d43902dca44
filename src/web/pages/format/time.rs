//! Times: how long ago in words, exactly to hover over and for programs.

use std::time::Duration;

use askama::Template;
use askama::filters::HtmlSafe;

use crate::clock::Timestamp;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// A point in time, as seen from another.
#[derive(Clone, Debug, Template)]
#[template(
    source = r#"<time datetime="{{ exact }}" title="{{ shown }} UTC">{{ words }}</time>"#,
    ext = "html"
)]
pub(in crate::web::pages) struct Time {
    /// RFC 3339.
    exact: String,
    shown: String,
    words: String,
}

impl HtmlSafe for Time {}

impl Time {
    /// As whoever looks at it now reads it.
    pub(in crate::web::pages) fn new(time: Timestamp, now: Timestamp) -> Self {
        let exact = time.to_string();
        let shown = exact.get(..19).unwrap_or(&exact).replace('T', " ");
        let words = match (time.since(now), now.since(time)) {
            (ahead, _) if ahead >= Duration::from_secs(MINUTE) => format!("in {}", in_words(ahead)),
            (_, ago) if ago < Duration::from_secs(MINUTE) => "just now".to_owned(),
            (_, ago) if ago < Duration::from_secs(60 * DAY) => format!("{} ago", in_words(ago)),
            // So long ago that the day says more.
            _ => shown.get(..10).unwrap_or(&shown).to_owned(),
        };
        Self { exact, shown, words }
    }
}

/// How long something took.
pub(in crate::web::pages) fn span(time: Duration) -> String {
    if time < Duration::from_secs(1) { format!("{} ms", time.as_millis()) } else { in_words(time) }
}

fn in_words(time: Duration) -> String {
    let (number, unit) = match time.as_secs() {
        seconds if seconds < MINUTE => (seconds, "s"),
        seconds if seconds < HOUR => (seconds / MINUTE, "min"),
        seconds if seconds < DAY => (seconds / HOUR, "h"),
        seconds if seconds < 2 * DAY => return "1 day".to_owned(),
        seconds => (seconds / DAY, "days"),
    };
    format!("{number} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_how_long_ago_it_was_and_exactly_when() {
        let now = Timestamp::parse("2026-11-27T12:00:00Z").unwrap();
        for (time, words) in [
            ("2026-11-27T11:59:30Z", "just now"),
            ("2026-11-27T12:00:20Z", "just now"),
            ("2026-11-27T11:57:00Z", "3 min ago"),
            ("2026-11-27T07:00:00Z", "5 h ago"),
            ("2026-11-26T11:00:00Z", "1 day ago"),
            ("2026-11-07T12:00:00Z", "20 days ago"),
            ("2025-03-01T12:00:00Z", "2025-03-01"),
            ("2026-11-27T12:05:00Z", "in 5 min"),
        ] {
            assert_eq!(Time::new(Timestamp::parse(time).unwrap(), now).words, words, "{time}");
        }
        let html = Time::new(now, now).to_string();
        assert_eq!(
            html,
            r#"<time datetime="2026-11-27T12:00:00.000Z" title="2026-11-27 12:00:00 UTC">just now</time>"#
        );
    }
}
