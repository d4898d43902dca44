//! How a page is looked at: on which screen, and in which colours.

/// The size of a screen, in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// A window on a desk.
    Desk,
    /// A telephone, upright.
    Phone,
}

impl Screen {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Desk, Self::Phone];

    /// Its width.
    pub(super) fn width(self) -> u32 {
        match self {
            Self::Desk => 1280,
            Self::Phone => 390,
        }
    }

    /// Its height.
    pub(super) fn height(self) -> u32 {
        match self {
            Self::Desk => 800,
            Self::Phone => 844,
        }
    }

    /// Whether the browser behaves as on a telephone: it follows the page's `viewport`, and scroll bars take no room.
    pub(super) fn is_mobile(self) -> bool {
        self == Self::Phone
    }
}

/// The colours that a user prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// Dark text on a light ground.
    Light,
    /// Light text on a dark ground.
    Dark,
}

impl Scheme {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Light, Self::Dark];

    /// As `prefers-color-scheme` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}
