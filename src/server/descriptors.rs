//! The process's descriptors, and who may have how many of them.
//!
//! A client's connection takes one; a request in flight takes up to three: its connection to the registry, a second handle on
//! that by which the door can end it, and a connection of the client that carries manifest writes. What the door needs for its
//! own work is kept out of it: the store, the admin listener, the socket for commands, the sweeps, the worker threads.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::admin_listener::ADMIN_CONNECTIONS;
use super::socket::SOCKET_CONNECTIONS;
use crate::config::Config;
use crate::door::{ConnectionLimits, RequestLimits};

/// Files of store, keys and certificates, the log, listeners, questions to the registry, connections that are about to be
/// refused.
const OWN: usize = 56;
/// What the runtime of a thread needs.
const THREAD: usize = 4;
/// A request in flight: see the module.
const REQUEST: usize = 3;
/// An idle connection to the registry, with its second handle.
const KEPT: usize = 2;
/// The most idle connections to the registry that a worker thread keeps.
const MOST_KEPT: usize = 128;
/// No client may have more than one of so many parts of all.
const PARTS: usize = 4;

/// Raises the limit of the process to its hard limit, and answers how many descriptors it may have then. A system that
/// does not let it be raised leaves it as it is.
pub(super) fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of descriptors cannot be raised to its hard limit");
    }
    getrlimit(Resource::Nofile)
        .current
        .and_then(|current| usize::try_from(current).ok())
        .unwrap_or(usize::MAX)
}

/// What clients may have.
#[derive(Debug)]
pub(super) struct Shares {
    pub connections: ConnectionLimits,
    pub requests: RequestLimits,
    /// Idle connections to the registry, for each worker thread.
    pub kept: usize,
}

/// Divides so many descriptors: as `limits` say, or less where that does not fit.
pub(super) fn share(config: &Config, descriptors: usize) -> Shares {
    let (limits, threads) = (&config.limits, config.server.threads.get());
    let own =
        OWN + ADMIN_CONNECTIONS + SOCKET_CONNECTIONS + THREAD * (threads + 2) + config.sync.concurrency.get();
    let free = descriptors.saturating_sub(own).max(1);
    let kept = (free / 8 / KEPT / threads).clamp(1, MOST_KEPT);
    let free = free.saturating_sub(kept * KEPT * threads);
    let (mut connections, mut requests) = (limits.connections.get(), limits.requests.get());
    if connections.saturating_add(requests.saturating_mul(REQUEST)) > free {
        connections = connections.min(free / 2);
        requests = requests.min(free.saturating_sub(connections) / REQUEST);
    }
    let (connections, requests) = (connections.max(1), requests.max(1));
    let of_one = |most: usize, all: usize| most.min(all / PARTS).max(1);
    Shares {
        connections: ConnectionLimits {
            all: connections,
            per_address: of_one(limits.connections_per_address.get(), connections),
            trusted_proxies: Vec::new(),
        },
        requests: RequestLimits {
            all: requests,
            per_address: of_one(limits.requests_per_address.get(), requests),
        },
        kept,
    }
}

impl Shares {
    /// Warns where clients get less than the configuration gives them.
    pub(super) fn warn_if_lowered(&self, config: &Config, descriptors: usize) {
        let (connections, requests) = (self.connections.all, self.requests.all);
        if connections < config.limits.connections.get() || requests < config.limits.requests.get() {
            tracing::warn!(
                descriptors,
                connections,
                requests,
                "the system gives this process too few descriptors for limits.connections and limits.requests, which \
                 are lowered; raise its hard limit (ulimit -Hn, LimitNOFILE=)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn config() -> Config {
        let mut config = Config::default();
        config.server.threads = const { NonZeroUsize::new(2).unwrap() };
        config
    }

    #[test]
    fn what_is_given_away_and_kept_never_exceeds_what_there_is() {
        let config = config();
        for descriptors in [200, 256, 512, 1_024, 4_096, 20_000, 1_048_576] {
            let Shares { connections, requests, kept } = share(&config, descriptors);
            let given = connections.all + REQUEST * requests.all + KEPT * kept * 2;
            assert!(given + OWN <= descriptors, "{descriptors}: {given}");
            assert!(connections.per_address * PARTS <= connections.all, "{descriptors}");
            assert!(requests.per_address * PARTS <= requests.all, "{descriptors}");
        }
    }

    #[test]
    fn many_descriptors_leave_the_limits_as_they_are_configured() {
        let shares = share(&config(), 1_048_576);
        assert_eq!((shares.connections.all, shares.connections.per_address), (4096, 1024));
        assert_eq!((shares.requests.all, shares.requests.per_address, shares.kept), (4096, 1024, 128));
    }

    #[test]
    fn a_process_with_hardly_any_still_serves_one_client() {
        let shares = share(&config(), 64);
        assert_eq!((shares.connections.all, shares.requests.all, shares.kept), (1, 1, 1));
    }
}
