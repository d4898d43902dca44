//! `portreeve store` on the command line.

use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Subcommand;
use portreeve::config::Config;
use portreeve::server::{self, StoreCommandError};

use super::record::{Output, OutputArguments};
use super::{FAILURE, Failure, MISCONFIGURED};

/// What is done with the record as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(super) enum StoreCommand {
    /// Write the whole record to a file, from which any store can be made: to move it between a file and PostgreSQL
    Export {
        /// The file, which must not be there yet
        file: PathBuf,
    },
    /// Make a record of an exported one, where there is none yet; started again, it goes on where it has ended
    Import {
        /// The exported file
        file: PathBuf,
    },
    /// Look whether everything in the record agrees with what it follows from, while doors go on
    Check {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Write the whole record and its keys to a file, while doors go on: to have them again when they are lost
    Backup {
        /// The file, which must not be there yet
        file: PathBuf,
    },
    /// Make a record and its keys of a backup, where there are none; started again, it goes on where it has ended
    Restore {
        /// The backup
        file: PathBuf,
    },
}

/// Does it, and says what was done.
pub(super) fn store(config: &Config, command: StoreCommand) -> Result<(), Failure> {
    let said = match command {
        StoreCommand::Export { file } => server::export_store(config, &file),
        StoreCommand::Import { file } => server::import_store(config, &file),
        StoreCommand::Check { output } => return check(config, output.output),
        StoreCommand::Backup { file } => server::back_up_store(config, &file),
        StoreCommand::Restore { file } => server::restore_store(config, &file),
    };
    let said = said.map_err(failure)?;
    writeln!(io::stdout(), "{said}")
        .map_err(|error| Failure::new(FAILURE, &format_args!("it cannot be written: {error}")))
}

fn check(config: &Config, output: Output) -> Result<(), Failure> {
    let agrees = server::check_store(config, output.format(), &mut io::stdout()).map_err(failure)?;
    if agrees { Ok(()) } else { Err(Failure::new(FAILURE, &"Not everything in the record agrees.")) }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what becomes of an error")]
fn failure(error: StoreCommandError) -> Failure {
    Failure::new(if error.is_misconfiguration() { MISCONFIGURED } else { FAILURE }, &error)
}
