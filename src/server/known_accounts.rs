//! The accounts that there are, as far as commands can tell: in the file of users, and in the store, of which a running door is
//! asked.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::account_command::{CommandError, carry_out};
use super::auth_setup::PreparedAuth;
use super::{socket, store_setup};
use crate::auth::{AccountAnswer, AccountCommand, TokenShown, UserName, UserShown};
use crate::config::Config;

/// The accounts that there are.
#[derive(Default)]
pub(super) struct KnownAccounts {
    /// The names in `auth.htpasswd`.
    pub in_file: BTreeSet<UserName>,
    /// The users of the store.
    pub in_store: Vec<UserShown>,
    /// The names of who is disabled.
    pub disabled: BTreeSet<UserName>,
    /// The access tokens of the store.
    pub tokens: Vec<TokenShown>,
}

impl KnownAccounts {
    /// Those of a configuration, whose file of users was read. Of a store that is not made yet there are none.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub(super) fn of(config: &Config, auth: Option<&PreparedAuth>) -> Result<Self, CommandError> {
        let in_file = auth.map(PreparedAuth::names_in_file).unwrap_or_default().into_iter().collect();
        let mut known = Self { in_file, ..Self::default() };
        let is_absent = store_setup::absent_file(&config.store).is_some();
        if is_absent && !socket::is_answered(&socket::path(config)) {
            return Ok(known);
        }
        for list in [
            AccountCommand::ListUsers { after: None },
            AccountCommand::ListDisabled { after: None },
            AccountCommand::ListTokens { after: None },
        ] {
            carry_out(config, list, &mut |answer| {
                match answer {
                    AccountAnswer::Users { users, .. } => known.in_store.extend(users),
                    AccountAnswer::Tokens { access, .. } => known.tokens.extend(access),
                    AccountAnswer::Disabled { users, .. } => {
                        known.disabled.extend(users.into_iter().map(|user| user.name));
                    }
                    AccountAnswer::Done | AccountAnswer::Created { .. } => {}
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(known)
    }

    /// The access tokens by which a robot of this name logs in.
    pub(super) fn robot(&self, name: &UserName) -> Vec<&TokenShown> {
        self.tokens.iter().filter(|token| token.is_robots && token.name == *name).collect()
    }

    /// Whether somebody has the name.
    pub(super) fn has(&self, name: &UserName) -> bool {
        self.in_file.contains(name)
            || self.in_store.iter().any(|user| user.name == *name)
            || self.tokens.iter().any(|token| token.name == *name)
    }
}
