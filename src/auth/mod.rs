//! Authentication and authorisation: who the caller is, what they may do, and the tokens that say so.
//!
//! [`Authenticator`] finds out who it is, [`Rules`] say what they may do, and [`Issuer`] makes and checks the tokens. The
//! three know nothing of each other; [`Access`](crate::oci::Access) and [`Subject`] are the words that they share. `web/` serves the token
//! endpoint with them, `plugins/` enforces, and `registry/` gets the tokens for a registry that checks them itself.

mod accounts;
mod authenticator;
mod continuation;
mod cookies;
mod door_origin;
mod fingerprint;
mod gate;
mod hashing;
mod header;
mod htpasswd;
mod identity;
mod journal;
mod kept_login;
mod keys;
mod local_user;
mod lockout;
mod locks;
mod login_failure;
mod network;
mod new_password;
mod pattern;
mod proven;
mod registry_tokens;
mod requirement;
mod rules;
mod sealed_target;
mod session_cookie;
mod sessions;
mod signed_in_by;
mod subject;
mod token;
mod token_request;
mod uploads;
mod viewer;

pub use accounts::disabled::DisabledUsers;
pub use accounts::{
    AccessTokens, AccountAnswer, AccountCommand, AccountError, Accounts, Author, Device, DisabledShown,
    InvalidTokenCursor, KnownToken, LoginKind, LoginLife, LoginShown, StoredUsers, TokenCursor, TokenFilter,
    TokenKind, TokenShown, UnknownTokenKind, UserShown, follow_other_doors,
};
pub use authenticator::{Authenticator, Login, LoginError};
pub use continuation::Continuation;
pub use cookies::cookies;
pub use door_origin::DoorOrigin;
pub use gate::{Gate, GateParts, Logins, Policy};
pub use hashing::{Hashing, HashingError, StoredHash, Ticket, hash};
pub use header::{Authorization, Rejected, read as read_authorization, read_only as read_only_authorization};
pub use htpasswd::{Htpasswd, HtpasswdError, names_in_file, parse as parse_htpasswd};
pub use identity::{Credentials, Found, IdentitySource, SourceError, Verdict, is_possible_password};
pub use journal::{Journal, Names, keep_journal};
pub use keys::{
    KeyAlgorithm, KeyDirectory, KeyFileError, KeyPlace, KeyRing, KeyRingError, MadeKeys, StoredKeys,
};
pub use local_user::LocalUser;
pub use lockout::{InvalidLockId, LockId, LockKind};
pub use locks::{LockCursor, LockShown, WantedUnlock};
pub use login_failure::LoginFailure;
pub use network::Network;
pub use new_password::{UnfitPassword, check_new_password};
pub use pattern::{InvalidPattern, Pattern, Variables};
pub use proven::Proven;
pub use registry_tokens::RegistryTokens;
pub use requirement::{Requirement, RequirementOf};
pub use rules::{DecidedBy, Decision, InvalidRule, Privilege, Rule, Rules, Who};
pub use sealed_target::{SealError, SealedFor, SealedTarget, TargetSeal};
pub use session_cookie::{SessionCookie, without_sessions};
pub use sessions::{Presence, Session};
pub use signed_in_by::SignedInBy;
pub use subject::{Identity, InvalidUserName, Limits, Subject, UserName};
pub use token::{InvalidToken, Issued, Issuer, Origin, SigningFailed, Token, TokenSettings};
pub use token_request::TokenRequest;
pub use uploads::{Mark, UploadMarks};
pub use viewer::{Rights, Viewer};

/// Describes this floor's metrics to the exporter.
pub fn describe_metrics() {
    metrics::describe_gauge!(
        "portreeve_robot_tokens_expiring",
        "Access tokens of robots that have not ended yet and do so within 14 days"
    );
    metrics::gauge!("portreeve_robot_tokens_expiring").set(0.0);
    for counter in [&login_failure::LOGINS, &journal::EVENTS_LOST, &lockout::FAILURES_UNCOUNTED] {
        counter.describe();
    }
}
