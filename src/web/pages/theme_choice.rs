//! `POST /ui/theme`: the choice of colours, which a cookie keeps.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::super::error::ApiError;
use super::super::parameters::Parameters;
use super::error::PageError;
use super::form;
use super::next::Next;
use super::redirect::see_other;
use super::theme::{COOKIE, Theme};

/// From now on these colours. Leads back to the page on which they were chosen.
pub(super) async fn choose(request: Request) -> Result<Response, PageError> {
    let sent = form::read(request).await?;
    let given = Parameters::parse(Some(&sent), &["theme", "next"])?;
    let theme =
        given.text("theme").and_then(Theme::named).ok_or(ApiError::MissingParameter { name: "theme" })?;
    let next = Next::parse(given.text("next").unwrap_or_default());
    let year = 365 * 24 * 60 * 60;
    let cookie = format!("{COOKIE}={}; Path=/ui/; Max-Age={year}; SameSite=Lax; HttpOnly", theme.as_str());
    let mut response = see_other(next.as_str());
    response
        .headers_mut()
        .extend(HeaderValue::try_from(cookie).ok().map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}
