//! What is kept beside the record: accounts, what happened at the gate, images, pulls, hints, and sweeps.

use std::collections::BTreeMap;

use super::super::failure::{Failure, encode, number, stored};
use super::super::query::query;
use super::{Transaction, Wanted};
use crate::clock::{Estimate, Timestamp};
use crate::oci::RepositoryName;
use crate::store::day::DayCounts;
use crate::store::hint::MAXIMUM_HINTS;
use crate::store::image::platform_of;
use crate::store::ledger::View as _;
use crate::store::row::HintRow;
use crate::store::{
    AccountChange, AuthEvent, AuthEventKind, Hint, HintedReference, Incarnation, Lease, Pull, Queued,
    ReadImage, Retention, Sequence, StoreError, SweepQueue, SweepUpdate,
};

const SET_ACCOUNT: &str = "
INSERT INTO accounts (kind, key, content) VALUES ($1, $2, $3)
ON CONFLICT (kind, key) DO UPDATE SET content = excluded.content";
const KNOWN_AUTH_EVENTS: &str = "SELECT number, kind FROM auth_events WHERE number = ANY($1)";
const SET_AUTH_EVENTS: &str = "
INSERT INTO auth_events (number, kind, time, content)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])
ON CONFLICT (number) DO UPDATE SET time = excluded.time, content = excluded.content";
const OLDEST_AUTH_EVENTS: &str = "
SELECT k.kind, e.time FROM unnest($1::text[]) AS k(kind)
CROSS JOIN LATERAL (SELECT time FROM auth_events a WHERE a.kind = k.kind ORDER BY number LIMIT 1) e";
/// Some more than go at once.
const OLD_AUTH_EVENTS: &str =
    "SELECT number, time FROM auth_events WHERE kind = $1 ORDER BY number LIMIT 4000";
const KEEP_IMAGES: &str = "
INSERT INTO images (repository, digest, platform, content)
SELECT k.* FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[]) AS k(repository, digest, platform, content)
JOIN manifests m ON m.repository = k.repository AND m.digest = k.digest
ON CONFLICT (repository, digest) DO UPDATE SET platform = excluded.platform, content = excluded.content";
const KNOWN_HINTS: &str = "
SELECT count(*) FROM unnest($1::text[], $2::text[]) AS k(repository, reference)
JOIN hints h ON h.repository = k.repository AND h.reference = k.reference";
const SET_HINTS: &str = "
INSERT INTO hints (repository, reference, number, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[])
ON CONFLICT (repository, reference) DO UPDATE SET number = excluded.number, content = excluded.content";
const CHANGE_HINTS: &str = "
UPDATE hints h SET content = k.content
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) AS k(repository, reference, number, content)
WHERE h.repository = k.repository AND h.reference = k.reference AND h.number = k.number";
const REMOVE_HINTS: &str = "
DELETE FROM hints h USING unnest($1::text[], $2::text[], $3::bigint[]) AS k(repository, reference, number)
WHERE h.repository = k.repository AND h.reference = k.reference AND h.number = k.number RETURNING 1";
const SET_SWEEP: &str = "
INSERT INTO sweep (name, content) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET content = excluded.content";
const ADD_MARKS: &str = "
INSERT INTO sweep_marks (piece, marks) SELECT coalesce(max(piece), 0) + 1, $1 FROM sweep_marks";

/// In `sweep`: the checkpoint.
pub(in crate::store::postgres) const SWEEP_CHECKPOINT: &str = "checkpoint";
/// In `sweep`: what the door that sweeps is at.
pub(in crate::store::postgres) const SWEEP_ACTIVITY: &str = "activity";
/// In `sweep`: how the last sweep has ended.
pub(in crate::store::postgres) const SWEEP_FINISHED: &str = "finished";

/// A kind of what happens at the gate, in its column.
pub(in crate::store::postgres) const fn kind_column(kind: AuthEventKind) -> &'static str {
    match kind {
        AuthEventKind::Token => "token",
        AuthEventKind::Login => "login",
        AuthEventKind::LoginFailed => "login_failed",
        AuthEventKind::Refused => "refused",
        AuthEventKind::Account => "account",
        AuthEventKind::Policy => "policy",
        AuthEventKind::SignedOut => "signed_out",
    }
}

impl Transaction<'_> {
    /// Refuses where this door does not hold the lease any more.
    pub(in crate::store::postgres) fn check_lease(
        &self,
        by: Incarnation,
        lease: Lease,
    ) -> Result<(), Failure> {
        if self.holds(by, lease)? { Ok(()) } else { Err(Failure::Refused(StoreError::Fenced)) }
    }

    /// What is missing now is accepted as gone: that gets a number, behind those of all marks.
    pub(in crate::store::postgres) fn accept_removals(&mut self) {
        self.sequence = self.sequence.next();
        self.sums.accepted = self.sequence;
        self.is_dirty = true;
    }

    /// Makes accounts what they are to be, if all are as expected.
    ///
    /// # Errors
    /// When the database fails. The inner error is that one is not as expected: then nothing is written.
    pub(in crate::store::postgres) fn change_accounts(
        &mut self,
        changes: &[AccountChange],
    ) -> Result<Result<(), StoreError>, Failure> {
        for AccountChange { kind, key, expected, .. } in changes {
            let sql = "SELECT content FROM accounts WHERE kind = $1 AND key = $2";
            let rows = self.ask(query!(sql, kind.as_str(), key.as_bytes().to_vec()))?;
            let kept: Option<&[u8]> = rows.first().map(|row| row.try_get(0)).transpose()?;
            if !expected.is_met_by(kept) {
                return Ok(Err(StoreError::Conflict));
            }
        }
        for AccountChange { kind, key, content, .. } in changes {
            let (kind, key) = (kind.as_str(), key.as_bytes().to_vec());
            self.tell(match content {
                Some(content) => query!(SET_ACCOUNT, kind, key, content.clone()),
                None => query!("DELETE FROM accounts WHERE kind = $1 AND key = $2", kind, key),
            })?;
        }
        Ok(Ok(()))
    }

    /// Keeps what happened at the gate, and purges what is too much or too old. Answers the numbers.
    pub(in crate::store::postgres) fn add_auth_events(
        &mut self,
        events: &[(Option<Sequence>, AuthEvent)],
        keep: Retention,
    ) -> Result<Vec<Sequence>, Failure> {
        let known: Vec<i64> =
            events.iter().filter_map(|(known, _)| known.map(|known| stored(known.get()))).collect();
        let mut kinds: BTreeMap<u64, String> = BTreeMap::new();
        if !known.is_empty() {
            for row in self.ask(query!(KNOWN_AUTH_EVENTS, known))? {
                kinds.insert(number(row.try_get(0)?), row.try_get(1)?);
            }
        }
        let mut numbers = Vec::with_capacity(events.len());
        let mut rows: BTreeMap<u64, &AuthEvent> = BTreeMap::new();
        for (known, event) in events {
            let kind = kind_column(event.kind);
            let kept = known.filter(|known| kinds.get(&known.get()).is_some_and(|kept| kept == kind));
            let number = kept.unwrap_or_else(|| {
                *self.sums.auth_events.entry(event.kind).or_default() += 1;
                self.sums.last_auth_event = self.sums.last_auth_event.next();
                self.sums.last_auth_event
            });
            rows.insert(number.get(), event);
            numbers.push(number);
        }
        let mut contents = Vec::with_capacity(rows.len());
        for event in rows.values() {
            contents.push(encode("event of the gate", event)?);
        }
        self.tell(query!(
            SET_AUTH_EVENTS,
            rows.keys().map(|number| stored(*number)).collect::<Vec<_>>(),
            rows.values().map(|event| kind_column(event.kind)).collect::<Vec<_>>(),
            rows.values().map(|event| stored(event.time.as_milliseconds())).collect::<Vec<_>>(),
            contents,
        ))?;
        self.purge_auth_events(keep)?;
        Ok(numbers)
    }

    fn purge_auth_events(&mut self, keep: Retention) -> Result<(), Failure> {
        let mut oldest: BTreeMap<String, Timestamp> = BTreeMap::new();
        for row in self.ask(query!(OLDEST_AUTH_EVENTS, AuthEventKind::ALL.map(kind_column).to_vec()))? {
            oldest.insert(row.try_get(0)?, Timestamp::from_milliseconds(number(row.try_get(1)?)));
        }
        for kind in AuthEventKind::ALL {
            let count = self.sums.auth_events.get(&kind).copied().unwrap_or(0);
            let is_too_old = oldest.get(kind_column(kind)).is_some_and(|time| *time < keep.since);
            if count <= keep.most.of(kind) && !is_too_old {
                continue;
            }
            let rows = self.ask(query!(OLD_AUTH_EVENTS, kind_column(kind)))?;
            let events = rows.iter().map(|row| {
                let time = Timestamp::from_milliseconds(number(row.try_get(1)?));
                Ok::<_, Failure>((Sequence::new(number(row.try_get(0)?)), time))
            });
            let gone: Vec<i64> =
                keep.purged(kind, count, events)?.iter().map(|number| stored(number.get())).collect();
            if let Some(count) = self.sums.auth_events.get_mut(&kind) {
                *count = count.saturating_sub(gone.len() as u64);
            }
            self.tell(query!("DELETE FROM auth_events WHERE number = ANY($1)", gone))?;
        }
        Ok(())
    }

    /// Keeps what is known of the registry's clock.
    pub(in crate::store::postgres) fn keep_clock(&mut self, estimate: Estimate) {
        self.sums.clock = Some(estimate);
        self.is_dirty = true;
    }

    /// Keeps the last time that has held.
    pub(in crate::store::postgres) fn keep_time(&mut self, time: Timestamp) {
        self.sums.time = Some(time);
        self.is_dirty = true;
    }

    /// Keeps what images say of themselves, and up to which event they were read.
    pub(in crate::store::postgres) fn keep_images(
        &mut self,
        images: &[ReadImage],
        until: Sequence,
    ) -> Result<(), Failure> {
        self.flush()?;
        self.sums.images_read_until = until;
        // Of several about the same one the last holds.
        let images: BTreeMap<_, _> =
            images.iter().map(|image| ((&image.repository, &image.digest), image)).collect();
        let mut contents = Vec::with_capacity(images.len());
        for image in images.values() {
            contents.push(encode("image", &image.config)?);
        }
        self.tell(query!(
            KEEP_IMAGES,
            images.keys().map(|(name, _)| name.to_string()).collect::<Vec<_>>(),
            images.keys().map(|(_, digest)| digest.to_string()).collect::<Vec<_>>(),
            images
                .values()
                .map(|image| platform_of(image.config.as_ref()).map(String::into_bytes))
                .collect::<Vec<_>>(),
            contents,
        ))?;
        Ok(())
    }

    /// Adds pulls to what is recorded.
    pub(in crate::store::postgres) fn record_pull(&mut self, pull: &Pull) -> Result<(), Failure> {
        let Some(mut row) = self.repository(&pull.repository)? else { return Ok(()) };
        // Who only looks changes nothing of the repository.
        if pull.last_pull.is_some() {
            row.add_pulls(pull);
            self.rows.get_mut().repositories.set(pull.repository.clone(), Some(row));
            if let Some((day, counts)) = DayCounts::of_pull(pull) {
                self.count_on_day(day, counts);
            }
            self.is_dirty = true;
        }
        let Some(tag) = &pull.tag else { return Ok(()) };
        if let Some(mut row) = self.tag(&pull.repository, tag)? {
            row.add_pulls(pull);
            self.rows.get_mut().tags.set((pull.repository.clone(), tag.clone()), Some(row));
            self.is_dirty = true;
        }
        Ok(())
    }

    /// Keeps hints, if there is room.
    pub(in crate::store::postgres) fn add_hints(
        &mut self,
        hints: &[HintedReference],
    ) -> Result<Queued, Failure> {
        if self.sums.hints + hints.len() as u64 > MAXIMUM_HINTS as u64 {
            return Ok(Queued::Full);
        }
        let mut kept = Vec::with_capacity(hints.len());
        for about in hints {
            self.sums.last_hint += 1;
            kept.push(Hint::new(about.clone(), self.sums.last_hint));
        }
        let last: BTreeMap<_, _> = kept.iter().map(|hint| (key_of(hint), hint.clone())).collect();
        let last: Vec<Hint> = last.into_values().collect();
        let (names, references, numbers, contents) = columns(&last)?;
        let rows = self.ask(query!(KNOWN_HINTS, names.clone(), references.clone()))?;
        let known: i64 = rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        self.sums.hints = (self.sums.hints + last.len() as u64).saturating_sub(number(known));
        self.tell(query!(SET_HINTS, names, references, numbers, contents))?;
        Ok(Queued::Kept(kept))
    }

    /// Puts down when hints that were not given again are looked at next.
    pub(in crate::store::postgres) fn postpone_hints(&mut self, hints: &[Hint]) -> Result<(), Failure> {
        let (names, references, numbers, contents) = columns(hints)?;
        self.tell(query!(CHANGE_HINTS, names, references, numbers, contents))?;
        Ok(())
    }

    /// Removes hints that were not given again.
    pub(in crate::store::postgres) fn remove_hints(&mut self, hints: &[Hint]) -> Result<(), Failure> {
        let (names, references, numbers, _) = columns(hints)?;
        let gone = self.tell(query!(REMOVE_HINTS, names, references, numbers))?;
        self.sums.hints = self.sums.hints.saturating_sub(gone.len() as u64);
        Ok(())
    }

    /// Lets the ledger decide about the queue of sweeps.
    pub(in crate::store::postgres) fn in_sweep_queue<T>(
        &mut self,
        decide: impl FnOnce(&mut SweepQueue) -> T,
    ) -> T {
        let before = self.sums.sweeps;
        let answer = decide(&mut self.sums.sweeps);
        self.is_dirty |= self.sums.sweeps != before;
        answer
    }

    /// Replaces what is kept of a sweep: the checkpoint, and one piece of marks more, or instead of all others.
    pub(in crate::store::postgres) fn keep_sweep(&mut self, update: &SweepUpdate) -> Result<(), Failure> {
        if update.forgets_marks {
            self.tell(query!("DELETE FROM sweep_marks"))?;
        }
        self.tell(query!(SET_SWEEP, SWEEP_CHECKPOINT, update.checkpoint.clone()))?;
        if !update.marks.is_empty() {
            let marks: Vec<u8> = update.marks.iter().flat_map(|mark| mark.to_le_bytes()).collect();
            self.tell(query!(ADD_MARKS, marks))?;
        }
        Ok(())
    }

    /// Shows what the door that sweeps is at.
    pub(in crate::store::postgres) fn show_sweep(&mut self, activity: &[u8]) -> Result<(), Failure> {
        self.tell(query!(SET_SWEEP, SWEEP_ACTIVITY, activity.to_vec()))?;
        Ok(())
    }

    /// Keeps how a sweep has ended. What was shown of it is over.
    pub(in crate::store::postgres) fn keep_end_of_sweep(&mut self, finished: &[u8]) -> Result<(), Failure> {
        self.tell(query!("DELETE FROM sweep WHERE name = $1", SWEEP_ACTIVITY))?;
        self.tell(query!(SET_SWEEP, SWEEP_FINISHED, finished.to_vec()))?;
        Ok(())
    }
}

impl Wanted {
    /// What a pull changes.
    pub(in crate::store::postgres) fn pull(&mut self, pull: &Pull) {
        self.repositories.insert(pull.repository.clone());
        self.tags.extend(pull.tag.clone().map(|tag| (pull.repository.clone(), tag)));
    }
}

fn key_of(hint: &Hint) -> (RepositoryName, String) {
    (hint.about.repository.clone(), hint.about.reference.as_str().to_owned())
}

/// The columns of hints, each about another reference.
type HintColumns = (Vec<String>, Vec<String>, Vec<i64>, Vec<Vec<u8>>);

fn columns(hints: &[Hint]) -> Result<HintColumns, Failure> {
    let mut columns = HintColumns::default();
    for hint in hints {
        columns.0.push(hint.about.repository.to_string());
        columns.1.push(hint.about.reference.as_str().to_owned());
        columns.2.push(stored(hint.number));
        columns.3.push(encode("hint", &HintRow::of(hint))?);
    }
    Ok(columns)
}
