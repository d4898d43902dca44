//! Sessions of browsers at the gate: who signs in by a name and a password goes on by a cookie, at the pages and the API and
//! nowhere else.

use std::fmt;

use http::HeaderMap;
use http::header::{ACCEPT, HeaderName};
use secrecy::SecretString;

use super::accounts::{AccountError, Accounts, Device, KeptLogin, LoginKind};
use super::authenticator::LoginError;
use super::gate::{Gate, unavailable};
use super::proven::Proven;
use super::subject::{Identity, Subject};
use crate::store::AuthEventKind;

/// A session that goes on.
#[derive(Clone)]
pub struct Session {
    subject: Subject,
    key: String,
}

/// Whether somebody sits before a browser that sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Somebody does, as far as is known: it is a use of the session.
    Attended,
    /// A page that is left open keeps itself up to date: that keeps no session.
    Unattended,
}

impl Presence {
    /// By which the script of the pages says that nobody asked for a request.
    pub const HEADER: HeaderName = HeaderName::from_static("portreeve-unattended");

    /// As a request's head tells it. A browser opens a stream of events by itself as often as it is cut, and cannot say so.
    pub fn of(headers: &HeaderMap) -> Self {
        let is_stream = headers.get(ACCEPT).is_some_and(|accept| accept == "text/event-stream");
        if is_stream || headers.contains_key(Self::HEADER) { Self::Unattended } else { Self::Attended }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Session").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl Session {
    /// Whose it is.
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// By which it is shown, and ended.
    pub fn id(&self) -> &str {
        Accounts::login_id(&self.key)
    }
}

impl Gate {
    /// Begins a session for a user who has shown their password; nothing for who came with an access token. The one that the browser
    /// came with ends as it begins, whosever it was; so nobody goes on with what somebody else knows.
    ///
    /// # Errors
    /// When the store cannot keep it, or the user was changed meanwhile.
    pub async fn begin_session(
        &self,
        proven: &Proven,
        device: Device,
        before: Option<&SecretString>,
    ) -> Result<Option<SecretString>, LoginError> {
        let address = device.address;
        let session = self.keep(LoginKind::Session, proven, device, before).await?;
        if session.is_some() && !proven.is_fresh {
            let name = proven.identity.name.as_str();
            self.journal().note(AuthEventKind::Login, Some(name), address, "");
        }
        Ok(session)
    }

    /// The session that a cookie continues; nothing if it is over, its user is gone or has another password, or there are no pages.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub async fn session(
        &self,
        secret: &SecretString,
        presence: Presence,
    ) -> Result<Option<Session>, LoginError> {
        let key = Accounts::login_key(secret);
        let Some((login, identity)) = self.session_under(key.clone()).await? else { return Ok(None) };
        match presence {
            Presence::Attended => self.logins.accounts.note_login_use(login).await,
            Presence::Unattended => {}
        }
        Ok(Some(Session { subject: Subject::Known(identity), key }))
    }

    /// The same session once more, as long as it goes on. That is no use of it: a page that is left open does not keep it.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub(super) async fn session_again(&self, session: &Session) -> Result<Option<Session>, LoginError> {
        let found = self.session_under(session.key.clone()).await?;
        Ok(found.map(|(_, identity)| Session { subject: Subject::Known(identity), key: session.key.clone() }))
    }

    async fn session_under(&self, key: String) -> Result<Option<(KeptLogin, Identity)>, LoginError> {
        if !self.logins.has_pages {
            return Ok(None);
        }
        let (accounts, life) = (&self.logins.accounts, self.logins.sessions);
        let login = accounts.login_under(LoginKind::Session, key, self.service(), life).await;
        let Ok(login) = login.map_err(unavailable)? else { return Ok(None) };
        // It stays: a users file that lacks them, or is an old one, may be a mistake that is mended soon.
        let found = self.authenticator.find(login.user()).await?;
        let found = found.filter(|found| found.proof == login.proof());
        Ok(found.map(|found| (login, self.with_groups(found.identity))))
    }

    /// Ends the session that a cookie continues, if there is one.
    ///
    /// # Errors
    /// When the store fails: then it goes on.
    pub async fn end_session(
        &self,
        secret: &SecretString,
        address: std::net::IpAddr,
    ) -> Result<(), AccountError> {
        let ended = self.logins.accounts.end_own_login(LoginKind::Session, secret).await?;
        if let Some(user) = ended {
            self.journal().note(AuthEventKind::SignedOut, Some(user.as_str()), Some(address), "");
        }
        Ok(())
    }
}
