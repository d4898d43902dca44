//! `portreeve repositories`, `tags`, `show`, `history`, `search` and `stats`: what the record says, by the running door's API through its socket.

use std::io::{self, Write};
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;
use tokio::runtime;
use url::form_urlencoded::Serializer;

use super::door_client::{Client, DoorError};
use super::record_output;
use super::socket;
use super::start_error::StartError;
use crate::config::Config;
use crate::oci::{Digest, RepositoryName, Tag};

/// What is asked of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordQuery {
    /// The repositories, those only whose name contains this if it is given.
    Repositories {
        /// A part of their names.
        containing: Option<String>,
    },
    /// What the repositories hold together whose names have the same first part, of those parts only that contain this if it is
    /// given.
    Namespaces {
        /// A part of the first parts.
        containing: Option<String>,
    },
    /// The tags of a repository.
    Tags {
        /// Which one.
        repository: RepositoryName,
    },
    /// A manifest, whole.
    Show {
        /// In which repository.
        repository: RepositoryName,
        /// Which one.
        manifest: WantedManifest,
    },
    /// Repositories and tags, what fits best first.
    Search {
        /// What is looked for.
        text: String,
    },
    /// How much there is, and what happened on each day.
    Statistics,
    /// What happened in a repository, or to one of its tags.
    History {
        /// Which repository.
        repository: RepositoryName,
        /// Which tag; all if there is none.
        tag: Option<Tag>,
    },
}

/// By what a manifest is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedManifest {
    /// By a tag that points to it.
    Tag(Tag),
    /// By its digest.
    Digest(Digest),
}

/// In which form answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// For readers; at a terminal times are told from now on.
    Table {
        /// Whether it is written to a terminal.
        is_terminal: bool,
    },
    /// As the API answers.
    Json,
}

/// Why the record could not be shown, or what it names not be deleted or put back.
#[derive(Debug, thiserror::Error)]
pub enum RecordCommandError {
    /// The runtime cannot be had.
    #[error(transparent)]
    Start(#[from] StartError),
    /// No door runs.
    #[error(
        "no door runs here: nothing listens at {}; start it, or name its configuration with --config", .0.display()
    )]
    NoDoor(PathBuf),
    /// The door could not be asked, or refused.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The answer could not be written.
    #[error("it cannot be written: {0}")]
    Write(#[from] io::Error),
    /// The door answered what no door of this version does.
    #[error("the door's answer cannot be read: {0}; has it the version of this command?")]
    Answer(#[from] serde_json::Error),
}

/// A part of a list.
#[derive(Deserialize)]
struct ListPart {
    items: Vec<Value>,
    next: Option<Value>,
}

/// How many items are asked for at once.
const PAGE: &str = "1000";

/// Asks the running door, and writes what it answers. A reader who has seen enough is no error.
///
/// # Errors
/// When no door runs, it refuses, or the answer cannot be written.
pub fn show_record(
    config: &Config,
    query: &RecordQuery,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), RecordCommandError> {
    let (runtime, door) = connect(config)?;
    match runtime.block_on(answer(&door, query, format, out)) {
        Err(RecordCommandError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// The running door, and what a command waits for it by.
pub(super) fn connect(config: &Config) -> Result<(runtime::Runtime, Client), RecordCommandError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::System)?;
    let path = socket::path(config);
    if std::os::unix::net::UnixStream::connect(&path).is_err() {
        return Err(RecordCommandError::NoDoor(path));
    }
    let door = Client::new(&path)?;
    Ok((runtime, door))
}

async fn answer(
    door: &Client,
    query: &RecordQuery,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), RecordCommandError> {
    match query {
        RecordQuery::Show { repository, manifest } => {
            let (name, reference) = match manifest {
                WantedManifest::Tag(tag) => ("tag", tag.to_string()),
                WantedManifest::Digest(digest) => ("digest", digest.to_string()),
            };
            let pairs = [("repository", repository.as_str()), (name, reference.as_str())];
            let shown: Value = door.ask("show a manifest", door.http.get(url("manifests", &pairs))).await?;
            match format {
                OutputFormat::Json => Ok(writeln!(out, "{shown:#}")?),
                OutputFormat::Table { is_terminal } => {
                    Ok(record_output::manifest(&serde_json::from_value(shown)?, is_terminal, out)?)
                }
            }
        }
        RecordQuery::Repositories { containing } => {
            let containing = containing.as_deref().unwrap_or_default();
            let list = List { path: "repositories", pairs: &[("q", containing)], keeps: &|_| true };
            list.write(door, format, record_output::repositories, out).await
        }
        RecordQuery::Namespaces { containing } => {
            let pairs = [("group_by", "namespace"), ("q", containing.as_deref().unwrap_or_default())];
            let list = List { path: "repositories", pairs: &pairs, keeps: &|_| true };
            list.write(door, format, record_output::namespaces, out).await
        }
        RecordQuery::Tags { repository } => {
            let pairs = [("repository", repository.as_str())];
            let list = List { path: "tags", pairs: &pairs, keeps: &|_| true };
            list.write(door, format, record_output::tags, out).await
        }
        RecordQuery::Search { text } => {
            let list = List { path: "search", pairs: &[("q", text)], keeps: &|_| true };
            list.write(door, format, record_output::found, out).await
        }
        RecordQuery::Statistics => {
            let shown: Value =
                door.ask("tell how much there is", door.http.get(url("statistics", &[]))).await?;
            match format {
                OutputFormat::Json => Ok(writeln!(out, "{shown:#}")?),
                OutputFormat::Table { .. } => {
                    Ok(record_output::statistics(&serde_json::from_value(shown)?, out)?)
                }
            }
        }
        RecordQuery::History { repository, tag } => {
            let pairs = [("repository", repository.as_str())];
            let keeps = |event: &Value| tag.as_ref().is_none_or(|tag| event["tag"] == tag.as_str());
            let list = List { path: "events", pairs: &pairs, keeps: &keeps };
            list.write(door, format, record_output::events, out).await
        }
    }
}

/// A list of the API, over all its pages.
struct List<'a> {
    path: &'static str,
    pairs: &'a [(&'static str, &'a str)],
    /// Which items are shown.
    keeps: &'a dyn Fn(&Value) -> bool,
}

impl List<'_> {
    async fn write<T: serde::de::DeserializeOwned>(
        &self,
        door: &Client,
        format: OutputFormat,
        table: fn(&[T], bool) -> String,
        out: &mut dyn Write,
    ) -> Result<(), RecordCommandError> {
        let (mut after, mut written) = (None::<String>, 0_usize);
        if format == OutputFormat::Json {
            out.write_all(b"[")?;
        }
        loop {
            let mut pairs = vec![("n", PAGE)];
            pairs.extend(self.pairs.iter().filter(|(_, value)| !value.is_empty()));
            pairs.extend(after.as_deref().map(|after| ("after", after)));
            let request = door.http.get(url(self.path, &pairs));
            let ListPart { items, next } = door.ask("list what it has recorded", request).await?;
            let items: Vec<Value> = items.into_iter().filter(self.keeps).collect();
            match format {
                OutputFormat::Json => {
                    for item in &items {
                        write!(out, "{}{item}", if written == 0 { "\n" } else { ",\n" })?;
                        written += 1;
                    }
                }
                OutputFormat::Table { is_terminal }
                    if !items.is_empty() || (next.is_none() && written == 0) =>
                {
                    let items: Vec<T> =
                        items.into_iter().map(serde_json::from_value).collect::<Result<_, _>>()?;
                    written += items.len();
                    writeln!(out, "{}", table(&items, is_terminal))?;
                }
                OutputFormat::Table { .. } => {}
            }
            after = match next {
                None | Some(Value::Null) => break,
                Some(Value::String(text)) => Some(text),
                Some(other) => Some(other.to_string()),
            };
        }
        if format == OutputFormat::Json {
            out.write_all(b"\n]\n")?;
        }
        Ok(())
    }
}

/// An address of the API.
pub(super) fn url(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("http://door/api/v1/{path}?{query}")
}
