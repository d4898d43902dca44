//! What the writer does when the medium fails or the file is not at its place: it refuses, looks again and again, and goes
//! on when it can.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use super::super::failure::Failure;
use super::super::panics::{caught, dropped};
use super::super::tables::{INTENTS, META, META_SEQUENCE, PROBE, number};
use super::{Trouble, Writer};
use crate::clock::Backoff;
use crate::store::recent_events::RecentEvents;
use crate::store::{Sequence, StoreTrouble, metrics};

/// How long the writer waits after failures before it tries whether the medium takes writes again. They count until a
/// request could be written.
const PAUSES: Backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));

/// What a try writes: enough to need room of its own.
const PROBE_BYTES: usize = 256 * 1024;

impl Writer {
    /// It cannot be written: refuse from now on, and try again later.
    pub(super) fn fail(&mut self, failure: Failure) {
        metrics::failed();
        let (trouble, cause) = (failure.trouble(), failure.clone().into_cause());
        if self.shared.trouble() != Some(trouble) {
            let store = self.shared.path.display();
            match trouble {
                StoreTrouble::Damaged | StoreTrouble::Medium => {
                    tracing::error!(%store, %cause, "the store keeps trying to write");
                }
                _ => tracing::error!(%store, %cause, "the store takes no writes until its file is back"),
            }
        }
        self.shared.set_trouble(Some(trouble));
        self.trouble = Some(Trouble { failure, retry: self.next_try() });
    }

    /// Opens the file anew, since redb serves nothing after an I/O error. Answers whether it is open.
    pub(super) fn reopen(&mut self) -> bool {
        // Closing ends every read transaction; their readers try again.
        if let Some(Err(failure)) = self.take_database().map(dropped) {
            tracing::error!(store = %self.shared.path.display(), ?failure, "the store could not be closed cleanly");
        }
        let opened = caught(|| {
            let database = (self.shared.reopen)()?;
            let sequence = last_sequence(&database)?;
            Ok((sequence, database))
        });
        match opened {
            Ok((sequence, database)) => {
                *self.shared.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
                self.shared.found_sequence(sequence);
                self.is_epoch_noted = false;
                self.recent = RecentEvents::behind(Sequence::new(sequence));
                self.shared.opened.send_modify(|count| *count += 1);
                true
            }
            Err(failure) => {
                metrics::failed();
                tracing::error!(store = %self.shared.path.display(), ?failure, "the store cannot be opened again");
                false
            }
        }
    }

    pub(super) fn take_database(&self) -> Option<Database> {
        self.shared.database.write().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks whether the file is at its place.
    pub(super) fn look(&mut self) {
        if let Err(trouble) = self.check_place() {
            self.fail(trouble.into());
        }
    }

    /// Tries whether the medium takes writes again.
    pub(super) fn recover(&mut self) {
        if let Err(trouble) = self.check_place() {
            return self.fail(trouble.into());
        }
        let is_open = self.shared.database.read().unwrap_or_else(PoisonError::into_inner).is_some();
        let probed = (is_open || self.reopen()).then(|| self.probe());
        match probed {
            Some(Ok(())) => {
                if let Err(trouble) = self.check_place() {
                    return self.fail(trouble.into());
                }
                self.trouble = None;
                self.shared.set_trouble(None);
                tracing::info!(store = %self.shared.path.display(), "the store can write again");
                return;
            }
            Some(Err(failure)) => {
                tracing::debug!(store = %self.shared.path.display(), ?failure, "the store still cannot write");
                metrics::failed();
                self.reopen();
            }
            None => {}
        }
        let retry = self.next_try();
        if let Some(trouble) = &mut self.trouble {
            trouble.retry = retry;
        }
    }

    fn next_try(&mut self) -> Instant {
        self.failures = self.failures.saturating_add(1);
        Instant::now() + PAUSES.pause(self.failures)
    }

    /// A durable write for its own sake. It also brings rows and memory together again: an intent whose beginning was
    /// answered with an error was not carried and is removed; one whose settling was answered with an error but took
    /// place is settled.
    fn probe(&self) -> Result<(), Failure> {
        let write = caught(|| self.begin_write())?;
        let (stored, sequence) = match caught(|| self.bring_together(&write)) {
            Ok(found) => found,
            Err(failure) => return dropped(write).and(Err(failure)),
        };
        caught(|| Ok(write.commit()?))?;
        self.shared.intents.retain(|intent| stored.contains(&intent.get()));
        self.shared.found_sequence(sequence);
        Ok(())
    }

    /// Writes, and removes the intents that no caller knows. Answers the others, and the last sequence number.
    fn bring_together(&self, write: &WriteTransaction) -> Result<(BTreeSet<u64>, u64), Failure> {
        write.open_table(PROBE)?.insert("room", [0x5a; PROBE_BYTES].as_slice())?;
        let mut stored = BTreeSet::new();
        let mut intents = write.open_table(INTENTS)?;
        for entry in intents.iter()? {
            stored.insert(entry?.0.value());
        }
        for sequence in &stored {
            if self.shared.intents.get(Sequence::new(*sequence)).is_none() {
                intents.remove(sequence)?;
            }
        }
        Ok((stored, number(&write.open_table(META)?, META_SEQUENCE)?))
    }

    /// Looks whether the database still works after a reader's failure, and opens it anew if not.
    pub(super) fn inspect(&mut self) {
        if let Err(trouble) = self.check_place() {
            return self.fail(trouble.into());
        }
        if let Err(failure) = self.probe() {
            self.fail(failure);
            self.reopen();
        }
    }

    /// Looks whether the database can be used again after a panic, which may have left a lock of its own behind, and opens
    /// it anew if not. Writes nothing: a damaged page that is read again and again costs no more than that.
    pub(super) fn use_again(&mut self) {
        let used = caught(|| {
            let database = self.shared.database.read().unwrap_or_else(PoisonError::into_inner);
            last_sequence(database.as_ref().ok_or(Failure::Interrupted)?).map(|_| ())
        });
        let used =
            used.and_then(|()| caught(|| self.begin_write())).and_then(|write| caught(|| Ok(write.abort()?)));
        if let Err(failure) = used {
            self.fail(failure);
            self.reopen();
        }
    }
}

/// The last sequence number that was given out.
fn last_sequence(database: &Database) -> Result<u64, Failure> {
    number(&database.begin_read()?.open_table(META)?, META_SEQUENCE)
}
