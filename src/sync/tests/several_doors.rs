//! A door that another one has taken for dead sends nothing of what it announced before.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use super::*;
use crate::store::{DoorId, Doors as _, Ledger as _, MemoryMedium, Sequence, Steps};

const FIRST: DoorId = DoorId(1);

/// Holds up the answer to one write, once told to.
#[derive(Default)]
struct HeldUp {
    is_armed: AtomicBool,
    reached: Notify,
    release: Notify,
}

impl Steps for HeldUp {
    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.is_armed.swap(false, Ordering::SeqCst) {
                self.reached.notify_one();
                self.release.notified().await;
            }
        })
    }
}

/// The first door, what holds up its answers, and the store of the second.
fn two_doors() -> (House, Arc<HeldUp>, MemoryStore) {
    let (medium, held_up) = (MemoryMedium::default(), Arc::<HeldUp>::default());
    let steps: Arc<dyn Steps> = Arc::<HeldUp>::clone(&held_up);
    let first = Arc::new(MemoryStore::join(&medium, FIRST, steps));
    let second = MemoryStore::join(&medium, DoorId(2), Arc::<HeldUp>::default());
    (House::over(first, Duration::from_secs(10), JudgeSettings::CREDULOUS), held_up, second)
}

/// The second door takes the first one for dead.
async fn adopt_first(second: &MemoryStore) {
    let beats = second.beat().await.unwrap();
    let first = beats.into_iter().find(|beat| beat.incarnation.door == FIRST).unwrap();
    assert!(second.adopt(first).await.unwrap());
}

fn assert_nothing_was_sent(house: &House, carried: &Result<crate::registry::WriteAnswer, CarryFailure>) {
    assert!(matches!(carried, Err(CarryFailure::NotNoted(_))), "{carried:?}");
    assert!(house.registry.references().is_empty(), "the registry heard of it");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_announced_before_this_door_died_and_joined_again_is_not_sent() {
    let (house, held_up, second) = two_doors();
    held_up.is_armed.store(true, Ordering::SeqCst);
    let carrier = house.carrier.clone();
    let carrying = tokio::spawn(async move { carrier.carry(put("latest", b"one")).await });
    held_up.reached.notified().await;
    adopt_first(&second).await;
    let stop = CancellationToken::new();
    let _running = stop.clone().drop_guard();
    tokio::spawn(house.engine.take_part(stop));
    // It has joined again, and the others know that it lives.
    house
        .wait_until("another life", || async {
            let beats = second.beat().await.unwrap();
            beats
                .iter()
                .any(|beat| beat.incarnation.door == FIRST && beat.incarnation.epoch > 2 && beat.count > 0)
        })
        .await;
    held_up.release.notify_one();
    assert_nothing_was_sent(&house, &carrying.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_write_that_another_door_has_given_up_is_not_sent_when_its_wait_is_over() {
    let (house, _, second) = two_doors();
    let write = crate::store::Write::Delete { reference: Reference::Tag(tag("latest")) };
    let before = second.begin(repository(), write, Actor::default(), Timestamp::now()).await.unwrap();
    let carrier = house.carrier.clone();
    let carrying = tokio::spawn(async move { carrier.carry(put("latest", b"one")).await });
    house.wait_until("it waits", || async { second.open_intents().await.unwrap().len() == 2 }).await;
    // Its turn comes, and is given up at once.
    second.settle(&before, crate::store::Outcome::Closed, Timestamp::now()).await.unwrap();
    adopt_first(&second).await;
    assert_nothing_was_sent(&house, &carrying.await.unwrap());
}
