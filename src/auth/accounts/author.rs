//! Who changes accounts, as the journal names them.

use std::net::IpAddr;

use crate::auth::local_user::LocalUser;

/// Who gives a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// Their name at the gate, or what the system knows them by.
    pub name: String,
    /// Where they are; none for whoever uses the socket or the command line.
    pub address: Option<IpAddr>,
}

impl From<&LocalUser> for Author {
    fn from(user: &LocalUser) -> Self {
        Self { name: user.to_string(), address: None }
    }
}
