//! A file seen through an overlay that keeps every write in memory: opening a database marks its file, and after a
//! crash repairs it, but a file that is not of this layout must not be touched.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

const BLOCK: u64 = 4096;

/// A file that is locked and read, but never written.
#[derive(Debug)]
pub(super) struct Overlay {
    file: FileBackend,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    length: u64,
    /// How much of the file still shows through: it was never cut shorter.
    shown: u64,
    /// What was written, by the place of its block.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Overlay {
    /// Over this file, which has to be open for writing so that it can be locked.
    pub(super) fn new(file: File) -> Result<Self, DatabaseError> {
        let file = FileBackend::new(file)?;
        let length = file.len()?;
        Ok(Self { file, state: Mutex::new(State { length, shown: length, blocks: BTreeMap::new() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as it is now.
    fn block(&self, state: &State, place: u64) -> io::Result<Vec<u8>> {
        if let Some(block) = state.blocks.get(&place) {
            return Ok(block.clone());
        }
        let mut block = vec![0; BLOCK as usize];
        let shown = state.shown.saturating_sub(place).min(BLOCK) as usize;
        if shown > 0 {
            self.file.read(place, &mut block[..shown])?;
        }
        Ok(block)
    }
}

/// The parts of `length` bytes at `offset` that lie in one block each: the block's place, and where in it.
fn parts(offset: u64, length: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let end = offset + length as u64;
    let places = (offset - offset % BLOCK..end).step_by(BLOCK as usize);
    places.map(move |place| {
        let from = offset.saturating_sub(place) as usize;
        (place, from..(end - place).min(BLOCK) as usize)
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, mut out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        // An offset from a damaged page may be anything.
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > state.length) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (place, range) in parts(offset, out.len()) {
            let block = self.block(&state, place)?;
            let (part, rest) = out.split_at_mut(range.len());
            part.copy_from_slice(&block[range]);
            out = rest;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state();
        if length < state.length {
            // The rest of a block that is cut reads as zeros when the file grows again.
            let place = length - length % BLOCK;
            let mut block = self.block(&state, place)?;
            block[(length - place) as usize..].fill(0);
            state.blocks.split_off(&place);
            state.blocks.insert(place, block);
            state.shown = state.shown.min(length);
        }
        state.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, mut data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.length = state.length.max(offset + data.len() as u64);
        for (place, range) in parts(offset, data.len()) {
            let mut block = self.block(&state, place)?;
            let (part, rest) = data.split_at(range.len());
            block[range].copy_from_slice(part);
            state.blocks.insert(place, block);
            data = rest;
        }
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
