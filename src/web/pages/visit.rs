//! Who looks at a page, and how: what every handler of a page is given.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Response};

use super::super::state::WebState;
use super::error::PageError;
use super::format::{Day, Time};
use super::layout::{Layout, SECTIONS, Section, SectionLink};
use super::links;
use super::rights::{Need, Right};
use super::theme::Theme;
use crate::auth::{DoorOrigin, Gate, Viewer};
use crate::clock::Timestamp;

/// A request for a page.
pub(super) struct Visit {
    /// Who looks.
    pub viewer: Viewer,
    /// Where they are.
    pub address: IpAddr,
    /// By which address they know the door.
    pub origin: DoorOrigin,
    /// The query of the page.
    pub query: String,
    gate: Option<Arc<Gate>>,
    theme: Theme,
    path: String,
    host: Option<String>,
    now: Timestamp,
    writes_open: bool,
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, Infallible> {
        let settings = state.pages.clone().unwrap_or_default();
        Ok(Self {
            viewer: Viewer::from_request_parts(parts, state).await?,
            // Only a request that came by no connection has none.
            address: parts.extensions.get().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            origin: parts.extensions.get().cloned().unwrap_or_else(|| DoorOrigin::parse("")),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            gate: state.gate.clone(),
            theme: Theme::of(&parts.headers),
            path: parts.uri.path().to_owned(),
            host: settings.authority.or_else(|| host(&parts.headers)),
            now: state.pulls.now(),
            writes_open: settings.open_writes,
        })
    }
}

impl Visit {
    /// What right they have to what this route of the API shows.
    pub(super) fn right_to(&self, need: &Need) -> Right {
        need.right_of(&self.viewer, self.gate.as_ref(), &self.query)
    }

    /// Whether they may ask this route of the API without naming anything: for other pages, and for parts of a page that not
    /// everybody sees. What this page was asked for does not count.
    pub(super) fn may_ask(&self, route: &'static str) -> bool {
        Need::of(route).right_of(&self.viewer, self.gate.as_ref(), "") == Right::Granted
    }

    /// Whether pages may change anything: those of an open door do so only where that is configured.
    pub(super) const fn may_change(&self) -> bool {
        self.gate.is_some() || self.writes_open
    }

    /// The gate, if there is one.
    pub(super) const fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// The page itself, to come back to.
    pub(super) fn here(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }

    /// By which name and port clients know the door: in commands that are shown.
    pub(super) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("localhost:5000")
    }

    /// A time, as they read it.
    pub(super) fn time(&self, time: Timestamp) -> Time {
        Time::new(time, self.now)
    }

    /// The day on which they read it.
    pub(super) const fn today(&self) -> Day {
        Day::of(self.now)
    }

    /// What is around a page with this title.
    pub(super) fn layout(&self, section: Section, title: &str) -> Layout {
        let seen = SECTIONS.into_iter().filter(|(.., route)| self.may_ask(route));
        let link = |(of, name, page, _)| SectionLink { name, page, is_here: of == section };
        Layout {
            title: title.to_owned(),
            sections: seen.map(link).collect(),
            theme: self.theme,
            query: String::new(),
            here: self.here(),
            sign_in: self.viewer.is_nobody().then(|| links::sign_in(&self.here())),
            user: self.viewer.name().map(str::to_owned),
            can_sign_out: matches!(self.viewer, Viewer::InSession(..)),
        }
    }
}

/// A page as it is sent.
///
/// # Errors
/// When it cannot be written.
pub(super) fn rendered(page: &impl askama::Template) -> Result<Response, PageError> {
    Ok(Html(page.render()?).into_response())
}

/// The `Host` of a request, if commands can name it: the client has chosen it.
fn host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (!host.is_empty() && host.len() <= 255 && host.bytes().all(is_plain)).then(|| host.to_owned())
}
