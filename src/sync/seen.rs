//! Answers that clients got about manifests, against the record: one that contradicts it is a hint, so that what is wrong in
//! the record is found when somebody meets it, and not by the next deep sweep.
//!
//! Nothing here delays a client. `plugins/` tells of answers; `server.rs` runs [`compare_answers`].

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::hints::HintQueue;
use crate::oci::{Digest, Reference, RepositoryName};
use crate::store::{HintedReference, Records, StoreError};
use crate::telemetry::CounterFamily;

pub(super) static CONTRADICTING_ANSWERS: CounterFamily = CounterFamily {
    name: "portreeve_contradicting_answers_total",
    help: "Answers to clients that contradict the record, and were taken as hints",
    labels: &[],
};

/// How many answers may wait to be compared; further ones are let go, since the same will be asked for again.
const WAITING: usize = 1_024;
/// How many different answers are remembered, and for how long none of them is looked at again.
const REMEMBERED: (u64, Duration) = (65_536, Duration::from_secs(30));
/// The pause after each hint: a registry that lost much is not asked about all of it at once, sweeps do that.
const PAUSE: Duration = Duration::from_millis(50);

/// What a client was answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SeenAnswer {
    /// In which repository.
    pub repository: RepositoryName,
    /// What was asked for.
    pub reference: Reference,
    /// The digest that the registry named; none if it said that the manifest is not there.
    pub digest: Option<Digest>,
}

/// Where answers are told. Shared by all exchanges.
pub struct SeenAnswers {
    seen: moka::sync::Cache<SeenAnswer, ()>,
    sender: Sender<SeenAnswer>,
    receiver: Mutex<Receiver<SeenAnswer>>,
}

impl Default for SeenAnswers {
    fn default() -> Self {
        let (most, age) = REMEMBERED;
        let (sender, receiver) = channel(WAITING);
        Self {
            seen: moka::sync::Cache::builder().max_capacity(most).time_to_live(age).build(),
            sender,
            receiver: Mutex::new(receiver),
        }
    }
}

impl SeenAnswers {
    /// Tells of an answer. Never waits.
    pub fn note(&self, answer: SeenAnswer) {
        if self.seen.contains_key(&answer) {
            return;
        }
        if self.sender.try_send(answer.clone()).is_ok() {
            self.seen.insert(answer, ());
        }
    }
}

/// Compares answers with the record until told to stop, and hints at those that contradict it. What was not compared then is
/// let go.
pub async fn compare_answers(
    seen: Arc<SeenAnswers>,
    store: Arc<dyn Records>,
    hints: Arc<HintQueue>,
    stop: CancellationToken,
) {
    let comparing = async {
        let mut receiver = seen.receiver.lock().await;
        while let Some(answer) = receiver.recv().await {
            match contradicts(store.as_ref(), &answer).await {
                Ok(false) => continue,
                Ok(true) => {}
                Err(error) => {
                    tracing::debug!(%error, "an answer cannot be compared with the record");
                    continue;
                }
            }
            let SeenAnswer { repository, reference, digest } = answer;
            tracing::debug!(%repository, %reference, ?digest, "a client got an answer that contradicts the record");
            CONTRADICTING_ANSWERS.with([]).increment(1);
            if let Err(error) = hints.add(vec![HintedReference { repository, reference }]).await {
                tracing::debug!(%error, "an answer that contradicts the record cannot be kept as a hint");
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    stop.run_until_cancelled(comparing).await;
}

/// Whether the record says otherwise. What it already holds to be missing is no news.
async fn contradicts(store: &dyn Records, answer: &SeenAnswer) -> Result<bool, StoreError> {
    let SeenAnswer { repository, reference, digest } = answer;
    match reference {
        Reference::Tag(tag) => {
            let recorded = store.tag(repository, tag).await?;
            Ok(match (digest, recorded) {
                (None, Some(recorded)) => recorded.missing.is_none(),
                (Some(digest), Some(recorded)) => recorded.digest != *digest || recorded.missing.is_some(),
                (Some(_), None) => true,
                (None, None) => false,
            })
        }
        Reference::Digest(asked) => {
            let recorded = store.manifest(repository, asked).await?;
            Ok(match (digest, recorded) {
                (None, Some(recorded)) => recorded.missing.is_none(),
                (Some(_), Some(recorded)) => recorded.missing.is_some(),
                (Some(_), None) => true,
                (None, None) => false,
            })
        }
    }
}
