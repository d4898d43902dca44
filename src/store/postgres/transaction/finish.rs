//! The end of a transaction: what is written with its commit, and what changes in memory once that is durable.

use super::super::failure::{Failure, decode, encode, number, stored};
use super::super::query::{Query, query};
use super::Transaction;
use crate::store::day::{DayRow, MAXIMUM_DAYS};
use crate::store::recent_events::Appended;
use crate::store::{Epoch, Incarnation, Missing, Sequence};

/// So many epochs are known; the oldest ones are forgotten.
pub(in crate::store::postgres) const MAXIMUM_EPOCHS: i64 = 10_000;

const ADD_EVENTS: &str = "
INSERT INTO events (sequence, repository, time, content)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bytea[])";
const SET_DAYS: &str = "
INSERT INTO days (day, content) SELECT * FROM unnest($1::bigint[], $2::bytea[])
ON CONFLICT (day) DO UPDATE SET content = excluded.content";
const PURGE_DAYS: &str = "DELETE FROM days WHERE day IN (SELECT day FROM days ORDER BY day DESC OFFSET $1)";
const BEGIN_EPOCH: &str = "
INSERT INTO epochs (before, epoch) VALUES ($1, $2) ON CONFLICT (before) DO UPDATE SET epoch = excluded.epoch";
const PURGE_EPOCHS: &str =
    "DELETE FROM epochs WHERE before IN (SELECT before FROM epochs ORDER BY before DESC OFFSET $1)";
const SET_TICKET: &str = "UPDATE ledger SET sequence = $1, content = $2";
const SET_BATCH: &str = "UPDATE doors SET batch = $2 WHERE door = $1";

/// The flaws `f` of a manifest `m`.
macro_rules! flaws_of_m {
    () => {
        "
    CROSS JOIN LATERAL (
        SELECT 'missing_children' AS kind WHERE EXISTS (
            SELECT 1 FROM children c WHERE c.repository = m.repository AND c.parent = m.digest AND NOT EXISTS (
                SELECT 1 FROM manifests o WHERE o.repository = c.repository AND o.digest = c.child))
        UNION ALL SELECT 'missing_subject' WHERE m.subject IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM manifests o WHERE o.repository = m.repository AND o.digest = m.subject)
        UNION ALL SELECT 'untagged' WHERE m.subject IS NULL
            AND NOT EXISTS (SELECT 1 FROM tags g WHERE g.repository = m.repository AND g.digest = m.digest)
            AND NOT EXISTS (SELECT 1 FROM children c WHERE c.repository = m.repository AND c.child = m.digest)
    ) f
"
    };
}

/// Judges all manifests, where no flaw was noted yet.
pub(in crate::store::postgres) const JUDGE_ALL: &str = concat!(
    "INSERT INTO flaws (kind, repository, digest) SELECT f.kind, m.repository, m.digest FROM manifests m",
    flaws_of_m!()
);

/// The flaws that are not noted, each with its place.
pub(in crate::store::postgres) const NOT_NOTED: &str = concat!(
    "SELECT repository || '@' || digest, kind FROM (SELECT f.kind, m.repository, m.digest FROM manifests m",
    flaws_of_m!(),
    "EXCEPT SELECT kind, repository, digest FROM flaws) n ORDER BY 1 LIMIT 1001"
);

/// The flaws that are noted of what has none, each with its place.
pub(in crate::store::postgres) const NOTED_WRONGLY: &str = concat!(
    "SELECT repository || '@' || digest, kind FROM (SELECT kind, repository, digest FROM flaws
    EXCEPT SELECT f.kind, m.repository, m.digest FROM manifests m",
    flaws_of_m!(),
    ") n ORDER BY 1 LIMIT 1001"
);

/// Judges manifests of which the flaws may have changed: those that are named, and those to which they are children or subject.
const JUDGE: &str = concat!(
    "
WITH named AS (
    SELECT DISTINCT repository, digest FROM unnest($1::text[], $2::text[]) AS k(repository, digest)
), touched AS (
    SELECT repository, digest FROM named
    UNION SELECT c.repository, c.parent FROM named n JOIN children c ON c.repository = n.repository AND c.child = n.digest
    UNION SELECT m.repository, m.digest FROM named n JOIN manifests m ON m.repository = n.repository AND m.subject = n.digest
), found AS (
    SELECT f.kind, m.repository, m.digest FROM touched t
    JOIN manifests m ON m.repository = t.repository AND m.digest = t.digest",
    flaws_of_m!(),
    "), removed AS (
    DELETE FROM flaws f USING touched t WHERE f.repository = t.repository AND f.digest = t.digest AND NOT EXISTS (
        SELECT 1 FROM found o WHERE o.kind = f.kind AND o.repository = f.repository AND o.digest = f.digest)
    RETURNING f.kind
), added AS (
    INSERT INTO flaws (kind, repository, digest) SELECT kind, repository, digest FROM found ON CONFLICT DO NOTHING
    RETURNING kind
), difference AS (
    SELECT kind, sum(one)::bigint AS count
    FROM (SELECT kind, 1 AS one FROM added UNION ALL SELECT kind, -1 FROM removed) AS each GROUP BY kind
)
UPDATE flaw_counts c SET count = c.count + d.count FROM difference d WHERE c.kind = d.kind"
);

/// What is left to do of a transaction.
pub(in crate::store::postgres) struct Finished {
    /// What is written with its commit; nothing where nothing has changed.
    pub queries: Vec<Query>,
    pub before: Sequence,
    pub sequence: Sequence,
    pub open_intents: u64,
    pub missing: Missing,
    pub appended: Vec<Appended>,
    pub woken: Vec<Sequence>,
    pub abandoned: Vec<Sequence>,
    pub begun: Vec<Sequence>,
    pub joined: Option<Incarnation>,
}

impl Transaction<'_> {
    /// All that is to be committed, as the transaction of this number of its door. What is given out begins this epoch, if that is
    /// not noted yet.
    pub(in crate::store::postgres) fn finish(
        mut self,
        batch: u64,
        epoch: Option<Epoch>,
    ) -> Result<Finished, Failure> {
        let mut queries = Vec::new();
        if self.is_dirty {
            self.purge()?;
            queries = self.rows.get_mut().changes()?;
            self.add_events(&mut queries)?;
            self.judge(&mut queries);
            self.write_days(&mut queries)?;
            if let Some(epoch) = epoch.filter(|_| self.sequence > self.before) {
                queries.push(query!(
                    BEGIN_EPOCH,
                    stored(self.before.get()),
                    epoch.get().to_be_bytes().to_vec()
                ));
                queries.push(query!(PURGE_EPOCHS, MAXIMUM_EPOCHS));
            }
            queries.append(&mut self.with_commit);
            queries.push(query!(SET_TICKET, stored(self.sequence.get()), encode("ticket", &self.sums)?));
            queries.push(query!(SET_BATCH, stored(self.me.door.0), stored(batch)));
        }
        Ok(Finished {
            queries,
            before: self.before,
            sequence: self.sequence,
            open_intents: self.sums.open_intents,
            missing: self.sums.missing,
            appended: self.appended,
            woken: self.woken,
            abandoned: self.abandoned,
            begun: self.begun,
            joined: self.joined,
        })
    }

    fn add_events(&mut self, queries: &mut Vec<Query>) -> Result<(), Failure> {
        if self.appended.is_empty() {
            return Ok(());
        }
        let mut contents = Vec::with_capacity(self.appended.len());
        for Appended { event, bytes } in &mut self.appended {
            let content = encode("event", event)?;
            *bytes = content.len();
            contents.push(content);
        }
        let events = || self.appended.iter().map(|appended| &appended.event);
        queries.push(query!(
            ADD_EVENTS,
            events().map(|event| stored(event.sequence.get())).collect::<Vec<_>>(),
            events().map(|event| event.repository.to_string()).collect::<Vec<_>>(),
            events().map(|event| stored(event.time.as_milliseconds())).collect::<Vec<_>>(),
            contents,
        ));
        Ok(())
    }

    fn judge(&mut self, queries: &mut Vec<Query>) {
        if !self.touched.is_empty() {
            let keys: (Vec<String>, Vec<String>) =
                self.touched.iter().map(|(name, digest)| (name.to_string(), digest.to_string())).unzip();
            queries.push(query!(JUDGE, keys.0, keys.1));
        }
    }

    fn write_days(&mut self, queries: &mut Vec<Query>) -> Result<(), Failure> {
        if self.days.is_empty() {
            return Ok(());
        }
        let unknown: Vec<i64> =
            self.days.keys().filter(|day| !self.day_rows.contains_key(day)).map(|day| stored(*day)).collect();
        if !unknown.is_empty() {
            for row in self.ask(query!("SELECT day, content FROM days WHERE day = ANY($1)", unknown))? {
                let day = number(row.try_get(0)?);
                self.day_rows.insert(day, decode(|| format!("day {day}"), row.try_get(1)?)?);
            }
        }
        let (mut days, mut contents, mut is_new) = (Vec::new(), Vec::new(), false);
        for (day, counts) in std::mem::take(&mut self.days) {
            let kept = self.day_rows.get(&day).copied();
            is_new |= kept.is_none();
            days.push(stored(day));
            contents.push(encode("day", &DayRow::with(kept, counts, self.sums.totals))?);
        }
        queries.push(query!(SET_DAYS, days, contents));
        if is_new {
            queries.push(query!(PURGE_DAYS, stored(MAXIMUM_DAYS)));
        }
        Ok(())
    }
}
