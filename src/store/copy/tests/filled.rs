//! A record with something of everything, what it answers, and how it goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Estimate;
use crate::oci::{Digest, ImageConfig, Platform, Reference};
use crate::store::contract::{carry, find, push};
use crate::store::sample::{
    alice, at, image, index, manifest_deleted, put, referrer, repository, repository_found, tag, tag_deleted,
};
use crate::store::{
    AccountChange, AccountKind, AuthEvent, AuthEventKind, Change, EventOrder, EventRange, Expect, Flaw, Hint,
    HintedReference, LeaseName, Outcome, PageRequest, Pull, Queued, Quotas, ReadImage, Retention, Retry,
    Sequence, Settled, Source, Store, SweepKind, SweepUpdate, TimeSpan, Write,
};

type AnyStore = Arc<dyn Store>;

/// Writes something of everything.
pub(in crate::store) async fn fill(store: &AnyStore) {
    fill_record(store).await;
    fill_past(store).await;
    fill_beside(store).await;
    fill_sweeps(store).await;
    // One is carried, one waits for it.
    for _ in 0..2 {
        let write = Write::Put { digest: image("one", &[]).digest, tags: vec![tag("open")] };
        store.begin(repository("a/b"), write, alice(), at(90)).await.unwrap();
    }
}

async fn fill_record(store: &AnyStore) {
    let (one, two) = (image("one", &["base"]), image("two", &["base", "more"]));
    push(store, "a/b", &one, &["latest", "v1"], 1_000).await;
    push(store, "a-b", &index([&one, &two]), &["both"], 2_000).await;
    push(store, "a/b", &referrer("about", &two), &[], 90_000_000).await;
    push(store, "a/b", &two, &[], 90_000_001).await;
    push(store, "a/b/c", &one, &["t"], 90_000_002).await;
    // Blocks of numbers whose times are kept.
    for number in 0..12_u64 {
        let names: Vec<String> = (0..90).map(|place| format!("t{number}-{place}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        find(store, put("many", &image(&format!("{}", number % 5), &[]), &names), Source::Swept, number)
            .await;
        find(store, tag_deleted("many", names[7]), Source::Verified, number).await;
    }
    find(store, repository_found("empty"), Source::Swept, 5).await;
    for (reference, source) in [
        (Reference::Tag(tag("v1")), Source::Swept),
        (Reference::Digest(two.digest.clone()), Source::Verified),
    ] {
        find(store, Change::ReferenceMissing { repository: repository("a/b"), reference }, source, 6).await;
    }
    store.accept_removals().await.unwrap();
}

async fn fill_past(store: &AnyStore) {
    let (gone, lost) = (image("gone", &["layer"]), image("lost \u{0} \u{fffd}", &[]));
    push(store, "past", &gone, &["gone"], 10).await;
    push(store, "past", &lost, &["lost"], 11).await;
    let write = Write::Delete { reference: Reference::Digest(gone.digest.clone()) };
    carry(store, "past", write, vec![manifest_deleted("past", &gone)], 12).await;
    find(store, manifest_deleted("past", &lost), Source::Swept, 13).await;
    push(store, "past", &image("kept", &[]), &["kept"], 14).await;
}

async fn fill_beside(store: &AnyStore) {
    let one = image("one", &["base"]);
    let platform = Some(Platform { os: "linux".into(), architecture: "arm64".into(), variant: None });
    let config = ImageConfig {
        platform,
        labels: [("a\0".to_owned(), "b".to_owned())].into(),
        ..ImageConfig::default()
    };
    let read =
        |name: &str, config| ReadImage { repository: repository(name), digest: one.digest.clone(), config };
    let images = vec![read("a/b", Some(config)), read("a/b/c", None)];
    store.keep_images(images, Sequence::new(7)).await.unwrap();
    let pull = |name: &str, tag| Pull {
        repository: repository(name),
        tag,
        count: 3,
        last_pull: Some(at(91_000_000)),
        last_seen: at(91_000_001),
    };
    store.record_pulls(vec![pull("a/b", Some(tag("latest"))), pull("a-b", None)]).await.unwrap();
    let about =
        |name: &str| HintedReference { repository: repository("a/b"), reference: Reference::Tag(tag(name)) };
    let Queued::Kept(hints) = store.add_hints(vec![about("h2"), about("h1")]).await.unwrap() else {
        panic!("there is room")
    };
    let lease = store.acquire(LeaseName::Hints).await.unwrap().unwrap();
    let retry = Retry::after(3, Duration::from_secs(5), at(7));
    let postponed = Hint { is_second_look: true, retry, ..hints[0].clone() };
    store.postpone_hints(lease, vec![postponed]).await.unwrap();
    let account = |kind, key: &str, content: &[u8]| AccountChange {
        kind,
        key: key.to_owned(),
        content: Some(content.to_vec()),
        expected: Expect::Anything,
    };
    let accounts = vec![
        account(AccountKind::User, "alice", b"{\"password\":\"x\"}"),
        account(AccountKind::User, "\u{e4}\0", &[0xff, 0, 1]),
        account(AccountKind::AccessToken, "ci", b"token"),
        account(AccountKind::RefreshToken, "r", b"refresh"),
        account(AccountKind::Session, "s", b"session"),
        account(AccountKind::DisabledUser, "bob", b""),
        account(AccountKind::LoginsEnded, "alice", b"2"),
    ];
    store.change_accounts(accounts).await.unwrap();
    let events = AuthEventKind::ALL.into_iter().cycle().take(30).zip(1..).map(|(kind, time)| {
        let event = AuthEvent {
            time: at(time),
            first: None,
            kind,
            user: Some("alice\0".to_owned()),
            address: None,
            about: format!("about {time}"),
            count: 2,
        };
        (None, event)
    });
    let most = Quotas { tokens: 3, logins: 9, failures: 9, refusals: 9, accounts: 9, policies: 9 };
    store.add_auth_events(events.collect(), Retention { most, since: at(0) }).await.unwrap();
    store.keep_clock(Estimate { offset: -7, bound: 9, at: at(17) }).await.unwrap();
    store.keep_time(at(91_000_002)).await.unwrap();
}

async fn fill_sweeps(store: &AnyStore) {
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    store.request_sweep(SweepKind::Deep, at(20)).await.unwrap();
    let begun = store.begin_sweep(lease, None, at(21)).await.unwrap().unwrap();
    let update = |checkpoint: &[u8], marks: &[u64]| SweepUpdate {
        checkpoint: checkpoint.to_vec(),
        forgets_marks: false,
        marks: marks.to_vec(),
    };
    store.keep_sweep(lease, update(b"{\"first\":1}", &[1, u64::MAX])).await.unwrap();
    store.end_sweep(lease, begun.number, update(b"{\"second\":1}", &[]), b"ended".to_vec()).await.unwrap();
    store.request_sweep(SweepKind::Shallow, at(22)).await.unwrap();
    store.begin_sweep(lease, None, at(23)).await.unwrap().unwrap();
    store.show_sweep(lease, b"shown of a sweep that is cut".to_vec()).await.unwrap();
    store.keep_sweep(lease, update(b"{\"third\":1}", &[9, 3])).await.unwrap();
    store.request_sweep(SweepKind::Deep, at(24)).await.unwrap();
}

/// What the record answers to questions about everything, by their names.
pub(in crate::store) async fn told(store: &AnyStore) -> BTreeMap<&'static str, String> {
    let mut told = BTreeMap::new();
    let mut tell = |name, answer: String| {
        told.insert(name, answer);
    };
    let names = ["a/b", "a-b", "a/b/c", "many", "empty", "past"].map(repository);
    tell("statistics", format!("{:?}", store.statistics().await.unwrap()));
    tell("totals", format!("{:?}", store.totals().await.unwrap()));
    tell("days", format!("{:?}", store.days(400).await.unwrap()));
    tell("identity", store.history().await.unwrap().identity.to_string());
    tell("accepted", store.removals_accepted_until().await.unwrap().to_string());
    tell("flaw counts", format!("{:?}", store.flaw_counts().await.unwrap()));
    let mut flaws = Vec::new();
    for flaw in Flaw::ALL {
        flaws.push(store.flawed(flaw, PageRequest { after: None, limit: 100 }).await.unwrap().items);
    }
    tell("flaws", format!("{flaws:?}"));
    let mut held = Vec::new();
    for name in &names {
        held.push(format!("{:?}", store.repository(name).await.unwrap()));
        held.push(format!(
            "{:?}",
            store.tags(name, PageRequest { after: None, limit: 100 }).await.unwrap().items
        ));
        held.push(format!(
            "{:?}",
            store.sizes(name, PageRequest { after: None, limit: 100 }).await.unwrap().items
        ));
        for config in ["one", "two"] {
            for layers in [&["base"][..], &["base", "more"]] {
                let digest: Digest = image(config, layers).digest;
                held.push(format!("{:?}", store.manifest(name, &digest).await.unwrap()));
                held.push(format!("{:?}", store.manifest_content(name, &digest).await.unwrap()));
            }
        }
    }
    tell("held", held.join("\n"));
    tell(
        "events",
        format!("{:?}", store.events(None, PageRequest { after: None, limit: 10_000 }).await.unwrap().items),
    );
    let times = TimeSpan { since: Some(at(90_000_000)), until: None };
    let range =
        EventRange { repository: None, order: EventOrder::OldestFirst, after: None, times, rows: 10_000 };
    tell("events of a day", format!("{:?}", store.events_in(range).await.unwrap().items));
    let intents = store.open_intents().await.unwrap();
    tell(
        "intents",
        format!("{:?}", intents.iter().map(|open| (open.sequence, &open.write)).collect::<Vec<_>>()),
    );
    tell("images", store.images_read_until().await.unwrap().to_string());
    let hints = PageRequest { after: None, limit: 100 };
    tell("hints", format!("{:?}", store.hints(hints).await.unwrap().items));
    let of_users = PageRequest { after: None, limit: 100 };
    tell("users", format!("{:?}", store.accounts(AccountKind::User, of_users).await.unwrap().items));
    let gate = PageRequest { after: None, limit: 100 };
    tell("gate", format!("{:?}", store.auth_events(gate).await.unwrap().items));
    tell("clock", format!("{:?} {:?}", store.kept_clock().await.unwrap(), store.kept_time().await.unwrap()));
    tell("sweep", format!("{:?}", store.kept_sweep().await.unwrap()));
    let report = store.sweep_report().await.unwrap();
    tell("sweeps", format!("{:?} {:?}", report.queue, report.finished));
    told
}

/// Goes on with a record that was filled, as doors do.
pub(in crate::store) async fn go_on(store: &AnyStore) {
    let before = store.statistics().await.unwrap();
    let open = store.open_intents().await.unwrap();
    // A door that leaves others behind takes back what waits.
    assert!(matches!(open.len(), 1 | 2), "{open:?}");
    for intent in &open {
        assert!(intent.state.is_unknown(), "{intent:?}");
        assert_eq!(store.settle(intent, Outcome::Closed, at(100)).await.unwrap(), Settled::IN_ORDER);
    }
    // What was buried comes back with its past, and what lacked something has it.
    let lost = image("lost \u{0} \u{fffd}", &[]);
    find(store, put("past", &lost, &["lost"]), Source::Swept, 101).await;
    let back = store.tag(&repository("past"), &tag("lost")).await.unwrap().unwrap();
    assert_eq!(back.pushed_by.as_deref(), Some("alice"));
    let lacking = store.flaw_counts().await.unwrap().missing_children;
    for child in [image("one", &["base"]), image("two", &["base", "more"])] {
        push(store, "a-b", &child, &[], 102).await;
    }
    assert_eq!(store.flaw_counts().await.unwrap().missing_children, lacking - 1);
    let after = store.statistics().await.unwrap();
    assert_eq!((after.open_intents, after.tags), (0, before.tags + 1));
    let lease = store.acquire(LeaseName::Sweep).await.unwrap().unwrap();
    let update = SweepUpdate { checkpoint: b"{}".to_vec(), forgets_marks: false, marks: vec![77] };
    let marks = store.kept_sweep().await.unwrap().unwrap().marks;
    store.keep_sweep(lease, update).await.unwrap();
    assert_eq!(store.kept_sweep().await.unwrap().unwrap().marks, [&marks[..], &[77]].concat());
}
