//! Whether the names in a command about accounts are those of users and groups that there are: a slip of the pen would
//! otherwise make an account that no rule knows.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::account_command::{CommandError, carry_out};
use crate::auth::{AccountAnswer, AccountCommand, UserName, UserShown, names_in_file};
use crate::config::{Config, Principal};
use crate::suggestion;

/// Carries out a command about accounts, once its names are seen to be right. Of a list `tell` is told each part, for as long as
/// it wants more.
///
/// # Errors
/// When it makes no sense, a name that is to be new is taken, one that is to exist is nobody's, or neither door nor store can
/// be had: then nothing was done.
pub fn account(
    config: &Config,
    command: AccountCommand,
    tell: &mut dyn FnMut(AccountAnswer) -> ControlFlow<()>,
) -> Result<(), CommandError> {
    check(config, &command)?;
    carry_out(config, command, tell)
}

fn check(config: &Config, command: &AccountCommand) -> Result<(), CommandError> {
    match command {
        AccountCommand::AddUser { name, groups, .. } => {
            check_is_not_in_file(config, name)?;
            if groups.is_empty() { Ok(()) } else { check_groups(config, groups) }
        }
        AccountCommand::SetGroups { name, groups } => {
            check_is_not_in_file(config, name).map_err(|error| match error {
                CommandError::TakenByFile(name) => CommandError::GroupsOfFile(name),
                error => error,
            })?;
            check_user(config, name)?;
            if groups.is_empty() { Ok(()) } else { check_groups(config, groups) }
        }
        AccountCommand::CreateToken { user: Some(user), .. }
        | AccountCommand::DisableUser { name: user }
        | AccountCommand::EnableUser { name: user } => check_user(config, user),
        AccountCommand::SetPassword { name, .. } | AccountCommand::CreateToken { name, user: None, .. } => {
            check_is_not_in_file(config, name)
        }
        _ => Ok(()),
    }
}

fn check_is_not_in_file(config: &Config, name: &UserName) -> Result<(), CommandError> {
    match in_file(config)?.contains(name) {
        true => Err(CommandError::TakenByFile(name.clone())),
        false => Ok(()),
    }
}

fn check_groups(config: &Config, groups: &[String]) -> Result<(), CommandError> {
    let in_rules = config.auth.rules.iter().flat_map(|rule| &rule.who).filter_map(|who| match who {
        Principal::Group(group) => Some(group.clone()),
        Principal::User(_) | Principal::Anonymous | Principal::Everybody => None,
    });
    let in_store = in_store(config)?.into_iter().flat_map(|user| user.groups);
    let known: BTreeSet<String> =
        config.auth.groups.keys().cloned().chain(in_rules).chain(in_store).collect();
    match groups.iter().find(|group| !known.contains(*group)) {
        Some(group) => {
            Err(CommandError::NoGroup { group: group.clone(), remedy: remedy(group, known.iter()) })
        }
        None => Ok(()),
    }
}

fn check_user(config: &Config, user: &UserName) -> Result<(), CommandError> {
    let mut known = in_file(config)?;
    known.extend(in_store(config)?.into_iter().map(|user| user.name));
    if known.contains(user) {
        return Ok(());
    }
    let names: Vec<String> = known.iter().map(ToString::to_string).collect();
    Err(no_user(user, &names))
}

/// That nobody has this name; these are had.
pub(super) fn no_user(user: &UserName, names: &[String]) -> CommandError {
    CommandError::NoUser { user: user.clone(), remedy: remedy(user.as_str(), names.iter()) }
}

/// The names in the file of users.
pub(super) fn in_file(config: &Config) -> Result<BTreeSet<UserName>, CommandError> {
    let Some(path) = &config.auth.htpasswd else { return Ok(BTreeSet::new()) };
    Ok(names_in_file(path)?.into_iter().collect())
}

fn in_store(config: &Config) -> Result<Vec<UserShown>, CommandError> {
    let mut all = Vec::new();
    carry_out(config, AccountCommand::ListUsers { after: None }, &mut |answer| {
        if let AccountAnswer::Users { users, .. } = answer {
            all.extend(users);
        }
        ControlFlow::Continue(())
    })?;
    Ok(all)
}

/// What was probably meant, else what there is.
fn remedy<'a>(name: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    const SHOWN: usize = 10;
    if let Some(known) = suggestion::nearest(name, known.clone()) {
        return format!("did you mean `{known}`?");
    }
    let shown: Vec<&str> = known.clone().take(SHOWN).map(String::as_str).collect();
    match (shown.len(), known.count()) {
        (0, _) => "there are none yet".to_owned(),
        (all, count) if all == count => format!("there are: {}", shown.join(", ")),
        (_, count) => format!("there are {count}, such as {}", shown.join(", ")),
    }
}
