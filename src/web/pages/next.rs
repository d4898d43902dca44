//! Where a browser is led on to from a form that says so: a page of the door's, and nowhere else.

use std::sync::LazyLock;

use url::Url;

use super::links::{HOME, SIGN_IN, SIGN_OUT, SIGN_OUT_EVERYWHERE};

/// Longer ones are not remembered.
const MAXIMUM_BYTES: usize = 2048;

/// The path of a page, with its query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Next(String);

impl Next {
    /// The first page.
    pub(super) fn home() -> Self {
        Self(HOME.to_owned())
    }

    /// Reads what came with a request: the first page where it is anything else than the path of one. It is read as a browser reads
    /// it, and written anew.
    pub(super) fn parse(text: &str) -> Self {
        Self::read(text).unwrap_or_else(Self::home)
    }

    /// The same for who signs in: not where that is done, or undone.
    pub(super) fn after_sign_in(text: &str) -> Self {
        let is_elsewhere = |next: &Self| {
            let path = next.0.split('?').next().unwrap_or_default();
            ![SIGN_IN, SIGN_OUT, SIGN_OUT_EVERYWHERE].contains(&path)
        };
        Self::read(text).filter(is_elsewhere).unwrap_or_else(Self::home)
    }

    fn read(text: &str) -> Option<Self> {
        static HERE: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse("http://door.invalid/").ok());
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
        if text.len() > MAXIMUM_BYTES || !text.bytes().all(is_allowed) {
            return None;
        }
        if !text.starts_with('/') || text.starts_with("//") {
            return None;
        }
        let here = HERE.as_ref()?;
        let url = here.join(text).ok().filter(|url| url.origin() == here.origin())?;
        // Dots in the path are resolved here, also where they are escaped.
        let path = url.path();
        if !path.starts_with(HOME) || path.contains("//") {
            return None;
        }
        Some(Self(match url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_of_the_doors_own_is_where_it_goes() {
        for page in
            ["/ui/", "/ui/repositories", "/ui/repository?name=team/app&sort=-size", "/ui/search?q=%2F%2Fevil"]
        {
            assert_eq!(Next::parse(page).as_str(), page);
        }
        assert_eq!(Next::parse("/ui/a/../repositories#x").as_str(), "/ui/repositories");
    }

    #[test]
    fn nothing_else_is() {
        for elsewhere in [
            "",
            "/",
            "ui/",
            "//evil",
            "//evil/ui/",
            "/\\evil",
            "\\\\evil",
            "\\/evil",
            "/ui/\\..\\..\\evil",
            "https:",
            "https://evil/ui/",
            "https:/ui/",
            "javascript:alert(1)",
            "%2f%2fevil",
            "/%2f%2fevil",
            "/%2fevil/ui/",
            "/%5cevil",
            "/ui/..//evil",
            "/ui/../v2/",
            "/ui/%2e%2e/v2/",
            "/ui/.%2E//evil",
            "/ui//evil",
            "/ui/\t/evil",
            "/\t/evil",
            " //evil",
            "/ui/\r\nset-cookie: a=b",
            "/ui/\u{e4}",
            "/UI/",
            "/uix",
            "/ui",
            "/v2/",
            "/api/v1/me",
        ] {
            assert_eq!(Next::parse(elsewhere), Next::home(), "{elsewhere:?}");
            assert_eq!(Next::after_sign_in(elsewhere), Next::home(), "{elsewhere:?}");
        }
        for sign in ["/ui/sign-in", "/ui/sign-out?x", "/ui/x/../sign-out-everywhere"] {
            assert_ne!(Next::parse(sign), Next::home(), "a choice of colours leads back to it: {sign}");
            assert_eq!(Next::after_sign_in(sign), Next::home(), "{sign}");
        }
        assert_eq!(Next::parse(&format!("/ui/{}", "a".repeat(MAXIMUM_BYTES))), Next::home());
    }

    proptest! {
        #[test]
        fn a_browser_stays_at_the_door(text in r"(/ui/|/|//|\\|https:|%2f|%5c|\.\.|@|:|#|\?|evil|[\x00-\x20]|\PC){0,8}") {
            let next = Next::parse(&text);
            let door = Url::parse("https://registry.example:5000/ui/sign-in?next=x").unwrap();
            let target = door.join(next.as_str()).unwrap();
            prop_assert_eq!(target.origin(), door.origin());
            prop_assert!(target.path().starts_with("/ui/"), "{}", target);
        }
    }
}
