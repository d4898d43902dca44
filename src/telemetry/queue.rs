//! The log's output: lines wait in one buffer, bounded in bytes, for a thread that writes them in batches. Used by `logging`.
//!
//! To wake a thread for each line costs the door more than the line itself. So the thread is woken by the first line, gathers
//! for [`GATHERING`], and writes what has come in one piece. A line that finds the buffer full is dropped and counted: no
//! caller ever waits for the log.
//!
//! `tracing_appender::non_blocking` (0.2.5) is not this. Its queue is bounded in lines, not in bytes; each line is an
//! allocation of its own, wakes the thread where that waits for one, and is written by a `write_all` of its own. When the
//! queue is full it drops and counts, as here, or has the caller wait. If the thread does not end in time it says so on
//! standard output, which belongs to what a command answers, and if there is no thread to be had it panics.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// How long lines are gathered, unless there are this many bytes before.
const GATHERING: Duration = Duration::from_millis(20);
const BATCH_BYTES: usize = 64 * 1024;
/// How long the end waits for the last lines to be written.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Where lines are put. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct LineWriter(Arc<Shared>);

/// Keeps the thread running. Dropping it writes out what still waits, for at most about a second.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    ended: Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    limit: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    is_ending: bool,
}

/// Starts the thread that writes to `output`; at most `limit` bytes wait for it.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(output: impl Write + Send + 'static, limit: usize) -> io::Result<(LineWriter, Worker)> {
    let shared =
        Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), limit, dropped: AtomicU64::new(0) });
    let (thread_ended, ended) = mpsc::channel();
    let writer = Arc::clone(&shared);
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || writer.write_batches(output, &thread_ended))?;
    Ok((LineWriter(Arc::clone(&shared)), Worker { shared, ended }))
}

impl LineWriter {
    /// How many lines were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

impl Write for LineWriter {
    /// Takes the whole line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        let before = state.waiting.len();
        if before + line.len() > self.0.limit {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return Ok(line.len());
        }
        state.waiting.extend_from_slice(line);
        let is_batch = before < BATCH_BYTES && state.waiting.len() >= BATCH_BYTES;
        drop(state);
        if before == 0 || is_batch {
            self.0.wake.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes until told to end. The thread's end of the channel is dropped with it, by which its worker knows.
    fn write_batches(&self, mut output: impl Write, _ended: &Sender<()>) {
        let mut batch = Vec::new();
        loop {
            let idle = |state: &mut State| state.waiting.is_empty() && !state.is_ending;
            let state = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let gathering = |state: &mut State| state.waiting.len() < BATCH_BYTES && !state.is_ending;
            let gathered = self.wake.wait_timeout_while(state, GATHERING, gathering);
            let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
            if state.waiting.is_empty() {
                return;
            }
            std::mem::swap(&mut state.waiting, &mut batch);
            drop(state);
            // Without standard error the failure cannot be reported anywhere, and the door goes on without its log.
            let _ = output.write_all(&batch).and_then(|()| output.flush());
            batch.clear();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.lock().is_ending = true;
        self.shared.wake.notify_one();
        // The thread drops its end of the channel when it is done; a reader of the log that is stuck is not waited for.
        let _ = self.ended.recv_timeout(LAST_LINES);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Collects what is written, once it is let go.
    struct Output {
        go: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.go.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn output() -> (Output, Sender<()>, Arc<Mutex<Vec<u8>>>) {
        let (go, waits) = mpsc::channel();
        let written = Arc::default();
        (Output { go: waits, written: Arc::clone(&written) }, go, written)
    }

    #[test]
    fn lines_that_cannot_be_written_are_dropped_and_counted_instead_of_waited_for() {
        let (output, go, written) = output();
        let (writer, worker) = start(output, 20).unwrap();
        let begun = Instant::now();
        for _ in 0..100 {
            writer.clone().write_all(b"line\n").unwrap();
        }
        // Four fit, and a batch of four may be with the writer.
        assert!(writer.dropped() >= 92, "{}", writer.dropped());
        assert!(begun.elapsed() < Duration::from_secs(5));
        drop(go);
        drop(worker);
        let lines = written.lock().unwrap().len() / 5;
        assert_eq!(lines as u64 + writer.dropped(), 100, "each line is written or counted");
    }

    #[test]
    fn the_last_lines_are_written_at_the_end() {
        let (output, go, written) = output();
        let (mut writer, worker) = start(output, 1024).unwrap();
        writer.write_all(b"last\n").unwrap();
        drop(go);
        drop(worker);
        assert_eq!(*written.lock().unwrap(), b"last\n");
    }

    #[test]
    fn a_reader_that_is_stuck_does_not_keep_the_door_from_ending() {
        let (output, _go, _written) = output();
        let (mut writer, worker) = start(output, 1024).unwrap();
        writer.write_all(b"line\n").unwrap();
        let begun = Instant::now();
        drop(worker);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
