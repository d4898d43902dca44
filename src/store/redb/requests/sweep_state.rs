//! [`SweepState`] over the file. There is but one door, which holds every lease.

use async_trait::async_trait;

use super::super::RedbStore;
use super::super::failure::Failure;
use super::super::shared::Shared;
use super::super::snapshot::Snapshot;
use super::super::transaction::Transaction;
use crate::clock::Timestamp;
use crate::store::group::Work;
use crate::store::{
    BegunSweep, KeptSweep, Lease, RequestedSweep, StoreError, SweepKind, SweepQueue, SweepReport, SweepState,
    SweepUpdate, ledger,
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
        transaction.in_sweep_queue(|queue| ledger::request_sweep(queue, self.kind, self.since))
    }
}

/// [`SweepState::begin_sweep`].
struct BeginSweep {
    due: Option<SweepKind>,
    since: Timestamp,
}

impl Work<Shared> for BeginSweep {
    type Answer = Option<BegunSweep>;
    const ATTEMPTED: &'static str = "begin a sweep";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<BegunSweep>, Failure> {
        transaction.in_sweep_queue(|queue| ledger::begin_sweep(queue, self.due, self.since))
    }
}

/// [`SweepState::keep_sweep`].
struct KeepSweep(SweepUpdate);

impl Work<Shared> for KeepSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "keep how far a sweep is";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.keep_sweep(&self.0)
    }
}

/// [`SweepState::show_sweep`].
struct ShowSweep(Vec<u8>);

impl Work<Shared> for ShowSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "show how far a sweep is";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.show_sweep(&self.0)
    }
}

/// [`SweepState::end_sweep`].
struct EndSweep {
    number: u64,
    update: SweepUpdate,
    finished: Vec<u8>,
}

impl Work<Shared> for EndSweep {
    type Answer = ();
    const ATTEMPTED: &'static str = "end a sweep";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        transaction.in_sweep_queue(|queue| ledger::end_sweep(queue, self.number))?;
        transaction.keep_sweep(&self.update)?;
        transaction.keep_end_of_sweep(&self.finished)
    }
}

#[async_trait]
impl SweepState for RedbStore {
    async fn request_sweep(&self, kind: SweepKind, since: Timestamp) -> Result<RequestedSweep, StoreError> {
        self.write(RequestSweep { kind, since }).await
    }

    async fn sweep_queue(&self) -> Result<SweepQueue, StoreError> {
        self.point(Snapshot::sweep_queue).await
    }

    async fn begin_sweep(
        &self,
        _: Lease,
        due: Option<SweepKind>,
        since: Timestamp,
    ) -> Result<Option<BegunSweep>, StoreError> {
        self.write(BeginSweep { due, since }).await
    }

    async fn keep_sweep(&self, _: Lease, update: SweepUpdate) -> Result<(), StoreError> {
        self.write(KeepSweep(update)).await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(Snapshot::kept_sweep).await
    }

    async fn show_sweep(&self, _: Lease, activity: Vec<u8>) -> Result<(), StoreError> {
        self.write(ShowSweep(activity)).await
    }

    async fn end_sweep(
        &self,
        _: Lease,
        number: u64,
        update: SweepUpdate,
        finished: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write(EndSweep { number, update, finished }).await
    }

    async fn sweep_report(&self) -> Result<SweepReport, StoreError> {
        self.point(Snapshot::sweep_report).await
    }
}
