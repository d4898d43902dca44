//! Says when robots' tokens are about to end: a robot does not read mail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::auth::{Accounts, TokenShown};
use crate::telemetry::FailureLog;

/// How long before its end that is said.
const AHEAD: Duration = Duration::from_hours(14 * 24);
/// How often it is said.
const SAY: Duration = Duration::from_hours(24);
/// How many tokens are named each time.
const NAMED: usize = 20;
/// How often is looked whether the accounts have changed.
const LOOK: Duration = Duration::from_secs(5);
/// How often the tokens are read when they have not.
const READ: Duration = Duration::from_mins(5);

/// Shows until told to stop how many robots' tokens are about to end, and warns of them at once and every day.
pub(super) async fn run(accounts: Arc<Accounts>, stop: CancellationToken) {
    let watching = async {
        let failures = FailureLog::new();
        let (mut read, mut said): (Option<(u64, Instant)>, Option<Instant>) = (None, None);
        loop {
            let version = accounts.version();
            if read.is_none_or(|(before, at)| before != version || at.elapsed() >= READ) {
                match accounts.robot_tokens_ending_within(AHEAD).await {
                    Ok(ending) => {
                        failures.worked();
                        read = Some((version, Instant::now()));
                        show(&ending);
                        if said.is_none_or(|at| at.elapsed() >= SAY) {
                            said = Some(Instant::now());
                            warn(&ending);
                        }
                    }
                    Err(error) if failures.failed(&error) => {
                        tracing::warn!(%error, "which robots' tokens are about to end cannot be read; it is tried again");
                    }
                    Err(_) => {}
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    stop.run_until_cancelled(watching).await;
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 tokens")]
fn show(ending: &[TokenShown]) {
    metrics::gauge!("portreeve_robot_tokens_expiring").set(ending.len() as f64);
}

fn warn(ending: &[TokenShown]) {
    for TokenShown { id, name, expires, .. } in ending.iter().take(NAMED) {
        let until = expires.map(|time| time.to_string());
        tracing::warn!(
            token = %id, robot = %name, until,
            "a robot's token ends within 14 days; make a new one by `portreeve token create`, and revoke this one"
        );
    }
    if let Some(further @ 1..) = ending.len().checked_sub(NAMED) {
        tracing::warn!(
            further,
            "further robots' tokens end within 14 days; `portreeve token list` shows them"
        );
    }
}
