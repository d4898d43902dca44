//! `portreeve user` and `portreeve token` on the command line.

use std::io::{self, BufRead, BufWriter, IsTerminal, StdoutLock, Write};
use std::ops::ControlFlow;

use clap::{Args, Subcommand};
use portreeve::auth::{AccountAnswer, AccountCommand, LoginLife, UserName, check_new_password, hash};
use portreeve::clock::Clock;
use portreeve::config::Config;
use portreeve::server::{self, CommandError};
use secrecy::{ExposeSecret as _, SecretString};

use super::account_output::{self, Form};
use super::expiry::Expiry;
use super::record::{Output, OutputArguments};
use super::{FAILURE, Failure, MISCONFIGURED};

/// How much a command answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub(super) struct FormArguments {
    #[command(flatten)]
    output: OutputArguments,
    /// Nothing but what another program needs: the names, or the secret
    #[arg(long, short, conflicts_with = "output")]
    quiet: bool,
}

impl FormArguments {
    const fn form(self) -> Form {
        Form::of(self.quiet, self.output.output)
    }
}

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
    /// Let a user in no more, wherever they are known from; their logins end
    Disable {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
    },
    /// Let a user in again who was disabled
    Enable {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
    },
    /// Show the groups of a user, or set those that the store keeps
    Groups {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
        /// The groups that they are in from now on, beside those of the configuration
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
        /// Take them out of all groups
        #[arg(long, conflicts_with_all = ["groups", "output"])]
        none: bool,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Let a user log in at once again who is locked after failed logins at the running door
    Unlock {
        /// The name
        #[arg(value_parser = UserName::parse)]
        name: UserName,
    },
    /// List the users, with where they are known from, their groups, and who is disabled or locked
    List {
        #[command(flatten)]
        form: FormArguments,
    },
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
        /// For how long it is good, such as 90d, or the last day, such as 2027-01-31 (UTC); without this for ever
        #[arg(long, value_parser = Expiry::parse, value_name = "TIME|DATE")]
        expires: Option<Expiry>,
        #[command(flatten)]
        form: FormArguments,
    },
    /// List the access tokens, without their secrets, and the logins that go on
    List {
        #[command(flatten)]
        output: OutputArguments,
    },
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
        UserCommand::Disable { name } => run(config, AccountCommand::DisableUser { name }),
        UserCommand::Enable { name } => run(config, AccountCommand::EnableUser { name }),
        UserCommand::Groups { name, groups, none, output } if groups.is_empty() && !none => {
            let user = server::listed_user(config, &name).map_err(failure)?;
            write_all(|out| account_output::groups(out, &user, output.output))
        }
        UserCommand::Groups { name, groups, .. } => run(config, AccountCommand::SetGroups { name, groups }),
        UserCommand::Unlock { name } => {
            server::unlock(config, &name).map_err(|error| Failure::new(FAILURE, &error))?;
            written(writeln!(io::stdout(), "Done."))
        }
        UserCommand::List { form } => {
            let users = server::listed_users(config).map_err(failure)?;
            write_all(|out| account_output::users(out, &users, form.form()))
        }
    }
}

pub(super) fn token(config: &Config, command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create { name, user, repositories, actions, expires, form } => {
            let now = Clock::shifted(config.clock.offset).now();
            let is_over = || Failure::new(FAILURE, &"--expires names a day that is over; no token was made");
            let expires_in =
                expires.map(|expires| expires.seconds_from(now).ok_or_else(is_over)).transpose()?;
            let command = AccountCommand::CreateToken { name, user, repositories, actions, expires_in };
            create(config, command, form.form())
        }
        TokenCommand::List { output } => list_tokens(config, output.output),
        TokenCommand::Revoke { id } => run(config, AccountCommand::RevokeToken { id }),
    }
}

/// Carries out a command, and says so.
fn run(config: &Config, command: AccountCommand) -> Result<(), Failure> {
    server::account(config, command, &mut |_| ControlFlow::Continue(())).map_err(failure)?;
    written(writeln!(io::stdout(), "Done."))
}

fn create(config: &Config, command: AccountCommand, form: Form) -> Result<(), Failure> {
    let mut made = Ok(());
    let mut tell = |answer| {
        made = account_output::created(&mut io::stdout().lock(), &answer, form);
        ControlFlow::Continue(())
    };
    server::account(config, command, &mut tell).map_err(failure)?;
    written(made)
}

fn list_tokens(config: &Config, output: Output) -> Result<(), Failure> {
    let (mut access, mut logins) = (Vec::new(), Vec::new());
    let mut gather = |answer| {
        if let AccountAnswer::Tokens { access: more, logins: others, next: _ } = answer {
            access.extend(more);
            logins.extend(others);
        }
        ControlFlow::Continue(())
    };
    server::account(config, AccountCommand::ListTokens { after: None }, &mut gather).map_err(failure)?;
    let life = LoginLife { idle: config.auth.refresh_idle, lifetime: config.auth.refresh_lifetime };
    write_all(|out| account_output::tokens(out, &access, &logins, output, life))
}

/// Writes an answer that may be long. A reader who has seen enough is no error.
fn write_all(write: impl FnOnce(&mut BufWriter<StdoutLock<'_>>) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => written(result),
    }
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    result.map_err(|error| Failure::new(FAILURE, &format_args!("it cannot be written: {error}")))
}

fn failure(error: CommandError) -> Failure {
    Failure::new(if error.is_misconfiguration() { MISCONFIGURED } else { FAILURE }, &error)
}

/// Reads a password, and answers its hash: nothing else leaves this process.
fn read_password(name: &UserName) -> Result<String, Failure> {
    let unreadable =
        |error: io::Error| Failure::new(FAILURE, &format_args!("the password cannot be read: {error}"));
    let password = if io::stdin().is_terminal() {
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
        io::stdin().lock().read_line(&mut line).map_err(unreadable)?;
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        line.into()
    };
    let password = password.expose_secret();
    check_new_password(password)
        .map_err(|error| Failure::new(FAILURE, &format_args!("{error}; nothing was changed")))?;
    hash(password).map_err(|error| Failure::new(FAILURE, &error))
}
