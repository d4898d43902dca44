//! A door that others take for dead while it has a write under way.

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::*;
use crate::registry::WriteAnswer;
use crate::store::{
    Beat, DoorId, Doors as _, Intent, Ledger as _, MemoryMedium, Outcome, Sequence, Steps, StoreError, Write,
};

/// What a store does is heard of at once; but for one answer, which is held back.
#[derive(Default)]
struct OneHeldBack(Mutex<Option<oneshot::Receiver<()>>>);

impl Steps for OneHeldBack {
    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        let held = self.0.lock().unwrap().take();
        Box::pin(async {
            if let Some(held) = held {
                held.await.unwrap();
            }
        })
    }
}

/// A door, and another one that shares its record.
fn two_doors() -> (Arc<OneHeldBack>, House, MemoryStore) {
    let (medium, steps) = (MemoryMedium::default(), Arc::new(OneHeldBack::default()));
    let join = |door, steps| MemoryStore::join(&medium, DoorId(door), steps);
    let store = Arc::new(join(1, Arc::clone(&steps) as Arc<dyn Steps>));
    let house = House::over(store, Duration::from_secs(10), JudgeSettings::CREDULOUS);
    (steps, house, join(2, Arc::new(OneHeldBack::default())))
}

fn carrying(
    house: &House,
    request: WriteRequest,
) -> tokio::task::JoinHandle<Result<WriteAnswer, CarryFailure>> {
    let carrier = house.carrier.clone();
    tokio::spawn(async move { carrier.carry(request).await })
}

async fn last_heard(of: DoorId, by: &MemoryStore) -> Beat {
    let beats = by.beat().await.unwrap();
    beats.into_iter().find(|beat| beat.incarnation.door == of).unwrap()
}

async fn until_open(house: &House, other: &MemoryStore, count: usize) -> Vec<Intent> {
    house.wait_until("an intent", || async { other.open_intents().await.unwrap().len() == count }).await;
    other.open_intents().await.unwrap()
}

fn assert_not_sent(house: &House, carried: Result<WriteAnswer, CarryFailure>) {
    assert!(matches!(carried, Err(CarryFailure::NotNoted(StoreError::Fenced))), "{carried:?}");
    assert!(!house.registry.references().contains_key("t"), "the registry has it");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_became_another_doors_while_it_waited_is_not_sent() {
    let (_, house, other) = two_doors();
    let write = Write::Put { digest: Digest::sha256(b"before"), tags: vec![tag("t")] };
    let before = other.begin(repository(), write, Actor::default(), Timestamp::now()).await.unwrap();
    let carrying = carrying(&house, put("t", b"one"));
    until_open(&house, &other, 2).await;
    let dead = last_heard(DoorId(1), &other).await;
    // Nothing comes between the two: the write may be carried, and is asked about, before its task sees either.
    other.settle(&before, Outcome::Closed, Timestamp::now()).await.unwrap();
    assert!(other.adopt(dead).await.unwrap());
    assert_not_sent(&house, carrying.await.unwrap());
    assert!(until_open(&house, &other, 1).await[0].state.is_unknown());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_began_in_an_earlier_life_is_not_sent_in_the_next() {
    let (steps, house, other) = two_doors();
    let (release, held) = oneshot::channel();
    *steps.0.lock().unwrap() = Some(held);
    let carrying = carrying(&house, put("t", b"one"));
    until_open(&house, &other, 1).await;
    let dead = last_heard(DoorId(1), &other).await;
    assert!(other.adopt(dead).await.unwrap());
    let (membership, stop) = (&house.engine.membership, CancellationToken::new());
    let life = membership.life();
    let taking_part = tokio::spawn(house.engine.take_part(stop.clone()));
    let lives_again = || async { membership.life() != life && membership.check().is_ok() };
    house.wait_until("another life", lives_again).await;
    release.send(()).unwrap();
    assert_not_sent(&house, carrying.await.unwrap());
    house.carrier.carry(put("u", b"two")).await.unwrap();
    stop.cancel();
    taking_part.await.unwrap();
}
