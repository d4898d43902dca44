//! A door that takes over what another one asked about, or that starts again, goes on with what was put down.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::*;
use crate::store::{
    DoorId, Fate, Hint, HintedReference, Intent, IntentState, MemoryMedium, Queued, Retry, Sequence, Steps,
    Write,
};

/// Counts the writes of a store.
#[derive(Default)]
struct Writes(AtomicUsize);

impl Steps for Writes {
    fn fate(&self) -> Fate {
        self.0.fetch_add(1, Ordering::Relaxed);
        Fate::Done
    }

    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// A door that asks about unknown outcomes and follows hints.
struct Running {
    engine: SyncEngine,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Running {
    fn start(registry: &Arc<ScriptedRegistry>, store: Arc<dyn Store>, clock: Clock) -> Self {
        let engine = engine(registry, &store, Duration::from_secs(10), JudgeSettings::CREDULOUS, clock);
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(engine.take_part(stop.clone()));
        tasks.spawn(engine.settle_unknown(stop.clone()));
        tasks.spawn(engine.follow_hints(stop.clone()));
        Self { engine, tasks, stop }
    }

    /// One of several doors.
    fn join(registry: &Arc<ScriptedRegistry>, medium: &MemoryMedium, door: u64, clock: Clock) -> Self {
        let store = MemoryStore::join(medium, DoorId(door), Arc::new(Writes::default()));
        Self::start(registry, Arc::new(store), clock)
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.join_all().await;
    }

    async fn hint(&self, name: &str) {
        let hint = HintedReference { repository: repository(), reference: Reference::Tag(tag(name)) };
        let queued = self.engine.hints.add(vec![hint]).await.unwrap();
        assert!(matches!(queued, Queued::Kept(_)));
    }

    async fn hints(&self) -> Vec<Hint> {
        self.engine.store.hints(PageRequest { after: None, limit: 1_000 }).await.unwrap().items
    }
}

/// Has a registry answer nothing, and notes which tags it is asked about.
fn note_questions(registry: &ScriptedRegistry) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let note = Arc::clone(&asked);
    registry.script(move |_, path| {
        let (_, reference) = path.rsplit_once('/').unwrap();
        note.lock().unwrap().push(reference.to_owned());
        Some(Answer::Page(503))
    });
    asked
}

fn retry_of(intent: &Intent) -> Retry {
    match intent.state {
        IntentState::Unknown { retry, .. } => retry,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_door_that_takes_over_asks_no_sooner_than_was_put_down_and_no_later_than_the_pause_whatever_the_clocks()
 {
    const HOUR: i64 = 3_600_000;
    // Of the second door: what the first one put down is an hour ahead for it.
    let registry = ScriptedRegistry::new(["team/app"]);
    let asked = note_questions(&registry);
    let medium = MemoryMedium::default();
    let first = Running::join(&registry, &medium, 1, Clock::SYSTEM);
    let store = Arc::clone(&first.engine.store);
    let write = Write::Delete { reference: Reference::Tag(tag("written")) };
    let intent = store.begin(repository(), write, Actor::default(), Timestamp::now()).await.unwrap();
    assert!(first.engine.unknown.take_over(store.as_ref(), &intent).await);
    first.hint("hinted").await;
    tokio::time::sleep(Duration::from_mins(2)).await;
    first.stop().await;
    let observer = MemoryStore::observing(&medium);
    let open = crate::store::Ledger::open_intents(&observer).await.unwrap();
    let page = PageRequest { after: None, limit: 9 };
    let hints = crate::store::Hints::hints(&observer, page).await.unwrap().items;
    let (of_intent, of_hint) = (retry_of(&open[0]), hints[0].retry);
    assert!(of_intent.attempts > 30 && of_hint.attempts > 4, "{of_intent:?} {of_hint:?}");
    assert!(of_hint.pause > of_intent.pause * 2, "{of_intent:?} {of_hint:?}");

    asked.lock().unwrap().clear();
    let second = Running::join(&registry, &medium, 2, Clock::shifted(-HOUR));
    let begun = tokio::time::Instant::now();
    let by = async |time: Duration| {
        tokio::time::sleep_until(begun + time).await;
        let asked = asked.lock().unwrap();
        ["written", "hinted"].map(|name| asked.iter().any(|asked| asked == name))
    };
    let little = Duration::from_millis(50);
    assert_eq!(by(of_intent.pause - little).await, [false, false]);
    assert_eq!(by(of_intent.pause + little).await, [true, false]);
    assert_eq!(by(of_hint.pause - little).await, [true, false]);
    assert_eq!(by(of_hint.pause + little).await, [true, true]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let again = second.hints().await[0].retry;
    assert_eq!(again.attempts, of_hint.attempts + 1, "it goes on counting");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_door_that_stops_puts_down_what_it_has_postponed_just_now() {
    let registry = ScriptedRegistry::new(["team/app"]);
    let asked = note_questions(&registry);
    let medium = MemoryMedium::default();
    let first = Running::join(&registry, &medium, 1, Clock::SYSTEM);
    first.hint("hinted").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(*asked.lock().unwrap(), ["hinted"]);
    assert_eq!(first.hints().await[0].retry, Retry::FIRST, "it waits for others");
    first.stop().await;
    let second = Running::join(&registry, &medium, 2, Clock::shifted(-1_000_000));
    assert_eq!(second.hints().await[0].retry.attempts, 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(asked.lock().unwrap().len(), 1, "not at once");
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_hint_that_is_answered_costs_a_write_for_its_second_look_and_many_that_fail_share_theirs() {
    let registry = ScriptedRegistry::new((0..200).map(|number| format!("team/app{number}")));
    let writes = Arc::new(Writes::default());
    let store = MemoryStore::open_followed(&MemoryMedium::default(), Arc::<Writes>::clone(&writes) as _);
    let door = Running::start(&registry, Arc::new(store), Clock::SYSTEM);
    door.hint("hinted").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!((door.hints().await, writes.0.swap(0, Ordering::Relaxed)), (Vec::new(), 3));

    let asked = note_questions(&registry);
    let many = (0..200).map(|number| HintedReference {
        repository: RepositoryName::parse(&format!("team/app{number}")).unwrap(),
        reference: Reference::Tag(tag("hinted")),
    });
    door.engine.hints.add(many.collect()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (looks, written) = (asked.lock().unwrap().len(), writes.0.load(Ordering::Relaxed));
    assert!(looks > 600 && written <= 11, "{looks} looks, {written} writes");
    assert!(door.hints().await.iter().all(|hint| hint.retry.attempts > 2));
    door.stop().await;
}
