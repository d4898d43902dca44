//! The journal of the gate: every login, refusal, token and administrative act. No caller waits for it: events are
//! gathered in memory, those that happen again are counted, and a task writes them down.

mod gathering;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use self::gathering::{Due, Gathering, Happening};
use super::subject::UserName;
use crate::clock::{Clock, RetentionClock, Timestamp};
use crate::store::{AuthEvent, AuthEventKind, AuthLog, Quotas, Retention, Sequence};
use crate::telemetry::{CounterFamily, FailureLog};

pub(super) static EVENTS_LOST: CounterFamily = CounterFamily {
    name: "portreeve_auth_events_lost_total",
    help: "Events of the gate that were too many different ones to be told apart, and are only counted",
    labels: &[],
};

/// How often it is written down.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The most that are kept, of each kind: 100,000 in all.
const KEPT: Quotas = Quotas {
    tokens: 20_000,
    logins: 15_000,
    failures: 15_000,
    refusals: 15_000,
    accounts: 10_000,
    policies: 10_000,
};

/// Knows which names users have.
#[async_trait]
pub trait Names: Send + Sync {
    /// Whether a user has this name. One that cannot be looked up counts as unknown.
    async fn is_known(&self, name: &UserName) -> bool;
}

/// Gathers what happens.
pub struct Journal {
    clock: Clock,
    /// The clock by which events are too old.
    retention_clock: Arc<RetentionClock>,
    keep: Duration,
    gathering: Mutex<Gathering>,
    /// Without it every claimed name is unknown.
    names: OnceLock<Weak<dyn Names>>,
    failures: FailureLog,
}

impl Journal {
    /// One whose events are kept for so long.
    pub fn new(clock: Clock, keep: Duration) -> Self {
        let retention_clock = Arc::new(RetentionClock::new(clock, None));
        let (gathering, names, failures) = (Mutex::default(), OnceLock::new(), FailureLog::new());
        Self { clock, retention_clock, keep, gathering, names, failures }
    }

    /// The same, whose events are too old by this clock.
    #[must_use]
    pub fn with_retention_clock(self, retention_clock: Arc<RetentionClock>) -> Self {
        Self { retention_clock, ..self }
    }

    /// Asks there whose names there are, from now on. The first one counts.
    pub fn ask_for_names(&self, names: Weak<dyn Names>) {
        // Only a second one is refused.
        let _ = self.names.set(names);
    }

    fn gathering(&self) -> MutexGuard<'_, Gathering> {
        self.gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event. `user` has proved who they are; a name that is only claimed goes to [`Journal::note_claim`].
    pub fn note(
        &self,
        kind: AuthEventKind,
        user: Option<&str>,
        address: Option<IpAddr>,
        about: impl AsRef<str>,
    ) {
        self.add(kind, user, None, address, about.as_ref());
    }

    /// Notes an event of a caller who claims this name and has not proved it. A name that no user has is not kept: people
    /// type passwords where a name is asked for.
    pub fn note_claim(&self, kind: AuthEventKind, claimed: &UserName, address: IpAddr, about: &str) {
        self.add(kind, None, Some(claimed), Some(address), about);
    }

    fn add(
        &self,
        kind: AuthEventKind,
        user: Option<&str>,
        claimed: Option<&UserName>,
        address: Option<IpAddr>,
        about: &str,
    ) {
        let (time, now) = (self.clock.now(), Instant::now());
        let is_told = self.gathering().note(&Happening { kind, user, claimed, address, about, time, now });
        if !is_told {
            EVENTS_LOST.with([]).increment(1);
        }
    }

    /// Writes down what was gathered; at the `end`, all of it. What cannot be written is kept for the next time.
    async fn flush(&self, store: &dyn AuthLog, end: bool) {
        let mut due = self.gathering().due(Instant::now(), end);
        if due.is_empty() {
            return;
        }
        self.look_up_names(&mut due).await;
        let events: Vec<(Option<Sequence>, AuthEvent)> =
            due.iter().map(|due| (due.number, due.event.clone())).collect();
        match store.add_auth_events(events, self.retention()).await {
            Ok(numbers) => {
                self.gathering().written(due, &numbers, Instant::now());
                if self.failures.worked() {
                    tracing::info!("what happens at the gate is written down again");
                }
            }
            Err(error) if self.failures.failed(&error) => {
                tracing::warn!(%error, "what happened at the gate cannot be written down now; it is kept");
            }
            Err(_) => {}
        }
    }

    fn retention(&self) -> Retention {
        let keep = i64::try_from(self.keep.as_millis()).unwrap_or(i64::MAX);
        let since: Timestamp = self.retention_clock.now().shifted(keep.saturating_neg());
        Retention { most: KEPT, since }
    }

    /// Shows the claimed names that users have. Done here, so that a caller who tries names learns nothing by the clock.
    async fn look_up_names(&self, due: &mut [Due]) {
        let Some(names) = self.names.get().and_then(Weak::upgrade) else { return };
        for Due { claimed, event, .. } in due {
            if let Some(name) = claimed
                && names.is_known(name).await
            {
                event.user = Some(name.to_string());
            }
        }
    }
}

/// Writes the journal down again and again, and a last time when told to stop.
pub async fn keep_journal(journal: Arc<Journal>, store: Arc<dyn AuthLog>, stop: CancellationToken) {
    // Never cut while it writes.
    while stop.run_until_cancelled(tokio::time::sleep(FLUSH_EVERY)).await.is_some() {
        journal.flush(store.as_ref(), false).await;
    }
    journal.flush(store.as_ref(), true).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{PageRequest, RedbStore, Store as _};
    use crate::telemetry::logging::tests::traced_as_json;

    /// Knows one name.
    struct Only(&'static str);

    #[async_trait]
    impl Names for Only {
        async fn is_known(&self, name: &UserName) -> bool {
            name.as_str() == self.0
        }
    }

    async fn written(store: &RedbStore) -> Vec<AuthEvent> {
        let page = store.auth_events(PageRequest { after: None, limit: 100 }).await.unwrap();
        page.items.into_iter().map(|(_, event)| event).collect()
    }

    #[tokio::test]
    async fn a_claimed_name_is_written_down_if_somebody_has_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = RedbStore::open(directory.path().join("store.redb")).unwrap();
        let journal = Journal::new(Clock::SYSTEM, Duration::from_hours(1));
        let names: Arc<dyn Names> = Arc::new(Only("alice"));
        let address = IpAddr::from([192, 0, 2, 1]);
        let claim = |name: &str| {
            let name = UserName::parse(name).unwrap();
            journal.note_claim(AuthEventKind::LoginFailed, &name, address, "wrong");
        };
        claim("before");
        journal.flush(&store, false).await;
        journal.ask_for_names(Arc::downgrade(&names));
        ["alice", "hunter2"].into_iter().for_each(claim);
        journal.flush(&store, false).await;
        let shown: Vec<String> = written(&store).await.into_iter().filter_map(|event| event.user).collect();
        assert_eq!(shown.iter().filter(|user| user.as_str() == "alice").count(), 1, "{shown:?}");
        assert_eq!(shown.iter().filter(|user| user.starts_with("nobody:")).count(), 2, "{shown:?}");
        drop(names);
        claim("alicf");
        journal.flush(&store, true).await;
        assert_eq!(written(&store).await.len(), 4, "without anybody to ask, it is nobody's");
    }

    #[test]
    fn a_store_that_cannot_be_written_is_told_once_and_so_is_its_end() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let closed = RedbStore::open(&path).unwrap();
        closed.close();
        let journal = Journal::new(Clock::SYSTEM, Duration::from_hours(1));
        journal.note(AuthEventKind::Account, None, None, "the user dora was added");
        let said = traced_as_json(|| {
            runtime.block_on(async {
                for _ in 0..3 {
                    journal.flush(&closed, false).await;
                }
                drop(closed);
                let store = RedbStore::open(&path).unwrap();
                journal.flush(&store, false).await;
                journal.note(AuthEventKind::Account, None, None, "the user dora was removed");
                journal.flush(&store, false).await;
            });
        });
        assert_eq!(said.matches("cannot be written down now").count(), 1, "{said}");
        // The line about its end is an INFO, which the subscribers of other tests may turn off for a moment.
        assert!(!journal.failures.worked(), "its end was noted");
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_later() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.redb");
        let closed = RedbStore::open(&path).unwrap();
        closed.close();
        let journal = Journal::new(Clock::SYSTEM, Duration::from_hours(1));
        journal.note(AuthEventKind::Account, None, None, "the user dora was added");
        journal.flush(&closed, false).await;
        drop(closed);
        let store = RedbStore::open(&path).unwrap();
        journal.flush(&store, false).await;
        assert_eq!(written(&store).await[0].about, "the user dora was added");
    }
}
