//! The section `log`.

use super::settings::{Given, Settings, text};
use super::value::quoted;
use crate::suggestion;

/// The section `log`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// `log.level`: what is logged.
    pub level: LogLevel,
    /// `log.format`: the shape of the lines.
    pub format: LogFormat,
}

/// What is logged: this, and what weighs more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// What the operator has to do something about.
    Error,
    /// What may become so.
    Warn,
    /// What happens, with a line for each exchange.
    #[default]
    Info,
    /// What the door decides and asks, too.
    Debug,
    /// Everything.
    Trace,
}

/// The shape of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// Lines for a person.
    Text,
    /// JSON objects.
    Json,
}

const LEVELS: [(&str, LogLevel); 5] = [
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];

/// Reads the section `log`.
pub(super) fn read(settings: &mut Settings) -> Log {
    let mut log = Log::default();
    settings.read_into(&mut log.level, "log.level", |given| choice(given, &LEVELS));
    settings.read_into(&mut log.format, "log.format", |given| choice(given, &FORMATS));
    log
}

/// One of these names.
fn choice<T: Copy>(given: &Given, choices: &[(&str, T)]) -> Result<T, String> {
    let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let remedy = format!("write {}", names.join(", "));
    let text = text(given, &remedy)?;
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
        return Ok(*choice);
    }
    let nearest = suggestion::nearest(text, choices.iter().map(|(name, _)| *name));
    Err(match nearest {
        Some(name) => format!("is {}; did you mean \"{name}\"? {remedy}", quoted(text)),
        None => format!("is {}; {remedy}", quoted(text)),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn load(text: &str) -> Result<Log, String> {
        let mut settings = Settings::default();
        crate::config::file::apply(&mut settings, Path::new("portreeve.toml"), text);
        Config::read(settings).map(|config| config.log).map_err(|error| error.to_string())
    }

    #[test]
    fn levels_and_formats_are_read_by_their_names() {
        assert_eq!(load(""), Ok(Log { level: LogLevel::Info, format: LogFormat::Auto }));
        assert_eq!(
            load("log = { level = \"debug\", format = \"json\" }"),
            Ok(Log { level: LogLevel::Debug, format: LogFormat::Json })
        );
    }

    #[test]
    fn an_unknown_level_is_refused_with_the_one_that_was_meant() {
        for (wrong, meant) in
            [("inof", "info"), ("WARN", "warn"), ("warning", "warn"), ("debg", "debug"), ("eror", "error")]
        {
            let said = load(&format!("[log]\nlevel = \"{wrong}\"")).unwrap_err();
            assert!(said.starts_with("portreeve.toml, line 2: `log.level` is"), "{said}");
            assert!(said.contains(&format!("did you mean \"{meant}\"?")), "{said}");
        }
        let said = load("log.format = \"xml\"").unwrap_err();
        assert!(said.contains("write \"auto\", \"text\", \"json\""), "{said}");
        assert!(load("log.level = 3").is_err());
    }
}
