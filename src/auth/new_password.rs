//! What a new password has to be.

use super::accounts::Accounts;
use super::identity::is_possible_password;

/// Shorter passwords are guessed.
const SHORTEST: usize = 8;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnfitPassword {
    /// It is too short.
    #[error("a password has at least {SHORTEST} characters")]
    Short,
    /// Nobody could log in with it.
    #[error("a password has no NUL and at most 4,096 bytes")]
    Impossible,
    /// Whoever logs in with it would be taken for the bearer of an access token.
    #[error("a password does not have the form of an access token")]
    Token,
}

/// Looks whether a password may be given to a user.
///
/// # Errors
/// Why not.
pub fn check_new_password(password: &str) -> Result<(), UnfitPassword> {
    if password.chars().count() < SHORTEST {
        return Err(UnfitPassword::Short);
    }
    if !is_possible_password(password) {
        return Err(UnfitPassword::Impossible);
    }
    match Accounts::id_of_access_token(&password.into()) {
        Some(_) => Err(UnfitPassword::Token),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_that_can_be_used_and_is_not_guessed_soon() {
        assert_eq!(check_new_password("eight €s"), Ok(()));
        assert_eq!(check_new_password("portreeve_is_fine"), Err(UnfitPassword::Token));
        assert_eq!(check_new_password("seven€s"), Err(UnfitPassword::Short));
        assert_eq!(check_new_password("a-pass\0word"), Err(UnfitPassword::Impossible));
        assert_eq!(check_new_password(&"x".repeat(4097)), Err(UnfitPassword::Impossible));
    }
}
