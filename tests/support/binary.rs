//! The binary, as an operator runs it: without what the environment tells the tests themselves.

use tokio::process::Command;

/// A run of `portreeve` in which no variable `PORTREEVE_…` of the tests is left. It refuses those that are no key.
pub fn portreeve() -> Command {
    Command::from(blocking_portreeve())
}

/// The same, to be waited for on this thread.
pub fn blocking_portreeve() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portreeve"));
    without_variables(&mut command);
    command
}

/// Takes the variables of the tests out of what a command is to run with.
pub fn without_variables(command: &mut std::process::Command) {
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTREEVE_"))
    {
        command.env_remove(name);
    }
}
