//! [`SweepState`] over maps.

use async_trait::async_trait;

use super::{MemoryStore, State};
use crate::clock::Timestamp;
use crate::store::{
    BegunSweep, KeptSweep, Lease, RequestedSweep, StoreError, SweepKind, SweepQueue, SweepReport, SweepState,
    SweepUpdate, ledger,
};

#[async_trait]
impl SweepState for MemoryStore {
    async fn request_sweep(&self, kind: SweepKind, since: Timestamp) -> Result<RequestedSweep, StoreError> {
        self.write("ask for a sweep", |state| {
            ledger::request_sweep(&mut state.sweep_report.queue, kind, since)
        })
        .await
    }

    async fn sweep_queue(&self) -> Result<SweepQueue, StoreError> {
        self.point(|state| state.sweep_report.queue)
    }

    async fn begin_sweep(
        &self,
        lease: Lease,
        due: Option<SweepKind>,
        since: Timestamp,
    ) -> Result<Option<BegunSweep>, StoreError> {
        self.write_under(lease, "begin a sweep", |state| {
            ledger::begin_sweep(&mut state.sweep_report.queue, due, since)
        })
        .await
    }

    async fn keep_sweep(&self, lease: Lease, update: SweepUpdate) -> Result<(), StoreError> {
        self.write_under(lease, "keep how far a sweep is", |state| keep(state, update)).await
    }

    async fn kept_sweep(&self) -> Result<Option<KeptSweep>, StoreError> {
        self.scan(|state| state.sweep.clone()).await
    }

    async fn show_sweep(&self, lease: Lease, activity: Vec<u8>) -> Result<(), StoreError> {
        self.write_under(lease, "show how far a sweep is", |state| {
            state.sweep_report.activity = Some(activity);
        })
        .await
    }

    async fn end_sweep(
        &self,
        lease: Lease,
        number: u64,
        update: SweepUpdate,
        finished: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.write_under(lease, "end a sweep", |state| {
            keep(state, update);
            let report = &mut state.sweep_report;
            ledger::end_sweep(&mut report.queue, number);
            (report.activity, report.finished) = (None, Some(finished));
        })
        .await
    }

    async fn sweep_report(&self) -> Result<SweepReport, StoreError> {
        self.point(|state| state.sweep_report.clone())
    }
}

fn keep(state: &mut State, SweepUpdate { checkpoint, forgets_marks, marks }: SweepUpdate) {
    let kept = state.sweep.get_or_insert_default();
    kept.checkpoint = checkpoint;
    if forgets_marks {
        kept.marks.clear();
    }
    kept.marks.extend(marks);
}
