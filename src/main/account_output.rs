//! How `portreeve user` and `portreeve token` answer: for readers, or as the API answers.

use std::io::{self, Write};

use portreeve::auth::{AccountAnswer, LoginLife, LoginShown, TokenShown};
use portreeve::server::{ListedSource, ListedUser};
use serde_json::{Value, json};

use super::record::Output;

/// Writes users: their names alone, in lines, or as the API tells them.
pub(super) fn users(out: &mut impl Write, users: &[ListedUser], form: Form) -> io::Result<()> {
    match form {
        Form::Quiet => users.iter().try_for_each(|user| writeln!(out, "{}", user.name)),
        Form::As(Output::Table) if users.is_empty() => writeln!(out, "There are no users."),
        Form::As(Output::Table) => users.iter().try_for_each(|user| line_of_user(out, user)),
        Form::As(Output::Json) => array(out, users.iter().map(|user| json!(user))),
    }
}

/// In which form a command answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// What other programs are given alone.
    Quiet,
    /// All of it.
    As(Output),
}

impl Form {
    pub(super) const fn of(quiet: bool, output: Output) -> Self {
        if quiet { Self::Quiet } else { Self::As(output) }
    }
}

fn line_of_user(out: &mut impl Write, user: &ListedUser) -> io::Result<()> {
    let sources: Vec<&str> = user.sources.iter().map(|source| source.in_words()).collect();
    write!(out, "{}\t{}\t{}", user.name, sources.join(", "), user.groups.join(","))?;
    write!(out, "\t{}", user.created.map(|time| format!("since {time}")).unwrap_or_default())?;
    if let Some(time) = user.disabled_since {
        write!(out, "\tDISABLED {time}")?;
    }
    if user.locked {
        write!(out, "\tLOCKED")?;
    }
    if user.superseded {
        write!(out, "\tSUPERSEDED by auth.htpasswd")?;
    }
    if user.sources == [ListedSource::Configuration] {
        write!(out, "\tcannot log in")?;
    }
    writeln!(out)
}

/// Writes the groups of a user, with where each stands.
pub(super) fn groups(out: &mut impl Write, user: &ListedUser, output: Output) -> io::Result<()> {
    let is_stored = |group: &String| user.stored_groups.contains(group);
    match output {
        Output::Json => writeln!(out, "{:#}", json!(user)),
        Output::Table if user.groups.is_empty() => writeln!(out, "{} is in no group.", user.name),
        Output::Table => user.groups.iter().try_for_each(|group| {
            writeln!(out, "{group}\t{}", if is_stored(group) { "the store" } else { "auth.groups" })
        }),
    }
}

/// Writes an access token that was made: itself alone, in words, or as the API tells it.
pub(super) fn created(out: &mut impl Write, answer: &AccountAnswer, form: Form) -> io::Result<()> {
    let AccountAnswer::Created { id, name, token, expires } = answer else { return Ok(()) };
    match form {
        Form::Quiet => writeln!(out, "{token}"),
        Form::As(Output::Json) => {
            writeln!(out, "{:#}", json!({ "id": id, "name": name, "token": token, "expires": expires }))
        }
        Form::As(Output::Table) => writeln!(
            out,
            "Token {id}. Log in with the name\n\n    {name}\n\nand this password, which is shown only now:\n\n    {token}\n"
        ),
    }
}

/// Writes access tokens and logins, in lines or as the API tells them.
pub(super) fn tokens(
    out: &mut impl Write,
    access: &[TokenShown],
    logins: &[LoginShown],
    output: Output,
    life: LoginLife,
) -> io::Result<()> {
    match output {
        Output::Table if access.is_empty() && logins.is_empty() => {
            writeln!(out, "There are no access tokens and no logins.")
        }
        Output::Table => {
            access.iter().try_for_each(|token| line_of_token(out, token))?;
            logins.iter().try_for_each(|LoginShown { id, user, created, last_use, .. }| {
                writeln!(out, "{id}\t{user}\tlogin\tsince {created}\tused {last_use}")
            })
        }
        Output::Json => {
            let of_login = |login: &LoginShown| json_of_login(login, life);
            array(out, access.iter().map(json_of_token).chain(logins.iter().map(of_login)))
        }
    }
}

fn line_of_token(out: &mut impl Write, token: &TokenShown) -> io::Result<()> {
    let until = match token.expires {
        None => "for ever".to_owned(),
        Some(time) if token.is_expired => format!("EXPIRED {time}"),
        Some(time) => format!("until {time}"),
    };
    let used = token.last_use.map_or("never used".to_owned(), |time| format!("used {time}"));
    let TokenShown { id, name, label, .. } = token;
    let (repositories, actions) = (token.repositories.join(","), token.actions.join(","));
    writeln!(out, "{id}\t{name}\t{label}\t{repositories}\t{actions}\t{until}\t{used}")
}

fn json_of_token(token: &TokenShown) -> Value {
    json!({
        "id": token.id,
        "kind": if token.is_robots { "robot" } else { "user" },
        "name": token.name,
        "label": token.label,
        "repositories": token.repositories,
        "actions": token.actions,
        "created": token.created,
        "expires": token.expires,
        "expired": token.is_expired,
        "last_use": token.last_use,
    })
}

fn json_of_login(login: &LoginShown, life: LoginLife) -> Value {
    let expires = life.end_of(login);
    json!({
        "id": login.id,
        "kind": "login",
        "name": login.user,
        "label": null,
        "repositories": null,
        "actions": null,
        "created": login.created,
        "expires": expires,
        "expired": portreeve::clock::Timestamp::now() >= expires,
        "last_use": login.last_use,
    })
}

/// A list, an item on each line.
fn array(out: &mut impl Write, items: impl Iterator<Item = Value>) -> io::Result<()> {
    out.write_all(b"[")?;
    for (number, item) in items.enumerate() {
        write!(out, "{}{item}", if number == 0 { "\n" } else { ",\n" })?;
    }
    out.write_all(b"\n]\n")
}
