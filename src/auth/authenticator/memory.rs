//! What came of credentials, by their fingerprints: those that were refused, for as long as their failures count, and those
//! that were proven of late. Each is remembered together with what the sources knew then, and worth nothing when they know
//! something else.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::fingerprint::Fingerprint;
use crate::auth::lockout::{KNOWN, REMEMBERED, REMEMBERED_TOKENS, Table};
use crate::auth::network::Network;

/// What credentials were looked at with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Circumstances {
    /// The hash of the user's password.
    User(Fingerprint),
    /// No user of that name, at this version of the sources.
    Unknown(u64),
    /// An access token, at this version of the sources.
    Token(u64),
}

pub(super) struct Memory(Mutex<State>);

struct State {
    refused: Table<Fingerprint, Circumstances>,
    refused_tokens: Table<Fingerprint, Circumstances>,
    proven: Table<(Network, Fingerprint), Circumstances>,
    proven_tokens: Table<(Network, Fingerprint), Circumstances>,
}

impl State {
    fn refused(&mut self, now: Circumstances) -> &mut Table<Fingerprint, Circumstances> {
        if matches!(now, Circumstances::Token(_)) { &mut self.refused_tokens } else { &mut self.refused }
    }

    fn proven(&mut self, now: Circumstances) -> &mut Table<(Network, Fingerprint), Circumstances> {
        if matches!(now, Circumstances::Token(_)) { &mut self.proven_tokens } else { &mut self.proven }
    }
}

impl Memory {
    /// What was refused is remembered for so long after it was tried last.
    pub(super) fn new(refused: Duration) -> Self {
        Self(Mutex::new(State {
            refused: Table::new(REMEMBERED, refused),
            refused_tokens: Table::new(REMEMBERED_TOKENS, refused),
            proven: Table::new(REMEMBERED, KNOWN),
            proven_tokens: Table::new(REMEMBERED_TOKENS, KNOWN),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// They were right, from there. What there is no room for is looked at again the next time.
    pub(super) fn prove(
        &self,
        network: Network,
        credential: Fingerprint,
        circumstances: Circumstances,
        now: Instant,
    ) {
        let _ = self.state().proven(circumstances).put((network, credential), circumstances, now, now);
    }

    /// Under which circumstances they were proven from there, of late.
    pub(super) fn proven(
        &self,
        network: Network,
        credential: Fingerprint,
        circumstances: Circumstances,
        now: Instant,
    ) -> Option<Circumstances> {
        self.state().proven(circumstances).get(&(network, credential), now).copied()
    }

    /// They were wrong. Answers whether that is another guess: the same password again is none, and neither is a name that
    /// still no user has.
    pub(super) fn refuse(&self, credential: Fingerprint, circumstances: Circumstances, now: Instant) -> bool {
        let mut state = self.state();
        let refused = state.refused(circumstances);
        let before = refused.get(&credential, now).copied();
        let _ = refused.put(credential, circumstances, now, now);
        match (before, circumstances) {
            (Some(Circumstances::User(before)), Circumstances::User(now)) => before != now,
            (Some(Circumstances::User(_)), Circumstances::Unknown(_)) | (None, _) => true,
            // A name that no user had before has a password to be guessed now.
            (Some(_), Circumstances::User(_)) => true,
            (Some(_), Circumstances::Unknown(_) | Circumstances::Token(_)) => false,
        }
    }

    /// Under which circumstances they were refused. Who tries them again and again keeps that remembered.
    pub(super) fn refused(
        &self,
        credential: Fingerprint,
        circumstances: Circumstances,
        now: Instant,
    ) -> Option<Circumstances> {
        let mut state = self.state();
        let refused = state.refused(circumstances);
        let before = refused.get(&credential, now).copied()?;
        let _ = refused.put(credential, before, now, now);
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::auth::fingerprint::Fingerprints;

    const LIFE: Duration = Duration::from_secs(100);
    const HOUR: Duration = Duration::from_hours(1);

    struct Known {
        memory: Memory,
        fingerprints: Fingerprints,
        now: Instant,
    }

    fn known() -> Known {
        Known { memory: Memory::new(LIFE), fingerprints: Fingerprints::new().unwrap(), now: Instant::now() }
    }

    impl Known {
        fn of(&self, text: &str) -> Fingerprint {
            self.fingerprints.of("", &[text.as_bytes()])
        }

        fn user(&self, hash: &str) -> Circumstances {
            Circumstances::User(self.of(hash))
        }
    }

    fn network(last: u8) -> Network {
        Network::of(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn the_same_again_is_no_other_guess_until_the_password_is_another() {
        let known = known();
        let (stale, now) = (known.of("stale"), known.now);
        assert!(known.memory.refuse(stale, known.user("a"), now));
        assert!(!known.memory.refuse(stale, known.user("a"), now));
        assert!(known.memory.refuse(known.of("other"), known.user("a"), now));
        assert!(known.memory.refuse(stale, known.user("b"), now));
    }

    #[test]
    fn a_name_that_stays_nobodys_is_no_other_guess_whatever_else_changes() {
        let known = known();
        let (stale, now) = (known.of("stale"), known.now);
        assert!(known.memory.refuse(stale, Circumstances::Unknown(0), now));
        assert!(!known.memory.refuse(stale, Circumstances::Unknown(1), now));
        assert!(known.memory.refuse(stale, known.user("a"), now));
        assert!(known.memory.refuse(stale, Circumstances::Unknown(2), now));
        assert!(known.memory.refuse(stale, Circumstances::Token(0), now), "kept apart");
        assert!(!known.memory.refuse(stale, Circumstances::Token(1), now));
    }

    #[test]
    fn what_was_refused_is_remembered_as_long_as_it_is_tried() {
        let known = known();
        let (stale, user) = (known.of("stale"), known.user("a"));
        let mut now = known.now;
        known.memory.refuse(stale, user, now);
        for _ in 0..10 {
            now += LIFE / 2;
            assert_eq!(known.memory.refused(stale, user, now), Some(user));
        }
        assert_eq!(known.memory.refused(stale, user, now + LIFE), None);
    }

    #[test]
    fn what_was_proven_is_proven_there_and_for_a_day() {
        let known = known();
        let (right, user, now) = (known.of("right"), known.user("a"), known.now);
        known.memory.prove(network(1), right, user, now);
        assert_eq!(known.memory.proven(network(1), right, user, now + 23 * HOUR), Some(user));
        assert_eq!(known.memory.proven(network(1), right, user, now + 24 * HOUR), None);
        assert_eq!(known.memory.proven(network(2), right, user, now), None);
        assert_eq!(known.memory.proven(network(1), known.of("wrong"), user, now), None);
        assert_eq!(
            known.memory.proven(network(1), right, known.user("b"), now),
            Some(user),
            "with the old hash"
        );
    }

    #[test]
    fn invented_tokens_push_no_refused_password_out() {
        let known = known();
        let (stale, user, now) = (known.of("stale"), known.user("a"), known.now);
        known.memory.refuse(stale, user, now);
        for number in 0..REMEMBERED + 10 {
            known.memory.refuse(known.of(&number.to_string()), Circumstances::Token(0), now);
        }
        assert_eq!(known.memory.refused(stale, user, now), Some(user));
    }
}
