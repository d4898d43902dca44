//! What a configuration names, as `portreeve check` finds it, and what it says that its author can hardly mean.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use super::report::{Mark, Report, capitalized};
use crate::auth::UserName;
use crate::clock::Timestamp;
use crate::config::{AuthRule, Config, Principal, SECRETS, UserSource};
use crate::door::Certificates;
use crate::server::known_accounts::KnownAccounts;
use crate::server::preparation::{Listeners, Preparation};
use crate::server::socket;
use crate::server::start_error::StartError;

/// The permission of users who are neither the file's owner nor in its group to read it.
const READ_BY_OTHERS: u32 = 0o004;

/// Reads what the configuration names, as `serve` does. Nothing if it cannot be used, which is reported.
pub(super) fn check_preparation(config: &Config, report: &mut Report) -> Option<Preparation> {
    match Preparation::of(config) {
        Ok(prepared) => {
            report.note(true, "The configuration is valid.");
            if let Some(certificates) = &prepared.certificates {
                check_certificate(certificates, report);
            }
            Some(prepared)
        }
        Err(error) => {
            report.refuse(&error);
            None
        }
    }
}

/// Binds the ports for a moment, and looks at where the socket is to be. A door that runs has them already.
pub(super) fn check_listeners(config: &Config, door_runs: bool, report: &mut Report) {
    let listen = &config.listen;
    match Listeners::bind(config) {
        Ok(_) => {
            report.note(true, format!("The ports can be bound: {} and {}.", listen.door, listen.admin));
        }
        Err(unbound) => {
            for port in unbound {
                if door_runs && port.is_in_use() {
                    report.note(true, format!("{} is in use while a door runs.", port.address()));
                } else {
                    report.misconfigured(port.problem(config).to_string());
                }
            }
        }
    }
    if let Err(error) = socket::check(config) {
        report.refuse(&error);
    }
}

fn check_certificate(certificates: &Certificates, report: &mut Report) {
    let details = certificates.details();
    match details.warning(Timestamp::now()) {
        Some(warning) => report.note(Mark::Warning, format!("{}.", capitalized(&warning))),
        None => report.note(true, format!("The TLS certificate {details}.")),
    }
}

/// Warns about what is allowed and surely not meant. What takes the accounts is left out where they are not known.
pub(super) fn check_intentions(config: &Config, known: Option<&KnownAccounts>, report: &mut Report) {
    check_secrets(config, report);
    if config.store.keys_secret.is_some() && config.auth.keys.is_some() {
        warn(
            report,
            config,
            "store.keys_secret",
            "`store.keys_secret` counts for nothing, since `auth.keys` names a directory, whose files are not encrypted",
        );
    }
    if !config.auth.is_on {
        if !config.auth.rules.is_empty() {
            warn(
                report,
                config,
                "auth.rules",
                "auth.mode is \"off\", so that `auth.rules` counts for nothing; set it to \"on\"",
            );
        }
        return;
    }
    if config.auth.rules.is_empty() {
        warn(
            report,
            config,
            "auth.mode",
            "`auth.mode` is \"on\" and there are no rules: no client may do anything; write [[auth.rules]]",
        );
    } else if !config.auth.rules.iter().any(|rule| rule.admin && !rule.deny) {
        let sentence = "no rule gives the action \"admin\": no user sees the door's status and audit, or starts a sweep, by the \
                        API; commands and metrics do without";
        warn(report, config, "auth.rules", sentence);
    }
    if let Some(known) = known {
        check_users(config, known, report);
        check_groups(config, known, report);
    }
}

fn check_users(config: &Config, known: &KnownAccounts, report: &mut Report) {
    let has_stored = config.auth.sources.contains(&UserSource::Store) && !known.in_store.is_empty();
    if known.in_file.is_empty() && !has_stored && known.tokens.is_empty() {
        let sentence = "`auth.mode` is \"on\" and there are no users: nobody can log in; add one with `portreeve user add`, or \
                        name a file in auth.htpasswd";
        warn(report, config, "auth.mode", sentence);
    }
    let stored = known.in_store.iter().map(|user| &user.name);
    let twice: Vec<&str> = stored.filter(|name| known.in_file.contains(name)).map(UserName::as_str).collect();
    if !twice.is_empty() {
        let sentence = format!(
            "`auth.htpasswd` and the store both have {}: the one that `auth.sources` names first counts; remove one of them",
            twice.join(", ")
        );
        warn(report, config, "auth.htpasswd", sentence);
    }
}

/// Groups that a rule names and nobody is in.
fn check_groups(config: &Config, known: &KnownAccounts, report: &mut Report) {
    let stored = known.in_store.iter().flat_map(|user| &user.groups);
    let known: BTreeSet<&String> = config.auth.groups.keys().chain(stored).collect();
    for (index, rule) in config.auth.rules.iter().enumerate() {
        for group in groups(rule).filter(|group| !known.contains(group)) {
            let sentence = format!(
                "`auth.rules`, rule {}: nobody is in the group {group:?}; name its users in [auth.groups], or give it to users of \
                 the store",
                index + 1
            );
            warn(report, config, &format!("auth.rules[{index}]"), sentence);
        }
    }
}

fn groups(rule: &AuthRule) -> impl Iterator<Item = &String> {
    rule.who.iter().filter_map(|who| match who {
        Principal::Group(group) => Some(group),
        Principal::User(_) | Principal::Anonymous | Principal::Everybody => None,
    })
}

/// A file with secrets that every user of the machine can read.
fn check_secrets(config: &Config, report: &mut Report) {
    let Some(file) = config.file() else { return };
    let is_written_here = |key: &&&str| config.is_in_file(key) && !config.is_in_file(&format!("{key}_file"));
    let Some(secret) = SECRETS.iter().find(is_written_here) else { return };
    let is_open = std::fs::metadata(file).is_ok_and(|data| data.permissions().mode() & READ_BY_OTHERS != 0);
    if is_open {
        let sentence = format!(
            "`{secret}` is a secret, and every user of this machine can read the file; `chmod o= {}`",
            file.display()
        );
        warn(report, config, secret, sentence);
    }
}

fn warn(report: &mut Report, config: &Config, path: &str, sentence: impl Into<String>) {
    report.note(Mark::Warning, format!("{}.", config.problem(path, sentence)));
}

impl Report {
    /// Adds why the door does not start, in the words in which `serve` says it.
    pub(super) fn refuse(&mut self, error: &StartError) {
        let is_misconfiguration = error.is_misconfiguration();
        for sentence in error.to_string().lines() {
            if is_misconfiguration {
                self.misconfigured(sentence);
            } else {
                self.note(false, format!("{sentence}."));
            }
        }
    }
}
