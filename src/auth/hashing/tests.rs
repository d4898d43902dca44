//! Tests of computing password hashes.

use super::*;

fn ticket(last: u8) -> Ticket {
    Ticket::new(Network::of(std::net::IpAddr::from([192, 0, 2, last])))
}

async fn check(hashing: &Hashing, hash: &StoredHash, password: &str) -> Result<bool, HashingError> {
    hashing.verify(hash.clone(), SecretString::from(password), &ticket(1)).await
}

/// Keeps a thread busy until it is released, for a caller from this address.
async fn block(hashing: &Hashing, from: u8) -> (std::sync::mpsc::Sender<()>, tokio::task::JoinHandle<bool>) {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (begun, begins) = oneshot::channel();
    let hashing = hashing.clone();
    let job = move || begun.send(()).is_ok() && held.recv().is_ok();
    let blocked = tokio::spawn(async move { hashing.run(job, &ticket(from)).await.unwrap() });
    begins.await.unwrap();
    (release, blocked)
}

#[tokio::test]
async fn both_kinds_of_hashes_know_their_password_and_no_other() {
    let hashing = Hashing::start(2).unwrap();
    let bcrypt = StoredHash::Bcrypt(bcrypt::hash("secret", 4).unwrap());
    let argon2 = StoredHash::Argon2(hash("secret").unwrap());
    for hash in [bcrypt, argon2] {
        assert!(check(&hashing, &hash, "secret").await.unwrap());
        assert!(!check(&hashing, &hash, "secrets").await.unwrap());
        assert!(!format!("{hash:?}").contains('$'));
    }
}

#[tokio::test]
async fn what_is_no_hash_or_panics_is_an_error_and_stops_nothing() {
    let hashing = Hashing::start(1).unwrap();
    for hash in [StoredHash::Bcrypt("$2y$05$x".to_owned()), StoredHash::Argon2("plain".to_owned())] {
        assert!(matches!(
            check(&hashing, &hash, "plain").await,
            Err(HashingError::Bcrypt(_) | HashingError::Phc(_))
        ));
    }
    let panics = hashing.run(|| panic!("as a library might"), &ticket(1)).await;
    let panics: Result<(), HashingError> = panics;
    assert!(panics.is_err());
    assert!(hashing.run(|| true, &ticket(1)).await.unwrap());
}

#[tokio::test]
async fn hashing_steps_back_and_nothing_else_does() {
    let priority = || rustix::process::getpriority_process(None).unwrap();
    let before = priority();
    let hashing = Hashing::start(1).unwrap();
    assert_eq!(hashing.run(priority, &ticket(1)).await.unwrap(), before.max(NICE));
    assert_eq!(priority(), before);
}

#[tokio::test]
async fn only_so_many_of_one_network_wait_and_others_are_served_before_most_of_them() {
    let hashing = Hashing::start(1).unwrap();
    let (release, blocked) = block(&hashing, 1).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let job = |from: u8| {
        let order = Arc::clone(&order);
        move || order.lock().unwrap().push(from)
    };
    let (one, other) = (ticket(1), ticket(2));
    let mut waiting = Vec::new();
    for _ in 0..WAITING_OF_ONE {
        waiting.push(Box::pin(hashing.run(job(1), &one)));
        assert!(futures_util::poll!(waiting.last_mut().unwrap()).is_pending());
    }
    assert!(matches!(hashing.run(job(1), &one).await, Err(HashingError::Busy)));
    waiting.push(Box::pin(hashing.run(job(2), &other)));
    assert!(futures_util::poll!(waiting.last_mut().unwrap()).is_pending());
    release.send(()).unwrap();
    assert!(blocked.await.unwrap());
    for answer in futures_util::future::join_all(waiting).await {
        answer.unwrap();
    }
    let place = order.lock().unwrap().iter().position(|from| *from == 2).unwrap();
    assert!(place <= 1, "the other was served after {place}");
}

#[tokio::test]
async fn one_network_never_holds_all_threads() {
    let hashing = Hashing::start(2).unwrap();
    let (release, blocked) = block(&hashing, 1).await;
    let one = ticket(1);
    let mut more = Box::pin(hashing.run(|| true, &one));
    assert!(futures_util::poll!(&mut more).is_pending());
    assert!(hashing.run(|| true, &ticket(2)).await.unwrap());
    assert!(futures_util::poll!(&mut more).is_pending(), "its own thread is busy");
    release.send(()).unwrap();
    assert!(blocked.await.unwrap() && more.await.unwrap());
}

#[tokio::test]
async fn a_hash_that_nobody_waits_for_is_not_computed() {
    let hashing = Hashing::start(1).unwrap();
    let (release, blocked) = block(&hashing, 1).await;
    let left = ticket(2);
    let mut leaving = Box::pin(hashing.run(|| (), &left));
    assert!(futures_util::poll!(&mut leaving).is_pending());
    drop(leaving);
    release.send(()).unwrap();
    assert!(blocked.await.unwrap() && hashing.run(|| true, &ticket(2)).await.unwrap());
    assert!(!left.has_begun.load(Ordering::Acquire));
}
