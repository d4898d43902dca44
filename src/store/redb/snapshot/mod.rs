//! Reading: every method sees one consistent state of the file, the last durable one.

mod beside;
mod health;
mod history;
mod images;
mod numbers;
mod page;
mod records;
mod sweeps;

use redb::{ReadTransaction, ReadableTable};

use super::failure::Failure;
use super::tables::{META_MISSING_MANIFESTS, META_MISSING_TAGS, OneKey, number};
use crate::store::Missing;

/// One state of the file.
pub(super) struct Snapshot(pub(super) ReadTransaction);

/// How much is missing.
pub(super) fn missing(meta: &impl ReadableTable<OneKey, u64>) -> Result<Missing, Failure> {
    Ok(Missing { tags: number(meta, META_MISSING_TAGS)?, manifests: number(meta, META_MISSING_MANIFESTS)? })
}

/// An index names a row that is not there.
#[derive(Debug, thiserror::Error)]
#[error("it is missing")]
pub(super) struct NotThere;
