//! Users files as they are found.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn ticket() -> Ticket {
    Ticket::new(crate::auth::network::Network::of(std::net::IpAddr::from([192, 0, 2, 1])))
}

fn line(name: &str) -> String {
    format!("{name}:{}", bcrypt::hash(name, 4).unwrap())
}

#[test]
fn lines_are_names_with_hashes_and_the_rest_is_skipped() {
    let text = format!("# people\n\n{}\r\n  {}  \n", line("alice"), line("bob"));
    let users = parse(&text).unwrap();
    let mut names: Vec<_> = users.hashes.keys().map(UserName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["alice", "bob"]);
}

#[test]
fn what_is_wrong_is_told_by_its_line() {
    for (wrong, told) in [("alice", "no colon"), (":$2y$05$", "name")] {
        let (number, what) = parse(&format!("{}\n{wrong}", line("bob"))).unwrap_err();
        assert!(number == 2 && what.contains(told), "{wrong}: {what}");
    }
}

#[test]
fn a_user_whose_hash_is_not_bcrypts_is_known_and_cannot_log_in() {
    for hash in [
        "plain",
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "$apr1$x$y",
        &format!("$2y$99${}", "a".repeat(53)),
        &format!("!{}", bcrypt::hash("alice", 4).unwrap()),
        "",
    ] {
        let users = parse(&format!("{}\nalice:{hash}", line("bob"))).unwrap();
        assert_eq!(users.hashes[&UserName::parse("alice").unwrap()], None, "{hash}");
        assert_eq!(users.shut_out, [2]);
    }
}

#[tokio::test]
async fn a_user_who_is_shut_out_is_refused_with_any_password_at_the_cost_of_a_hash() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    std::fs::write(&path, format!("{}\nalice:!", line("bob"))).unwrap();
    let users = Htpasswd::load(path, Hashing::start(1).unwrap()).unwrap();
    for password in ["alice", "bob", "!"] {
        let credentials = Credentials::new(UserName::parse("alice").unwrap(), password);
        let verdict = users.verify(&credentials, &ticket()).await.unwrap();
        assert_eq!(verdict, Verdict::Wrong { is_hashed: true }, "{password}");
    }
    assert!(users.find(&UserName::parse("alice").unwrap()).await.unwrap().is_none());
}

#[test]
fn the_decoy_takes_as_long_as_the_slowest_hash() {
    let slow = bcrypt::hash("x", 6).unwrap();
    let users = parse(&format!("{}\nslow:{slow}\n{}", line("alice"), line("bob"))).unwrap();
    assert_eq!(users.decoy, Some(slow));
}

#[test]
fn a_line_that_another_one_replaces_is_nobodys_decoy() {
    let dear = format!("alice:{}", bcrypt::hash("x", 6).unwrap());
    let users = parse(&format!("{dear}\n{}", line("alice"))).unwrap();
    assert_eq!(cost(users.decoy.as_ref().unwrap()), Some(4));
}

#[test]
fn a_refusal_takes_as_long_as_that_of_the_dearest_user_whoever_is_refused() {
    let work = |hash: &str| 1_u64 << cost(hash).unwrap();
    for (own, dearest) in [(4, 4), (4, 5), (4, 12), (10, 12), (12, 12)] {
        let (own, dearest) = (decoy_of(own), decoy_of(dearest));
        let others = up_to(&own, &dearest);
        let others = others.iter().map(|hash| match hash {
            StoredHash::Bcrypt(hash) => work(hash),
            StoredHash::Argon2(_) => panic!("another kind"),
        });
        assert_eq!(work(&own) + others.sum::<u64>(), work(&dearest));
    }
    assert!(!bcrypt::verify("", &decoy_of(4)).unwrap());
}

#[tokio::test]
async fn who_is_shut_out_costs_a_hash_also_where_nobody_can_log_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    std::fs::write(&path, "alice:!\n").unwrap();
    let users = Htpasswd::load(path, Hashing::start(1).unwrap()).unwrap();
    let ticket = ticket();
    let credentials = Credentials::new(UserName::parse("alice").unwrap(), "x");
    assert_eq!(users.verify(&credentials, &ticket).await.unwrap(), Verdict::Wrong { is_hashed: true });
    assert!(ticket.has_begun.load(Ordering::Acquire));
    assert!(users.decoy().await.unwrap().is_some(), "so does a name that is unknown");
}

#[tokio::test]
async fn a_file_that_changes_is_read_again_and_a_broken_one_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    std::fs::write(&path, line("alice")).unwrap();
    let users = Htpasswd::load(path.clone(), Hashing::start(1).unwrap()).unwrap();
    let knows = async |name: &str| {
        let credentials = Credentials::new(UserName::parse(name).unwrap(), name);
        users.verify(&credentials, &ticket()).await.unwrap()
    };
    assert!(matches!(knows("alice").await, Verdict::Right(_)));
    assert_eq!(knows("bob").await, Verdict::Unknown);
    std::fs::write(&path, format!("{}\n{}", line("alice"), line("bob"))).unwrap();
    users.reload();
    assert!(matches!(knows("bob").await, Verdict::Right(_)));
    assert_eq!(users.version(), 1);
    std::fs::write(&path, "broken").unwrap();
    users.reload();
    assert!(matches!(knows("bob").await, Verdict::Right(_)));
    assert_eq!(users.version(), 1);
}

#[test]
fn a_file_that_ends_within_a_hash_is_refused_and_one_that_ends_with_a_user_who_is_shut_out_is_not() {
    let whole = format!("{}\n{}", line("bob"), line("alice"));
    let hash = whole.rfind(':').unwrap() + 1;
    for length in hash + 1..whole.len() {
        let parsed = parse(&whole[..length]);
        assert!(parsed.is_err(), "{}", &whole[..length]);
    }
    for ending in ["", "\n", "\n# people"] {
        assert_eq!(parse(&format!("{whole}{ending}")).unwrap().hashes.len(), 2);
    }
    for shut_out in ["alice:!", "alice:$apr1$x$y", "alice:!$2y$05$"] {
        assert_eq!(parse(shut_out).unwrap().shut_out, [1], "{shut_out}");
    }
    assert_eq!(
        parse("alice:$2y$05$\n").unwrap().shut_out,
        [1],
        "a line that is whole is as the operator wants it"
    );
}

/// A file with these users that looks, by time and length, like any other of them.
fn replace(path: &Path, users: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, users).unwrap();
    let times = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    std::fs::File::options().write(true).open(&next).unwrap().set_times(times).unwrap();
    std::fs::rename(next, path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_replaced_by_one_of_the_same_time_and_length_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    let with_password = |password: &str| format!("alice:{}", bcrypt::hash(password, 4).unwrap());
    replace(&path, &with_password("leaked"));
    let users = Htpasswd::load(path.clone(), Hashing::start(1).unwrap()).unwrap();
    replace(&path, &with_password("secret"));
    assert_ne!(FileVersions::of(std::slice::from_ref(&path)), users.loaded);
    users.reload();
    let verdict = async |password: &str| {
        let credentials = Credentials::new(UserName::parse("alice").unwrap(), password);
        users.verify(&credentials, &ticket()).await.unwrap()
    };
    assert_eq!(verdict("leaked").await, Verdict::Wrong { is_hashed: true });
    assert!(matches!(verdict("secret").await, Verdict::Right(_)));
}

#[tokio::test]
async fn a_file_that_loses_all_its_users_at_once_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    std::fs::write(&path, line("alice")).unwrap();
    let users = Htpasswd::load(path.clone(), Hashing::start(1).unwrap()).unwrap();
    for emptied in ["", "\n\n", "# nobody\n", &line("alice")[..20]] {
        std::fs::write(&path, emptied).unwrap();
        users.reload();
        assert!(users.find(&UserName::parse("alice").unwrap()).await.unwrap().is_some(), "{emptied:?}");
        assert_eq!(users.version(), 0);
    }
    std::fs::write(&path, line("bob")).unwrap();
    users.reload();
    assert!(users.find(&UserName::parse("alice").unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn users_are_read_again_when_somebody_asks_although_the_file_looks_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("htpasswd");
    std::fs::write(&path, line("alice")).unwrap();
    let users = Arc::new(Htpasswd::load(path, Hashing::start(1).unwrap()).unwrap());
    let (ask, requests) = tokio::sync::watch::channel(());
    let stop = CancellationToken::new();
    let watching = tokio::spawn(Arc::clone(&users).watch(requests, stop.clone()));
    ask.send_replace(());
    let reread = async {
        while users.version() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reread).await.expect("the users were not read again");
    stop.cancel();
    watching.await.unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\PC{0,20}\n?){0,5}|[a-z]{0,3}:\\$2[aby]\\$[0-9]{2}\\$[./A-Za-z0-9]{50,55}") {
        let _ = parse(&text);
    }
}
