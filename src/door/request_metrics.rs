//! Counts requests: by route, class of status and who made the answer; and what they moved.
//!
//! Every series is made with the door and kept: to count a request takes neither a look-up at the recorder nor an
//! allocation.

use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram, Unit};

use super::{AnswerOrigin, Target};
use crate::oci::Route;
use crate::registry::first_byte_seconds;
use crate::telemetry::CounterFamily;

/// Classes of status, in the order of [`status_class`].
const CODES: [&str; 5] = ["none", "2xx", "3xx", "4xx", "5xx"];

const REQUESTS: &str = "portreeve_requests_total";
const SECONDS: &str = "portreeve_request_seconds";

static RECEIVED: CounterFamily = CounterFamily {
    name: "portreeve_request_bytes_total",
    help: "Bytes of requests' bodies that came from clients, by route; counted when the exchange is over",
    labels: &[("route", &ROUTES)],
};
static SENT: CounterFamily = CounterFamily {
    name: "portreeve_response_bytes_total",
    help: "Bytes of answers' bodies that went to clients, by route; counted when the exchange is over",
    labels: &[("route", &ROUTES)],
};

/// The names of all routes, those of the registry first.
const ROUTES: [&str; Route::NAMES.len() + 2] = {
    let mut routes = [""; Route::NAMES.len() + 2];
    let mut place = 0;
    while place < Route::NAMES.len() {
        routes[place] = Route::NAMES[place];
        place += 1;
    }
    routes[place] = Target::OWN_NAME;
    routes[place + 1] = Target::UNREADABLE_NAME;
    routes
};

/// The names of those routes that are answered from the record.
const OF_RECORD: [&str; 4] = ["catalog", "tags", "manifest_read", "referrers"];

/// Describes them to the exporter.
pub(super) fn describe() {
    metrics::describe_counter!(
        REQUESTS,
        "Requests by route, by class of the answer's status (none: there was no answer), and by who made the answer: \
         the door, the door from its record, or the registry"
    );
    metrics::describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "From the request line to the end of the answer, by route"
    );
    RECEIVED.describe();
    SENT.describe();
}

/// A request that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct FinishedRequest {
    /// The name of its route.
    pub route: &'static str,
    /// The status of the answer, if there was one.
    pub status: Option<StatusCode>,
    /// Who made it.
    pub origin: AnswerOrigin,
    /// Bytes of its body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// From the request line to the end of the answer.
    pub duration: Duration,
}

/// The metrics of a door's requests.
#[derive(Debug)]
pub(super) struct RequestMetrics {
    routes: [RouteMetrics; ROUTES.len()],
}

#[derive(Debug)]
struct RouteMetrics {
    of_door: [Counter; CODES.len()],
    /// None for what is never answered from the record.
    of_record: Option<[Counter; CODES.len()]>,
    /// None for what the registry is never asked for.
    of_registry: Option<[Counter; CODES.len()]>,
    seconds: Histogram,
    first_byte: Histogram,
    received: Counter,
    sent: Counter,
}

impl RequestMetrics {
    /// Makes every series. To be called once the recorder is installed.
    pub(super) fn new() -> Self {
        Self { routes: ROUTES.map(RouteMetrics::new) }
    }

    /// Counts a request that is over.
    pub(super) fn count(&self, request: FinishedRequest) {
        let Some(route) = self.of(request.route) else { return };
        let counters = match request.origin {
            AnswerOrigin::Door => None,
            AnswerOrigin::Record => route.of_record.as_ref(),
            AnswerOrigin::Registry => route.of_registry.as_ref(),
        };
        counters.unwrap_or(&route.of_door)[status_class(request.status)].increment(1);
        route.seconds.record(request.duration);
        route.received.increment(request.received);
        route.sent.increment(request.sent);
    }

    /// The registry began to answer a request of this route, after so long.
    pub(super) fn note_first_byte(&self, route: &'static str, after: Duration) {
        if let Some(route) = self.of(route) {
            route.first_byte.record(after);
        }
    }

    fn of(&self, name: &'static str) -> Option<&RouteMetrics> {
        let place = ROUTES.iter().position(|route| *route == name);
        debug_assert!(place.is_some(), "{name} is no route");
        self.routes.get(place?)
    }
}

impl RouteMetrics {
    fn new(route: &'static str) -> Self {
        let requests = |origin: AnswerOrigin| {
            CODES.map(|code| {
                metrics::counter!(REQUESTS, "route" => route, "code" => code, "origin" => origin.as_str())
            })
        };
        let is_of_registry = Route::NAMES.contains(&route);
        Self {
            of_door: requests(AnswerOrigin::Door),
            of_record: OF_RECORD.contains(&route).then(|| requests(AnswerOrigin::Record)),
            of_registry: is_of_registry.then(|| requests(AnswerOrigin::Registry)),
            seconds: metrics::histogram!(SECONDS, "route" => route),
            first_byte: if is_of_registry { first_byte_seconds(route) } else { Histogram::noop() },
            received: RECEIVED.with([route]),
            sent: SENT.with([route]),
        }
    }
}

/// The place of a status's class among [`CODES`]. What is only informational is no answer.
fn status_class(status: Option<StatusCode>) -> usize {
    match status.map_or(0, |status| status.as_u16() / 100) {
        0 | 1 => 0,
        class @ 2..=4 => usize::from(class) - 1,
        _ => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_answered_from_the_record_is_of_the_registry() {
        assert!(OF_RECORD.iter().all(|route| Route::NAMES.contains(route)));
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        let class = |status: u16| CODES[status_class(StatusCode::from_u16(status).ok())];
        assert_eq!(CODES[status_class(None)], "none");
        for (status, expected) in [
            (100, "none"),
            (200, "2xx"),
            (299, "2xx"),
            (307, "3xx"),
            (404, "4xx"),
            (499, "4xx"),
            (500, "5xx"),
            (504, "5xx"),
            (700, "5xx"),
        ] {
            assert_eq!(class(status), expected, "{status}");
        }
    }
}
