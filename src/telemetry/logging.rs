//! The log: lines for a person on a terminal, JSON lines otherwise.
//!
//! Lines are written to standard error, so that standard output belongs to what a command answers; containers collect both.
//! Writing never holds up the door: lines wait in a bounded queue for a thread of their own, and what does not fit is
//! dropped and counted. Records of crates that use `log` (pingora) come through as well.

use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use tracing::{Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::queue::{self, LineWriter, Worker};
use super::short_lines::{Format, ShortLines};
use super::source_path::without_build_paths;
use crate::suggestion;

/// The target of the access log's lines.
pub const ACCESS: &str = "access";

/// What the log is set up with, where the environment does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// What is logged: this, and what weighs more. Below `INFO` that is for the door's own lines; those of libraries stay at `INFO`.
    pub level: Level,
    /// The shape of the lines.
    pub format: LineFormat,
}

/// The shape of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Lines for a person.
    Text,
    /// JSON objects.
    Json,
}

/// The variables that set what is logged by target, for developers; the first that is there counts, and more than `log.level`.
const VARIABLES: [&str; 2] = ["PORTREEVE_LOG", "RUST_LOG"];
/// pingora logs every client that leaves within a head as an error: any client could fill the log with that. An operator who
/// wants these lines names `pingora` in the filter; failures of requests stand in the access log.
const PINGORA_OFF: &str = "pingora=off";
/// How many bytes of lines may wait.
const QUEUED_BYTES: usize = 4 * 1024 * 1024;

static WRITER: OnceLock<LineWriter> = OnceLock::new();
static JSON_OUTPUT: OnceLock<ShortLines<LineWriter>> = OnceLock::new();

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter in the environment is wrong.
    #[error(
        "environment variable {variable}: {source}; write a level (`info`) or levels by target (`info,access=off`)"
    )]
    Filter {
        /// Which variable.
        variable: &'static str,
        /// What is wrong.
        source: ParseError,
    },
    /// A level in the environment is none.
    #[error(
        "environment variable {variable}: `{text}` is no level{}; write a level (`info`) or levels by target \
         (`info,portreeve::sync=debug`)", did_you_mean(.text)
    )]
    Level {
        /// Which variable.
        variable: &'static str,
        /// What stands where a level should.
        text: String,
    },
    /// The system gives no thread for it.
    #[error("the log's thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// This process has a log already.
    #[error("the log is set up already: {0}")]
    Installed(#[from] TryInitError),
}

/// Keeps the log's thread running. Dropping it writes out the lines that still wait, for at most about a second.
#[must_use = "dropping it ends the log"]
#[derive(Debug)]
pub struct LogGuard {
    _worker: Worker,
}

/// Sets up the log of this process. To be called once, before anything is logged.
///
/// # Errors
/// When the environment's filter is wrong, or the process has a log already.
pub fn install(settings: LogSettings) -> Result<LogGuard, LogError> {
    let filter = filter(settings.level, |variable| std::env::var(variable).ok())?;
    let format = match settings.format {
        LineFormat::Text => Format::Human,
        LineFormat::Json => Format::Json,
        LineFormat::Auto if io::stderr().is_terminal() => Format::Human,
        LineFormat::Auto => Format::Json,
    };
    let (writer, worker) = queue::start(io::stderr(), QUEUED_BYTES)?;
    subscriber(format, filter, writer.clone()).try_init()?;
    if format == Format::Json {
        JSON_OUTPUT.get_or_init(|| ShortLines::new(format, writer.clone()));
    }
    WRITER.get_or_init(|| writer);
    std::panic::set_hook(Box::new(log_panic));
    Ok(LogGuard { _worker: worker })
}

/// Whether the environment's filter, if there is one, can be used.
///
/// # Errors
/// When it cannot.
pub fn check_environment() -> Result<(), LogError> {
    filter(Level::INFO, |variable| std::env::var(variable).ok()).map(drop)
}

/// How many lines were dropped since the start, because they came faster than they could be written.
pub fn dropped_lines() -> u64 {
    WRITER.get().map_or(0, LineWriter::dropped)
}

/// Where whole lines of JSON may be written, if the log's lines are JSON.
pub(super) fn json_output() -> Option<ShortLines<LineWriter>> {
    JSON_OUTPUT.get().cloned()
}

/// Builds the filter from the first variable that is set and not empty, else from the level.
fn filter(level: Level, environment: impl Fn(&str) -> Option<String>) -> Result<EnvFilter, LogError> {
    let given = VARIABLES
        .into_iter()
        .find_map(|name| Some((name, environment(name).filter(|text| !text.trim().is_empty())?)));
    let (variable, text) = given.unwrap_or_else(|| (VARIABLES[0], directives(level)));
    if let Some(text) = text.split(',').find_map(wrong_level) {
        return Err(LogError::Level { variable, text: text.to_owned() });
    }
    // The later directive wins where two have the same target.
    EnvFilter::builder()
        .parse(format!("{PINGORA_OFF},{}", text.split(',').map(str::trim).collect::<Vec<_>>().join(",")))
        .map_err(|source| LogError::Filter { variable, source })
}

/// The filter for a level.
fn directives(level: Level) -> String {
    let name = level.as_str().to_lowercase();
    if level > Level::INFO { format!("info,{}={name}", env!("CARGO_CRATE_NAME")) } else { name }
}

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// What stands in a part of a filter where a level should: a misspelt one would be taken for the name of a target, and turn
/// everything else off. What is about spans is left to the filter itself.
fn wrong_level(part: &str) -> Option<&str> {
    let part = part.trim();
    if part.is_empty() || part.contains(['[', ']', '{', '}']) {
        return None;
    }
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
    (!LEVELS.contains(&level.to_lowercase().as_str())).then_some(level)
}

/// The level that was probably meant.
fn did_you_mean(text: &str) -> String {
    suggestion::nearest(text, LEVELS).map_or_else(String::new, |level| format!(" (did you mean `{level}`?)"))
}

fn subscriber<W>(format: Format, filter: EnvFilter, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(ShortLines::new(format, writer));
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        Format::Human => Box::new(registry.with(layer)),
        // Spans are left out: everything a line has to say is in its event, and an access line must stay cheap.
        Format::Json => Box::new(
            registry.with(layer.json().flatten_event(true).with_current_span(false).with_span_list(false)),
        ),
    }
}

/// A panic as a line of the log, so that what parses the log can parse it too.
fn log_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let payload = panic.payload();
    let owned = || payload.downcast_ref::<String>().map(String::as_str);
    let message = payload.downcast_ref::<&str>().copied().or_else(owned).unwrap_or("no message");
    let location =
        panic.location().map(|location| without_build_paths(&location.to_string())).unwrap_or_default();
    let backtrace = std::backtrace::Backtrace::capture();
    let backtrace = matches!(backtrace.status(), std::backtrace::BacktraceStatus::Captured)
        .then(|| without_build_paths(&backtrace.to_string()));
    tracing::error!(location, backtrace, "a task panicked: {message}");
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Collects what is written.
    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the log says about `speak` when these variables are set.
    fn log(format: Format, variables: &[(&str, &str)], speak: impl FnOnce()) -> String {
        let output = Output::default();
        let writer = output.clone();
        let environment = |name: &str| {
            variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
        };
        let filter = filter(Level::INFO, environment).unwrap();
        tracing::subscriber::with_default(subscriber(format, filter, move || writer.clone()), speak);
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// What the log says in JSON about `speak`.
    pub fn traced_as_json(speak: impl FnOnce()) -> String {
        log(Format::Json, &[], speak)
    }

    #[test]
    fn a_json_line_has_its_fields_at_the_top_and_an_rfc_3339_time() {
        let text = log(Format::Json, &[], || {
            let _span = tracing::info_span!("exchange", secret = 1).entered();
            tracing::info!(target: ACCESS, method = "GET", status = 200_u16, user = Option::<&str>::None);
        });
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["target"], "access");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["status"], 200);
        humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).unwrap();
        let mut names: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["level", "method", "status", "target", "timestamp"]);
    }

    #[test]
    fn a_line_for_a_person_is_no_json() {
        let text = log(Format::Human, &[], || tracing::info!(port = 5000, "listening"));
        assert!(text.contains("listening") && !text.starts_with('{'), "{text}");
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_first_variable_that_is_set_decides_what_is_logged() {
        let speak = || {
            tracing::debug!("debug");
            tracing::info!("info");
            tracing::info!(target: "pingora_core::server", "pingora info");
            tracing::warn!(target: "pingora_core::server", "pingora warn");
        };
        let said = |variables: &[(&str, &str)]| {
            let text = log(Format::Json, variables, speak);
            let messages = text.lines().map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                line["message"].as_str().unwrap().to_owned()
            });
            messages.collect::<Vec<_>>()
        };
        assert_eq!(said(&[]), ["info"]);
        assert_eq!(said(&[("PORTREEVE_LOG", "debug"), ("RUST_LOG", "error")]), ["debug", "info"]);
        assert!(said(&[("PORTREEVE_LOG", ""), ("RUST_LOG", "off")]).is_empty());
        assert_eq!(said(&[("RUST_LOG", "off,pingora=info")]), ["pingora info", "pingora warn"]);
    }

    #[test]
    fn a_wrong_filter_is_refused_by_the_name_of_its_variable() {
        for (wrong, told) in [
            ("info,x=loud", "`loud` is no level;"),
            ("inof", "`inof` is no level (did you mean `info`?)"),
            ("portreeve", "`portreeve` is no level;"),
            ("info,portreeve=debgu", "(did you mean `debug`?)"),
            ("info,[exchange{a=]=debug", ""),
        ] {
            let environment = |name: &str| (name == "RUST_LOG").then(|| wrong.to_owned());
            let error = filter(Level::INFO, environment).expect_err(wrong).to_string();
            assert!(error.starts_with("environment variable RUST_LOG: ") && error.contains(told), "{error}");
        }
        for right in
            ["info", " DEBUG , access=off", "off,portreeve::sync=trace", "warn,[exchange]=debug", ","]
        {
            assert!(filter(Level::INFO, |_| Some(right.to_owned())).is_ok(), "{right}");
        }
    }

    #[test]
    fn below_info_only_the_doors_own_lines_are_more() {
        assert_eq!(directives(Level::WARN), "warn");
        assert_eq!(directives(Level::INFO), "info");
        assert_eq!(directives(Level::DEBUG), "info,portreeve=debug");
    }
}
