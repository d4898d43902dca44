//! How rows of a comparison stand.

/// So many characters of a name are shown.
pub(super) const NAME: usize = 200;

/// On which sides something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Removed,
    Added,
    Kept,
}

impl Standing {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Removed => "bad",
            Self::Added => "good",
            Self::Kept => "",
        }
    }

    pub(super) const fn in_words(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Kept => "kept",
        }
    }
}
