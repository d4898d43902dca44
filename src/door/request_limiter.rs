//! How many requests are in flight, and whether there may be another one.
//!
//! A request may hold a connection to the registry, and HTTP/2 brings many of them on one connection. Beyond the limits a
//! request is shed: for all clients 503 with `Retry-After` is better than no answer at all.

use std::net::IpAddr;
use std::sync::Arc;

use http::StatusCode;

use super::Refusal;
use super::concurrency_limit::{ConcurrencyLimit, LimitReached, Permit};
use crate::auth::Network;
use crate::oci::ErrorCode;
use crate::telemetry::CounterFamily;
use crate::telemetry::LogThrottle;

pub(super) static SHED: CounterFamily = CounterFamily {
    name: "portreeve_requests_shed_total",
    help: "Requests that were answered 503 because there were as many in flight as a limit allows, by cause",
    labels: &[("cause", &["limit", "address_limit"])],
};

/// How many requests may be in flight.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// In all: `limits.requests`, or as many as there are descriptors for.
    pub all: usize,
    /// Of one address, or of one /64 of IPv6: `limits.requests_per_address`.
    pub per_address: usize,
}

/// Counts the requests in flight. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct RequestLimiter {
    all: Arc<ConcurrencyLimit>,
    per_address: Arc<ConcurrencyLimit>,
    shed: Arc<[LogThrottle; 2]>,
}

/// What a request in flight holds. Dropping it says that it is over.
#[derive(Debug, Default)]
pub(super) struct InFlight([Option<Permit>; 2]);

impl RequestLimiter {
    /// None yet.
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self {
            all: ConcurrencyLimit::new(limits.all, usize::MAX),
            per_address: ConcurrencyLimit::new(usize::MAX, limits.per_address),
            shed: Arc::default(),
        }
    }

    /// Counts a request among all.
    ///
    /// # Errors
    /// When there are as many as there may be.
    pub(super) fn admit(&self) -> Result<InFlight, Refusal> {
        match self.all.acquire(None) {
            Ok(permit) => Ok(InFlight([Some(permit), None])),
            Err(reached) => Err(self.refusal(reached, None)),
        }
    }

    /// Counts a request among those of its client, once it is known who that is.
    ///
    /// # Errors
    /// When the client has as many as it may have. Then the request counts nowhere any more: a client that does not read its
    /// refusals would take all there may be with them.
    pub(super) fn admit_of(&self, client: IpAddr, in_flight: &mut InFlight) -> Result<(), Refusal> {
        match self.per_address.acquire(Some(Network::of(client))) {
            Ok(permit) => {
                in_flight.0[1] = Some(permit);
                Ok(())
            }
            Err(reached) => {
                *in_flight = InFlight::default();
                Err(self.refusal(reached, Some(client)))
            }
        }
    }

    fn refusal(&self, reached: LimitReached, client: Option<IpAddr>) -> Refusal {
        let (cause, throttle, key) = match reached {
            LimitReached::Total => ("limit", &self.shed[0], "limits.requests"),
            LimitReached::Network => ("address_limit", &self.shed[1], "limits.requests_per_address"),
        };
        SHED.with([cause]).increment(1);
        if let Some(times) = throttle.count() {
            let client = client.map(tracing::field::display);
            tracing::warn!(
                client,
                times,
                "requests were answered 503: there are as many in flight as {key} allows"
            );
        }
        Refusal::new(ErrorCode::TooManyRequests, "there are too many requests in flight; try again soon")
            .with_status(StatusCode::SERVICE_UNAVAILABLE)
            .because(format!("as many are in flight as {key} allows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shed_does_not_count() {
        let limiter = RequestLimiter::new(RequestLimits { all: 3, per_address: 1 });
        let [one, two] = ["2001:db8::1", "2001:db8:1::1"].map(|text| text.parse::<IpAddr>().unwrap());
        let mut first = limiter.admit().unwrap();
        limiter.admit_of(one, &mut first).unwrap();
        let shed: Vec<_> = (0..100)
            .map(|_| limiter.admit().unwrap())
            .map(|mut in_flight| {
                let refusal = limiter.admit_of(one, &mut in_flight).unwrap_err();
                assert_eq!(refusal.status, StatusCode::SERVICE_UNAVAILABLE);
                in_flight
            })
            .collect();
        let mut second = limiter.admit().unwrap();
        limiter.admit_of(two, &mut second).unwrap();
        let _third = limiter.admit().unwrap();
        assert!(limiter.admit().is_err());
        drop(shed);
        assert!(limiter.admit().is_err());
        drop(first);
        assert!(limiter.admit().is_ok());
    }
}
