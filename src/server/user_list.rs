//! `portreeve user list` and `user groups`: all users that are known, from the file of users, the store and the configuration,
//! with who is disabled and who is locked at the running door. As `GET /api/v1/users` tells them, with a door and without.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use tokio::runtime;

use super::account_command::{CommandError, carry_out};
use super::account_names::{in_file, no_user};
use super::door_client::{Client, DoorError};
use super::record_command::url;
use super::start_error::StartError;
use super::{socket, store_setup};
use crate::auth::{AccountAnswer, AccountCommand, UserName};
use crate::clock::Timestamp;
use crate::config::{Config, Principal};

/// A user, as the API shows them.
#[derive(Clone, Debug, Serialize)]
pub struct ListedUser {
    /// The name.
    pub name: UserName,
    /// The groups that the configuration and the store name.
    pub groups: Vec<String>,
    /// Where they are known from.
    pub sources: Vec<ListedSource>,
    /// Since when the store keeps them.
    pub created: Option<Timestamp>,
    /// Whether the password in the store counts no more.
    pub superseded: bool,
    /// The groups that the store keeps alone.
    pub stored_groups: Vec<String>,
    /// Since when nothing lets them in.
    pub disabled_since: Option<Timestamp>,
    /// Whether logins by their password are locked at the running door.
    pub locked: bool,
}

/// Where a user is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ListedSource {
    /// A line of `auth.htpasswd`.
    Htpasswd,
    /// The store.
    Store,
    /// A rule, or a group of the configuration: nobody logs in by that alone.
    Configuration,
}

impl ListedSource {
    /// For people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Htpasswd => "auth.htpasswd",
            Self::Store => "the store",
            Self::Configuration => "the configuration",
        }
    }
}

/// All users that are known, in the order of their names.
///
/// # Errors
/// When the file of users cannot be read, or neither door nor store can be had.
pub fn listed_users(config: &Config) -> Result<Vec<ListedUser>, CommandError> {
    let mut all: BTreeMap<UserName, ListedUser> = BTreeMap::new();
    for name in in_file(config)? {
        known(&mut all, config, name).sources.push(ListedSource::Htpasswd);
    }
    for name in named(config) {
        known(&mut all, config, name).sources.push(ListedSource::Configuration);
    }
    let door = socket::path(config);
    let has_door = socket::is_answered(&door);
    if has_door || store_setup::absent_file(&config.store).is_none() {
        let mut disabled = Vec::new();
        for list in [AccountCommand::ListUsers { after: None }, AccountCommand::ListDisabled { after: None }]
        {
            carry_out(config, list, &mut |answer| {
                match answer {
                    AccountAnswer::Users { users, .. } => {
                        for user in users {
                            let listed = known(&mut all, config, user.name);
                            listed.sources.push(ListedSource::Store);
                            listed.created = Some(user.created);
                            listed.superseded = user.is_superseded;
                            let groups = user.groups.iter();
                            let news: Vec<String> =
                                groups.filter(|group| !listed.groups.contains(*group)).cloned().collect();
                            listed.groups.extend(news);
                            listed.stored_groups = user.groups;
                        }
                    }
                    AccountAnswer::Disabled { users, .. } => disabled.extend(users),
                    AccountAnswer::Done | AccountAnswer::Tokens { .. } | AccountAnswer::Created { .. } => {}
                }
                ControlFlow::Continue(())
            })?;
        }
        for disabled in disabled {
            if let Some(user) = all.get_mut(&disabled.name) {
                user.disabled_since = Some(disabled.since);
            }
        }
    }
    if has_door {
        for name in locked_at(&Client::new(&door)?)? {
            if let Some(user) = UserName::parse(&name).ok().and_then(|name| all.get_mut(&name)) {
                user.locked = true;
            }
        }
    }
    Ok(all.into_values().collect())
}

/// One of them.
///
/// # Errors
/// As for [`listed_users`], and when nobody has the name.
pub fn listed_user(config: &Config, name: &UserName) -> Result<ListedUser, CommandError> {
    let all = listed_users(config)?;
    let names: Vec<String> = all.iter().map(|user| user.name.to_string()).collect();
    all.into_iter().find(|user| user.name == *name).ok_or_else(|| no_user(name, &names))
}

/// What is known of this name, where there may be nothing yet.
fn known<'a>(
    all: &'a mut BTreeMap<UserName, ListedUser>,
    config: &Config,
    name: UserName,
) -> &'a mut ListedUser {
    all.entry(name).or_insert_with_key(|name| {
        let is_in = |users: &[String]| users.iter().any(|user| user == name.as_str());
        let groups = config.auth.groups.iter().filter(|(_, users)| is_in(users));
        ListedUser {
            name: name.clone(),
            groups: groups.map(|(group, _)| group.clone()).collect(),
            sources: Vec::new(),
            created: None,
            superseded: false,
            stored_groups: Vec::new(),
            disabled_since: None,
            locked: false,
        }
    })
}

/// The names that rules and groups of the configuration have.
fn named(config: &Config) -> BTreeSet<UserName> {
    let in_rules = config.auth.rules.iter().flat_map(|rule| &rule.who).filter_map(|who| match who {
        Principal::User(user) => Some(user),
        Principal::Group(_) | Principal::Anonymous | Principal::Everybody => None,
    });
    let in_groups = config.auth.groups.values().flatten();
    in_groups.chain(in_rules).filter_map(|name| UserName::parse(name).ok()).collect()
}

#[derive(Deserialize)]
struct LocksPart {
    items: Vec<LockPart>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct LockPart {
    user: Option<String>,
}

/// The users who are locked at a door; nobody at an open one.
fn locked_at(door: &Client) -> Result<BTreeSet<String>, CommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    runtime.block_on(async {
        let (mut locked, mut after) = (BTreeSet::new(), String::new());
        loop {
            let mut pairs = vec![("n", "1000")];
            pairs.extend((!after.is_empty()).then_some(("after", after.as_str())));
            let asked = door.ask("list who is locked", door.http.get(url("lockouts", &pairs))).await;
            let LocksPart { items, next } = match asked {
                // It has no accounts.
                Err(DoorError::Refused(refusal)) if refusal.status == reqwest::StatusCode::CONFLICT => {
                    return Ok(locked);
                }
                asked => asked?,
            };
            locked.extend(items.into_iter().filter_map(|lock| lock.user));
            let Some(next) = next else { return Ok(locked) };
            after = next;
        }
    })
}
