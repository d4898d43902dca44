//! How far the registry's clock is from the door's, and how far that may be wrong, on an axis.

use askama::Template;
use askama::filters::HtmlSafe;

use super::super::status_source::ClockStatus;

/// How much room the axis has to either side of its middle, which is the door's time.
const HALF: f64 = 480.0;
const MIDDLE: f64 = 500.0;

/// The registry's clock, as seen from the door's.
#[derive(Clone, Debug, Template)]
#[template(path = "clock_axis.html", config = "src/web/pages/templates/askama.toml")]
pub(super) struct ClockAxis {
    /// What it shows, in a sentence.
    words: String,
    /// Between these it is.
    from: i64,
    to: i64,
    offset: i64,
    /// What the axis reaches to.
    reach: String,
    /// `good` where the two agree, `warning` where they do not.
    level: &'static str,
}

impl HtmlSafe for ClockAxis {}

impl ClockAxis {
    pub(super) fn new(clock: ClockStatus) -> Self {
        let ClockStatus { offset_seconds: offset, bound_seconds: bound } = clock;
        let reach = reach(offset.abs() + bound);
        #[expect(clippy::cast_possible_truncation, reason = "it is within the width of the axis")]
        let place = |seconds: f64| (MIDDLE + HALF * seconds / reach).round() as i64;
        let agrees = offset.abs() <= bound;
        let direction = if offset < 0.0 { "behind" } else { "ahead of" };
        let words = if agrees {
            format!("The two clocks agree, as far as can be told: within {}.", in_words(bound + offset.abs()))
        } else {
            let (offset, bound) = (in_words(offset.abs()), in_words(bound));
            format!("The registry's clock is {offset} {direction} the door's, give or take {bound}.")
        };
        Self {
            words,
            from: place(offset - bound),
            to: place(offset + bound),
            offset: place(offset),
            reach: in_words(reach),
            level: if agrees { "good" } else { "warning" },
        }
    }

    /// A width that is seen.
    fn width(&self) -> i64 {
        (self.to - self.from).max(4)
    }
}

/// A round number of seconds that is no less than these: 1, 2 or 5, and as many zeros as it takes.
fn reach(seconds: f64) -> f64 {
    let mut tens = 1.0;
    while tens < 1e12 {
        for step in [1.0, 2.0, 5.0] {
            if step * tens >= seconds {
                return step * tens;
            }
        }
        tens *= 10.0;
    }
    seconds.min(f64::MAX)
}

/// Such as `340 ms`, `1.2 s`, `12 min` or `3.5 h`.
fn in_words(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        seconds if seconds < 100.0 => format!("{} s", (seconds * 10.0).round() / 10.0),
        seconds if seconds < 3600.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{} h", (seconds / 360.0).round() / 10.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(offset_seconds: f64, bound_seconds: f64) -> ClockAxis {
        ClockAxis::new(ClockStatus { offset_seconds, bound_seconds })
    }

    #[test]
    fn an_offset_is_said_in_words_and_drawn_with_its_bound() {
        let ahead = axis(7_200.0, 0.5);
        assert_eq!(ahead.words, "The registry's clock is 2 h ahead of the door's, give or take 500 ms.");
        assert_eq!((ahead.level, &*ahead.reach), ("warning", "2.8 h"));
        assert!(ahead.from <= ahead.offset && ahead.offset <= ahead.to && ahead.to < 1000, "{ahead:?}");
        let behind = axis(-3.0, 0.5);
        assert_eq!(behind.words, "The registry's clock is 3 s behind the door's, give or take 500 ms.");
        assert_eq!((behind.offset, behind.from, behind.to, &*behind.reach), (212, 164, 260, "5 s"));
        let agrees = axis(0.1, 0.6);
        assert_eq!(agrees.words, "The two clocks agree, as far as can be told: within 700 ms.");
        assert_eq!((agrees.level, agrees.offset), ("good", 548));
        assert!(axis(0.0, 0.0).to_string().contains("width=\"4\""));
        for strange in [f64::NAN, f64::INFINITY, 1e300] {
            axis(strange, strange).to_string();
        }
    }
}
