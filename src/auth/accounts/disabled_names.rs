//! The names of the disabled users, in memory.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use tokio::sync::OnceCell;

use crate::auth::subject::UserName;

/// Who is disabled, in memory: tokens of the door's are looked at with each request.
#[derive(Default)]
pub(super) struct DisabledNames(pub(super) OnceCell<RwLock<HashSet<String>>>);

impl DisabledNames {
    /// Notes that a user is disabled, or enabled, if it is known yet who is.
    pub(super) fn note(&self, name: &UserName, is_disabled: bool) {
        let Some(names) = self.0.get() else { return };
        let mut names = names.write().unwrap_or_else(PoisonError::into_inner);
        match is_disabled {
            true => names.insert(name.to_string()),
            false => names.remove(name.as_str()),
        };
    }
}
