//! What is kept of who comes in: users, access tokens, refresh tokens, sessions, who is disabled, how often logins were ended,
//! and the keys of doors. What stands in it is the business of `auth/`; the store keeps it, whole and durable.

/// What an account is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A user, by name.
    User,
    /// A token that was made for a user or a robot, by its identifier.
    AccessToken,
    /// A login that goes on, by the hash of its token.
    RefreshToken,
    /// A login that a browser's cookie continues, by the hash of what the cookie has.
    Session,
    /// That a user is disabled, by name, wherever they are known from.
    DisabledUser,
    /// How often all logins of a user were ended, by the user's name.
    LoginsEnded,
    /// The keys that tokens are signed with and the secret beside them, where doors have them in the store.
    Keys,
    /// Another content whenever users or tokens were changed: by it doors hear of what others did.
    LastChange,
}

impl AccountKind {
    /// As it stands in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::Session => "session",
            Self::DisabledUser => "disabled_user",
            Self::LoginsEnded => "logins_ended",
            Self::Keys => "keys",
            Self::LastChange => "last_change",
        }
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name among those of its kind.
    pub key: String,
    /// What is kept of it.
    pub content: Vec<u8>,
}

/// Makes an account what it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountChange {
    /// Of which kind.
    pub kind: AccountKind,
    /// Which one.
    pub key: String,
    /// What is kept of it from now on; nothing to remove it.
    pub content: Option<Vec<u8>>,
    /// What has to be kept of it till then.
    pub expected: Expect,
}

/// What an account has to be for a change to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Whatever it is.
    Anything,
    /// There is none.
    Absent,
    /// Exactly this is kept of it.
    Exactly(Vec<u8>),
}

impl Expect {
    /// Whether what is kept is as expected.
    pub(super) fn is_met_by(&self, kept: Option<&[u8]>) -> bool {
        match self {
            Self::Anything => true,
            Self::Absent => kept.is_none(),
            Self::Exactly(content) => kept == Some(content.as_slice()),
        }
    }
}

impl AccountChange {
    /// It is removed, whatever it is.
    pub const fn removed(kind: AccountKind, key: String) -> Self {
        Self { kind, key, content: None, expected: Expect::Anything }
    }

    /// Nothing changes, but there must be none.
    pub const fn absent(kind: AccountKind, key: String) -> Self {
        Self { kind, key, content: None, expected: Expect::Absent }
    }

    /// Nothing changes, but it must be what it was when it was read.
    pub fn unchanged(kind: AccountKind, key: String, content: Option<Vec<u8>>) -> Self {
        let expected = content.clone().map_or(Expect::Absent, Expect::Exactly);
        Self { kind, key, content, expected }
    }
}
