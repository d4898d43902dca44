//! A number for each of some days, as bars. The script has no part in it; whoever cannot see it has a table beside it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::format::{Day, Number};

/// How much room a day has, and how much of that its bar takes.
const STEP: u64 = 10;
const WIDTH: u64 = 8;
/// How high the highest bar is.
const HEIGHT: u64 = 60;

/// A number for each of some days.
#[derive(Clone, Debug, Template)]
#[template(path = "plot.html", config = "src/web/pages/templates/askama.toml")]
pub(super) struct Plot {
    /// Names it among those of a page.
    id: &'static str,
    title: &'static str,
    /// What it shows, in a sentence.
    words: String,
    all: Number,
    most: Number,
    days: u64,
    /// Those of days with more than nothing.
    bars: Vec<Bar>,
    first: String,
    last: String,
}

#[derive(Clone, Debug)]
struct Bar {
    x: u64,
    y: u64,
    height: u64,
    words: String,
}

impl HtmlSafe for Plot {}

impl Plot {
    /// Of these numbers, one for each day, the oldest first.
    pub(super) fn new(id: &'static str, title: &'static str, days: &[(Day, u64)]) -> Self {
        let most = days.iter().map(|(_, number)| *number).max().unwrap_or_default();
        let all = days.iter().fold(0_u64, |all, (_, number)| all.saturating_add(*number));
        let bar = |(place, (day, number)): (u64, &(Day, u64))| {
            let height = scaled(*number, most);
            let words = format!("{}: {}", day.short(), Number(*number));
            Bar { x: place * STEP + (STEP - WIDTH) / 2, y: HEIGHT - height, height, words }
        };
        let busiest = days.iter().rev().find(|(_, number)| *number == most && most > 0);
        let words = match busiest {
            Some((day, _)) => {
                format!(
                    "{} in {} days; the most on a day are {}, on {}",
                    Number(all),
                    days.len(),
                    Number(most),
                    day.date()
                )
            }
            None => format!("None in {} days", days.len()),
        };
        let end = |day: Option<&(Day, u64)>| day.map(|(day, _)| day.short()).unwrap_or_default();
        Self {
            id,
            title,
            words,
            all: Number(all),
            most: Number(most),
            days: days.len() as u64,
            bars: (0..).zip(days).filter(|(_, (_, number))| *number > 0).map(bar).collect(),
            first: end(days.first()),
            last: end(days.last()),
        }
    }

    const fn width(&self) -> u64 {
        self.days * STEP
    }
}

/// How high the bar of this number is. What is more than nothing is seen.
fn scaled(number: u64, most: u64) -> u64 {
    if number == 0 || most == 0 {
        return 0;
    }
    let height = u128::from(number) * u128::from(HEIGHT) / u128::from(most);
    u64::try_from(height).unwrap_or(HEIGHT).clamp(2, HEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_takes_all_the_room_and_what_is_more_than_nothing_is_seen() {
        for (number, most, height) in
            [(0, 0, 0), (0, 9, 0), (9, 9, 60), (3, 9, 20), (1, 1_000_000, 2), (u64::MAX, u64::MAX, 60)]
        {
            assert_eq!(scaled(number, most), height, "{number} of {most}");
        }
        let today: Day = "2026-11-27".parse().unwrap();
        let days: Vec<_> = today.up_to(3).zip([4, 0, 2]).collect();
        let plot = Plot::new("pushes", "Pushes", &days);
        assert_eq!(plot.words, "6 in 3 days; the most on a day are 4, on 25 November 2026");
        let html = plot.to_string();
        assert!(html.contains("<title>25 Nov: 4</title>"), "{html}");
        assert!(html.contains(r#"viewBox="0 0 30 60""#), "{html}");
        assert_eq!(html.matches("<rect").count(), 2, "{html}");
        assert!(html.contains("25 Nov") && html.contains("27 Nov"), "{html}");
        let nothing = Plot::new("pushes", "Pushes", &[(today, 0)]);
        assert_eq!(nothing.words, "None in 1 days");
    }
}
