//! Access tokens and logins in one list, in parts, and one of them by its identifier.

use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::command::{AccountAnswer, LoginShown, TokenShown};
use super::login_kind::LoginKind;
use super::stored::{StoredLogin, StoredToken};
use super::{AccountError, Accounts, ROWS, logins};
use crate::auth::subject::UserName;
use crate::store::{AccountKind, Page, PageRequest};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// An access token of a user, for a part of what they may do.
    User,
    /// An access token of a robot, which has its name.
    Robot,
    /// A login that goes on by a refresh token.
    Login,
}

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is one of `user`, `robot` and `login`")]
pub struct UnknownTokenKind;

impl TokenKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::User, Self::Robot, Self::Login];

    /// As it is shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Robot => "robot",
            Self::Login => "login",
        }
    }
}

impl Serialize for TokenKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl FromStr for TokenKind {
    type Err = UnknownTokenKind;

    fn from_str(text: &str) -> Result<Self, UnknownTokenKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(UnknownTokenKind)
    }
}

/// Which tokens are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFilter {
    /// Of these kinds.
    pub kinds: Vec<TokenKind>,
    /// Of the user or robot with this name.
    pub name: Option<UserName>,
    /// Of logins those by the password that is known so.
    pub proof: Option<String>,
}

impl TokenFilter {
    fn has(&self, kind: TokenKind, name: &UserName) -> bool {
        self.kinds.contains(&kind) && self.name.as_ref().is_none_or(|wanted| wanted == name)
    }
}

/// An access token or a login, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KnownToken {
    /// An access token.
    Access {
        /// Whether it is a robot's.
        is_robots: bool,
        /// The token.
        token: TokenShown,
    },
    /// A login.
    Login(LoginShown),
}

impl KnownToken {
    /// What it is.
    pub const fn kind(&self) -> TokenKind {
        match self {
            Self::Access { is_robots: true, .. } => TokenKind::Robot,
            Self::Access { is_robots: false, .. } => TokenKind::User,
            Self::Login(_) => TokenKind::Login,
        }
    }

    /// By which name its bearer logs in.
    pub const fn name(&self) -> &UserName {
        match self {
            Self::Access { token, .. } => &token.name,
            Self::Login(login) => &login.user,
        }
    }

    /// Where the list goes on behind it.
    fn cursor(&self) -> TokenCursor {
        match self {
            Self::Access { token, .. } => TokenCursor::Access(token.id.clone()),
            Self::Login(login) => TokenCursor::Login(login.id.clone()),
        }
    }
}

/// A position in the list: behind the token with this identifier. Access tokens come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCursor {
    /// An access token.
    Access(String),
    /// A login.
    Login(String),
}

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no position in this list")]
pub struct InvalidTokenCursor;

impl fmt::Display for TokenCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Access(id) => write!(formatter, "access.{id}"),
            Self::Login(id) => write!(formatter, "login.{id}"),
        }
    }
}

impl FromStr for TokenCursor {
    type Err = InvalidTokenCursor;

    fn from_str(text: &str) -> Result<Self, InvalidTokenCursor> {
        let (kind, id) = text.split_once('.').ok_or(InvalidTokenCursor)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if id.len() != logins::SHOWN || !id.bytes().all(is_digit) {
            return Err(InvalidTokenCursor);
        }
        match kind {
            "access" => Ok(Self::Access(id.to_owned())),
            "login" => Ok(Self::Login(id.to_owned())),
            _ => Err(InvalidTokenCursor),
        }
    }
}

impl Accounts {
    /// A part of all access tokens and logins.
    pub(super) async fn list_tokens(&self, after: Option<&str>) -> Result<AccountAnswer, AccountError> {
        let after = after.map(str::parse).transpose();
        let after = after.map_err(|error: InvalidTokenCursor| AccountError::Invalid(error.to_string()))?;
        let filter = TokenFilter { kinds: TokenKind::ALL.to_vec(), name: None, proof: None };
        let Page { items, next } = self.tokens(&filter, PageRequest { after, limit: ROWS }).await?;
        let (mut access, mut logins) = (Vec::new(), Vec::new());
        for token in items {
            match token {
                KnownToken::Access { token, .. } => access.push(token),
                KnownToken::Login(login) => logins.push(login),
            }
        }
        Ok(AccountAnswer::Tokens { access, logins, next: next.map(|next| next.to_string()) })
    }

    /// Access tokens in the order of their identifiers, and then logins.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tokens(
        &self,
        filter: &TokenFilter,
        page: PageRequest<TokenCursor>,
    ) -> Result<Page<KnownToken, TokenCursor>, AccountError> {
        let PageRequest { after, limit } = page;
        let now = self.clock.now();
        let mut found: Vec<KnownToken> = Vec::new();
        // One more tells that the list goes on.
        let mut take = |token: KnownToken| {
            if filter.has(token.kind(), token.name()) {
                found.push(token);
            }
            if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let (access, logins) = match after {
            None => (Some(None), None),
            Some(TokenCursor::Access(id)) => (Some(Some(id)), None),
            // Behind every key that begins so.
            Some(TokenCursor::Login(id)) => (None, Some(format!("{id}g"))),
        };
        let mut goes_on = true;
        if let Some(after) = access
            && filter.kinds.iter().any(|kind| *kind != TokenKind::Login)
        {
            let look = |id, token: StoredToken| {
                let is_robots = !token.is_personal;
                take(KnownToken::Access { is_robots, token: token.shown(id, now) })
            };
            goes_on = self.look_through(AccountKind::AccessToken, after, look).await?;
        }
        if goes_on && filter.kinds.contains(&TokenKind::Login) {
            let look = |key: String, login: StoredLogin| match &filter.proof {
                Some(proof) if *proof != login.proof => ControlFlow::Continue(()),
                _ => take(KnownToken::Login(logins::shown(&key, login))),
            };
            self.look_through(AccountKind::RefreshToken, logins, look).await?;
        }
        let next = (found.len() > limit).then(|| found.truncate(limit));
        let next = next.and_then(|()| found.last().map(KnownToken::cursor));
        Ok(Page { items: found, next })
    }

    /// The access token or login that is shown by this identifier.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token(&self, id: &str) -> Result<Option<KnownToken>, AccountError> {
        if let Some(token) = self.read::<StoredToken>(AccountKind::AccessToken, id).await? {
            let (is_robots, now) = (!token.is_personal, self.clock.now());
            return Ok(Some(KnownToken::Access { is_robots, token: token.shown(id.to_owned(), now) }));
        }
        let login = self.logins_shown_by(LoginKind::RefreshToken, id).await?.into_iter().next();
        Ok(login.map(|(key, login)| KnownToken::Login(logins::shown(&key, login))))
    }
}
