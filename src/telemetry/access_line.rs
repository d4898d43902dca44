//! A line of the access log: one for each exchange, so it has to be cheap. The plugin `access_log` writes it.
//!
//! Where lines are JSON one is put together and written at once; `serde_json` escapes what needs it, and is not asked for each key.
//! `tracing` would ask its filter, record each field by itself and format the
//! time anew, which together took a seventh of the instructions of a small request.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::SystemTime;

use serde::Serialize;
use tracing::Level;

use super::logging;

/// What the access log says about one exchange.
#[derive(Clone, Copy, Debug)]
pub struct AccessLine<'a> {
    /// The identifier of the request, as client and registry have it in `X-Request-Id`.
    pub request_id: &'a str,
    /// The client's address.
    pub client: IpAddr,
    /// Who the client has proven to be.
    pub user: Option<&'a str>,
    /// The request's method.
    pub method: &'a str,
    /// The path without its query, which may hold credentials or an upload's state.
    pub path: &'a str,
    /// The name of the route.
    pub route: &'a str,
    /// The status that the client was sent.
    pub status: Option<u16>,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the response's body.
    pub sent: u64,
    /// How long the exchange took.
    pub seconds: f64,
    /// The authority of the backend that was asked last.
    pub backend: Option<&'a str>,
    /// The client's `User-Agent`.
    pub agent: Option<&'a str>,
    /// The scopes that a request for a token asked for.
    pub scopes_asked: Option<&'a str>,
    /// Those that it was granted.
    pub scopes_granted: Option<&'a str>,
    /// Why the exchange failed.
    pub cause: Option<&'a str>,
}

impl AccessLine<'_> {
    /// Writes it, unless the filter of the log leaves it out.
    #[expect(
        clippy::disallowed_methods,
        reason = "a line has the time at which it is written, as `tracing_subscriber` gives it to the others"
    )]
    pub fn log(&self) {
        if !tracing::enabled!(target: "access", Level::INFO) {
            return;
        }
        match logging::json_output() {
            Some(mut output) => {
                let mut line = Vec::with_capacity(512);
                if let Err(error) = self.write_json(SystemTime::now(), &mut line) {
                    tracing::error!(%error, "a line of the access log cannot be written");
                    return;
                }
                line.push(b'\n');
                // What finds no room in the queue is counted there.
                let _ = output.write(&line);
            }
            None => self.trace(),
        }
    }

    /// Writes it with its time, in the shape that `tracing_subscriber` gives all others.
    fn write_json(&self, time: SystemTime, line: &mut Vec<u8>) -> io::Result<()> {
        write!(line, "{{\"timestamp\":\"{}\",\"level\":\"INFO\"", humantime::format_rfc3339_micros(time))?;
        write_text(line, "request_id", self.request_id)?;
        write!(line, ",\"client\":\"{}\"", self.client)?;
        write_optional(line, "user", self.user)?;
        write_text(line, "method", self.method)?;
        write_text(line, "path", self.path)?;
        write_text(line, "route", self.route)?;
        if let Some(status) = self.status {
            write_number(line, "status", status)?;
        }
        write_number(line, "received", self.received)?;
        write_number(line, "sent", self.sent)?;
        write_number(line, "seconds", self.seconds)?;
        write_optional(line, "backend", self.backend)?;
        write_optional(line, "agent", self.agent)?;
        write_optional(line, "scopes_asked", self.scopes_asked)?;
        write_optional(line, "scopes_granted", self.scopes_granted)?;
        write_optional(line, "cause", self.cause)?;
        write_text(line, "target", logging::ACCESS)?;
        line.push(b'}');
        Ok(())
    }

    fn trace(&self) {
        tracing::info!(
            target: "access",
            request_id = self.request_id,
            client = %self.client,
            user = self.user,
            method = self.method,
            path = self.path,
            route = self.route,
            status = self.status,
            received = self.received,
            sent = self.sent,
            seconds = self.seconds,
            backend = self.backend,
            agent = self.agent,
            scopes_asked = self.scopes_asked,
            scopes_granted = self.scopes_granted,
            cause = self.cause,
        );
    }
}

/// Writes a key and its value, behind others.
fn write_text(line: &mut Vec<u8>, key: &str, value: &str) -> io::Result<()> {
    write_key(line, key);
    // Most need no escaping, and are copied then.
    if value.bytes().fold(false, |any, byte| any | matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        return Ok(serde_json::to_writer(line, value)?);
    }
    line.push(b'"');
    line.extend_from_slice(value.as_bytes());
    line.push(b'"');
    Ok(())
}

fn write_optional(line: &mut Vec<u8>, key: &str, value: Option<&str>) -> io::Result<()> {
    value.map_or(Ok(()), |value| write_text(line, key, value))
}

fn write_number(line: &mut Vec<u8>, key: &str, number: impl Serialize) -> io::Result<()> {
    write_key(line, key);
    Ok(serde_json::to_writer(line, &number)?)
}

fn write_key(line: &mut Vec<u8>, key: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(key.as_bytes());
    line.extend_from_slice(b"\":");
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::telemetry::logging::tests::traced_as_json;

    #[test]
    fn a_line_written_in_one_go_is_the_one_that_tracing_writes() {
        let full = AccessLine {
            request_id: "7f3c1d9e0b7a4c7e",
            client: "2001:db8::1".parse().unwrap(),
            user: Some("a \"user\"\n"),
            method: "GET",
            path: "/v2/é/manifests/\u{1}",
            route: "manifest_get",
            status: Some(200),
            received: 0,
            sent: u64::MAX,
            seconds: 0.001_234_5,
            backend: Some("registry:5000"),
            agent: Some("docker/28"),
            scopes_asked: Some("repository:a:pull,push"),
            scopes_granted: Some(""),
            cause: Some("the client left"),
        };
        let bare = AccessLine {
            user: None,
            status: None,
            backend: None,
            agent: None,
            scopes_asked: None,
            scopes_granted: None,
            cause: None,
            ..full
        };
        for line in [full, bare] {
            let traced = traced_as_json(|| line.trace());
            let object: Value = serde_json::from_str(&traced).unwrap();
            let time = humantime::parse_rfc3339(object["timestamp"].as_str().unwrap()).unwrap();
            let mut written = Vec::new();
            line.write_json(time, &mut written).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), traced.trim_end());
        }
    }
}
