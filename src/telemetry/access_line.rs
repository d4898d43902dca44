//! A line of the access log: one for each exchange, so it has to be cheap. The plugin `access_log` writes it.
//!
//! Where lines are JSON it is serialised and written at once. `tracing` would ask its filter, record each field by itself and format the
//! time anew, which together took a seventh of the instructions of a small request.

use std::io::Write;
use std::net::IpAddr;
use std::time::SystemTime;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
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
                if let Err(error) = serde_json::to_writer(&mut line, &At(SystemTime::now(), self)) {
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

/// The line with its time, in the shape that `tracing_subscriber` gives all others.
struct At<'a>(SystemTime, &'a AccessLine<'a>);

impl Serialize for At<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(time, line) = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("timestamp", &Rfc3339(*time))?;
        map.serialize_entry("level", "INFO")?;
        map.serialize_entry("request_id", line.request_id)?;
        map.serialize_entry("client", &line.client)?;
        if let Some(user) = line.user {
            map.serialize_entry("user", user)?;
        }
        map.serialize_entry("method", line.method)?;
        map.serialize_entry("path", line.path)?;
        map.serialize_entry("route", line.route)?;
        if let Some(status) = line.status {
            map.serialize_entry("status", &status)?;
        }
        map.serialize_entry("received", &line.received)?;
        map.serialize_entry("sent", &line.sent)?;
        map.serialize_entry("seconds", &line.seconds)?;
        let texts = [
            ("backend", line.backend),
            ("agent", line.agent),
            ("scopes_asked", line.scopes_asked),
            ("scopes_granted", line.scopes_granted),
            ("cause", line.cause),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        map.serialize_entry("target", logging::ACCESS)?;
        map.end()
    }
}

struct Rfc3339(SystemTime);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_rfc3339_micros(self.0))
    }
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
            let written = serde_json::to_string(&At(time, &line)).unwrap();
            assert_eq!(written, traced.trim_end());
        }
    }
}
