//! `portreeve check --as`: what a user or robot may do, and which rule or token decides.

use super::account_command::CommandError;
use super::auth_setup;
use super::known_accounts::KnownAccounts;
use super::preparation::Preparation;
use super::start_error::StartError;
use crate::auth::{DecidedBy, Decision, Identity, Policy, Privilege, Rule, Subject, TokenShown, UserName};
use crate::clock::{Clock, Timestamp};
use crate::config::Config;
use crate::oci::{Actions, RepositoryName};

/// What a user or robot may do to a repository, or at all, by the rules of the configuration and the accounts that there
/// are.
///
/// # Errors
/// When a name is none, the configuration cannot be used, or the store cannot be asked.
pub fn explain(config: &Config, user: &str, repository: Option<&str>) -> Result<String, CommandError> {
    let repository = repository.map(RepositoryName::parse).transpose()?;
    let prepared = Preparation::of(config)?;
    let known = KnownAccounts::of(config, prepared.auth.as_ref())?;
    let policy = match prepared.auth {
        Some(auth) => auth.policy,
        None => auth_setup::policy(config).map_err(StartError::Config)?,
    };
    let mut lines = Vec::new();
    if !config.auth.is_on {
        lines.push("auth.mode is off: everybody may do everything. If it were on:".to_owned());
    }
    let robot = UserName::parse(user).map(|name| known.robot(&name)).unwrap_or_default();
    if robot.is_empty() {
        match (subject(&known, &policy, user, &mut lines)?, &repository) {
            (None, _) => lines.push(format!("{user} may not log in, and so may do nothing.")),
            (Some(subject), Some(repository)) => {
                explain_repository(&policy, &subject, user, repository, &mut lines);
            }
            (Some(subject), None) => explain_all(&policy, &subject, user, &mut lines),
        }
    } else {
        let now = Clock::shifted(config.clock.offset).now();
        for token in robot {
            explain_robot(&policy, token, now, repository.as_ref(), &mut lines);
        }
    }
    Ok(lines.join("\n"))
}

/// The user of this name, with their groups, which are said; as well as that nobody has the name. None if they may not log in.
fn subject(
    known: &KnownAccounts,
    policy: &Policy,
    user: &str,
    lines: &mut Vec<String>,
) -> Result<Option<Subject>, CommandError> {
    if user == "anonymous" {
        return Ok(Some(Subject::Anonymous));
    }
    let name = UserName::parse(user)?;
    if !known.has(&name) {
        lines.push(format!(
            "Nobody has the name {user}: it is neither in auth.htpasswd nor in the store. A user of that name:"
        ));
    }
    if known.disabled.contains(&name) {
        lines.push(format!("{user} is disabled, and may do nothing. Enabled:"));
    }
    // The file is asked before the store, and has no groups.
    let stored = known.in_store.iter().find(|stored| stored.name == name && !known.in_file.contains(&name));
    if stored.is_some_and(|stored| stored.is_superseded) {
        return Ok(None);
    }
    let groups = stored.map(|stored| stored.groups.clone()).unwrap_or_default();
    let identity = policy.with_groups(Identity::new(name, groups));
    if !identity.groups.is_empty() {
        lines.push(format!("{user} is in {}.", identity.groups.join(", ")));
    }
    Ok(Some(Subject::Known(identity)))
}

fn explain_repository(
    policy: &Policy,
    subject: &Subject,
    user: &str,
    repository: &RepositoryName,
    lines: &mut Vec<String>,
) {
    for (action, decision) in policy.rules.decisions(subject, repository) {
        lines.push(sentence(user, decision, &format!("{} {repository}", action.as_str()), None));
    }
    explain_privileges(policy, subject, user, lines);
}

/// Every rule that applies, in the order in which they stand.
fn explain_all(policy: &Policy, subject: &Subject, user: &str, lines: &mut Vec<String>) {
    let on_repositories = policy.rules.applying(subject).filter(|(_, rule)| rule.actions != Actions::NONE);
    let before = lines.len();
    for (number, Rule { actions, repositories, deny, .. }) in on_repositories {
        let verb = if *deny { "may not" } else { "may" };
        lines.push(format!("{user} {verb} {actions} {}: rule {number}.", repositories.join(", ")));
    }
    if lines.len() == before {
        lines.push(format!("{user} may do nothing to any repository: no rule applies."));
    }
    explain_privileges(policy, subject, user, lines);
}

fn explain_privileges(policy: &Policy, subject: &Subject, user: &str, lines: &mut Vec<String>) {
    for (privilege, what) in
        [(Privilege::Catalog, "list all repositories"), (Privilege::Admin, "administer the door")]
    {
        lines.push(sentence(user, policy.rules.decision_about(subject, privilege), what, None));
    }
}

/// What a robot may do by one of its tokens: what the token says, unless a rule denies it.
fn explain_robot(
    policy: &Policy,
    token: &TokenShown,
    now: Timestamp,
    repository: Option<&RepositoryName>,
    lines: &mut Vec<String>,
) {
    let TokenShown { id, name, expires, .. } = token;
    if let Some(expires) = expires.filter(|expires| *expires <= now) {
        lines.push(format!(
            "The token {id} of the robot {name} expired at {expires}: it may do nothing any more."
        ));
        return;
    }
    let (allowed, patterns) = (token.actions.join(", "), token.repositories.join(", "));
    lines.push(format!("{name} is a robot. Its token {id} is for {allowed} of {patterns}."));
    let bearer = Identity { limits: Some(token.limits(true)), ..Identity::new(name.clone(), Vec::new()) };
    let subject = Subject::Known(policy.with_groups(bearer));
    let Some(repository) = repository else {
        for (number, Rule { actions, repositories, .. }) in
            policy.rules.applying(&subject).filter(|(_, rule)| rule.deny)
        {
            lines.push(format!("{name} may not {actions} {}: rule {number}.", repositories.join(", ")));
        }
        return;
    };
    for (action, decision) in policy.rules.decisions(&subject, repository) {
        let what = format!("{} {repository}", action.as_str());
        lines.push(sentence(name.as_str(), decision, &what, Some(id)));
    }
}

/// What somebody may do or may not, and why.
fn sentence(who: &str, Decision { allowed, by }: Decision, what: &str, token: Option<&str>) -> String {
    let token = token.map_or_else(|| "the access token".to_owned(), |id| format!("token {id}"));
    let verb = if allowed { "may" } else { "may not" };
    let why = match by {
        DecidedBy::Rule(rule) if allowed => format!("rule {rule} allows it"),
        DecidedBy::Rule(rule) => format!("rule {rule} denies it"),
        DecidedBy::AccessToken if allowed => format!("{token} allows it"),
        DecidedBy::AccessToken => format!("{token} does not allow it"),
        DecidedBy::NoRule => "no rule allows it".to_owned(),
    };
    format!("{who} {verb} {what}: {why}.")
}
