//! [`SweepState`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::Failure;
use super::super::query::query;
use super::super::reading::understood;
use super::super::shared::Shared;
use super::super::transaction::{SWEEP_ACTIVITY, SWEEP_CHECKPOINT, SWEEP_FINISHED, Transaction};
use crate::clock::Timestamp;
use crate::store::group::Work;
use crate::store::{
    BegunSweep, Incarnation, KeptSweep, Lease, RequestedSweep, StoreError, SweepKind, SweepQueue,
    SweepReport, SweepState, SweepUpdate, ledger,
};

/// [`SweepState::request_sweep`].
struct RequestSweep {
    kind: SweepKind,
    since: Timestamp,
}

impl Work<Shared> for RequestSweep {
    type Answer = RequestedSweep;
    const ATTEMPTED: &'static str = "ask for a sweep";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<RequestedSweep, Failure> {
        Ok(transaction.in_sweep_queue(|queue| ledger::request_sweep(queue, self.kind, self.since)))
    }
}

/// A door, and the lease under which it acts.
#[derive(Clone, Copy)]
struct Holder {
    by: Incarnation,
    lease: Lease,
}

/// [`SweepState::begin_sweep`].
struct BeginSweep {
    holder: Holder,
    due: Option<SweepKind>,
    since: Timestamp,
}

impl Work<Shared> for BeginSweep {
    type Answer = Option<BegunSweep>;
    const ATTEMPTED: &'static str = "begin a sweep";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<BegunSweep>, Failure> {
        transaction.check_lease(self.holder.by, self.holder.lease)?;
        Ok(transaction.in_sweep_queue(|queue| ledger::begin_sweep(queue, self.due, self.since)))
    }
}

/// [`SweepState::keep_sweep`].
struct KeepSweep {
    holder: Holder,
    update: SweepUpdate,
}

impl Work<Shared> for KeepSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep how far a sweep is";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.check_lease(self.holder.by, self.holder.lease)?;
        transaction.keep_sweep(&self.update)
    }
}

/// [`SweepState::show_sweep`].
struct ShowSweep {
    holder: Holder,
    activity: Vec<u8>,
}

impl Work<Shared> for ShowSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "show how far a sweep is";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.check_lease(self.holder.by, self.holder.lease)?;
        transaction.show_sweep(&self.activity)
    }
}

/// [`SweepState::end_sweep`].
struct EndSweep {
    holder: Holder,
    number: u64,
    update: SweepUpdate,
    finished: Vec<u8>,
}

impl Work<Shared> for EndSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "end a sweep";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.check_lease(self.holder.by, self.holder.lease)?;
        transaction.in_sweep_queue(|queue| ledger::end_sweep(queue, self.number));
        transaction.keep_sweep(&self.update)?;
        transaction.keep_end_of_sweep(&self.finished)
    }
}

impl PostgresStore {
    fn holder(&self, lease: Lease) -> Holder {
        Holder { by: self.shared.incarnation(), lease }
    }
}

#[async_trait]
impl SweepState for PostgresStore {
    async fn request_sweep(&self, kind: SweepKind, since: Timestamp) -> Result<RequestedSweep, StoreError> {
        self.write(RequestSweep { kind, since }).await
    }

    async fn sweep_queue(&self) -> Result<SweepQueue, StoreError> {
        Ok(self.sums().await?.sweeps)
    }

    async fn begin_sweep(
        &self,
        lease: Lease,
        due: Option<SweepKind>,
        since: Timestamp,
    ) -> Result<Option<BegunSweep>, StoreError> {
        self.write(BeginSweep { holder: self.holder(lease), due, since }).await
    }

    async fn keep_sweep(&self, lease: Lease, update: SweepUpdate) -> Result<(), StoreError> {
        self.write(KeepSweep { holder: self.holder(lease), update }).await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        let sql = "
SELECT 0::bigint AS piece, content FROM sweep WHERE name = $1 UNION ALL SELECT piece, marks FROM sweep_marks ORDER BY piece";
        let rows = self.rows(query!(sql, SWEEP_CHECKPOINT)).await?;
        understood(|| {
            let mut kept: Option<KeptSweep> = None;
            for row in &rows {
                let (piece, content): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
                match &mut kept {
                    None if piece == 0 => {
                        kept = Some(KeptSweep { checkpoint: content.to_vec(), marks: Vec::new() })
                    }
                    None => return Ok(None),
                    Some(kept) => {
                        let marks = content.as_chunks().0.iter().map(|mark| u64::from_le_bytes(*mark));
                        kept.marks.extend(marks);
                    }
                }
            }
            Ok(kept)
        })
    }

    async fn show_sweep(&self, lease: Lease, activity: Vec<u8>) -> Result<(), StoreError> {
        self.write(ShowSweep { holder: self.holder(lease), activity }).await
    }

    async fn end_sweep(
        &self,
        lease: Lease,
        number: u64,
        update: SweepUpdate,
        finished: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write(EndSweep { holder: self.holder(lease), number, update, finished }).await
    }

    async fn sweep_report(&self) -> Result<SweepReport, StoreError> {
        let rows = self.rows(query!("SELECT name, content FROM sweep")).await?;
        let queue = self.sums().await?.sweeps;
        understood(|| {
            let mut report = SweepReport { queue, ..SweepReport::default() };
            for row in &rows {
                match row.try_get(0)? {
                    SWEEP_ACTIVITY => report.activity = Some(row.try_get(1)?),
                    SWEEP_FINISHED => report.finished = Some(row.try_get(1)?),
                    _ => {}
                }
            }
            Ok(report)
        })
    }
}
