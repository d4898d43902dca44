//! A number for each of some days, or hours, as bars. The script has no part in it; whoever cannot see it has a table beside it.

use askama::Template;
use askama::filters::HtmlSafe;

use super::format::{Day, Number};
use crate::store::ByHour;

/// How much room a day or an hour has, and how much of that its bar takes.
const STEP: u64 = 10;
const WIDTH: u64 = 8;
/// How high the highest bar is.
const HEIGHT: u64 = 60;

/// A number for each of some days, or for each hour of one.
#[derive(Clone, Debug, Template)]
#[template(path = "plot.html", config = "src/web/pages/templates/askama.toml")]
pub(super) struct Plot {
    /// Names it among those of a page.
    id: &'static str,
    title: &'static str,
    by: &'static str,
    /// What it shows, in a sentence.
    words: String,
    all: Number,
    /// When all of them were.
    during: String,
    most: Number,
    /// How many bars there is room for.
    places: u64,
    /// Those of more than nothing.
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
    pub(super) fn of_days(id: &'static str, title: &'static str, days: &[(Day, u64)]) -> Self {
        let most = days.iter().map(|(_, number)| *number).max().unwrap_or_default();
        let all = days.iter().fold(0_u64, |all, (_, number)| all.saturating_add(*number));
        let busiest = days.iter().rev().find(|(_, number)| *number == most && most > 0);
        let during = format!("in {} days", days.len());
        let words = match busiest {
            Some((day, _)) => {
                format!("{} {during}; the most on a day are {}, on {}", Number(all), Number(most), day.date())
            }
            None => format!("None {during}"),
        };
        let end = |day: Option<&(Day, u64)>| day.map(|(day, _)| day.short()).unwrap_or_default();
        let bars = days.iter().map(|(day, number)| (*number, day.short()));
        Self {
            id,
            title,
            by: "by day",
            words,
            all: Number(all),
            during,
            most: Number(most),
            places: days.len() as u64,
            bars: bars_of(bars, most),
            first: end(days.first()),
            last: end(days.last()),
        }
    }

    /// Of these numbers, one for each hour of a day, of which there were so many in all. `when` is said behind a number.
    pub(super) fn of_hours(
        id: &'static str,
        title: &'static str,
        when: &str,
        all: u64,
        by_hour: &ByHour,
    ) -> Self {
        let most = by_hour.iter().max().copied().unwrap_or_default();
        let known = by_hour.iter().fold(0_u64, |known, number| known.saturating_add(*number));
        // What was counted by an older door has no hours.
        let during = match all.saturating_sub(known) {
            0 => when.to_owned(),
            unknown => format!("{when}, the hours of {} are not known", Number(unknown)),
        };
        let busiest = by_hour.iter().rposition(|number| *number == most && most > 0);
        let words = match busiest {
            Some(hour) => {
                let (all, most) = (Number(all), Number(most));
                format!("{all} {during}; the most in an hour are {most}, from {hour:02}:00 on")
            }
            None if all > 0 => format!("{} {during}", Number(all)),
            None => format!("None {during}"),
        };
        let bars = by_hour.iter().zip(0_u32..).map(|(number, hour)| {
            let behind = hour + 1;
            (*number, format!("{hour:02}:00 to {behind:02}:00"))
        });
        Self {
            id,
            title,
            by: "by the hour (UTC)",
            words,
            all: Number(all),
            during,
            most: Number(most),
            places: by_hour.len() as u64,
            bars: bars_of(bars, most),
            first: "00:00 UTC".to_owned(),
            last: "24:00".to_owned(),
        }
    }

    const fn width(&self) -> u64 {
        self.places * STEP
    }
}

/// The bars of these numbers, each of which has a name. Where there is nothing, there is none.
fn bars_of(numbers: impl Iterator<Item = (u64, String)>, most: u64) -> Vec<Bar> {
    let bar = |(place, (number, name)): (u64, (u64, String))| {
        let height = scaled(number, most);
        let words = format!("{name}: {}", Number(number));
        Bar { x: place * STEP + (STEP - WIDTH) / 2, y: HEIGHT - height, height, words }
    };
    (0..).zip(numbers).filter(|(_, (number, _))| *number > 0).map(bar).collect()
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
        let plot = Plot::of_days("pushes", "Pushes", &days);
        assert_eq!(plot.words, "6 in 3 days; the most on a day are 4, on 25 November 2026");
        let html = plot.to_string();
        assert!(html.contains("<title>25 Nov: 4</title>"), "{html}");
        assert!(html.contains(r#"viewBox="0 0 30 60""#), "{html}");
        assert_eq!(html.matches("<rect").count(), 2, "{html}");
        assert!(html.contains("25 Nov") && html.contains("27 Nov"), "{html}");
        let nothing = Plot::of_days("pushes", "Pushes", &[(today, 0)]);
        assert_eq!(nothing.words, "None in 1 days");
    }

    #[test]
    fn each_hour_has_its_place_and_it_is_said_of_how_many_the_hour_is_not_known() {
        let mut by_hour = ByHour::default();
        (by_hour[0], by_hour[23]) = (2, 4);
        let html = Plot::of_hours("pulls", "Pulls", "today", 6, &by_hour).to_string();
        assert!(html.contains("6 today; the most in an hour are 4, from 23:00 on"), "{html}");
        assert!(html.contains(r#"viewBox="0 0 240 60""#), "{html}");
        assert!(
            html.contains(r#"<rect x="1" y="30" width="8" height="30"><title>00:00 to 01:00: 2<"#),
            "{html}"
        );
        assert!(
            html.contains(r#"<rect x="231" y="0" width="8" height="60"><title>23:00 to 24:00: 4<"#),
            "{html}"
        );
        assert_eq!(html.matches("<rect").count(), 2, "{html}");
        let html = Plot::of_hours("pulls", "Pulls", "on 1 March 2026", 9, &by_hour).to_string();
        assert!(html.contains("9 on 1 March 2026, the hours of 3 are not known"), "{html}");
        let html = Plot::of_hours("pulls", "Pulls", "today", 0, &ByHour::default()).to_string();
        assert!(html.contains("None today") && !html.contains("<rect"), "{html}");
    }
}
