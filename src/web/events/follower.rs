//! One stream of events: what its caller wants and may see, from a position on, for as long as they may have it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::feed::{Batch, EventFeed, Next, Place, write_frame};
use super::filter::EventFilter;
use super::sight::Sight;
use crate::auth::Continuation;
use crate::store::{EventOrder, Sequence, StoreError};
use crate::telemetry::LogThrottle;

/// After so long without an event something is sent all the same: proxies end what is silent for a minute.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// So often is looked at least whether the caller may still have it: an access token's end changes nothing in the store.
const RENEWAL: Duration = Duration::from_mins(1);
/// About so much is sent at once of what is made for one follower alone.
const PIECE: usize = 16 * 1024;
/// So many events are read at once by a follower who is behind.
const ROWS: usize = 200;

/// A stream that is sent.
pub(super) struct Follower {
    feed: Arc<EventFeed>,
    _place: Place,
    published: watch::Receiver<Sequence>,
    filter: EventFilter,
    caller: Continuation,
    sight: Sight,
    /// What was sent, or passed over.
    position: Sequence,
    /// The position that the client knows.
    told: Sequence,
    /// When the caller's token ends.
    ends: Option<Instant>,
    /// When to look at the caller again.
    renewal: Instant,
    /// When to send something.
    heartbeat: Instant,
    greeting: Option<Bytes>,
}

/// Why a stream waits no longer.
enum Woken {
    ByEvents,
    ByTime,
    Over,
}

impl Follower {
    /// From a position on; `greeting` is sent first.
    pub(super) fn new(
        feed: Arc<EventFeed>,
        (place, published): (Place, watch::Receiver<Sequence>),
        filter: EventFilter,
        caller: Continuation,
        position: Sequence,
        greeting: Bytes,
    ) -> Self {
        let now = Instant::now();
        Self {
            feed,
            _place: place,
            published,
            filter,
            sight: Sight::of(caller.viewer().clone()),
            ends: caller.time_left().and_then(|left| now.checked_add(left)),
            caller,
            position,
            told: position,
            renewal: now + RENEWAL,
            heartbeat: now + HEARTBEAT,
            greeting: Some(greeting),
        }
    }

    /// The next piece; nothing when the stream is over.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            self.published.borrow_and_update();
            if !self.may_go_on().await {
                return None;
            }
            match self.advance().await {
                Ok(Some(piece)) => {
                    self.heartbeat = Instant::now() + HEARTBEAT;
                    self.told = self.position;
                    return Some(piece);
                }
                Ok(None) => {}
                Err(error) => {
                    static THROTTLE: LogThrottle = LogThrottle::new();
                    if let Some(times) = THROTTLE.count() {
                        tracing::warn!(%error, times, "streams of events ended: the store could not be read");
                    }
                    return None;
                }
            }
            match self.woken().await {
                Woken::ByEvents => {}
                Woken::ByTime if Instant::now() >= self.heartbeat => return Some(self.beat()),
                Woken::ByTime => {}
                Woken::Over => return None,
            }
        }
    }

    /// Whether the caller may still have it. Where rules or users have changed, they are looked at again.
    async fn may_go_on(&mut self) -> bool {
        let now = Instant::now();
        if self.ends.is_some_and(|end| now >= end) {
            return false;
        }
        if self.caller.is_current() && now < self.renewal {
            return true;
        }
        // What cannot be found out is no reason to go on: the client comes again, and logs in.
        if !self.caller.renew().await.unwrap_or(false) {
            return false;
        }
        self.sight = Sight::of(self.caller.viewer().clone());
        self.renewal = now + RENEWAL;
        true
    }

    async fn woken(&mut self) -> Woken {
        let time = self.heartbeat.min(self.renewal);
        let time = self.ends.map_or(time, |end| time.min(end));
        tokio::select! {
            () = self.feed.closed() => Woken::Over,
            changed = self.published.changed() => if changed.is_ok() { Woken::ByEvents } else { Woken::Over },
            () = tokio::time::sleep_until(time) => Woken::ByTime,
        }
    }

    /// What shows that the stream goes on. It has the position that was reached, so that a client that comes again need not go
    /// through what it may not see.
    fn beat(&mut self) -> Bytes {
        self.heartbeat = Instant::now() + HEARTBEAT;
        if self.told == self.position {
            return Bytes::from_static(b":\n\n");
        }
        self.told = self.position;
        format!(":\nid: {}\n\n", self.position).into()
    }

    /// The next piece of what there is, if there is any.
    async fn advance(&mut self) -> Result<Option<Bytes>, StoreError> {
        loop {
            let piece = match self.feed.next(self.position) {
                Next::Nothing => return Ok(None),
                Next::Batch(batch) => self.piece_of(&batch),
                Next::Behind => self.catch_up().await?,
            };
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    fn piece_of(&mut self, batch: &Batch) -> Bytes {
        let shows_actors = self.sight.shows_actors();
        if self.filter.is_empty() && self.sight.is_unlimited() {
            let piece = batch.all_behind(self.position, shows_actors);
            self.position = batch.last();
            return piece;
        }
        let mut piece = Vec::new();
        for (event, frame) in batch.behind(self.position, shows_actors) {
            if !self.filter.takes(event) || !self.sight.sees(event) {
                continue;
            }
            piece.extend_from_slice(&frame);
            if piece.len() >= PIECE {
                self.position = event.sequence;
                return piece.into();
            }
        }
        self.position = batch.last();
        piece.into()
    }

    /// Reads a part from the store.
    async fn catch_up(&mut self) -> Result<Bytes, StoreError> {
        let feed = Arc::clone(&self.feed);
        // It is never closed.
        let _turn = feed.catching_up.acquire().await.ok();
        let told = *feed.events.last_event().borrow();
        let range = self.filter.range(EventOrder::OldestFirst, Some(self.position), ROWS);
        let part = feed.events.events_in(range).await?;
        let mut piece = Vec::new();
        for event in &part.items {
            if self.filter.takes(event) && self.sight.sees(event) {
                write_frame(&mut piece, event, self.sight.shows_actors());
            }
        }
        let last = part.items.last().map_or(self.position, |event| event.sequence);
        // Of what was told before, nothing is left.
        self.position = part.next.unwrap_or(last.max(told).max(self.position));
        Ok(piece.into())
    }
}
