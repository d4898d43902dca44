//! The store that a configuration names: the one place that knows its kinds.

use std::path::Path;
use std::sync::Arc;

use crate::config::StoreUrl;
use crate::store::{OpenError, RedbStore, Store};

/// Opens the store, or makes it if there is none. Blocks while it does.
///
/// # Errors
/// When it cannot be opened; then it is left as it was.
pub(super) fn open(url: &StoreUrl) -> Result<Arc<dyn Store>, OpenError> {
    match url {
        StoreUrl::Redb(path) => Ok(Arc::new(RedbStore::open(path)?)),
    }
}

/// The file that it is kept in.
pub(super) fn file(url: &StoreUrl) -> &Path {
    match url {
        StoreUrl::Redb(path) => path,
    }
}

/// The file that [`open`] would make, if there is none yet.
pub(super) fn absent_file(url: &StoreUrl) -> Option<&Path> {
    match url {
        StoreUrl::Redb(path) => (!path.exists()).then_some(path),
    }
}
