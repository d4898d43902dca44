//! Keeps what deleted manifests said, within the transaction that removes them.

use redb::{ReadableTable, ReadableTableMetadata, Table, WriteTransaction};

use super::super::failure::Failure;
use super::super::tables::{
    AgeKeys, DELETED_MANIFESTS, DELETED_MANIFESTS_BY_AGE, DeletedRows, META_DELETED_BYTES, META_TIME,
    TwoKeys, behind, number,
};
use super::record::Tables;
use crate::clock::Timestamp;
use crate::oci::{Digest, RepositoryName};
use crate::store::deleted_manifest::{Kept, is_over};

/// The tables of deleted manifests, open only where one is deleted.
struct Deleted<'txn> {
    manifests: Table<'txn, TwoKeys, DeletedRows>,
    by_age: Table<'txn, AgeKeys, u64>,
    bytes: u64,
    now: Timestamp,
    /// The last time that has held.
    held: Option<Timestamp>,
}

impl<'txn> Deleted<'txn> {
    fn open(
        transaction: &'txn WriteTransaction,
        bytes: u64,
        now: Timestamp,
        held: Option<Timestamp>,
    ) -> Result<Self, Failure> {
        let manifests = transaction.open_table(DELETED_MANIFESTS)?;
        let by_age = transaction.open_table(DELETED_MANIFESTS_BY_AGE)?;
        Ok(Self { manifests, by_age, bytes, now, held })
    }

    fn keep(&mut self, key: (&str, &str), document: &[u8], bytes: &[u8]) -> Result<(), Failure> {
        let at = self.now.as_milliseconds();
        let before = self.manifests.insert(key, (at, document, bytes))?.map(|row| row.value().0);
        if let Some(before) = before {
            self.forget((before, key.0, key.1))?;
        }
        let size = (document.len() + bytes.len()) as u64;
        self.by_age.insert((at, key.0, key.1), size)?;
        self.bytes = self.bytes.saturating_add(size);
        self.purge()
    }

    fn forget(&mut self, key: (u64, &str, &str)) -> Result<(), Failure> {
        let size = self.by_age.remove(key)?.map_or(0, |size| size.value());
        self.bytes = self.bytes.saturating_sub(size);
        Ok(())
    }

    fn purge(&mut self) -> Result<(), Failure> {
        loop {
            let oldest = self.by_age.first()?.map(|(key, _)| {
                let (at, name, digest) = key.value();
                (at, name.to_owned(), digest.to_owned())
            });
            let Some((at, name, digest)) = oldest else { return Ok(()) };
            let kept = Kept { count: self.manifests.len()?, bytes: self.bytes };
            if !is_over(Timestamp::from_milliseconds(at), kept, self.now, self.held) {
                return Ok(());
            }
            self.manifests.remove((name.as_str(), digest.as_str()))?;
            self.forget((at, &name, &digest))?;
        }
    }
}

impl<'txn> Tables<'txn> {
    /// Keeps what a manifest says that is about to be removed. To be called while its row is there.
    pub(super) fn keep_deleted_manifest(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let mut deleted = self.deleted(now)?;
        let key = (repository.as_str(), digest.as_str());
        if let Some(rows) = self.manifests.read()?.get(key)? {
            let (_, document, bytes) = rows.value();
            deleted.keep(key, document, bytes)?;
        }
        self.meta.write()?.insert(META_DELETED_BYTES, deleted.bytes)?;
        Ok(())
    }

    /// The same of all manifests of a repository.
    pub(super) fn keep_deleted_manifests_of(
        &mut self,
        repository: &RepositoryName,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let mut deleted = self.deleted(now)?;
        let (name, end) = (repository.as_str(), behind(repository));
        for entry in self.manifests.read()?.range((name, "")..(end.as_str(), ""))? {
            let (key, rows) = entry?;
            let (_, document, bytes) = rows.value();
            deleted.keep(key.value(), document, bytes)?;
        }
        self.meta.write()?.insert(META_DELETED_BYTES, deleted.bytes)?;
        Ok(())
    }

    fn deleted(&self, now: Timestamp) -> Result<Deleted<'txn>, Failure> {
        let held = self.meta.read()?.get(META_TIME)?.map(|held| Timestamp::from_milliseconds(held.value()));
        Deleted::open(self.transaction, number(self.meta.read()?, META_DELETED_BYTES)?, now, held)
    }
}
