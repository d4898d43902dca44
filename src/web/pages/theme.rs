//! Light or dark: as the browser prefers, or as was chosen, which a cookie keeps.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;

use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::error::PageError;
use super::{form, guard, links};

const COOKIE: &str = "portreeve_theme";

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

    fn named(name: &str) -> Option<Self> {
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
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.split_once('='));
        let chosen = pairs.find(|(name, _)| name.trim() == COOKIE).map(|(_, value)| value.trim());
        chosen.and_then(Self::named).unwrap_or_default()
    }
}

/// `POST /ui/theme`: from now on these colours. Leads back to the page on which they were chosen.
pub(super) async fn choose(request: Request) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["theme", "next"])?;
    let theme =
        given.text("theme").and_then(Theme::named).ok_or(ApiError::MissingParameter { name: "theme" })?;
    let next = given.text("next").filter(|next| is_page(next)).unwrap_or(links::HOME);
    let year = 365 * 24 * 60 * 60;
    let cookie = format!("{COOKIE}={}; Path=/ui/; Max-Age={year}; SameSite=Lax; HttpOnly", theme.as_str());
    let mut response = guard::see_other(next);
    response
        .headers_mut()
        .extend(HeaderValue::try_from(cookie).ok().map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

/// Whether this is the address of a page here, and of no other place that a form could be made to lead to.
pub(super) fn is_page(next: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    next.starts_with("/ui/") && next.len() <= 2048 && next.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_is_none_of_ours_is_as_if_there_were_none() {
        for (cookie, expected) in [
            ("portreeve_theme=dark", Theme::Dark),
            ("a=b; portreeve_theme=light; c", Theme::Light),
            ("portreeve_theme=\"><script>", Theme::Auto),
            ("xportreeve_theme=dark", Theme::Auto),
            ("", Theme::Auto),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            assert_eq!(Theme::of(&headers), expected, "{cookie}");
        }
    }

    #[test]
    fn a_choice_leads_back_to_pages_only() {
        for (next, is_one) in [
            ("/ui/", true),
            ("/ui/repositories?q=a%20b", true),
            ("//evil.example/ui/", false),
            ("https://evil.example/", false),
            ("/\\evil.example", false),
            ("/ui/\\..", false),
            ("/ui/\r\nSet-Cookie: a=b", false),
            ("", false),
        ] {
            assert_eq!(is_page(next), is_one, "{next:?}");
        }
    }
}
