//! Why a login fails, for the audit, the log and the metrics. A client is told none of it: it reads, and waits for, the same
//! whatever the reason.

use super::subject::UserName;
use crate::telemetry::CounterFamily;

pub(super) static LOGINS: CounterFamily = CounterFamily {
    name: "portreeve_logins_total",
    help: "Times that a client showed a name with a password or token, or a kept login, by what came of it",
    labels: &[(
        "result",
        &["success", "unknown_user", "wrong_password", "expired", "revoked", "disabled", "locked"],
    )],
};

/// Why credentials are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginFailure {
    /// No source has a user of this name.
    UnknownUser,
    /// The user is known, and the password is another one.
    WrongPassword,
    /// A password that no user can have, or an access token with another secret or under another name.
    WrongSecret,
    /// The time of an access token, or of a login that is kept, is over.
    Expired,
    /// There is no such access token, or no such kept login: it was revoked, or never made.
    Revoked,
    /// The user is known and may not log in.
    Disabled,
}

impl LoginFailure {
    /// For the audit and the log.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::UnknownUser => "no user has this name",
            Self::WrongPassword => "the password was wrong",
            Self::WrongSecret => "the secret, or the name that came with it, was wrong",
            Self::Expired => "the access token, or the kept login, has expired",
            Self::Revoked => "the access token, or the kept login, was revoked or never made",
            Self::Disabled => "the user may not log in",
        }
    }

    /// Whether a user or robot is sure to have the name. One that nobody has may be a password in the wrong place, and is
    /// not for the log.
    const fn is_name_known(self) -> bool {
        match self {
            Self::WrongPassword | Self::Expired | Self::Disabled => true,
            Self::UnknownUser | Self::WrongSecret | Self::Revoked => false,
        }
    }

    /// For the log, with the name where somebody has it.
    pub fn about(self, name: &UserName) -> String {
        match self.is_name_known() {
            true => format!("{}: {name}", self.in_words()),
            false => self.in_words().to_owned(),
        }
    }

    pub(super) const fn result(self) -> LoginResult {
        match self {
            Self::UnknownUser => LoginResult::UnknownUser,
            Self::WrongPassword | Self::WrongSecret => LoginResult::WrongPassword,
            Self::Expired => LoginResult::Expired,
            Self::Revoked => LoginResult::Revoked,
            Self::Disabled => LoginResult::Disabled,
        }
    }
}

/// What came of a login, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginResult {
    Success,
    UnknownUser,
    WrongPassword,
    Expired,
    Revoked,
    Disabled,
    /// Too many failures, or too many attempts at once: the credentials were not looked at.
    Locked,
}

impl LoginResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::UnknownUser => "unknown_user",
            Self::WrongPassword => "wrong_password",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Locked => "locked",
        }
    }

    pub(super) fn count(self) {
        LOGINS.with([self.as_str()]).increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_nobody_may_have_is_not_said() {
        let name = UserName::parse("hunter2").unwrap();
        for failure in [LoginFailure::UnknownUser, LoginFailure::WrongSecret, LoginFailure::Revoked] {
            assert!(!failure.about(&name).contains("hunter2"), "{failure:?}");
        }
        assert_eq!(LoginFailure::WrongPassword.about(&name), "the password was wrong: hunter2");
    }
}
