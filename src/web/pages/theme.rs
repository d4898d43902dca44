//! Light or dark: as the browser prefers, or as was chosen, which a cookie keeps.

use axum::http::HeaderMap;

use crate::auth::cookies;

/// The cookie that keeps the choice.
pub(super) const COOKIE: &str = "portreeve-theme";

/// Which colours are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Theme {
    /// As the browser prefers.
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub(super) const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    /// As the cookie, the form and the style sheet name it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// By that name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == name)
    }

    /// For the button that chooses it.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Auto => "Colours as the system has them",
            Self::Light => "Light colours",
            Self::Dark => "Dark colours",
        }
    }

    /// The icon of that button.
    pub(super) const fn icon(self) -> &'static str {
        match self {
            Self::Auto => "monitor",
            Self::Light => "sun",
            Self::Dark => "moon",
        }
    }

    /// What the browser keeps; as it prefers, if that is nothing known.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookies(headers, COOKIE).next().and_then(|chosen| std::str::from_utf8(chosen).ok());
        chosen.and_then(Self::named).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    #[test]
    fn a_cookie_that_is_none_of_ours_is_as_if_there_were_none() {
        for (cookie, expected) in [
            ("portreeve-theme=dark", Theme::Dark),
            ("name=\u{fc}; portreeve-theme=dark", Theme::Dark),
            ("a=b; portreeve-theme=light; c", Theme::Light),
            ("portreeve-theme=\"><script>", Theme::Auto),
            ("xportreeve-theme=dark", Theme::Auto),
            ("", Theme::Auto),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_bytes(cookie.as_bytes()).unwrap());
            assert_eq!(Theme::of(&headers), expected, "{cookie}");
        }
    }
}
