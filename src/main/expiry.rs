//! `--expires`: for how long, or until the end of which day.

use std::time::Duration;

use portreeve::clock::Timestamp;

const DAY: Duration = Duration::from_hours(24);

/// When an access token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// After so long.
    In(Duration),
    /// At this time.
    At(Timestamp),
}

impl Expiry {
    /// Reads `90d`, or `2027-01-31`, at whose end in UTC it is.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let is_date =
            text.len() == "2027-01-31".len() && text.bytes().filter(|byte| *byte == b'-').count() == 2;
        if is_date {
            let begins = Timestamp::parse(&format!("{text}T00:00:00Z"));
            let begins = begins.ok_or_else(|| format!("there is no day {text}"))?;
            return Ok(Self::At(begins.later_by(DAY)));
        }
        humantime::parse_duration(text)
            .map(Self::In)
            .map_err(|error| format!("{error}; write a time such as 30d, or a date such as 2027-01-31"))
    }

    /// How many seconds are left; nothing where it is over.
    pub(super) fn seconds_from(self, now: Timestamp) -> Option<u64> {
        match self {
            Self::In(time) => Some(time.as_secs()),
            Self::At(end) => Some(end.since(now).as_secs()).filter(|seconds| *seconds > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_after_a_time_or_at_the_end_of_a_day() {
        let now = Timestamp::parse("2027-01-30T12:00:00Z").unwrap();
        let seconds = |text| Expiry::parse(text).map(|expiry| expiry.seconds_from(now));
        assert_eq!(seconds("30d"), Ok(Some(30 * 24 * 3600)));
        assert_eq!(seconds("0s"), Ok(Some(0)));
        assert_eq!(seconds("2027-01-31"), Ok(Some(36 * 3600)));
        assert_eq!(seconds("2027-01-30"), Ok(Some(12 * 3600)));
        assert_eq!(seconds("2027-01-29"), Ok(None), "that day is over");
        for wrong in ["2027-02-30", "2027-13-01", "2027-1-1", "31.01.2027", "soon", "", "2027-01-3x"] {
            assert!(Expiry::parse(wrong).is_err(), "{wrong}");
        }
    }
}
