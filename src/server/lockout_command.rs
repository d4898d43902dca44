//! `portreeve user unlock`: by the running door's API through its socket. Locks are in the memory of that door, and nowhere else.

use super::record_command::{RecordCommandError, connect, url};
use crate::auth::UserName;
use crate::config::Config;

/// Has the running door forget the failed logins of a user.
///
/// # Errors
/// When no door runs, or it has counted none.
pub fn unlock(config: &Config, user: &UserName) -> Result<(), RecordCommandError> {
    let (runtime, door) = connect(config)?;
    let request = door.http.delete(url("lockouts", &[("user", user.as_str())]));
    runtime.block_on(door.open("unlock the user", request))?;
    Ok(())
}
