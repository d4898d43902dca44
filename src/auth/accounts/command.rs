//! What may be done to accounts, and what comes of it: the words between the command line and the door.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::auth::subject::UserName;
use crate::clock::Timestamp;

/// A user, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserShown {
    /// The name.
    pub name: UserName,
    /// The groups.
    pub groups: Vec<String>,
    /// Since when.
    pub created: Timestamp,
    /// Whether the password counts no more, since the file of users had the name.
    #[serde(default)]
    pub is_superseded: bool,
}

/// A user who is disabled, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledShown {
    /// The name.
    pub name: UserName,
    /// Since when.
    pub since: Timestamp,
}

/// An access token, as shown: without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenShown {
    /// By which it is revoked.
    pub id: String,
    /// By which name its bearer logs in.
    pub name: UserName,
    /// Whether it is a robot's; else it is a user's.
    #[serde(default)]
    pub is_robots: bool,
    /// What it is for.
    pub label: String,
    /// Repositories, as patterns.
    pub repositories: Vec<String>,
    /// Actions on them.
    pub actions: Vec<String>,
    /// Since when.
    pub created: Timestamp,
    /// Until when.
    pub expires: Option<Timestamp>,
    /// Whether that is over.
    pub is_expired: bool,
    /// When it was used last, to the hour.
    pub last_use: Option<Timestamp>,
}

/// A login that goes on without its password, as shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginShown {
    /// By which it is revoked.
    pub id: String,
    /// Whose it is.
    pub user: UserName,
    /// Since when.
    pub created: Timestamp,
    /// When it was used last: a refresh token to the hour, a session to five minutes.
    pub last_use: Timestamp,
    /// Where it was made, if that is known.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// With what it was made, if that is known.
    #[serde(default)]
    pub agent: Option<String>,
}

/// What to do to the accounts.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountCommand {
    /// Add a user.
    AddUser {
        /// The name.
        name: UserName,
        /// The password's hash, argon2id.
        hash: String,
        /// The groups.
        groups: Vec<String>,
    },
    /// Give a user another password. Their logins end.
    SetPassword {
        /// The name.
        name: UserName,
        /// The password's hash, argon2id.
        hash: String,
        /// What the present password is known by, where that was shown: another one counts no more.
        #[serde(default)]
        present: Option<String>,
    },
    /// Remove a user, with their tokens and logins.
    RemoveUser {
        /// The name.
        name: UserName,
    },
    /// Have a user be in these groups and in no others, beside those of the configuration.
    SetGroups {
        /// The name.
        name: UserName,
        /// The groups.
        groups: Vec<String>,
    },
    /// Let a user in no more, wherever they are known from. Their logins end.
    DisableUser {
        /// The name.
        name: UserName,
    },
    /// Let a user in again.
    EnableUser {
        /// The name.
        name: UserName,
    },
    /// List a part of those who are disabled.
    ListDisabled {
        /// Behind which position.
        after: Option<String>,
    },
    /// List a part of the users.
    ListUsers {
        /// Behind which position.
        after: Option<String>,
    },
    /// Make an access token.
    CreateToken {
        /// By which name its bearer logs in: a robot's own.
        name: UserName,
        /// Of which user it is, if it is no robot's.
        user: Option<UserName>,
        /// Repositories, as patterns.
        repositories: Vec<String>,
        /// `pull`, `push`, `delete`, `*`.
        actions: Vec<String>,
        /// For how long, in seconds.
        expires_in: Option<u64>,
    },
    /// End a login of a user, of whichever kind.
    EndLogin {
        /// Whose it is.
        user: UserName,
        /// Which one.
        id: String,
    },
    /// End all logins of a user, of every kind.
    EndLogins {
        /// Whose.
        user: UserName,
    },
    /// List a part of the access tokens, and then of the logins.
    ListTokens {
        /// Behind which position.
        after: Option<String>,
    },
    /// Revoke an access token, or end a login.
    RevokeToken {
        /// Which one.
        id: String,
    },
}

impl fmt::Debug for AccountCommand {
    /// Without hashes.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.in_words().as_deref().unwrap_or("a list"))
    }
}

impl AccountCommand {
    /// Whether it changes anything; else it only looks.
    pub fn changes(&self) -> bool {
        self.in_words().is_some()
    }

    /// What it does, without secrets; nothing if it only looks.
    pub(super) fn in_words(&self) -> Option<String> {
        Some(match self {
            Self::AddUser { name, .. } => format!("the user {name} was added"),
            Self::SetPassword { name, .. } => format!("the user {name} was given another password"),
            Self::RemoveUser { name } => format!("the user {name} was removed"),
            Self::SetGroups { name, groups } if groups.is_empty() => {
                format!("the user {name} was taken out of all groups")
            }
            Self::SetGroups { name, groups } => {
                format!("the user {name} was put into the groups {}", groups.join(", "))
            }
            Self::DisableUser { name } => format!("the user {name} was disabled"),
            Self::EnableUser { name } => format!("the user {name} was enabled"),
            Self::CreateToken { name, user: None, .. } => {
                format!("an access token of the robot {name} was made")
            }
            Self::CreateToken { name, user: Some(user), .. } => {
                format!("an access token of the user {user} was made: {name}")
            }
            Self::RevokeToken { id } => format!("the token {id} was revoked"),
            Self::EndLogin { user, id } => format!("the login {id} of the user {user} was ended"),
            Self::EndLogins { user } => format!("all logins of the user {user} were ended"),
            Self::ListUsers { .. } | Self::ListTokens { .. } | Self::ListDisabled { .. } => return None,
        })
    }
}

/// What came of a command.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAnswer {
    /// It is done.
    Done,
    /// A part of the users.
    Users {
        /// The users.
        users: Vec<UserShown>,
        /// Behind which position there are more.
        next: Option<String>,
    },
    /// A part of those who are disabled.
    Disabled {
        /// Who.
        users: Vec<DisabledShown>,
        /// Behind which position there are more.
        next: Option<String>,
    },
    /// A part of the access tokens, and of the logins that continue.
    Tokens {
        /// The access tokens.
        access: Vec<TokenShown>,
        /// The logins.
        logins: Vec<LoginShown>,
        /// Behind which position there are more.
        next: Option<String>,
    },
    /// An access token, shown this once.
    Created {
        /// By which it is revoked.
        id: String,
        /// By which name its bearer logs in.
        name: UserName,
        /// The token.
        token: String,
        /// Until when it is good.
        #[serde(default)]
        expires: Option<Timestamp>,
    },
}

impl AccountAnswer {
    /// The command that lists what comes behind this part, if there is more.
    pub fn following(&self) -> Option<AccountCommand> {
        match self {
            Self::Users { next, .. } => {
                next.clone().map(|next| AccountCommand::ListUsers { after: Some(next) })
            }
            Self::Disabled { next, .. } => {
                next.clone().map(|next| AccountCommand::ListDisabled { after: Some(next) })
            }
            Self::Tokens { next, .. } => {
                next.clone().map(|next| AccountCommand::ListTokens { after: Some(next) })
            }
            Self::Done | Self::Created { .. } => None,
        }
    }
}

impl fmt::Debug for AccountAnswer {
    /// Without the token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => formatter.write_str("Done"),
            Self::Users { users, next: _ } => formatter.debug_tuple("Users").field(users).finish(),
            Self::Disabled { users, next: _ } => formatter.debug_tuple("Disabled").field(users).finish(),
            Self::Tokens { access, logins, next: _ } => {
                formatter.debug_struct("Tokens").field("access", access).field("logins", logins).finish()
            }
            Self::Created { id, name, .. } => {
                formatter.debug_struct("Created").field("id", id).field("name", name).finish_non_exhaustive()
            }
        }
    }
}
