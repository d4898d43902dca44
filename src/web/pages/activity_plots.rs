//! How much happened: on each of the last days, and in each hour of one. For those who may see the statistics.

use super::super::statistics::DayItem;
use super::format::{Day, Number};
use super::links;
use super::plot::Plot;
use crate::store::ByHour;

/// Of how many days the numbers are shown.
pub(super) const DAYS: u64 = 30;

/// What the page of what happened shows of it.
pub(super) struct ActivityPlots {
    /// Of the last days, unless one day is chosen.
    pub(super) days: Option<Days>,
    pub(super) hours: Hours,
}

/// Each of the last days.
pub(super) struct Days {
    pub(super) pushes: Plot,
    pub(super) pulls: Plot,
    /// The latest first.
    pub(super) table: Vec<DayRow>,
}

/// Each hour of a day.
pub(super) struct Hours {
    /// Which day, as it is said at the beginning of a line.
    pub(super) day: String,
    pub(super) pushes: Plot,
    pub(super) pulls: Plot,
    pub(super) table: Vec<HourRow>,
}

pub(super) struct DayRow {
    pub(super) name: String,
    pub(super) page: String,
    pub(super) pushes: Number,
    pub(super) pulls: Number,
    pub(super) deletions: Number,
}

pub(super) struct HourRow {
    pub(super) name: String,
    pub(super) pushes: Number,
    pub(super) pulls: Number,
}

impl ActivityPlots {
    /// Of the days up to today; on those that are not among them nothing happened.
    pub(super) fn of_last_days(days: &[DayItem], today: Day) -> Self {
        Self { days: Some(Days::new(days, today)), hours: Hours::new(today, days, today) }
    }

    /// Of one day, if it is among these.
    pub(super) fn of_day(day: Day, days: &[DayItem], today: Day) -> Self {
        Self { days: None, hours: Hours::new(day, days, today) }
    }
}

fn find(days: &[DayItem], day: Day) -> Option<&DayItem> {
    let name = day.to_string();
    days.iter().find(|item| item.day == name)
}

impl Days {
    fn new(days: &[DayItem], today: Day) -> Self {
        let of =
            |day: Day| find(days, day).map_or((0, 0, 0), |item| (item.pushes, item.pulls, item.deletions));
        let numbers: Vec<_> = today.up_to(DAYS).map(|day| (day, of(day))).collect();
        let pushes: Vec<_> = numbers.iter().map(|(day, (pushes, ..))| (*day, *pushes)).collect();
        let pulls: Vec<_> = numbers.iter().map(|(day, (_, pulls, _))| (*day, *pulls)).collect();
        let row = |(day, (pushes, pulls, deletions)): &(Day, (u64, u64, u64))| DayRow {
            name: day.in_words(today),
            page: links::to(links::ACTIVITY, &[("day", &day.to_string())]),
            pushes: Number(*pushes),
            pulls: Number(*pulls),
            deletions: Number(*deletions),
        };
        Self {
            pushes: Plot::of_days("pushes", "Pushes", &pushes),
            pulls: Plot::of_days("pulls", "Pulls", &pulls),
            table: numbers.iter().rev().map(row).collect(),
        }
    }
}

impl Hours {
    fn new(day: Day, days: &[DayItem], today: Day) -> Self {
        let found = find(days, day);
        let (pushes, pulls) = found.map_or((0, 0), |item| (item.pushes, item.pulls));
        let nothing = ByHour::default();
        let (pushes_by_hour, pulls_by_hour) =
            found.map_or((&nothing, &nothing), |item| (&item.pushes_by_hour, &item.pulls_by_hour));
        let when = match day.in_words(today) {
            words if words == day.date() => format!("on {words}"),
            words => words.to_lowercase(),
        };
        let row = |(hour, (pushes, pulls)): (usize, (&u64, &u64))| HourRow {
            name: format!("{hour:02}:00"),
            pushes: Number(*pushes),
            pulls: Number(*pulls),
        };
        Self {
            day: day.in_words(today),
            pushes: Plot::of_hours("pushes-by-hour", "Pushes", &when, pushes, pushes_by_hour),
            pulls: Plot::of_hours("pulls-by-hour", "Pulls", &when, pulls, pulls_by_hour),
            table: pushes_by_hour.iter().zip(pulls_by_hour).enumerate().map(row).collect(),
        }
    }
}
