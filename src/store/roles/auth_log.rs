//! What happened at the gate.

use async_trait::async_trait;

use crate::store::{AuthEvent, AuthEventKind, Page, PageRequest, Retention, Sequence, StoreError};

/// The log of logins, refusals, tokens and administrative acts.
#[async_trait]
pub trait AuthLog: Send + Sync + 'static {
    /// Keeps what happened at the gate: in the place of what is kept under that number and kind, where a number is given and
    /// it is still there; else under a new number, behind all others. Purges what is too much, of each kind by itself, and
    /// what is too old; where that is very much, a part of it each time. Answers the numbers, in the order of the events. Durable.
    async fn add_auth_events(
        &self,
        events: Vec<(Option<Sequence>, AuthEvent)>,
        keep: Retention,
    ) -> Result<Vec<Sequence>, StoreError>;

    /// What happened at the gate, oldest first, each with its number.
    async fn auth_events(
        &self,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError>;

    /// What happened of one kind, newest first, each with its number: those before the position.
    async fn latest_auth_events(
        &self,
        kind: AuthEventKind,
        page: PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, StoreError>;
}
