//! The store in a PostgreSQL database, for any number of doors. Only the files of this folder name its client.
//!
//! [`PostgresStore`] is the way in, `requests` what it is asked for. `connection` reaches the database, by `tls` where others are on the way; a `query` is what it is asked,
//! `migrations` make its tables, `ticket` is the row that every transaction takes first, so that number order is commit order. `writer` is the one
//! thread of a door that writes, by group commit, `work` what it is asked to do, within a `transaction`; `shared` is what
//! readers and writer have in common, `reading` how readers ask. `copy` has all rows of the database.

mod connection;
mod copy;
mod failure;
mod migrations;
mod open_error;
mod opening;
mod query;
mod reading;
mod requests;
mod shared;
mod ticket;
mod tls;
mod tls_remedy;
mod transaction;
mod work;
mod writer;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime as PoolRuntime};
use tokio::runtime::{Builder, Runtime};

use self::connection::CONNECTING;
pub use self::connection::PostgresAddress;
use self::migrations::WhenAbsent;
pub use self::open_error::PostgresOpenError;
use self::opening::Part;
use self::shared::Shared;
pub use self::tls::TlsFiles;
use super::StoreError;
use super::group::{self, Entrance, Work};

/// The most connections for readers of one door.
const READERS: usize = 8;

/// A door's share of a record in PostgreSQL.
///
/// Its writer ends, and the door leaves the others, with [`Store::close`](crate::store::Store::close) or when the store is dropped; either
/// waits for what was already asked.
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// The way to the writer.
    entrance: Entrance<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    pool: Pool,
    /// Serves the connections, whichever runtime a caller is on.
    runtime: Option<Runtime>,
}

impl PostgresStore {
    /// Opens the record in this database, whose tables are made or brought to this version if need be, and joins the doors that
    /// share it. Blocks until that is done.
    ///
    /// # Errors
    /// When the database cannot be reached, has tables of a later version, or refuses.
    pub fn open(address: &PostgresAddress) -> Result<Self, PostgresOpenError> {
        Self::open_as(address, WhenAbsent::Make, Part::Door)
    }

    /// The same where there are tables; none are made where there are none.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`PostgresOpenError::Absent`].
    pub fn open_existing(address: &PostgresAddress) -> Result<Self, PostgresOpenError> {
        Self::open_as(address, WhenAbsent::Refuse, Part::Door)
    }

    /// The same for who only looks: the doors that share it do not hear of that, and what is written is refused.
    ///
    /// # Errors
    /// As [`open_existing`](Self::open_existing).
    pub fn open_to_read(address: &PostgresAddress) -> Result<Self, PostgresOpenError> {
        Self::open_as(address, WhenAbsent::Refuse, Part::Onlooker)
    }

    /// Whether its tables were made when it was opened.
    pub fn is_new(&self) -> bool {
        self.shared.is_new
    }

    fn open_as(
        address: &PostgresAddress,
        when_absent: WhenAbsent,
        part: Part,
    ) -> Result<Self, PostgresOpenError> {
        let unusable = |cause| PostgresOpenError::Unusable { attempted: "start what serves", cause };
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("store")
            .enable_all()
            .build()
            .map_err(|cause| unusable(Box::new(cause)))?;
        let manager = Manager::from_config(
            address.config.clone(),
            address.connector.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(READERS)
            .runtime(PoolRuntime::Tokio1)
            .wait_timeout(Some(2 * CONNECTING))
            .create_timeout(Some(CONNECTING))
            .recycle_timeout(Some(Duration::from_secs(1)))
            .build()
            .map_err(|cause| unusable(Box::new(cause)))?;
        let (entrance, queue) = group::queue();
        let (opened, opening) = std::sync::mpsc::sync_channel(1);
        let (handle, address) = (runtime.handle().clone(), address.clone());
        // On its own thread: the caller may be on one that must not block on futures.
        let writer = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || match opening::open(handle, address, queue, when_absent, part) {
                Ok((shared, writer)) => {
                    if opened.send(Ok(shared)).is_ok() {
                        writer.run();
                    }
                }
                Err(error) => {
                    // Whoever has asked for it waits.
                    let _ = opened.send(Err(error));
                }
            })
            .map_err(|cause| unusable(Box::new(cause)))?;
        let shared = match opening.recv() {
            Ok(Ok(shared)) => shared,
            Ok(Err(error)) => {
                runtime.shutdown_background();
                return Err(error);
            }
            Err(cause) => return Err(unusable(Box::new(cause))),
        };
        Ok(Self { shared, entrance, writer: Mutex::new(Some(writer)), pool, runtime: Some(runtime) })
    }

    /// [`Store::close`](crate::store::Store::close).
    fn shut(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.waiters.wake_all();
        self.entrance.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if writer.is_some_and(|writer| writer.join().is_err()) {
            tracing::error!(store = %self.shared.address, "the store's writer had panicked");
        }
    }

    async fn write<W: Work<Shared>>(&self, work: W) -> Result<W::Answer, StoreError> {
        // While the database cannot be reached, the writer may be waiting for a connection.
        if let Some(failure) = self.shared.refusal() {
            return Err(failure.into_error(W::ATTEMPTED));
        }
        self.entrance.write(work, &self.shared).await
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.shut();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
