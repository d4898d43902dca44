//! Days, in UTC: as a calendar has them.

use std::fmt;

use crate::clock::Timestamp;

const MILLISECONDS: u64 = 24 * 60 * 60 * 1000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A day. As text `2026-11-27`, as the API has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::web::pages) struct Day(u64);

impl Day {
    /// The day of this time.
    pub(in crate::web::pages) const fn of(time: Timestamp) -> Self {
        Self(time.as_milliseconds() / MILLISECONDS)
    }

    /// When it begins.
    pub(in crate::web::pages) const fn begins(self) -> Timestamp {
        Timestamp::from_milliseconds(self.0.saturating_mul(MILLISECONDS))
    }

    /// When it ends: the next one begins.
    pub(in crate::web::pages) const fn ends(self) -> Timestamp {
        Self(self.0.saturating_add(1)).begins()
    }

    /// So many days that end with this one, the oldest first.
    pub(in crate::web::pages) fn up_to(self, count: u64) -> impl Iterator<Item = Self> {
        (0..count).rev().map(move |ago| Self(self.0.saturating_sub(ago)))
    }

    /// As it is said on `today`.
    pub(in crate::web::pages) fn in_words(self, today: Self) -> String {
        match today.0.checked_sub(self.0) {
            Some(0) => "Today".to_owned(),
            Some(1) => "Yesterday".to_owned(),
            _ => self.date(),
        }
    }

    /// Such as `27 November 2026`.
    pub(in crate::web::pages) fn date(self) -> String {
        let (year, month, day) = self.parts();
        format!("{day} {month} {year}")
    }

    /// Such as `27 Nov`.
    pub(in crate::web::pages) fn short(self) -> String {
        let (_, month, day) = self.parts();
        format!("{day} {}", month.get(..3).unwrap_or(month))
    }

    fn parts(self) -> (String, &'static str, u8) {
        let exact = self.to_string();
        let mut parts = exact.split('-');
        let mut next = || parts.next().unwrap_or_default();
        let (year, month, day) = (next().to_owned(), next().parse::<usize>(), next().parse());
        let month = month.ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).copied();
        (year, month.unwrap_or_default(), day.unwrap_or_default())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.begins().to_string();
        formatter.write_str(exact.get(.."2026-11-27".len()).unwrap_or(&exact))
    }
}

/// What is no day.
#[derive(Debug, thiserror::Error)]
#[error("a day is written as 2026-11-27")]
pub(in crate::web::pages) struct InvalidDay;

impl std::str::FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let begins = Timestamp::parse(&format!("{text}T00:00:00Z")).ok_or(InvalidDay)?;
        Some(Self::of(begins)).filter(|day| day.to_string() == text).ok_or(InvalidDay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_as_they_are_written_and_said_as_a_calendar_says_them() {
        let day: Day = "2026-03-01".parse().unwrap();
        assert_eq!(
            (day.to_string(), day.date(), day.short()),
            ("2026-03-01".into(), "1 March 2026".into(), "1 Mar".into())
        );
        for (today, words) in [
            ("2026-03-01", "Today"),
            ("2026-03-02", "Yesterday"),
            ("2026-03-03", "1 March 2026"),
            ("2026-02-28", "1 March 2026"),
        ] {
            assert_eq!(day.in_words(today.parse().unwrap()), words, "on {today}");
        }
        let days: Vec<String> = day.up_to(3).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2026-02-27", "2026-02-28", "2026-03-01"]);
        assert_eq!(day.ends().to_string(), "2026-03-02T00:00:00.000Z");
        for text in ["", "2026-3-1", "2026-02-30", "2026-03-01T00:00:00Z", "1", "-2026-03-01", "10000-01-01"]
        {
            assert!(text.parse::<Day>().is_err(), "{text}");
        }
    }
}
