//! `GET /api/v1/backup`, through the socket alone: the whole record as it was at one moment, with the keys beside it, in the form of
//! an export. Its file belongs to this process, so that nobody else can read it while the door runs.
//!
//! What is answered is made as fast as it is read, by a thread of its own that steps back behind all others. An answer that is not
//! whole lacks its last line.

use std::io::{self, Write};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::state::WebState;
use crate::store::{FileBeside, StoreError, WholeRecord, export_record};

/// Where it is asked for.
pub const BACKUP_PATH: &str = "/api/v1/backup";
/// In which header stands about how many rows come.
pub const EXPECTED_ROWS: &str = "portreeve-rows";

/// What is sent at once.
const PIECE: usize = 256 * 1024;
/// So many pieces wait for who reads them.
const PIECES: usize = 4;
/// Who reads nothing for so long does not want the rest: as long as the record is read, its file grows.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much the thread steps back (nice(1)).
const NICE: i32 = 10;

type Piece = Result<Bytes, io::Error>;

/// Answers the record.
pub(super) async fn make(State(state): State<WebState>) -> Result<Response, ApiError> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let handle = Handle::current();
    let prepared = tokio::task::spawn_blocking(move || {
        let mut record = state.store.whole()?.ok_or(ApiError::RecordElsewhere)?;
        let expected = record.expected_rows()?;
        // Those that were made since the record was as it is read are good for it, too.
        let files = state.keys.map_or(Ok(Vec::new()), |keys| keys.files()).map_err(ApiError::Keys)?;
        let pieces = Pieces { sender, handle, held: Vec::with_capacity(PIECE) };
        let thread = std::thread::Builder::new().name("backup".into());
        let started = thread.spawn(move || send(record, &files, pieces));
        started.map_err(|cause| ApiError::Store(unavailable(cause)))?;
        Ok::<_, ApiError>(expected)
    });
    let expected = prepared.await.map_err(|cause| ApiError::Store(unavailable(cause)))??;
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece: Piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    headers.insert(EXPECTED_ROWS, HeaderValue::from(expected));
    Ok(response)
}

/// Sends the record to its end, or as far as it goes.
fn send(mut record: WholeRecord, files: &[FileBeside], mut pieces: Pieces) {
    step_back();
    match export_record(&mut record, files, &mut pieces, &mut |_, _| {}) {
        Ok(copied) => tracing::info!(rows = copied.rows, "a backup was read"),
        Err(error) => {
            tracing::warn!(%error, "a backup was not read to its end");
            // If nobody reads any more, nobody has to be told.
            let _ = pieces.send(Err(io::Error::other("it cannot be read to its end")));
        }
    }
}

/// The door's other threads go first.
fn step_back() {
    // Without a process it is the calling thread (setpriority(2), "C library/kernel differences").
    let stepped = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, now.max(NICE)));
    if let Err(error) = stepped {
        tracing::debug!(%error, "a backup is read as urgently as everything else is done");
    }
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable { attempted: "be read", cause: std::sync::Arc::new(cause) }
}

/// Sends what is written to it, in pieces. Blocks.
struct Pieces {
    sender: mpsc::Sender<Piece>,
    handle: Handle,
    held: Vec<u8>,
}

impl Pieces {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.handle.block_on(self.sender.send_timeout(piece, PATIENCE));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "who asked for it does not read it any more"))
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.held, Vec::with_capacity(PIECE));
        self.send(Ok(piece.into()))
    }
}
