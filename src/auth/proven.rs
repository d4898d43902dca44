//! Callers who have just shown who they are, with what their password is known by.

use super::accounts::ShownPassword;
use super::subject::Identity;

/// A caller who has just shown who they are.
pub struct Proven {
    /// Who it is, with all their groups.
    pub identity: Identity,
    /// None of a caller who came with an access token, which takes its place.
    pub(super) password: Option<ShownPassword>,
    /// Whether the password was checked just now, which is noted; else that it was right is remembered.
    pub(super) is_fresh: bool,
}

impl Proven {
    /// What the password is known by that was shown; nothing of an access token.
    pub fn proof(&self) -> Option<&str> {
        self.password.as_ref().map(|password| password.proof.as_str())
    }
}
