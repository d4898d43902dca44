//! The command line: reads the configuration, calls the library, and turns its answer into words and an exit code.

#[path = "main/account_output.rs"]
mod account_output;
#[path = "main/accounts.rs"]
mod accounts;
#[path = "main/deletion.rs"]
mod deletion;
#[path = "main/expiry.rs"]
mod expiry;
#[path = "main/record.rs"]
mod record;
#[path = "main/store.rs"]
mod store;

use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use accounts::{TokenCommand, UserCommand};
use clap::{Parser, Subcommand};
use portreeve::config::Config;
use portreeve::oci::{Digest, RepositoryName};
use portreeve::server::{self, ConfigSource, WantedSweep};
use portreeve::telemetry::logging;
use record::{EventArguments, Named, OutputArguments};
use store::StoreCommand;

/// A request makes and drops dozens of small pieces; glibc's allocator spends a seventh of the door's time on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// It could not be done.
const FAILURE: u8 = 1;
/// The operator has to change something first: a key, a file, a port.
const MISCONFIGURED: u8 = 2;

/// A front door for container registries that keeps an exact, durable record of what the registry holds.
#[derive(Debug, Parser)]
#[command(name = "portreeve", version)]
struct Arguments {
    /// The configuration file [default: ./portreeve.toml, else /etc/portreeve/portreeve.toml, as far as they are there]
    #[arg(long, global = true, value_name = "FILE", env = "PORTREEVE_CONFIG")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Subcommand)]
enum Command {
    /// Run the door (also what happens without a command)
    #[default]
    Serve,
    /// Read and check the configuration, try the registry and the store, say what is wrong
    Check {
        /// Say what this user or robot may do, or `anonymous`, and which rule decides
        #[arg(long = "as", value_name = "USER")]
        user: Option<String>,
        /// The repository that it is asked of
        #[arg(long, value_name = "NAME", requires = "user")]
        repository: Option<String>,
    },
    /// Sweep once now: compare the registry with the record, mend what differs, and say what did
    Sync {
        /// Also ask for the digest of every tag, and about every recorded manifest
        #[arg(long)]
        deep: bool,
        /// Remove what is held to be missing, if the registry still denies it
        #[arg(long)]
        accept_removals: bool,
    },
    /// List the recorded repositories
    Repositories {
        /// Those only whose name contains this
        #[arg(value_name = "TEXT")]
        containing: Option<String>,
        /// What the repositories hold together whose names have the same first part
        #[arg(long)]
        by_namespace: bool,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// List the recorded tags of a repository
    Tags {
        /// The repository
        #[arg(value_parser = RepositoryName::parse)]
        repository: RepositoryName,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Show a recorded manifest: its layers or parts, and what refers to it
    Show {
        /// REPOSITORY:TAG or REPOSITORY@DIGEST
        #[arg(value_parser = Named::parse, value_name = "MANIFEST")]
        named: Named,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// List what happened in a repository, or to one of its tags
    History {
        /// REPOSITORY or REPOSITORY:TAG
        #[arg(value_parser = Named::parse, value_name = "REPOSITORY")]
        named: Named,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Look for repositories and tags by a part of their names, a digest, an annotation or a label
    Search {
        /// What is looked for
        text: String,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Tell how much there is, and what happened on each day
    Stats {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// List the last events of all repositories, and follow what happens
    Events {
        #[command(flatten)]
        wanted: EventArguments,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Delete tags alone, manifests with their tags, or all that repositories have
    Delete {
        /// REPOSITORY:TAG, REPOSITORY@DIGEST or REPOSITORY
        #[arg(value_parser = Named::parse, value_name = "NAME", required = true)]
        named: Vec<Named>,
        /// Without a question
        #[arg(long)]
        yes: bool,
    },
    /// Put back a tag, or a manifest with the tags that went with it, while the registry has its blobs
    Undelete {
        /// REPOSITORY:TAG or REPOSITORY@DIGEST
        #[arg(value_parser = Named::parse, value_name = "NAME")]
        named: Named,
        /// The manifest that the tag is to point to, if not the last one
        #[arg(long, value_parser = Digest::parse)]
        digest: Option<Digest>,
    },
    /// The keys that tokens are signed with
    #[command(subcommand)]
    Key(KeyCommand),
    /// The record as a whole
    #[command(subcommand)]
    Store(StoreCommand),
    /// The users that the store keeps
    #[command(subcommand)]
    User(UserCommand),
    /// Access tokens of users and robots
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum KeyCommand {
    /// Make the key that is to sign next, so that a registry that verifies tokens can learn of it before
    Prepare,
    /// Let the prepared key, or a new one, sign from now on; the old one is good until its tokens are gone
    Rotate {
        /// Also with a registry that verifies tokens and has never heard of the new key
        #[arg(long)]
        force: bool,
    },
    /// Print the public keys as a JSON Web Key Set
    Show {
        /// Print the certificates instead, for the `rootcertbundle` of a registry that verifies tokens
        #[arg(long)]
        certificate: bool,
    },
}

/// Why the command did not succeed.
struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    fn new(code: u8, error: &dyn Display) -> Self {
        Self { code, message: error.to_string() }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            // If this cannot be written, there is no other place to write it to.
            let _ = writeln!(std::io::stderr(), "{message}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let source = ConfigSource::find(arguments.config.clone());
    let config = source.load().map_err(|error| Failure::new(MISCONFIGURED, &error))?;
    match arguments.command.clone().unwrap_or_default() {
        Command::Serve => serve(config, source),
        Command::User(command) => accounts::user(&config, command),
        Command::Token(command) => accounts::token(&config, command),
        Command::Key(command) => key(&config, command),
        Command::Store(command) => store::store(&config, command),
        Command::Repositories { containing, by_namespace, output } => {
            record::show_repositories(&config, containing, by_namespace, output.output)
        }
        Command::Tags { repository, output } => record::show_tags(&config, repository, output.output),
        Command::Show { named, output } => record::show_manifest(&config, named, output.output),
        Command::History { named, output } => record::show_history(&config, named, output.output),
        Command::Search { text, output } => record::search(&config, text, output.output),
        Command::Stats { output } => record::show_statistics(&config, output.output),
        Command::Events { wanted, output } => record::show_events(&config, wanted, output.output),
        Command::Delete { named, yes } => deletion::delete(&config, named, yes),
        Command::Undelete { named, digest } => deletion::undelete(&config, named, digest),
        Command::Check { user: Some(user), repository } => explain(&config, &user, repository.as_deref()),
        Command::Check { .. } => check(&config),
        Command::Sync { deep, accept_removals } => sync(&config, WantedSweep { deep, accept_removals }),
    }
}

fn key(config: &Config, command: KeyCommand) -> Result<(), Failure> {
    let text = match command {
        KeyCommand::Prepare => server::prepare_key(config),
        KeyCommand::Rotate { force } => server::rotate_key(config, force),
        KeyCommand::Show { certificate } => server::show_key(config, certificate),
    };
    let text = text.map_err(|error| Failure::new(MISCONFIGURED, &error))?;
    writeln!(std::io::stdout(), "{text}")
        .map_err(|error| Failure::new(FAILURE, &format_args!("it cannot be written: {error}")))
}

fn serve(config: Config, source: ConfigSource) -> Result<(), Failure> {
    // A huge page stays resident for the smallest piece in it. Where this is refused the door takes more memory, and does
    // the same.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    // Its lines are written out when it goes, before anything is said about a failure.
    let _log = logging::install(server::log_settings(&config))
        .map_err(|error| Failure::new(MISCONFIGURED, &error))?;
    server::run(config, source).map_err(|error| {
        let code = if error.is_misconfiguration() { MISCONFIGURED } else { FAILURE };
        Failure::new(code, &error)
    })
}

fn explain(config: &Config, user: &str, repository: Option<&str>) -> Result<(), Failure> {
    let text = server::explain(config, user, repository).map_err(|error| {
        Failure::new(if error.is_misconfiguration() { MISCONFIGURED } else { FAILURE }, &error)
    })?;
    writeln!(std::io::stdout(), "{text}")
        .map_err(|error| Failure::new(FAILURE, &format_args!("it cannot be written: {error}")))
}

fn check(config: &Config) -> Result<(), Failure> {
    logging::check_environment().map_err(|error| Failure::new(MISCONFIGURED, &error))?;
    let report = server::check(config);
    writeln!(std::io::stdout(), "The configuration was read from {}.\n{report}", config.read_from())
        .map_err(|error| Failure::new(FAILURE, &format_args!("the report cannot be written: {error}")))?;
    let code = if report.is_misconfigured() { MISCONFIGURED } else { FAILURE };
    if report.is_good() { Ok(()) } else { Err(Failure::new(code, &"Not everything is as it should be.")) }
}

fn sync(config: &Config, wanted: WantedSweep) -> Result<(), Failure> {
    let in_step = server::sync(config, wanted, &mut std::io::stdout()).map_err(|error| {
        let misconfigured = matches!(&error, server::SyncError::Start(error) if error.is_misconfiguration());
        Failure::new(if misconfigured { MISCONFIGURED } else { FAILURE }, &error)
    })?;
    if in_step { Ok(()) } else { Err(Failure::new(FAILURE, &"Record and registry are not in step.")) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_command_the_door_runs() {
        let arguments = Arguments::parse_from(["portreeve"]);
        assert_eq!(arguments.command.unwrap_or_default(), Command::Serve);
        assert_eq!(arguments.config, None);
    }

    #[test]
    fn the_configuration_may_be_named_before_or_behind_the_command() {
        for line in
            [["portreeve", "--config", "a.toml", "check"], ["portreeve", "check", "--config", "a.toml"]]
        {
            let arguments = Arguments::parse_from(line);
            assert_eq!(arguments.command, Some(Command::Check { user: None, repository: None }));
            assert_eq!(arguments.config, Some("a.toml".into()));
        }
    }
}
