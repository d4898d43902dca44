//! `Retry-After`: how long a registry wants not to be asked again.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use super::credentials::date;
use crate::clock::Timestamp;

/// How long a registry wants not to be asked again: in seconds, or until a date (RFC 9110 section 10.2.3).
/// The date is compared with the answer's own `Date`, if there is one: it is the registry's clock that it is written by.
pub fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = Timestamp::from(httpdate::parse_http_date(value).ok()?);
    Some(until.since(date(headers).unwrap_or(now)))
}

#[cfg(test)]
mod tests {
    use http::header::DATE;

    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_by_the_registrys_own_clock() {
        let now = Timestamp::from_milliseconds(784_111_777_000);
        let read = |value: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            date.map(|date| headers.insert(DATE, date.parse().unwrap()));
            retry_after(&headers, now).map(|time| time.as_secs())
        };
        assert_eq!(read("120", None), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT", None), Some(60));
        assert_eq!(read("Sun, 06 Nov 1994 08:40:00 GMT", None), Some(0), "it is over");
        let behind = Some("Sun, 06 Nov 1994 05:00:00 GMT");
        assert_eq!(read("Sun, 06 Nov 1994 05:00:30 GMT", behind), Some(30));
        assert_eq!((read("soon", None), read("-1", None)), (None, None));
    }
}
