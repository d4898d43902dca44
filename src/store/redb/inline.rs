//! For tests that must run the same way each time: a store over bytes in memory, without threads. What the writer does
//! is done on the calling task, one request to a transaction, and lists are read in place.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use redb::StorageBackend;
use tokio::sync::Semaphore;

use super::writer::{Call, QUEUE, Request, Work, Writer};
use super::{Failure, OpenError, RedbStore, Shared, file};
use crate::store::{Sequence, StoreError};

/// Follows a store without threads from one thing that it does to the next.
pub trait Steps: Send + Sync {
    /// The store has done something, and this is its last number. Its caller hears of it when this is over, if ever.
    fn step(&self, last: Sequence) -> BoxFuture<'_, ()>;
}

/// What a store without threads does its work with.
pub(super) struct Inline {
    pub writer: Mutex<Writer>,
    pub steps: Arc<dyn Steps>,
}

/// Lets others come in between.
struct Yields;

impl Steps for Yields {
    fn step(&self, _: Sequence) -> BoxFuture<'_, ()> {
        Box::pin(tokio::task::yield_now())
    }
}

/// A file in memory, which outlives the store over it.
#[derive(Clone, Debug, Default)]
pub struct MemoryFile(Arc<Mutex<Vec<u8>>>);

impl MemoryFile {
    /// A file of its own with the bytes as they are now: what a process that ends without warning leaves behind.
    pub fn left_by_a_crash(&self) -> Self {
        Self(Arc::new(Mutex::new(self.with(|bytes| bytes.clone()))))
    }

    fn with<T>(&self, run: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        run(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StorageBackend for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|bytes| bytes.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.with(|bytes| {
            let start = place(offset)?;
            let found = bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(found);
            Ok(())
        })
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.with(|bytes| {
            bytes.resize(place(length)?, 0);
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.with(|bytes| {
            let start = place(offset)?;
            let found = bytes.get_mut(start..start + data.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            found.copy_from_slice(data);
            Ok(())
        })
    }
}

fn place(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(io::Error::other)
}

impl RedbStore {
    /// Opens the store in `memory`, or makes one if that is empty.
    pub fn open_inline(memory: &MemoryFile) -> Result<Self, OpenError> {
        Self::open_followed(memory, Arc::new(Yields))
    }

    /// The same, followed from step to step.
    pub fn open_followed(memory: &MemoryFile, steps: Arc<dyn Steps>) -> Result<Self, OpenError> {
        let path = Path::new("memory");
        let unusable = |cause| OpenError::Unusable { path: path.to_owned(), attempted: "open", cause };
        let is_new = memory.with(|bytes| bytes.is_empty());
        let database =
            file::builder().create_with_backend(memory.clone()).map_err(|error| unusable(error.into()))?;
        if is_new {
            file::lay_out(&database).map_err(unusable)?;
        }
        // The medium never fails here, so nothing is ever opened again.
        let reopen = Box::new(|| Err(Failure::Interrupted));
        let shared = Arc::new(Shared::new(path, database, None, reopen)?);
        let (_, received) = channel();
        Ok(Self {
            inline: Some(Inline { writer: Mutex::new(Writer::new(Arc::clone(&shared), received)), steps }),
            shared,
            places: Arc::new(Semaphore::new(QUEUE)),
            messages: Mutex::new(None),
            writer: Mutex::new(None),
        })
    }

    /// Serves one request at once: as with the thread, it is done even if its caller leaves. Others may come between that
    /// and the answer.
    pub(super) async fn write_inline<W: Work>(
        &self,
        inline: &Inline,
        work: W,
    ) -> Result<W::Answer, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (call, waiting) = Call::new(work, place, Arc::clone(&self.shared));
        let group: Vec<Box<dyn Request>> = vec![Box::new(call)];
        inline.writer.lock().unwrap_or_else(PoisonError::into_inner).serve(group);
        self.step(inline).await;
        waiting.answer().await
    }

    pub(super) async fn step(&self, inline: &Inline) {
        let last = Sequence::new(self.shared.sequence.load(Ordering::Acquire));
        inline.steps.step(last).await;
    }
}
