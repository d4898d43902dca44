//! `portreeve user` and `portreeve token` on the command line.

use std::io::{BufRead, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;

use clap::Subcommand;
use portreeve::auth::{
    AccountAnswer, AccountCommand, LoginShown, TokenShown, UserName, check_new_password, hash,
};
use portreeve::config::Config;
use portreeve::server;
use secrecy::{ExposeSecret as _, SecretString};

use super::{FAILURE, Failure, MISCONFIGURED};

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum UserCommand {
    /// Add a user; the password is read from the terminal, or from standard input
    Add {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
        /// A group that they are in; may be given again
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Give a user another password, which ends their logins
    Passwd {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
    },
    /// Remove a user, with their tokens and logins
    Remove {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
    },
    /// List the users
    List,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum TokenCommand {
    /// Make an access token; it is shown this once
    Create {
        /// The name by which a robot logs in; of a user's token what it is for
        #[arg(long, value_parser = UserName::parse)]
        name: UserName,
        /// The user whose token it is; without this it is a robot's
        #[arg(long, value_parser = UserName::parse)]
        user: Option<UserName>,
        /// Repositories that it is for, as patterns such as `team/**`
        #[arg(long, required = true, value_delimiter = ',', value_name = "PATTERN")]
        repositories: Vec<String>,
        /// What it is for there: pull, push, delete, or *
        #[arg(long, required = true, value_delimiter = ',', value_name = "ACTION")]
        actions: Vec<String>,
        /// For how long it is good, such as 90d; without this for ever
        #[arg(long, value_parser = humantime::parse_duration, value_name = "TIME")]
        expires: Option<Duration>,
    },
    /// List the access tokens, without their secrets, and the logins that go on
    List,
    /// Revoke an access token, or end a login
    Revoke {
        /// Its identifier, as `list` shows it
        id: String,
    },
}

pub(super) fn user(config: &Config, command: UserCommand) -> Result<(), Failure> {
    match command {
        UserCommand::Add { name, groups } => {
            let hash = read_password(&name)?;
            run(config, AccountCommand::AddUser { name, hash, groups })
        }
        UserCommand::Passwd { name } => {
            let hash = read_password(&name)?;
            run(config, AccountCommand::SetPassword { name, hash, present: None })
        }
        UserCommand::Remove { name } => run(config, AccountCommand::RemoveUser { name }),
        UserCommand::List => run(config, AccountCommand::ListUsers { after: None }),
    }
}

pub(super) fn token(config: &Config, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { name, user, repositories, actions, expires } => {
            let expires_in = expires.map(|time| time.as_secs());
            run(config, AccountCommand::CreateToken { name, user, repositories, actions, expires_in })
        }
        TokenCommand::List => run(config, AccountCommand::ListTokens { after: None }),
        TokenCommand::Revoke { id } => run(config, AccountCommand::RevokeToken { id }),
    }
}

fn run(config: &Config, command: AccountCommand) -> Result<(), Failure> {
    let (mut is_first, mut printed) = (true, Ok(()));
    let carried = server::account(config, command, &mut |answer| {
        printed = print(&answer, is_first);
        is_first = false;
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    carried.map_err(|error| {
        Failure::new(if error.is_misconfiguration() { MISCONFIGURED } else { FAILURE }, &error)
    })?;
    printed.map_err(|error| Failure::new(FAILURE, &format_args!("it cannot be written: {error}")))
}

/// Prints an answer; of a list a part, whether it is the first or not.
fn print(answer: &AccountAnswer, is_first: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match answer {
        AccountAnswer::Done => writeln!(out, "Done."),
        AccountAnswer::Users { users, next: None } if is_first && users.is_empty() => {
            writeln!(out, "The store keeps no users.")
        }
        AccountAnswer::Users { users, .. } => users.iter().try_for_each(|user| {
            let note = if user.is_superseded { "\tSUPERSEDED by auth.htpasswd" } else { "" };
            writeln!(out, "{}\t{}\t{}{note}", user.name, user.created, user.groups.join(","))
        }),
        AccountAnswer::Tokens { access, logins, next: None }
            if is_first && access.is_empty() && logins.is_empty() =>
        {
            writeln!(out, "There are no access tokens and no logins.")
        }
        AccountAnswer::Tokens { access, logins, .. } => {
            access.iter().try_for_each(|token| print_token(&mut out, token))?;
            logins.iter().try_for_each(|LoginShown { id, user, created, last_use, .. }| {
                writeln!(out, "{id}\t{user}\tlogin\tsince {created}\tused {last_use}")
            })
        }
        AccountAnswer::Created { id, name, token, .. } => writeln!(
            out,
            "Token {id}. Log in with the name\n\n    {name}\n\nand this password, which is shown only now:\n\n    {token}\n"
        ),
    }
}

fn print_token(out: &mut impl Write, token: &TokenShown) -> std::io::Result<()> {
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

/// Reads a password, and answers its hash: nothing else leaves this process.
fn read_password(name: &UserName) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::new(FAILURE, &format_args!("the password cannot be read: {error}"));
    let password = if std::io::stdin().is_terminal() {
        let ask =
            |prompt: String| rpassword::prompt_password(prompt).map(SecretString::from).map_err(unreadable);
        let first = ask(format!("Password of {name}: "))?;
        let second = ask("Once more: ".to_owned())?;
        if first.expose_secret() != second.expose_secret() {
            return Err(Failure::new(FAILURE, &"The two differ; nothing was changed."));
        }
        first
    } else {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        line.into()
    };
    let password = password.expose_secret();
    check_new_password(password)
        .map_err(|error| Failure::new(FAILURE, &format_args!("{error}; nothing was changed")))?;
    hash(password).map_err(|error| Failure::new(FAILURE, &error))
}
