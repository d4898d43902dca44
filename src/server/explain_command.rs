//! `portreeve check --as`: what the rules let a user do, and which of them decides.

use super::account_command::{CommandError, account};
use super::auth_setup;
use super::start_error::StartError;
use crate::auth::{AccountAnswer, AccountCommand, Decision, Identity, Policy, Privilege, Subject, UserName};
use crate::config::Config;
use crate::oci::{Action, RepositoryName};

/// What a user may do to a repository, by the rules of the configuration. The groups of a user of the store are read
/// there; a name that no user has yet is in the groups of the configuration alone.
///
/// # Errors
/// When a name is none, or the store cannot be asked.
pub fn explain(config: &Config, user: &str, repository: &str) -> Result<String, CommandError> {
    let name = RepositoryName::parse(repository)?;
    let policy = auth_setup::policy(&config.auth).map_err(StartError::Rules)?;
    let subject = subject(config, &policy, user)?;
    let mut lines = Vec::new();
    if !config.auth.is_on {
        lines.push("auth.mode is off: everybody may do everything. If it were on:".to_owned());
    }
    if let Subject::Known(Identity { groups, .. }) = &subject
        && !groups.is_empty()
    {
        lines.push(format!("{user} is in {}.", groups.join(", ")));
    }
    for action in Action::ALL {
        let decision = policy.rules.explain(&subject, &name, action);
        lines.push(sentence(user, decision, &format!("{} {repository}", action.as_str())));
    }
    for (privilege, what) in
        [(Privilege::Catalog, "list all repositories"), (Privilege::Admin, "administer the door")]
    {
        lines.push(sentence(user, policy.rules.explain_privilege(&subject, privilege), what));
    }
    Ok(lines.join("\n"))
}

/// The user of this name, with their groups.
fn subject(config: &Config, policy: &Policy, user: &str) -> Result<Subject, CommandError> {
    if user == "anonymous" {
        return Ok(Subject::Anonymous);
    }
    let user = UserName::parse(user)?;
    let mut groups = policy.groups.get(user.as_str()).cloned().unwrap_or_default();
    if let AccountAnswer::Users(users) = account(config, AccountCommand::ListUsers)? {
        groups.extend(users.into_iter().filter(|known| known.name == user).flat_map(|known| known.groups));
    }
    Ok(Subject::Known(Identity::new(user, groups)))
}

/// What a user may do or may not, and why.
fn sentence(user: &str, Decision { allowed, rule }: Decision, what: &str) -> String {
    let verb = if allowed { "may" } else { "may not" };
    let why = match rule {
        Some(rule) if allowed => format!("rule {rule} allows it"),
        Some(rule) => format!("rule {rule} denies it"),
        None => "no rule allows it".to_owned(),
    };
    format!("{user} {verb} {what}: {why}.")
}
