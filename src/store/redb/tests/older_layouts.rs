//! What an earlier version wrote is all there in today's layout.

use redb::{
    Database, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, TableHandle as _,
    WriteTransaction,
};

use super::super::older_layouts::{
    AUTH_EVENTS, BYTES, CONTENTS, DOCUMENTS, HINT_NUMBERS, HOLDERS, KNOWN, ROWS, flaws_of_kind,
};
use super::super::tables::{
    ACCOUNTS, CHILDREN, DAYS, EPOCHS, FLAWS, HINTS, IMAGES, MANIFESTS, META, META_AUTH_EVENT, META_BYTES,
    META_IDENTITY_HIGH, META_IDENTITY_LOW, META_LAYOUT, SWEEP, TOMBSTONES, TwoKeys, auth_events, decode_hint,
    flaw_count,
};
use super::*;

/// Makes a closed store one of an older layout.
fn set_back(path: &std::path::Path, layout: u64) {
    let database = Database::open(path).unwrap();
    let write = database.begin_write().unwrap();
    {
        let mut meta = write.open_table(META).unwrap();
        meta.insert(META_LAYOUT, layout).unwrap();
        if layout < 7 {
            meta.remove(META_AUTH_EVENT).unwrap();
        }
        if layout < 6 {
            meta.remove(META_IDENTITY_HIGH).unwrap().unwrap();
            meta.remove(META_IDENTITY_LOW).unwrap().unwrap();
        }
    }
    if layout < 6 {
        assert!(write.delete_table(TOMBSTONES).unwrap() & write.delete_table(EPOCHS).unwrap());
    }
    part_flaws(&write, layout == 10);
    if layout < 10 {
        assert!(write.delete_table(CHILDREN).unwrap() & write.delete_table(DAYS).unwrap());
        write.open_table(META).unwrap().remove(META_BYTES).unwrap();
    }
    if layout < 9 {
        assert!(write.delete_table(IMAGES).unwrap());
    }
    if layout < 8 {
        keep_numbers_of_hints(&write);
    }
    if layout < 7 {
        join_auth_events(&write);
    }
    if layout < 3 {
        assert!(write.delete_table(ACCOUNTS).unwrap() & write.delete_table(AUTH_EVENTS).unwrap());
    }
    if layout < 2 {
        assert!(write.delete_table(HINT_NUMBERS).unwrap() & write.delete_table(SWEEP).unwrap());
    }
    if layout < 5 {
        part_manifests(&write, layout == 4);
    }
    write.commit().unwrap();
}

/// Each kind of flaw in a table of its own, or in none.
fn part_flaws(write: &WriteTransaction, is_kept: bool) {
    for flaw in Flaw::ALL {
        let kind = flaw.as_str();
        write.open_table(META).unwrap().remove(flaw_count(flaw)).unwrap();
        if !is_kept {
            continue;
        }
        let name = flaws_of_kind(flaw);
        let mut parted = write.open_table(TableDefinition::<TwoKeys, ()>::new(&name)).unwrap();
        for entry in write.open_table(FLAWS).unwrap().iter().unwrap() {
            let (key, _) = entry.unwrap();
            let (of_kind, repository, reference) = key.value();
            if of_kind == kind {
                parted.insert((repository, reference), ()).unwrap();
            }
        }
    }
    assert!(write.delete_table(FLAWS).unwrap());
}

/// Of each hint its number alone.
fn keep_numbers_of_hints(write: &WriteTransaction) {
    let mut numbers = write.open_table(HINT_NUMBERS).unwrap();
    for entry in write.open_table(HINTS).unwrap().iter().unwrap() {
        let (key, row) = entry.unwrap();
        let (repository, reference) = key.value();
        let row = decode_hint(repository, reference, row.value()).unwrap();
        numbers.insert(key.value(), row.number).unwrap();
    }
    assert!(write.delete_table(HINTS).unwrap());
}

/// All that happened at the gate in one table.
fn join_auth_events(write: &WriteTransaction) {
    let mut joined = write.open_table(AUTH_EVENTS).unwrap();
    for kind in AuthEventKind::ALL {
        for entry in write.open_table(auth_events(kind)).unwrap().iter().unwrap() {
            let (number, row) = entry.unwrap();
            joined.insert(number.value(), row.value()).unwrap();
        }
        assert!(write.delete_table(auth_events(kind)).unwrap());
    }
}

/// What a manifest says once for each digest: in one table, or in three.
fn part_manifests(write: &WriteTransaction, is_joined: bool) {
    let mut rows = write.open_table(ROWS).unwrap();
    for entry in write.open_table(MANIFESTS).unwrap().iter().unwrap() {
        let (key, manifest) = entry.unwrap();
        let (row, document, bytes) = manifest.value();
        let digest = key.value().1;
        rows.insert(key.value(), row).unwrap();
        if is_joined {
            let mut contents = write.open_table(CONTENTS).unwrap();
            let holders = contents.get(digest).unwrap().map_or(0, |content| content.value().0);
            contents.insert(digest, (holders + 1, document, bytes)).unwrap();
        } else {
            let mut counted = write.open_table(HOLDERS).unwrap();
            let holders = counted.get(digest).unwrap().map_or(0, |holders| holders.value());
            counted.insert(digest, holders + 1).unwrap();
            write.open_table(DOCUMENTS).unwrap().insert(digest, document).unwrap();
            write.open_table(BYTES).unwrap().insert(digest, bytes).unwrap();
        }
    }
    assert!(write.delete_table(MANIFESTS).unwrap());
}

#[tokio::test]
async fn a_store_of_an_older_layout_is_brought_up_to_date_with_all_that_is_in_it() {
    for layout in KNOWN {
        let (store, directory) = empty_file();
        let path = directory.path().join("store.redb");
        let any: Arc<dyn Store> = Arc::clone(&store) as _;
        let (shared, own) = (image("shared", &["base"]), image("own", &["base", "more"]));
        push(&any, "a", &shared, &["t"], 1).await;
        push(&any, "b", &shared, &["t", "u"], 2).await;
        push(&any, "b", &own, &["v"], 3).await;
        push(&any, "b", &index([&own, &image("lacking", &[])]), &[], 4).await;
        push(&any, "b", &referrer("signature", &image("lacking", &[])), &[], 5).await;
        let missing =
            Change::ReferenceMissing { repository: repository("b"), reference: Reference::Tag(tag("u")) };
        find(&any, missing, Source::Swept, 6).await;
        find(&any, Change::RepositoryFound { repository: repository("empty") }, Source::Swept, 7).await;
        let before = content(&store, [&shared, &own]).await;
        drop(any);
        store.close();

        set_back(&path, layout);
        let store = RedbStore::open(&path).unwrap();

        assert_eq!(content(&store, [&shared, &own]).await, before, "layout {layout}");
        store.add_hints(vec![]).await.unwrap();
        assert_eq!(store.kept_sweep().await.unwrap(), None);
        store.close();
        let database = Database::open(&path).unwrap();
        let read = database.begin_read().unwrap();
        assert_eq!(read.open_table(MANIFESTS).unwrap().len().unwrap(), 5);
        assert!(read.open_table(TOMBSTONES).unwrap().is_empty().unwrap());
        assert_eq!(read.open_table(EPOCHS).unwrap().is_empty().unwrap(), layout < 6);
        let meta = read.open_table(META).unwrap();
        let identity = [META_IDENTITY_HIGH, META_IDENTITY_LOW].map(|half| number(&meta, half).unwrap());
        assert_ne!(identity, [0, 0]);
        let tables: Vec<String> = read.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
        for old in [
            "hints",
            "auth_events",
            "manifests",
            "documents",
            "contents",
            "content_holders",
            "manifest_contents",
        ] {
            assert!(!tables.contains(&old.to_owned()), "{old} is left");
        }
        assert!(tables.iter().all(|table| !table.starts_with("flaws ")), "{tables:?}");
    }
}

/// All that the store says about these, as text.
async fn content(store: &RedbStore, manifests: [&Manifest; 2]) -> String {
    let mut text = format!("{:?} {:?}", store.statistics().await, store.sequence().await);
    let counts = store.flaw_counts().await.unwrap();
    for flaw in Flaw::ALL {
        let flawed = store.flawed(flaw, PageRequest { after: None, limit: 9 }).await.unwrap();
        assert_eq!(
            (flawed.items.len() as u64, flawed.items.is_empty()),
            (counts.of(flaw), false),
            "{flaw:?}"
        );
        text += &format!("{flawed:?}");
    }
    for name in ["a", "b"] {
        for manifest in manifests {
            text += &format!("{:?}", store.manifest(&repository(name), &manifest.digest).await);
            text += &format!("{:?}", store.manifest_content(&repository(name), &manifest.digest).await);
        }
    }
    text
}

#[tokio::test]
async fn hints_of_an_older_layout_are_due_at_once_and_have_their_numbers() {
    let about = |name| HintedReference { repository: repository("r"), reference: Reference::Tag(tag(name)) };
    for layout in 2..=10 {
        let (store, directory) = empty_file();
        let path = directory.path().join("store.redb");
        store.add_hints(vec![about("a"), about("b"), about("a")]).await.unwrap();
        store.close();

        set_back(&path, layout);
        let store = RedbStore::open(&path).unwrap();

        let all = async || store.hints(PageRequest { after: None, limit: 9 }).await.unwrap().items;
        let kept = all().await;
        assert_eq!(kept, [Hint::new(about("a"), 3), Hint::new(about("b"), 2)], "layout {layout}");
        let Queued::Kept(next) = store.add_hints(vec![about("b")]).await.unwrap() else {
            panic!("there is room")
        };
        assert_eq!(next, [Hint::new(about("b"), 4)], "numbers go on");
        store.remove_hints(kept).await.unwrap();
        assert_eq!(all().await, next);
    }
}

fn happened(kind: AuthEventKind, user: Option<&str>, about: &str) -> AuthEvent {
    let user = user.map(str::to_owned);
    AuthEvent { time: at(5), first: None, kind, user, address: None, about: about.to_owned(), count: 2 }
}

const KEEP: Retention = Retention {
    most: Quotas { tokens: 9, logins: 9, failures: 9, refusals: 9, accounts: 9, policies: 9 },
    since: Timestamp::from_milliseconds(0),
};

#[tokio::test]
async fn what_happened_at_the_gate_is_left_as_it_is_where_each_kind_has_its_table() {
    let (store, directory) = empty_file();
    let path = directory.path().join("store.redb");
    let login = happened(AuthEventKind::Login, Some("alice"), "");
    store.add_auth_events(vec![(None, login.clone()), (None, login.clone())], KEEP).await.unwrap();
    store.close();

    set_back(&path, 7);
    let store = RedbStore::open(&path).unwrap();

    let next = store.add_auth_events(vec![(None, login.clone())], KEEP).await.unwrap();
    assert_eq!(next, [Sequence::new(3)], "numbers go on");
    let page = store.auth_events(PageRequest { after: None, limit: 9 }).await.unwrap();
    let expected: Vec<_> = (1..4).map(|number| (Sequence::new(number), login.clone())).collect();
    assert_eq!(page.items, expected);
}

#[tokio::test]
async fn a_kind_of_what_happens_at_the_gate_that_is_newer_than_the_file_is_empty_until_it_happens() {
    let (store, directory) = empty_file();
    let path = directory.path().join("store.redb");
    let login = happened(AuthEventKind::Login, Some("alice"), "");
    store.add_auth_events(vec![(None, login.clone())], KEEP).await.unwrap();
    store.close();
    let database = Database::open(&path).unwrap();
    let write = database.begin_write().unwrap();
    assert!(write.delete_table(auth_events(AuthEventKind::SignedOut)).unwrap());
    write.commit().unwrap();
    drop(database);

    let store = RedbStore::open(&path).unwrap();
    let page = || PageRequest { after: None, limit: 9 };
    assert_eq!(store.auth_events(page()).await.unwrap().items, [(Sequence::new(1), login.clone())]);
    assert!(store.latest_auth_events(AuthEventKind::SignedOut, page()).await.unwrap().items.is_empty());
    let out = happened(AuthEventKind::SignedOut, Some("alice"), "");
    store.add_auth_events(vec![(None, out.clone())], KEEP).await.unwrap();
    let all = store.auth_events(page()).await.unwrap().items;
    assert_eq!(all, [(Sequence::new(1), login), (Sequence::new(2), out)]);
}

#[tokio::test]
async fn what_happened_at_the_gate_goes_on_from_an_older_layout_without_what_strangers_wrote() {
    use AuthEventKind::{Account, Login, LoginFailed, Policy, Refused, Token};
    let (store, directory) = empty_file();
    let path = directory.path().join("store.redb");
    let user = AccountChange {
        kind: AccountKind::User,
        key: "dora".to_owned(),
        content: Some(b"{}".to_vec()),
        expected: Expect::Absent,
    };
    let robot = AccountChange {
        kind: AccountKind::AccessToken,
        key: "0a".to_owned(),
        content: Some(br#"{"name":"ci","label":"x"}"#.to_vec()),
        ..user.clone()
    };
    store.change_accounts(vec![user, robot]).await.unwrap();
    let kept = [
        happened(Account, None, "the user dora was added"),
        happened(Login, Some("alice"), ""),
        happened(LoginFailed, Some("alice"), "wrong"),
        happened(LoginFailed, Some("dora"), "wrong"),
        happened(LoginFailed, Some("ci"), "wrong"),
        happened(LoginFailed, None, "wrong"),
        happened(Token, Some("alice"), "repository:a:pull"),
        happened(Refused, Some("alice"), "repository:b:pull,push"),
        happened(Refused, None, "the token was not made here"),
        happened(Refused, None, "registry:catalog:*"),
        happened(Policy, None, "3 rules were read"),
    ];
    let strangers = [
        happened(LoginFailed, Some("hunter2-typed"), "wrong"),
        happened(Refused, None, "repository:strangers/text:pull,push"),
    ];
    let all = kept.iter().chain(&strangers).cloned().map(|event| (None, event)).collect();
    store.add_auth_events(all, KEEP).await.unwrap();
    store.close();

    set_back(&path, 6);
    let store = RedbStore::open(&path).unwrap();

    let page = store.auth_events(PageRequest { after: None, limit: 100 }).await.unwrap();
    let numbers: Vec<u64> = page.items.iter().map(|(number, _)| number.get()).collect();
    assert_eq!(numbers, (1..=13).collect::<Vec<_>>());
    let events: Vec<AuthEvent> = page.items.into_iter().map(|(_, event)| event).collect();
    assert_eq!(events[..11], kept);
    assert!(events[11].user.as_ref().is_some_and(|user| user.starts_with("nobody:")), "{:?}", events[11]);
    assert_eq!(events[12].about, "pull,push of a repository");
    let next = store.add_auth_events(vec![(None, kept[0].clone())], KEEP).await.unwrap();
    assert_eq!(next, [Sequence::new(14)], "numbers go on");
}
