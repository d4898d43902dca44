//! Logins that are to go on without their password: what is kept is bound to the very password that was shown, and to its user
//! as they stood when it was.

use secrecy::SecretString;

use super::accounts::{AccountError, Device, LoginKind};
use super::authenticator::LoginError;
use super::gate::{Gate, unavailable};
use super::identity::SourceError;
use super::proven::Proven;

impl Gate {
    /// Keeps a login by a password that goes on without it; nothing of one by an access token. The one `before` it ends, whosever
    /// it was, as this one begins.
    pub(super) async fn keep(
        &self,
        kind: LoginKind,
        proven: &Proven,
        device: Device,
        before: Option<&SecretString>,
    ) -> Result<Option<SecretString>, LoginError> {
        let Some(shown) = &proven.password else { return Ok(None) };
        let name = &proven.identity.name;
        let changed = || LoginError::from(SourceError::Changed(name.clone()));
        // Of a user whom a file has; of one whom the store keeps, it looks itself as it keeps the login.
        let found = self.authenticator.find(name).await?;
        if found.is_none_or(|found| found.proof != shown.proof) {
            return Err(changed());
        }
        let accounts = &self.logins.accounts;
        match accounts.keep_login(kind, shown, self.service(), device, before).await {
            Ok(secret) => Ok(Some(secret)),
            Err(AccountError::Overtaken) => Err(changed()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

#[cfg(test)]
mod tests;
