//! The store without threads keeps the same promises, and its bytes outlive it.

use super::*;

/// An empty store in memory; nothing else has to be kept alive for it.
fn empty() -> (Arc<dyn Store>, ()) {
    (Arc::new(RedbStore::open_inline(&MemoryFile::default()).unwrap()), ())
}

contract_tests!(empty);

#[tokio::test]
async fn what_was_answered_is_in_the_bytes_that_a_crash_leaves_and_its_intents_are_unknown() {
    let memory = MemoryFile::default();
    let store: Arc<dyn Store> = Arc::new(RedbStore::open_inline(&memory).unwrap());
    let image = image("one", &["base"]);
    push(&store, "r", &image, &["t"], 1).await;
    let intent = store.begin(repository("r"), put_write("u"), alice(), at(2)).await.unwrap();

    // The first one is still open, as it is when a process is killed.
    let again = RedbStore::open_inline(&memory.left_by_a_crash()).unwrap();

    let found = again.tag(&repository("r"), &tag("t")).await.unwrap();
    assert_eq!(found, store.tag(&repository("r"), &tag("t")).await.unwrap());
    assert!(found.is_some());
    let open = again.open_intents().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].sequence, open[0].state),
        (intent.sequence, IntentState::Unknown { since: intent.sequence })
    );
}

#[tokio::test]
async fn an_intent_whose_caller_left_before_hearing_of_it_is_removed() {
    let store = RedbStore::open_inline(&MemoryFile::default()).unwrap();
    {
        let mut begin = std::pin::pin!(store.begin(repository("r"), put_write("t"), alice(), at(1)));
        while store.open_intents().await.unwrap().is_empty() {
            assert!(futures_util::poll!(&mut begin).is_pending(), "the caller must not hear of it yet");
        }
    }
    store.mark_unknown(crate::store::Sequence::ZERO).await.unwrap();
    assert!(store.open_intents().await.unwrap().is_empty());
}
