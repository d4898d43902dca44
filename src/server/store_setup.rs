//! The store that a configuration names: the one place that knows its kinds.

use std::path::Path;
use std::sync::Arc;

use crate::config::StoreUrl;
use crate::files::give_to_owner_of_directory;
use crate::store::{OpenError, RedbStore, Store};

/// Opens the store, or makes it if there is none: for a door alone. Blocks while it does.
///
/// # Errors
/// When it cannot be opened; then it is left as it was.
pub(super) fn open_or_make(url: &StoreUrl) -> Result<Arc<dyn Store>, OpenError> {
    let StoreUrl::Redb(path) = url;
    let is_new = absent_file(url).is_some();
    let store = Arc::new(RedbStore::open(path)?);
    if is_new {
        give_to_owner_of_directory(path).map_err(|cause| OpenError::Unusable {
            path: path.clone(),
            attempted: "give to the owner of its directory",
            cause: Box::new(cause),
        })?;
    }
    Ok(store)
}

/// Opens the store that is there: for commands that change something. Blocks while it does.
///
/// # Errors
/// When there is none, or it cannot be opened; then it is left as it was.
pub(super) fn open_existing(url: &StoreUrl) -> Result<Arc<dyn Store>, OpenError> {
    let StoreUrl::Redb(path) = url;
    Ok(Arc::new(RedbStore::open_existing(path)?))
}

/// Opens the store that is there, and leaves its file as it is: for commands that look. What is written to it is lost.
///
/// # Errors
/// When there is none, or it cannot be opened.
pub(super) fn open_to_read(url: &StoreUrl) -> Result<Arc<dyn Store>, OpenError> {
    let StoreUrl::Redb(path) = url;
    Ok(Arc::new(RedbStore::open_to_read(path)?))
}

/// Refuses to go on where there is no store: for commands that write beside it.
///
/// # Errors
/// When there is none.
pub(super) fn require(url: &StoreUrl) -> Result<(), OpenError> {
    match absent_file(url) {
        Some(path) => Err(OpenError::Absent { path: path.to_owned() }),
        None => Ok(()),
    }
}

/// The file of the store, if it is not there.
pub(super) fn absent_file(url: &StoreUrl) -> Option<&Path> {
    let path = path(url);
    (!path.exists()).then_some(path)
}

/// The file of the store.
pub(super) fn path(url: &StoreUrl) -> &Path {
    let StoreUrl::Redb(path) = url;
    path
}
