//! The section `clock`.

use std::time::Duration;

use super::settings::{Given, Settings, text};
use super::value;

/// The section `clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// `clock.warn`: how far the registry's clock may be off before that is said; zero for never, at most a day.
    pub warn: Duration,
    /// `clock.offset`: milliseconds by which the door's clock is ahead of the system's. For tests.
    pub offset: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self { warn: Duration::from_secs(5), offset: 0 }
    }
}

/// Reads the section `clock`.
pub(super) fn read(settings: &mut Settings) -> Clock {
    let mut clock = Clock::default();
    settings.read_into(&mut clock.warn, "clock.warn", value::duration);
    settings.read_into(&mut clock.offset, "clock.offset", offset);
    clock
}

/// A duration with a sign, in milliseconds.
fn offset(given: &Given) -> Result<i64, String> {
    let remedy =
        "write a duration of at most a day, with a minus where the clock is to be behind, such as \"-1h\"";
    let all = text(given, remedy)?;
    let (sign, size) = match all.strip_prefix('-') {
        Some(size) => (-1, size),
        None => (1, all.strip_prefix('+').unwrap_or(all)),
    };
    let size = humantime::parse_duration(size)
        .ok()
        .filter(|size| *size <= Duration::from_hours(24))
        .and_then(|size| i64::try_from(size.as_millis()).ok());
    size.map(|size| sign * size).ok_or_else(|| format!("is {all:?}, which is no such duration; {remedy}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn load(text: &str) -> Result<Config, String> {
        let mut settings = Settings::default();
        crate::config::file::apply(&mut settings, Path::new("portreeve.toml"), text);
        Config::read(settings).map_err(|error| error.to_string())
    }

    #[test]
    fn an_offset_has_a_sign() {
        let offset = |text: &str| load(&format!("clock.offset = {text:?}")).map(|config| config.clock.offset);
        assert_eq!(offset("1h"), Ok(3_600_000));
        assert_eq!(offset("-1m"), Ok(-60_000));
        assert_eq!(offset("0"), Ok(0));
        for wrong in ["", "-", "--1s", "2 days", "1"] {
            assert!(offset(wrong).is_err(), "{wrong}");
        }
    }
}
