//! [`Doors`] over the database.

use async_trait::async_trait;

use super::super::PostgresStore;
use super::super::failure::Failure;
use super::super::opening::new_door;
use super::super::shared::Shared;
use super::super::transaction::Transaction;
use super::super::work::refused;
use crate::store::group::Work;
use crate::store::ledger;
use crate::store::{Beat, DoorId, Doors, Incarnation, Lease, LeaseName, StoreError};

/// [`Doors::beat`].
struct ShowLife(Incarnation);

impl Work<Shared> for ShowLife {
    type Answer = Option<Vec<Beat>>;
    const ATTEMPTED: &'static str = "show that a door lives";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<Vec<Beat>>, Failure> {
        ledger::beat(transaction, self.0)
    }
}

/// [`Doors::adopt`].
struct Adopt(Beat);

impl Work<Shared> for Adopt {
    type Answer = bool;
    const ATTEMPTED: &'static str = "take over from a dead door";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<bool, Failure> {
        let is_adopted = ledger::adopt(transaction, self.0)?;
        if is_adopted {
            // It begins another life under another name, if it does.
            transaction.bury_door(self.0.incarnation.door);
        }
        Ok(is_adopted)
    }
}

/// [`Doors::rejoin`].
struct Rejoin(DoorId);

impl Work<Shared> for Rejoin {
    type Answer = ();
    const ATTEMPTED: &'static str = "join the other doors";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        let incarnation = ledger::join(transaction, self.0)?;
        transaction.join_as(incarnation);
        Ok(())
    }
}

/// [`Doors::acquire`].
struct Acquire {
    by: Incarnation,
    name: LeaseName,
}

impl Work<Shared> for Acquire {
    type Answer = Option<Lease>;
    const ATTEMPTED: &'static str = "take a lease";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<Option<Lease>, Failure> {
        ledger::acquire(transaction, self.by, self.name)?.map_err(refused::<Self>)
    }
}

/// [`Doors::release`].
struct Release {
    by: Incarnation,
    lease: Lease,
}

impl Work<Shared> for Release {
    type Answer = ();
    const ATTEMPTED: &'static str = "give back a lease";

    fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), Failure> {
        ledger::release(transaction, self.by, self.lease)
    }
}

#[async_trait]
impl Doors for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn beat(&self) -> Result<Vec<Beat>, StoreError> {
        self.write(ShowLife(self.shared.incarnation())).await?.ok_or(StoreError::Fenced)
    }

    async fn adopt(&self, last_heard: Beat) -> Result<bool, StoreError> {
        self.write(Adopt(last_heard)).await
    }

    async fn rejoin(&self) -> Result<(), StoreError> {
        let unavailable = |cause| StoreError::Unavailable {
            attempted: <Rejoin as Work<Shared>>::ATTEMPTED,
            cause: std::sync::Arc::new(cause),
        };
        self.write(Rejoin(new_door().map_err(unavailable)?)).await
    }

    async fn acquire(&self, name: LeaseName) -> Result<Option<Lease>, StoreError> {
        self.write(Acquire { by: self.shared.incarnation(), name }).await
    }

    async fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.write(Release { by: self.shared.incarnation(), lease }).await
    }
}
