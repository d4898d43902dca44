//! Events as they are recorded, for everybody who follows them: read from the store once, put into the words of the stream
//! once, and kept for a while. A follower who is further behind reads from the store.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::item::EventItem;
use crate::store::{Actor, Event, EventOrder, EventRange, Events, Sequence, StoreError, TimeSpan};
use crate::telemetry::FailureLog;

const STREAMS: &str = "portreeve_event_streams";

/// So many events are kept for followers, and so many bytes of what they are sent.
const KEPT: usize = 4_096;
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// So many are read at once.
const PART: usize = 500;
/// Followers are woken at this pace at most: what came meanwhile is sent to each in one piece. To wake a thousand of them for
/// each of a thousand events a second would take all processors there are.
const PACE: Duration = Duration::from_millis(100);
/// So many followers read from the store at a time.
const CATCHING_UP: usize = 8;

/// Describes the metric to the exporter.
pub(super) fn describe_metrics() {
    metrics::describe_gauge!(STREAMS, "Streams of events that are sent now");
    metrics::gauge!(STREAMS).set(0.0);
}

/// Events as they are recorded.
pub struct EventFeed {
    pub(super) events: Arc<dyn Events>,
    recent: RwLock<Recent>,
    /// Up to which event there is something in `recent`.
    published: watch::Sender<Sequence>,
    /// A place for each stream.
    places: Arc<Semaphore>,
    most: usize,
    /// Somebody follows.
    wanted: Notify,
    closing: CancellationToken,
    pub(super) catching_up: Semaphore,
}

/// The last events, without a gap.
#[derive(Default)]
struct Recent {
    batches: VecDeque<Arc<Batch>>,
    /// Behind this one.
    from: Sequence,
    /// Up to this one.
    to: Sequence,
    events: usize,
    bytes: usize,
}

/// Events that were read together.
pub(super) struct Batch {
    /// Up to this number.
    last: Sequence,
    events: Vec<Event>,
    /// As they are sent to who may know who did it, and to who may not: made when the first one asks for it.
    frames: [OnceLock<Frames>; 2],
}

/// Events in the words of the stream.
struct Frames {
    bytes: Bytes,
    /// Where each ends.
    ends: Vec<usize>,
}

/// What there is for a follower.
pub(super) enum Next {
    /// Nothing yet.
    Nothing,
    /// What is kept begins later: read from the store.
    Behind,
    /// These, or some of them.
    Batch(Arc<Batch>),
}

/// A place among those who follow. Dropping it gives the place back.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(STREAMS).decrement(1.0);
    }
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// All are taken.
    Full,
    /// The door is stopping.
    Closed,
}

impl EventFeed {
    /// Over this history, for so many streams.
    pub fn new(events: Arc<dyn Events>, streams: NonZeroUsize) -> Self {
        Self {
            events,
            recent: RwLock::default(),
            published: watch::Sender::new(Sequence::ZERO),
            places: Arc::new(Semaphore::new(streams.get())),
            most: streams.get(),
            wanted: Notify::new(),
            closing: CancellationToken::new(),
            catching_up: Semaphore::new(CATCHING_UP),
        }
    }

    /// Ends all streams at once, and admits none any more.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Reads what is recorded as long as somebody follows, until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                self.wanted.notified().await;
                self.follow_the_store().await;
            }
        })
        .await;
    }

    /// Reads until nobody follows any more.
    async fn follow_the_store(&self) {
        let mut last = self.events.last_event();
        let mut position = *last.borrow_and_update();
        self.begin_at(position);
        let (mut published, failures) = (Instant::now(), FailureLog::new());
        while self.is_followed() {
            let behind = *last.borrow_and_update() > position;
            if !behind {
                // Now and then it looks whether there still is somebody.
                let changed = tokio::time::timeout(Duration::from_secs(5), last.changed()).await;
                if let Ok(Err(_closed)) = changed {
                    return;
                }
                continue;
            }
            tokio::time::sleep_until(published + PACE).await;
            match self.read_behind(position).await {
                Ok(read) => {
                    failures.worked();
                    position = read;
                }
                Err(StoreError::Closed) => return,
                Err(error) => {
                    if failures.failed(&error) {
                        tracing::warn!(%error, "events cannot be read for those who follow them");
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            published = Instant::now();
        }
    }

    /// Reads all that is there behind this event, and wakes who follows. Answers the last number.
    async fn read_behind(&self, mut position: Sequence) -> Result<Sequence, StoreError> {
        loop {
            let told = *self.events.last_event().borrow();
            let range = EventRange {
                repository: None,
                order: EventOrder::OldestFirst,
                after: Some(position),
                times: TimeSpan::default(),
                rows: PART,
            };
            let part = self.events.events_in(range).await?;
            let read = part.items.last().map_or(position, |event| event.sequence);
            let is_end = part.next.is_none();
            // What is told may be the number of no event.
            position = if is_end { read.max(told) } else { read };
            self.keep(Batch { last: position, events: part.items, frames: Default::default() });
            if is_end {
                self.published.send_replace(position);
                return Ok(position);
            }
        }
    }

    fn begin_at(&self, position: Sequence) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        *recent = Recent { from: position, to: position, ..Recent::default() };
        drop(recent);
        self.published.send_replace(position);
    }

    fn keep(&self, batch: Batch) {
        let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
        recent.to = batch.last;
        if batch.events.is_empty() {
            return;
        }
        recent.events += batch.events.len();
        recent.bytes += batch.length();
        recent.batches.push_back(Arc::new(batch));
        while (recent.events > KEPT || recent.bytes > KEPT_BYTES)
            && let Some(oldest) = recent.batches.pop_front()
        {
            recent.from = oldest.last;
            recent.events -= oldest.events.len();
            recent.bytes -= oldest.length();
        }
    }

    /// What there is behind this event.
    pub(super) fn next(&self, position: Sequence) -> Next {
        let recent = self.recent.read().unwrap_or_else(PoisonError::into_inner);
        if position < recent.from {
            return Next::Behind;
        }
        let batch = recent.batches.partition_point(|batch| batch.last <= position);
        recent.batches.get(batch).map_or(Next::Nothing, |batch| Next::Batch(Arc::clone(batch)))
    }

    /// A place, and what tells when there is more.
    ///
    /// # Errors
    /// When all are taken, or the door is stopping.
    pub(super) fn place(&self) -> Result<(Place, watch::Receiver<Sequence>), NoPlace> {
        if self.closing.is_cancelled() {
            return Err(NoPlace::Closed);
        }
        let permit = Arc::clone(&self.places).try_acquire_owned().map_err(|_| NoPlace::Full)?;
        metrics::gauge!(STREAMS).increment(1.0);
        self.wanted.notify_one();
        Ok((Place { _permit: permit }, self.published.subscribe()))
    }

    /// Over when all streams are to end.
    pub(super) async fn closed(&self) {
        self.closing.cancelled().await;
    }

    fn is_followed(&self) -> bool {
        self.places.available_permits() < self.most
    }
}

impl Batch {
    /// Up to which number this has everything.
    pub(super) const fn last(&self) -> Sequence {
        self.last
    }

    /// Its events behind this one, each with how it is sent.
    pub(super) fn behind(
        &self,
        position: Sequence,
        shows_actors: bool,
    ) -> impl Iterator<Item = (&Event, Bytes)> {
        let frames = self.frames(shows_actors);
        let first = self.events.partition_point(|event| event.sequence <= position);
        self.events.iter().enumerate().skip(first).map(|(number, event)| (event, frames.frame(number)))
    }

    /// All of them behind this one as they are sent, in one piece that is shared.
    pub(super) fn all_behind(&self, position: Sequence, shows_actors: bool) -> Bytes {
        let frames = self.frames(shows_actors);
        let first = self.events.partition_point(|event| event.sequence <= position);
        frames.bytes.slice(frames.begin(first)..)
    }

    fn frames(&self, shows_actors: bool) -> &Frames {
        self.frames[usize::from(shows_actors)].get_or_init(|| Frames::of(&self.events, shows_actors))
    }

    /// About how much memory it takes: what each field of an event may have at most is bounded where it comes in.
    fn length(&self) -> usize {
        self.events.iter().map(|event| 512 + event.repository.as_str().len()).sum()
    }
}

impl Frames {
    fn of(events: &[Event], shows_actors: bool) -> Self {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(events.len()));
        for event in events {
            write_frame(&mut bytes, event, shows_actors);
            ends.push(bytes.len());
        }
        Self { bytes: bytes.into(), ends }
    }

    /// Where the event at this place begins.
    fn begin(&self, place: usize) -> usize {
        place.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(self.bytes.len()))
    }

    fn frame(&self, place: usize) -> Bytes {
        self.bytes.slice(self.begin(place)..self.begin(place + 1))
    }
}

/// Writes an event as it is sent (HTML Living Standard, "Server-sent events"). Its JSON has no line breaks.
pub(super) fn write_frame(bytes: &mut Vec<u8>, event: &Event, shows_actors: bool) {
    let mut event = event.clone();
    if !shows_actors {
        event.actor = Actor::default();
    }
    bytes.extend_from_slice(format!("id: {}\ndata: ", event.sequence).as_bytes());
    // What was read from JSON can be written as such.
    if let Ok(json) = serde_json::to_vec(&EventItem::from(event)) {
        bytes.extend_from_slice(&json);
    }
    bytes.extend_from_slice(b"\n\n");
}
