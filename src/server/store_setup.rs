//! The store that a configuration names: the one place that knows its kinds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Store as Configured, StoreTls, StoreUrl, Tls};
use crate::files::give_to_owner_of_directory;
use crate::store::{
    NewRecord, OpenError, PostgresAddress, PostgresOpenError, PostgresStore, RedbStore, Store, TlsFiles,
    WholeRecord,
};

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StoreOpenError {
    /// A file.
    #[error(transparent)]
    File(#[from] OpenError),
    /// A database.
    #[error(transparent)]
    Database(#[from] PostgresOpenError),
}

impl StoreOpenError {
    /// The file that another process has, if that is all that is wrong.
    pub(super) fn in_use(&self) -> Option<&Path> {
        match self {
            Self::File(OpenError::InUse { path }) => Some(path),
            Self::File(_) | Self::Database(_) => None,
        }
    }

    /// Whether there is no store yet.
    pub(super) const fn is_absence(&self) -> bool {
        matches!(self, Self::File(OpenError::Absent { .. }) | Self::Database(PostgresOpenError::Absent))
    }
}

/// What is to be said of a store that [is lost with one server](Store::is_lost_with_one_server).
pub(super) const LOST_WITH_ONE_SERVER: &str = "the database has no synchronous standby (`synchronous_standby_names`, \
    `synchronous_commit`): what was acknowledged may be lost with its server";

/// A store that a door has opened.
pub(super) struct Opened {
    pub store: Arc<dyn Store>,
    /// Whether it was made just now.
    pub is_new: bool,
}

/// Opens the store, or makes it if there is none: for a door alone. Blocks while it does.
///
/// # Errors
/// When it cannot be opened; then it is left as it was.
pub(super) fn open_or_make(configured: &Configured) -> Result<Opened, StoreOpenError> {
    match &configured.url {
        StoreUrl::Redb(path) => {
            let is_new = !path.exists();
            let store = Arc::new(RedbStore::open(path)?);
            if is_new {
                give_to_owner_of_directory(path).map_err(|cause| OpenError::Unusable {
                    path: path.clone(),
                    attempted: "give to the owner of its directory",
                    cause: Box::new(cause),
                })?;
            }
            Ok(Opened { store, is_new })
        }
        StoreUrl::Postgres(url) => {
            let store = PostgresStore::open(&address(url, configured)?)?;
            Ok(Opened { is_new: store.is_new(), store: Arc::new(store) })
        }
    }
}

/// Opens the store that is there: for commands that change something. Blocks while it does.
///
/// # Errors
/// When there is none, or it cannot be opened; then it is left as it was.
pub(super) fn open_existing(configured: &Configured) -> Result<Arc<dyn Store>, StoreOpenError> {
    match &configured.url {
        StoreUrl::Redb(path) => Ok(Arc::new(RedbStore::open_existing(path)?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(PostgresStore::open_existing(&address(url, configured)?)?)),
    }
}

/// Opens the store that is there, for commands that look. A file is left as it is, and what is written to it is lost; a database
/// is shared with the doors that run.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub(super) fn open_to_read(configured: &Configured) -> Result<Arc<dyn Store>, StoreOpenError> {
    match &configured.url {
        StoreUrl::Redb(path) => Ok(Arc::new(RedbStore::open_to_read(path)?)),
        StoreUrl::Postgres(url) => Ok(Arc::new(PostgresStore::open_to_read(&address(url, configured)?)?)),
    }
}

/// The whole record, to be copied. Blocks while it is opened.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub(super) fn whole(configured: &Configured) -> Result<WholeRecord, StoreOpenError> {
    match &configured.url {
        StoreUrl::Redb(path) => Ok(RedbStore::whole(path)?),
        StoreUrl::Postgres(url) => Ok(PostgresStore::whole(&address(url, configured)?)?),
    }
}

/// The place for a record that is imported. Blocks while it is looked at.
///
/// # Errors
/// When there is a record already, or the place cannot be used.
pub(super) fn to_import(configured: &Configured) -> Result<NewRecord, StoreOpenError> {
    match &configured.url {
        StoreUrl::Redb(path) => Ok(RedbStore::to_import(path)?),
        StoreUrl::Postgres(url) => Ok(PostgresStore::to_import(&address(url, configured)?)?),
    }
}

/// Refuses to go on where there is no store: for commands that write beside it. What is in a database is not looked at: keys are
/// not kept beside it.
///
/// # Errors
/// When there is none.
pub(super) fn require(configured: &Configured) -> Result<(), StoreOpenError> {
    match absent_file(configured) {
        Some(path) => Err(OpenError::Absent { path: path.to_owned() }.into()),
        None => Ok(()),
    }
}

/// The file of the store, if it is not there. A database has none.
pub(super) fn absent_file(configured: &Configured) -> Option<&Path> {
    match &configured.url {
        StoreUrl::Redb(path) => (!path.exists()).then_some(path),
        StoreUrl::Postgres(_) => None,
    }
}

/// The file of the store, if it has one.
pub(super) fn file(configured: &Configured) -> Option<PathBuf> {
    match &configured.url {
        StoreUrl::Redb(path) => Some(path.clone()),
        StoreUrl::Postgres(_) => None,
    }
}

fn address(url: &str, configured: &Configured) -> Result<PostgresAddress, PostgresOpenError> {
    let StoreTls { authorities, identity } = configured.tls.clone();
    let identity = identity.map(|Tls { certificate, key }| (certificate, key));
    PostgresAddress::parse(url, configured.password.as_ref(), TlsFiles { authorities, identity })
}
