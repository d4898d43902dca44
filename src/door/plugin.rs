//! What a plugin is.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{AnswerOrigin, Exchange, ExchangeOutcome, ResponseHead};
use crate::auth::{Gate, RequirementOf};
use crate::oci::ErrorCode;
use crate::registry::RegistryCredentials;
use crate::store::Records;
use crate::sync::{Carrier, ManifestWrite, PullCounts, RecordCompleteness, SeenAnswers, TagDeleter};

/// One concern of the door.
///
/// Hooks stand in the order in which things happen; each does nothing unless a plugin says otherwise. Requests go
/// through the plugins in the order of the table in `plugins/`, responses and ends in reverse. A plugin that panics
/// fails its own exchange.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// The request line and headers are known and parsed; nothing went to the registry yet.
    async fn on_request(&self, exchange: &mut Exchange) -> Result<Flow, Refusal> {
        let _ = exchange;
        Ok(Flow::Continue)
    }

    /// Manifest writes only: the whole body is here, its digest computed; the registry has heard nothing. The last
    /// plugin carries the write and responds with the registry's answer: no write goes to the registry in another way.
    async fn on_write(&self, exchange: &mut Exchange, write: &ManifestWrite) -> Result<Flow, Refusal> {
        let _ = (exchange, write);
        Ok(Flow::Continue)
    }

    /// There is a final response, from the registry or from the door; the client has heard nothing yet. Each response passes
    /// here, so that a hook does no more than look at it and change its head.
    fn on_response(&self, exchange: &mut Exchange, head: &mut ResponseHead) -> Result<(), Refusal> {
        let _ = (exchange, head);
        Ok(())
    }

    /// The exchange is over, however it ended; also one that was cut off. No client's leaving can keep a hook from being run
    /// to its end.
    fn on_end(&self, exchange: &Exchange, outcome: &ExchangeOutcome) {
        let _ = (exchange, outcome);
    }
}

/// Whether a request proceeds.
#[derive(Debug)]
pub enum Flow {
    /// To the next plugin, and in the end to the registry.
    Continue,
    /// No further: this is the answer.
    Respond(Box<Response>),
}

/// A whole answer.
#[derive(Debug)]
pub struct Response {
    /// Its head. The door sets `Content-Length`, or another end of the body where its length is not known.
    pub head: ResponseHead,
    /// Its body.
    pub body: ResponseBody,
    /// Who made it.
    pub origin: AnswerOrigin,
}

/// The body of an answer.
pub enum ResponseBody {
    /// There as a whole.
    Whole(Bytes),
    /// Made while it is sent, piece by piece. A failure ends the connection, so that the client sees that something is missing.
    Pieces(BoxStream<'static, Result<Bytes, BoxError>>),
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => write!(formatter, "Whole({} bytes)", bytes.len()),
            Self::Pieces(_) => formatter.write_str("Pieces"),
        }
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(bytes)
    }
}

/// Any error, for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a request is answered with an error. What the client reads and what the log reads are different fields.
#[derive(Debug)]
pub struct Refusal {
    /// The specification's code.
    pub code: ErrorCode,
    /// The status; the code's own unless [`Refusal::with_status`] said otherwise.
    pub status: StatusCode,
    /// For the person at the client: what was wrong and what would be right.
    pub message: Cow<'static, str>,
    /// For the log only.
    pub cause: Option<BoxError>,
    /// For a method that the path does not take: those that it does.
    pub allow: Option<&'static str>,
    /// Further headers, such as a challenge.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refusal {
    /// A refusal with the code's own status.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            status: code.status(),
            message: message.into(),
            cause: None,
            allow: None,
            headers: Vec::new(),
        }
    }

    /// A refusal with the code's own status, whose message is that of its cause.
    pub fn of(code: ErrorCode, cause: impl Into<BoxError>) -> Self {
        let cause = cause.into();
        Self::new(code, cause.to_string()).because(cause)
    }

    /// With another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// With a further header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With a cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }
}

impl fmt::Display for Refusal {
    /// For the log: code, message and cause.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.message)?;
        match self.cause.as_ref().map(ToString::to_string) {
            // The cause may speak for itself.
            Some(cause) if cause != self.message => write!(formatter, ": {cause}"),
            Some(_) | None => Ok(()),
        }
    }
}

impl From<crate::oci::route::Refused> for Refusal {
    fn from(refused: crate::oci::route::Refused) -> Self {
        Self { allow: refused.allow, ..Self::new(refused.code, refused.message) }
    }
}

/// A plugin's line in the table.
pub struct Entry {
    /// Its name, and that of its table in the configuration: `plugins.NAME`.
    pub name: &'static str,
    /// Every option that its table may have.
    pub options: &'static [PluginOption],
    /// Reads its options, which are known ones.
    pub prepare: fn(&toml::Table) -> Result<Prepared, Vec<InvalidOption>>,
}

/// An option of a plugin.
pub struct PluginOption {
    /// Its key in the plugin's table.
    pub name: &'static str,
    /// What is written for it, as the rest of a sentence that begins with "write".
    pub expects: &'static str,
}

/// Makes a plugin, whose options were read, from the parts it may use.
pub type Prepared = Box<dyn FnOnce(&Parts) -> Box<dyn Plugin>>;

/// What plugins are built from.
pub struct Parts {
    /// Carries manifest writes.
    pub carrier: Carrier,
    /// Deletes tags where the registry cannot.
    pub tag_deleter: TagDeleter,
    /// Counts pulls.
    pub pulls: Arc<PullCounts>,
    /// Compares answers with the record.
    pub seen: Arc<SeenAnswers>,
    /// Authenticates and authorizes; none for an open door.
    pub gate: Option<Arc<Gate>>,
    /// What requests to the door's own paths require.
    pub requirement_of: RequirementOf,
    /// The door's credentials for the registry.
    pub credentials: Arc<RegistryCredentials>,
    /// How lists and manifests are answered.
    pub answering: Arc<Answering>,
}

/// How lists and manifests are answered.
pub struct Answering {
    /// The record.
    pub records: Arc<dyn Records>,
    /// Whether it is complete.
    pub completeness: Arc<RecordCompleteness>,
    /// Whether the door answers from it at all: `answers.from`.
    pub is_from_record: bool,
    /// Whether nothing but the door writes to the registry: `registry.exclusive`.
    pub is_exclusive: bool,
}

impl Answering {
    /// Whether the door answers from its record by now. Once it does, it goes on.
    pub fn is_ready(&self) -> bool {
        self.is_from_record && self.completeness.is_complete()
    }
}

/// An option whose value does not fit.
#[derive(Debug)]
pub struct InvalidOption {
    /// Its key in the plugin's table.
    pub name: String,
    /// What is wrong with the value.
    pub source: toml::de::Error,
}

/// Reads a plugin's options from its table. Each has a default.
///
/// # Errors
/// Every option whose value does not fit.
pub fn read_options<T: serde::de::DeserializeOwned + Default>(
    table: &toml::Table,
) -> Result<T, Vec<InvalidOption>> {
    let wrong: Vec<_> = table.iter().filter_map(|(name, value)| wrong_option::<T>(name, value)).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    // Each fits, so only options that do not go together are left, of which no plugin has any.
    table.clone().try_into().map_err(|source| vec![InvalidOption { name: String::new(), source }])
}

fn wrong_option<T: serde::de::DeserializeOwned>(name: &str, value: &toml::Value) -> Option<InvalidOption> {
    let alone = toml::Table::from_iter([(name.to_owned(), value.clone())]);
    let source = alone.try_into::<T>().err()?;
    Some(InvalidOption { name: name.to_owned(), source })
}
