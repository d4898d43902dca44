//! One line in the log for each exchange.

use http::header::USER_AGENT;
use serde::Deserialize;

use crate::door::{
    Entry, Exchange, ExchangeOutcome, InvalidOption, Plugin, PluginOption, Prepared, read_options,
};
use crate::store::Actor;
use crate::telemetry::{AccessLine, cut};

pub(super) const ENTRY: Entry = Entry {
    name: "access_log",
    options: &[PluginOption { name: "enabled", expects: "`true` or `false`" }],
    prepare,
};

/// How much of what a client sends stands in a line, in bytes: of a path more than any has that means something. Of its
/// `User-Agent` it is as much as in the record.
const PATH_BYTES: usize = 512;
const METHOD_BYTES: usize = 32;
/// How much of the scopes of a token: those of a push with several mounts.
const SCOPES_BYTES: usize = 512;
/// How much of what went wrong: errors may quote what they were given.
const CAUSE_BYTES: usize = 512;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// Whether lines are written.
    enabled: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { enabled: true }
    }
}

struct AccessLog {
    enabled: bool,
}

fn prepare(table: &toml::Table) -> Result<Prepared, Vec<InvalidOption>> {
    let Options { enabled } = read_options(table)?;
    Ok(Box::new(move |_| Box::new(AccessLog { enabled })))
}

impl Plugin for AccessLog {
    fn on_end(&self, exchange: &Exchange, outcome: &ExchangeOutcome) {
        if !self.enabled {
            return;
        }
        let note = exchange.note.as_ref();
        let line = AccessLine {
            request_id: exchange.request_id.as_str(),
            client: exchange.client.address,
            user: exchange.client.user.as_deref().or_else(|| note?.user.as_deref()),
            method: cut(exchange.request.method.as_str(), METHOD_BYTES),
            path: cut(exchange.path(), PATH_BYTES),
            route: exchange.route_name(),
            status: outcome.status.map(|status| status.as_u16()),
            received: outcome.received,
            sent: outcome.sent,
            seconds: outcome.duration.as_secs_f64(),
            backend: exchange.backend.as_deref(),
            agent: exchange.header(&USER_AGENT).map(|agent| cut(agent, Actor::AGENT_BYTES)),
            scopes_asked: note.and_then(|note| Some(cut(note.scopes_asked.as_ref()?, SCOPES_BYTES))),
            scopes_granted: note.and_then(|note| Some(cut(note.scopes_granted.as_ref()?, SCOPES_BYTES))),
            cause: outcome.cause.as_deref().map(|cause| cut(cause, CAUSE_BYTES)),
        };
        line.log();
    }
}
