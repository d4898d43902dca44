//! The journal of the gate: every login, refusal, token and administrative act. Nobody who comes in waits for it: what happens
//! is gathered in memory, what happens again in the same second is counted, and a task writes it down.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, HeldClock, Timestamp};
use crate::store::{AuthEvent, AuthEventKind, Retention, Store};

/// How often it is written down.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The most different things that are gathered between two writings. Further ones are lost, and counted.
const MAXIMUM: usize = 10_000;
/// The most that are kept.
const KEPT: u64 = 100_000;
/// The longest text of an event, in bytes.
const LONGEST: usize = 1_000;

type Gathered = HashMap<(AuthEventKind, Option<String>, Option<IpAddr>, String), (u64, Timestamp)>;

/// Gathers what happens.
pub struct Journal {
    clock: Clock,
    /// By which events are too old.
    held: Arc<HeldClock>,
    keep: Duration,
    gathered: Mutex<Gathered>,
}

impl Journal {
    /// One whose events are kept for so long.
    pub fn new(clock: Clock, keep: Duration) -> Self {
        Self { clock, held: Arc::new(HeldClock::new(clock, None)), keep, gathered: Mutex::default() }
    }

    /// The same, whose events are too old by this clock.
    #[must_use]
    pub fn aging_by(self, held: Arc<HeldClock>) -> Self {
        Self { held, ..self }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something has happened.
    pub fn note(
        &self,
        kind: AuthEventKind,
        user: Option<&str>,
        address: Option<IpAddr>,
        about: impl Into<String>,
    ) {
        self.add(kind, user.map(cut), address, cut(&about.into()), 1, self.clock.now());
    }

    fn add(
        &self,
        kind: AuthEventKind,
        user: Option<String>,
        address: Option<IpAddr>,
        about: String,
        count: u64,
        now: Timestamp,
    ) {
        let mut gathered = self.gathered();
        let is_full = gathered.len() >= MAXIMUM;
        let key = (kind, user, address, about);
        match gathered.get_mut(&key) {
            Some(known) => *known = (known.0.saturating_add(count), known.1.max(now)),
            None if is_full => metrics::counter!("portreeve_auth_events_lost_total").increment(count),
            None => {
                gathered.insert(key, (count, now));
            }
        }
    }

    /// Writes down what was gathered. What cannot be written is kept for the next time.
    async fn flush(&self, store: &dyn Store) {
        let gathered = std::mem::take(&mut *self.gathered());
        if gathered.is_empty() {
            return;
        }
        let mut events: Vec<AuthEvent> = gathered
            .into_iter()
            .map(|((kind, user, address, about), (count, time))| AuthEvent {
                time,
                kind,
                user,
                address,
                about,
                count,
            })
            .collect();
        events.sort_by_key(|event| event.time);
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let retention = Retention { most: KEPT, since: self.held.now().shifted(keep.saturating_neg()) };
        if let Err(error) = store.add_auth_events(events.clone(), retention).await {
            tracing::warn!(%error, "what happened at the gate cannot be written down now; it is kept");
            for AuthEvent { time, kind, user, address, about, count } in events {
                self.add(kind, user, address, about, count, time);
            }
        }
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Writes the journal down again and again, and a last time when told to stop.
pub async fn keep_journal(journal: Arc<Journal>, store: Arc<dyn Store>, stop: CancellationToken) {
    // Never cut while it writes.
    while stop.run_until_cancelled(tokio::time::sleep(FLUSH_EVERY)).await.is_some() {
        journal.flush(store.as_ref()).await;
    }
    journal.flush(store.as_ref()).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_is_counted_and_only_so_much_is_gathered() {
        let journal = Journal::new(Clock::SYSTEM, Duration::from_secs(1));
        for _ in 0..3 {
            journal.note(AuthEventKind::Token, Some("alice"), None, "scope");
        }
        assert_eq!(journal.gathered().values().map(|(count, _)| *count).collect::<Vec<_>>(), [3]);
        for number in 0..MAXIMUM + 10 {
            journal.note(AuthEventKind::LoginFailed, Some(&number.to_string()), None, "");
        }
        assert_eq!(journal.gathered().len(), MAXIMUM);
        journal.note(AuthEventKind::Token, Some(&"ü".repeat(LONGEST)), None, "x".repeat(LONGEST * 2));
        assert!(journal.gathered().keys().all(|(_, user, _, about)| {
            about.len() <= LONGEST && user.as_ref().is_none_or(|user| user.len() <= LONGEST)
        }));
    }
}
