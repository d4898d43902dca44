//! How long a client is waited for: to send something, and to take what is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use crate::door::client_connection::ClientConnection;
use crate::door::refused_connections::count_refused;

/// After how many reads the clock is looked at where each brings something: looking costs as much as a small read.
const READS_BETWEEN_CHECKS: u8 = 32;

/// Bounds how long bytes of the client are waited for, as its [`ClientConnection`] says.
#[derive(Debug)]
pub(super) struct ReadTimeout {
    connection: Arc<ClientConnection>,
    /// When to check again whether the client is still to be waited for.
    next_check: Instant,
    /// How often was read.
    reads: u8,
    /// Wakes the task that waits for the client, at that time or before.
    timer: Option<Pin<Box<Sleep>>>,
}

impl ReadTimeout {
    /// Of a connection from which nothing was read yet.
    pub(super) fn new(connection: Arc<ClientConnection>) -> Self {
        Self { connection, next_check: Instant::now(), reads: 0, timer: None }
    }

    /// The connection.
    pub(super) fn connection(&self) -> &ClientConnection {
        &self.connection
    }

    /// Notes that something is to be read. Now and then it checks the time, also of a client of which there is always
    /// something to read.
    ///
    /// # Errors
    /// When the client is not waited for any longer.
    pub(super) fn note_read(&mut self, owes_reading: bool) -> io::Result<()> {
        self.reads = self.reads.wrapping_add(1);
        if self.reads.is_multiple_of(READS_BETWEEN_CHECKS) {
            let now = Instant::now();
            if now >= self.next_check {
                self.check(owes_reading, now)?;
            }
        }
        Ok(())
    }

    /// Notes that bytes came.
    pub(super) fn note_received(&mut self) {
        if let Some(next_check) = self.connection.note_received() {
            self.next_check = self.next_check.min(next_check);
        }
    }

    /// Ready once the client is not waited for any longer.
    pub(super) fn poll_expired(&mut self, owes_reading: bool, context: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let next_check = tokio::time::Instant::from_std(self.next_check);
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next_check)));
            if timer.deadline() > next_check {
                timer.as_mut().reset(next_check);
            }
            ready!(timer.as_mut().poll(context));
            if let Err(error) = self.check(owes_reading, Instant::now()) {
                return Poll::Ready(error);
            }
            if let Some(timer) = &mut self.timer {
                timer.as_mut().reset(self.next_check.into());
            }
        }
    }

    /// Whether the client is still to be waited for.
    fn check(&mut self, owes_reading: bool, now: Instant) -> io::Result<()> {
        match self.connection.check(owes_reading, now) {
            Ok(next_check) => {
                self.next_check = next_check;
                Ok(())
            }
            Err(cause) => {
                count_refused(cause.as_str());
                // It is counted once; every later read fails at once.
                self.connection.end();
                Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not come to a request in time"))
            }
        }
    }
}

/// Bounds how long the client may take nothing of what is sent.
#[derive(Debug)]
pub(super) struct WriteTimeout {
    limit: Duration,
    /// Runs while the client takes nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    /// Of a client that may take nothing for so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, timer: None }
    }

    /// Whether the client takes nothing now.
    pub(super) fn is_running(&self) -> bool {
        self.timer.is_some()
    }

    /// Passes on how a write went; one that has to wait fails once it has waited for too long.
    pub(super) fn bound<T>(
        &mut self,
        sent: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if sent.is_ready() {
            self.timer = None;
            return sent;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        ready!(timer.as_mut().poll(context));
        self.timer = None;
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client reads nothing")))
    }
}
