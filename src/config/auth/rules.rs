//! Groups and `[[auth.rules]]`.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::config::error::Origin;
use crate::config::settings::{Given, Settings, kind};
use crate::suggestion;

/// What a rule may name as an action, besides `*`.
const ACTIONS: [&str; 5] = ["pull", "push", "delete", "catalog", "admin"];

/// One of `[[auth.rules]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthRule {
    /// For whom; at least one.
    pub who: Vec<Principal>,
    /// Patterns of repository names.
    pub repositories: Vec<String>,
    /// `pull`
    pub pull: bool,
    /// `push`
    pub push: bool,
    /// `delete`
    pub delete: bool,
    /// `catalog`
    pub catalog: bool,
    /// `admin`
    pub admin: bool,
    /// Whether it forbids.
    pub deny: bool,
}

/// For whom a rule is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user.
    User(String),
    /// `group:NAME`
    Group(String),
    /// `anonymous`: every client, with credentials or without.
    Anonymous,
    /// `*`: every user who has logged in.
    Everybody,
}

/// What stands for a value of TOML: itself, or text from the environment that reads as one.
pub(super) fn structured(given: &Given, remedy: &str) -> Result<Value, String> {
    match (&given.value, &given.origin) {
        (Value::String(text), Origin::Variable(_)) => {
            let document: Table = format!("value = {text}")
                .parse()
                .map_err(|_| format!("is no TOML value on one line; {remedy}"))?;
            document.get("value").cloned().ok_or_else(|| format!("is no TOML value; {remedy}"))
        }
        (value, _) => Ok(value.clone()),
    }
}

pub(super) fn groups(given: &Given) -> Result<BTreeMap<String, Vec<String>>, String> {
    let remedy = "write a list of user names for each group, such as `ci = [\"alice\", \"bob\"]`";
    let table = match structured(given, remedy)? {
        Value::Table(table) => table,
        other => return Err(format!("is {}; {remedy}", kind(&other))),
    };
    let mut groups = BTreeMap::new();
    for (group, users) in table {
        let users =
            texts(&users).ok_or_else(|| format!("has no list of names for the group `{group}`; {remedy}"))?;
        groups.insert(group, users);
    }
    Ok(groups)
}

/// A string, or an array of strings.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(array) => array.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// Reads the rules. Each that is wrong is reported at its own place.
pub(super) fn rules(settings: &mut Settings) -> Vec<AuthRule> {
    const REMEDY: &str = "write `[[auth.rules]]` with `who`, `repositories` and `actions`";
    let read = |given: &Given| match structured(given, REMEDY)? {
        Value::Array(array) if array.iter().all(Value::is_table) => Ok(array),
        Value::Array(_) => Err(format!("has something else than tables in it; {REMEDY}")),
        other => Err(format!("is {}; {REMEDY}", kind(&other))),
    };
    let array = settings.read("auth.rules", read).unwrap_or_default();
    let mut rules = Vec::with_capacity(array.len());
    for (index, table) in array.iter().filter_map(Value::as_table).enumerate() {
        match rule(table) {
            Ok(rule) => rules.push(rule),
            Err(wrong) => {
                let origin = settings.places.of(&format!("auth.rules[{index}]"));
                settings.complain(origin, format!("`auth.rules`, rule {}: {wrong}", index + 1));
            }
        }
    }
    rules
}

fn rule(table: &Table) -> Result<AuthRule, String> {
    const KNOWN: [&str; 4] = ["who", "repositories", "actions", "deny"];
    if let Some(unknown) = table.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("`{unknown}` is none of `who`, `repositories`, `actions` and `deny`"));
    }
    let list = |key: &str| match table.get(key) {
        None => Ok(Vec::new()),
        Some(value) => {
            texts(value).ok_or_else(|| format!("`{key}` is neither a string nor a list of strings"))
        }
    };
    let mut rule = AuthRule { repositories: list("repositories")?, ..AuthRule::default() };
    rule.who = list("who")?.iter().map(|who| principal(who)).collect::<Result<_, _>>()?;
    if rule.who.is_empty() {
        return Err("`who` is missing; write a user name, \"group:NAME\", \"anonymous\" or \"*\"".to_owned());
    }
    for action in list("actions")? {
        add_action(&mut rule, &action)?;
    }
    let on_repositories = rule.pull || rule.push || rule.delete;
    if !on_repositories && !rule.catalog && !rule.admin {
        return Err(
            "`actions` is missing; write \"pull\", \"push\", \"delete\", \"*\", \"catalog\" or \"admin\""
                .to_owned(),
        );
    }
    if on_repositories && rule.repositories.is_empty() {
        return Err("`repositories` is missing; write patterns of names, such as \"team/**\"".to_owned());
    }
    rule.deny = match table.get("deny") {
        None => false,
        Some(Value::Boolean(deny)) => *deny,
        Some(other) => return Err(format!("`deny` is {}; write `true` or `false`", kind(other))),
    };
    check_anonymous(&rule)?;
    Ok(rule)
}

/// Adds an action by its name.
fn add_action(rule: &mut AuthRule, action: &str) -> Result<(), String> {
    match action {
        "pull" => rule.pull = true,
        "push" => rule.push = true,
        "delete" => rule.delete = true,
        "catalog" => rule.catalog = true,
        "admin" => rule.admin = true,
        "*" => (rule.pull, rule.push, rule.delete) = (true, true, true),
        other => {
            let remedy = suggestion::nearest(other, ACTIONS)
                .map_or_else(String::new, |action| format!("; did you mean {action:?}?"));
            return Err(format!(
                "`actions` has {other:?}, which is none of \"pull\", \"push\", \"delete\", \"*\", \"catalog\" and \
                 \"admin\"{remedy}"
            ));
        }
    }
    Ok(())
}

/// Only users who have logged in can administer the door.
fn check_anonymous(rule: &AuthRule) -> Result<(), String> {
    if rule.admin && !rule.deny && rule.who.contains(&Principal::Anonymous) {
        return Err(
            "`who` has \"anonymous\", and `actions` has \"admin\", which is for somebody who has logged in; \
                    write a user name, \"group:NAME\" or \"*\""
                .to_owned(),
        );
    }
    Ok(())
}

fn principal(who: &str) -> Result<Principal, String> {
    match who.strip_prefix("group:") {
        Some("") => Err("`who` names a group without a name".to_owned()),
        Some(group) => Ok(Principal::Group(group.to_owned())),
        None => match who {
            "*" => Ok(Principal::Everybody),
            "anonymous" => Ok(Principal::Anonymous),
            user if user.is_empty() || user.contains(':') || user.contains(char::is_whitespace) => Err(
                format!("`who` has {user:?}, which is no user name, \"group:NAME\", \"anonymous\" or \"*\""),
            ),
            user => Ok(Principal::User(user.to_owned())),
        },
    }
}
