//! The section `pages`.

use super::settings::Settings;
use super::value;

/// The section `pages`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// `pages.enabled`: whether the door shows pages to browsers.
    pub enabled: bool,
    /// `pages.open_writes`: whether pages of an open door change anything: whoever reaches it could.
    pub open_writes: bool,
}

impl Default for Pages {
    fn default() -> Self {
        Self { enabled: true, open_writes: false }
    }
}

/// Reads the section.
pub(super) fn read(settings: &mut Settings) -> Pages {
    let mut pages = Pages::default();
    settings.read_into(&mut pages.enabled, "pages.enabled", value::boolean);
    settings.read_into(&mut pages.open_writes, "pages.open_writes", value::boolean);
    pages
}
