//! `POST /ui/theme`: the choice of colours, which a cookie keeps.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::error::PageError;
use super::redirect::see_other;
use super::theme::{COOKIE, Theme};
use super::{form, links};

/// From now on these colours. Leads back to the page on which they were chosen.
pub(super) async fn choose(request: Request) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["theme", "next"])?;
    let theme =
        given.text("theme").and_then(Theme::named).ok_or(ApiError::MissingParameter { name: "theme" })?;
    let next = given.text("next").filter(|next| is_page(next)).unwrap_or(links::HOME);
    let year = 365 * 24 * 60 * 60;
    let cookie = format!("{COOKIE}={}; Path=/ui/; Max-Age={year}; SameSite=Lax; HttpOnly", theme.as_str());
    let mut response = see_other(next);
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
