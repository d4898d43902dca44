//! The queue and its groups, over transactions that add numbers.

use futures_util::poll;

use super::*;

/// Numbers that were added, transaction by transaction.
#[derive(Default)]
struct Numbers {
    gone: Mutex<Vec<u64>>,
}

struct Add(u64);

const REFUSED: u64 = 13;

impl Backend for Numbers {
    type Transaction<'t> = Vec<u64>;
    type Failure = &'static str;
    type Notice = ();

    fn error(failure: &'static str, attempted: &'static str) -> StoreError {
        StoreError::Unavailable { attempted, cause: Arc::new(std::io::Error::other(failure)) }
    }
}

impl Work<Numbers> for Add {
    type Answer = u64;
    const ATTEMPTED: &'static str = "add";

    fn apply(&self, transaction: &mut Vec<u64>) -> Result<u64, &'static str> {
        if self.0 == REFUSED {
            return Err("refused");
        }
        transaction.push(self.0);
        Ok(self.0 * 10)
    }

    fn on_caller_gone(answer: &u64, numbers: &Numbers) {
        numbers.gone.lock().unwrap().push(*answer);
    }
}

/// Serves what waits by transactions that are always durable. Answers each that was attempted.
fn serve(queue: &mut Queue<Numbers>, numbers: &Numbers) -> Vec<Vec<u64>> {
    let Ok(first) = queue.first(Duration::ZERO) else { panic!("nothing waits") };
    let (group, _) = queue.gather(first);
    let mut attempted = Vec::new();
    let served = group.serve(numbers, |group| {
        let (mut transaction, mut at) = (Vec::new(), None);
        let applied = group.apply(&mut transaction, &mut at);
        attempted.push(transaction);
        applied.map_err(|failure| Undone::Operation(at.unwrap(), failure))
    });
    assert!(served.is_ok());
    attempted
}

#[tokio::test]
async fn what_waits_shares_a_transaction_and_is_done_again_without_the_one_that_is_refused() {
    let (entrance, mut queue) = queue();
    let numbers = Arc::new(Numbers::default());
    let mut calls: Vec<_> =
        [1, REFUSED, 2].map(|number| Box::pin(entrance.write(Add(number), &numbers))).into();
    for call in &mut calls {
        assert!(poll!(call).is_pending());
    }

    assert_eq!(serve(&mut queue, &numbers), [vec![1], vec![1, 2]]);

    let answers = futures_util::future::join_all(calls).await;
    let words = |answer: Result<u64, StoreError>| answer.map_err(|error| error.to_string());
    let answers: Vec<_> = answers.into_iter().map(words).collect();
    assert_eq!(answers, [Ok(10), Err("the store cannot add now: refused".to_owned()), Ok(20)]);
}

#[tokio::test]
async fn a_caller_who_leaves_before_the_answer_is_noticed_whenever_that_is() {
    let (entrance, mut queue) = queue();
    let numbers = Arc::new(Numbers::default());
    let (mut before, mut after) =
        (Box::pin(entrance.write(Add(1), &numbers)), Box::pin(entrance.write(Add(2), &numbers)));
    assert!(poll!(&mut before).is_pending() && poll!(&mut after).is_pending());

    drop(before);
    assert_eq!(serve(&mut queue, &numbers), [vec![1, 2]]);
    assert_eq!(*numbers.gone.lock().unwrap(), [10]);
    drop(after);
    assert_eq!(*numbers.gone.lock().unwrap(), [10, 20]);
}

#[tokio::test]
async fn whoever_waits_when_the_medium_fails_is_told_and_nobody_comes_in_once_it_is_closed() {
    let (entrance, mut queue) = queue();
    let numbers = Arc::new(Numbers::default());
    let mut call = Box::pin(entrance.write(Add(1), &numbers));
    assert!(poll!(&mut call).is_pending());
    let Ok(first) = queue.first(Duration::ZERO) else { panic!("something waits") };
    let (group, _) = queue.gather(first);

    let Err((group, failure)) = group.serve(&numbers, |_| Err(Undone::All("no room"))) else {
        panic!("it cannot be served")
    };
    group.refuse(&failure);

    assert_eq!(call.await.unwrap_err().to_string(), "the store cannot add now: no room");
    entrance.close();
    assert!(matches!(entrance.write(Add(2), &numbers).await, Err(StoreError::Closed)));
    assert!(queue.first(Duration::ZERO).is_err());
}
