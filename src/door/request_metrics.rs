//! Counts requests, by route and status.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

thread_local! {
    /// What this thread has counted before. Asking the recorder takes an allocation and several looks into tables each time.
    /// As many as there are routes and classes of status.
    static HANDLES: RefCell<HashMap<(&'static str, &'static str), Handles>> = RefCell::default();
}

struct Handles {
    requests: Counter,
    seconds: Histogram,
}

/// Counts a request that is over.
pub(super) fn count(route: &'static str, status: Option<StatusCode>, duration: Duration) {
    let class = status_class(status);
    HANDLES.with_borrow_mut(|handles| {
        let handles = handles.entry((route, class)).or_insert_with(|| Handles {
            requests: metrics::counter!("portreeve_requests_total", "route" => route, "status" => class),
            seconds: metrics::histogram!("portreeve_request_seconds", "route" => route),
        });
        handles.requests.increment(1);
        handles.seconds.record(duration);
    });
}

const fn status_class(status: Option<StatusCode>) -> &'static str {
    match status {
        None => "none",
        Some(status) => match status.as_u16() / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        },
    }
}
