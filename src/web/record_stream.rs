//! Answers that are made while the whole record is read, as fast as they are read: by a thread of its own that steps back behind all
//! others.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::state::WebState;
use crate::store::{StoreError, WholeRecord};

/// What is sent at once.
const PIECE: usize = 256 * 1024;
/// So many pieces wait for who reads them.
const PIECES: usize = 4;
/// Who reads nothing for so long does not want the rest: as long as the record is read, its file grows.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much the thread steps back (nice(1)).
const NICE: i32 = 10;

type Piece = Result<Bytes, io::Error>;

/// What reads the record, and writes what is answered.
pub(super) type Reading = Box<dyn FnOnce(WholeRecord, &mut Pieces) -> Result<(), Cause> + Send>;

/// Why an answer is not whole.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Answers, by lines of JSON, what somebody makes of the record as it is now. That is `prepared` once the record is open.
pub(super) async fn answer(
    state: WebState,
    prepare: impl FnOnce(&WebState, &mut WholeRecord) -> Result<Reading, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let (sender, receiver) = mpsc::channel(PIECES);
    let mut pieces = Pieces { sender, handle: Handle::current(), held: Vec::with_capacity(PIECE) };
    let begun = tokio::task::spawn_blocking(move || {
        let mut record = state.store.whole()?.ok_or(ApiError::RecordElsewhere)?;
        let reading = prepare(&state, &mut record)?;
        // What it reads ends with the store.
        drop(state);
        let thread = std::thread::Builder::new().name("record".into());
        let started = thread.spawn(move || {
            step_back();
            if let Err(error) = reading(record, &mut pieces).and_then(|()| Ok(pieces.flush()?)) {
                tracing::warn!(%error, "the record was not read to its end");
                // If nobody reads any more, nobody has to be told.
                let _ = pieces.send(Err(io::Error::other("it cannot be read to its end")));
            }
        });
        started.map(drop).map_err(|cause| ApiError::Store(unavailable(cause)))
    });
    begun.await.map_err(|cause| ApiError::Store(unavailable(cause)))??;
    let pieces = stream::unfold(receiver, |mut receiver| async move {
        let piece: Piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jsonl"));
    Ok(response)
}

/// The door's other threads go first.
fn step_back() {
    // Without a process it is the calling thread (setpriority(2), "C library/kernel differences").
    let stepped = rustix::process::getpriority_process(None)
        .and_then(|now| rustix::process::setpriority_process(None, now.max(NICE)));
    if let Err(error) = stepped {
        tracing::debug!(%error, "the record is read as urgently as everything else is done");
    }
}

fn unavailable(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Unavailable { attempted: "be read", cause: Arc::new(cause) }
}

/// Sends what is written to it, in pieces. Blocks.
pub(super) struct Pieces {
    sender: mpsc::Sender<Piece>,
    handle: Handle,
    held: Vec<u8>,
}

impl Pieces {
    fn send(&self, piece: Piece) -> io::Result<()> {
        let sent = self.handle.block_on(self.sender.send_timeout(piece, PATIENCE));
        sent.map_err(|_| {
            io::Error::new(io::ErrorKind::BrokenPipe, "who asked for it does not read it any more")
        })
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
