//! This door among those that share its record: it shows that it lives, takes for dead those that do not, and knows by its
//! own clock until when the others take it for alive.
//!
//! No clock is compared with another's. A door is dead for another that has not seen its beat move for [`TIME_TO_LIVE`]; a
//! door fences itself a [`MARGIN`] before any other can think so, counted from before its last beat. While a door cannot look
//! itself, the others may not be able to show their lives either: only [`LONGEST`] of that counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::{Beat, DoorId, Doors, Lease, LeaseName, StoreError};
use crate::telemetry::CounterFamily;

pub(super) static FENCED: CounterFamily = CounterFamily {
    name: "portreeve_door_fenced_total",
    help: "Times that this door was taken for dead by others that share its record",
    labels: &[],
};

/// A door whose beat has not moved for so long is dead.
pub(super) const TIME_TO_LIVE: Duration = Duration::from_secs(6);
/// So much before others may take it for dead a door writes no more.
const MARGIN: Duration = Duration::from_millis(1_500);
/// Between two beats: several may fail before it matters.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at the others no more than this counts as silence of theirs.
const LONGEST: Duration = Duration::from_secs(2);
/// How often a door tries to get a lease that another holds.
pub(super) const LEASE_INTERVAL: Duration = Duration::from_secs(1);

/// Whether this door may write, and which others do not live any more.
pub struct Membership {
    store: Arc<dyn Doors>,
    standing: Mutex<Standing>,
    /// How often this door was taken for dead.
    deaths: AtomicU64,
}

/// One life of this door: what it held in an earlier one is not its own any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life(u64);

/// What the others think of this door.
#[derive(Clone, Copy, Debug)]
enum Standing {
    /// There are no others.
    Alone,
    /// Until then they know that it lives.
    Until(Instant),
    /// They may take it for dead.
    Fenced,
}

/// The other doors, as this one has seen them.
#[derive(Default)]
struct Others {
    seen: HashMap<DoorId, Seen>,
    /// When it has looked last.
    looked: Option<Instant>,
}

/// How another door was heard last, and for how long it has been silent since.
struct Seen {
    beat: Beat,
    silent: Duration,
}

impl Membership {
    /// Of the door that this store belongs to. Where several share it, the door has joined them just now, and lives on as long
    /// as [`Membership::run`] runs.
    pub fn new(store: Arc<dyn Doors>) -> Self {
        let standing = match store.is_shared() {
            // Far less than others give a door that they have just seen.
            true => Standing::Until(Instant::now() + 2 * INTERVAL),
            false => Standing::Alone,
        };
        Self { store, standing: Mutex::new(standing), deaths: AtomicU64::new(0) }
    }

    /// The life that this door is in, as far as it knows.
    pub fn life(&self) -> Life {
        Life(self.deaths.load(Ordering::Acquire))
    }

    /// Refuses where other doors may take this one for dead, or have done so since it was in this life. To be asked right before
    /// the registry hears of a write that was announced in that life or later.
    ///
    /// # Errors
    /// [`StoreError::Fenced`].
    pub fn check_since(&self, life: Life) -> Result<(), StoreError> {
        self.check()?;
        // Afterwards: a door that has joined again has counted its death before.
        if self.life() == life { Ok(()) } else { Err(StoreError::Fenced) }
    }

    /// Refuses where other doors may take this one for dead.
    ///
    /// # Errors
    /// [`StoreError::Fenced`].
    pub fn check(&self) -> Result<(), StoreError> {
        match *self.standing() {
            Standing::Alone => Ok(()),
            Standing::Until(deadline) if Instant::now() < deadline => Ok(()),
            Standing::Until(_) | Standing::Fenced => Err(StoreError::Fenced),
        }
    }

    /// Waits until other doors may take this one for dead. Never where there is no other door.
    pub async fn fenced(&self) {
        loop {
            let deadline = match *self.standing() {
                Standing::Alone => None,
                Standing::Until(deadline) if Instant::now() < deadline => Some(deadline),
                Standing::Until(_) | Standing::Fenced => return,
            };
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => return std::future::pending().await,
            }
        }
    }

    /// Shows that this door lives, and takes over from those that do not, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        if !self.store.is_shared() {
            return;
        }
        let running = async {
            let mut others = Others::default();
            loop {
                // By the clock, however long a beat takes: a slow store is no dead door.
                let next = Instant::now() + INTERVAL;
                self.beat(&mut others).await;
                tokio::time::sleep_until(next).await;
            }
        };
        stop.run_until_cancelled(running).await;
    }

    async fn beat(&self, others: &mut Others) {
        let before = Instant::now();
        match self.store.beat().await {
            Ok(beats) => {
                *self.standing() = Standing::Until(before + (TIME_TO_LIVE - MARGIN));
                for dead in others.observe(beats, Instant::now()) {
                    self.adopt(dead).await;
                }
            }
            Err(StoreError::Fenced) => {
                *self.standing() = Standing::Fenced;
                self.deaths.fetch_add(1, Ordering::Release);
                tracing::warn!("the other doors have taken this one for dead; it joins them again");
                FENCED.with([]).increment(1);
                *others = Others::default();
                if let Err(error) = self.store.rejoin().await {
                    tracing::warn!(%error, "this door cannot join the others; trying again");
                }
            }
            Err(error) => tracing::warn!(%error, "this door cannot show that it lives; trying again"),
        }
    }

    async fn adopt(&self, dead: Beat) {
        match self.store.adopt(dead).await {
            Ok(true) => tracing::warn!(
                door = dead.incarnation.door.0,
                "a door has shown no life; its writes under way are asked about"
            ),
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "what a dead door left cannot be taken over; trying again"),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Others {
    /// Notes who was heard. Answers those that have not been for too long.
    fn observe(&mut self, beats: Vec<Beat>, now: Instant) -> Vec<Beat> {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |looked| now.duration_since(looked));
        let mut dead = Vec::new();
        for beat in beats {
            let door = beat.incarnation.door;
            match self.seen.get_mut(&door) {
                Some(last) if last.beat == beat => {
                    last.silent += since.min(LONGEST);
                    if last.silent >= TIME_TO_LIVE {
                        dead.push(beat);
                    }
                }
                Some(_) | None => {
                    self.seen.insert(door, Seen { beat, silent: Duration::ZERO });
                }
            }
        }
        dead
    }
}

/// What this door alone does, as long as it holds the lease for it.
pub struct LeaseHolder {
    name: LeaseName,
    membership: Arc<Membership>,
    /// With the life in which it was had.
    held: Mutex<Option<(Life, Lease)>>,
}

impl LeaseHolder {
    /// Holds nothing yet.
    pub fn new(name: LeaseName, membership: Arc<Membership>) -> Self {
        Self { name, membership, held: Mutex::new(None) }
    }

    /// Takes the lease, or makes sure that it is still held. Answers nothing while another door has it.
    ///
    /// # Errors
    /// When the store fails, or the others take this door for dead.
    pub async fn acquire(&self) -> Result<Option<Lease>, StoreError> {
        let life = self.membership.life();
        let acquired = match self.membership.check() {
            Ok(()) => self.membership.store.acquire(self.name).await,
            Err(error) => Err(error),
        };
        *self.lease() = acquired.as_ref().ok().copied().flatten().map(|lease| (life, lease));
        acquired
    }

    /// Waits until the lease is held, however often the store fails.
    pub async fn wait(&self) -> Lease {
        loop {
            match self.acquire().await {
                Ok(Some(lease)) => return lease,
                Ok(None) | Err(StoreError::Fenced) => {}
                Err(error) => {
                    tracing::warn!(lease = ?self.name, %error, "a lease cannot be had; trying again")
                }
            }
            tokio::time::sleep(LEASE_INTERVAL).await;
        }
    }

    /// The lease, as far as this door knows.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if it is not held, or may be another's by now.
    pub fn held(&self) -> Result<Lease, StoreError> {
        let (life, lease) = self.lease().ok_or(StoreError::Fenced)?;
        self.membership.check_since(life)?;
        Ok(lease)
    }

    /// Waits until the lease may be another's. Never where there is no other door.
    pub async fn lost(&self) {
        if !self.membership.store.is_shared() {
            return std::future::pending().await;
        }
        while self.held().is_ok() {
            tokio::time::sleep(LEASE_INTERVAL).await;
        }
    }

    /// Whether other doors may want the lease.
    pub fn is_shared(&self) -> bool {
        self.membership.store.is_shared()
    }

    /// Gives the lease back, so that another door may try.
    pub async fn release(&self) {
        let Some((_, lease)) = self.lease().take() else { return };
        if let Err(error) = self.membership.store.release(lease).await {
            tracing::debug!(lease = ?self.name, %error, "a lease cannot be given back");
        }
    }

    fn lease(&self) -> MutexGuard<'_, Option<(Life, Lease)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until it is time to look again at what other doors have left, after the last look.
pub(super) async fn other_doors(lease: &LeaseHolder, looked: Instant) {
    if lease.is_shared() {
        tokio::time::sleep_until(looked + LEASE_INTERVAL).await;
    } else {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Incarnation;

    fn beat(door: u64, count: u64) -> Beat {
        Beat { incarnation: Incarnation { door: DoorId(door), epoch: 1 }, count }
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_is_dead_once_its_beat_has_not_moved_for_its_time_to_live() {
        let (mut others, start) = (Others::default(), Instant::now());
        assert!(others.observe(vec![beat(1, 1), beat(2, 1)], start).is_empty());
        for count in 2..7 {
            let now = start + INTERVAL * u32::try_from(count - 1).unwrap();
            assert!(others.observe(vec![beat(1, count), beat(2, 1)], now).is_empty());
        }
        assert_eq!(others.observe(vec![beat(1, 7), beat(2, 1)], start + TIME_TO_LIVE), [beat(2, 1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_is_not_dead_because_neither_it_nor_who_looks_could_reach_the_store() {
        let (mut others, start) = (Others::default(), Instant::now());
        others.observe(vec![beat(1, 1), beat(2, 1)], start);
        let healed = start + 10 * TIME_TO_LIVE;
        assert!(others.observe(vec![beat(1, 2), beat(2, 1)], healed).is_empty(), "it comes a moment later");
        assert!(others.observe(vec![beat(1, 3), beat(2, 2)], healed + INTERVAL).is_empty());
        // One that does not is dead all the same.
        for seconds in 2..7 {
            assert!(others.observe(vec![beat(2, 2)], healed + seconds * INTERVAL).is_empty());
        }
        assert_eq!(others.observe(vec![beat(2, 2)], healed + 7 * INTERVAL), [beat(2, 2)]);
    }
}
