//! The keys of the section `pages` that say when a browser is signed out.

use std::time::Duration;

use super::settings::Settings;
use super::value;

/// When sessions of browsers end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sessions {
    /// `pages.session_idle`: after which time without use.
    pub idle: Duration,
    /// `pages.session_lifetime`: after which time in any case.
    pub lifetime: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle: Duration::from_hours(12), lifetime: Duration::from_hours(7 * 24) }
    }
}

/// Reads them.
pub(super) fn read(settings: &mut Settings) -> Sessions {
    let mut sessions = Sessions::default();
    settings.read_into(&mut sessions.idle, "pages.session_idle", value::long_duration);
    settings.read_into(&mut sessions.lifetime, "pages.session_lifetime", value::long_duration);
    sessions
}
