//! A file that was damaged row by row: a look at it finds each.

use redb::{ReadableTable as _, WriteTransaction};

use super::super::RedbStore;
use super::super::file::builder;
use super::super::tables::{
    BLOBS, CHILDREN, DAYS, DELETED_MANIFESTS_BY_AGE, EVENT_TIMES, EVENTS, EVENTS_BY_REPOSITORY, FLAWS, HINTS,
    IMAGES, Json, MANIFESTS, META, META_AUTH_EVENT, META_BYTES, META_DELETED_BYTES, META_HINT,
    META_MISSING_TAGS, META_SEQUENCE, OneKey, REFERRERS, REPOSITORIES, TAGS, TAGS_BY_MANIFEST, TOMBSTONES,
    TOMBSTONES_BY_AGE, ThreeKeys, TwoKeys, auth_events, flaw_count,
};
use crate::store::copy::tests::{filled_file, findings};
use crate::store::{AuthEventKind, FindingKind, Flaw};

type Damage = fn(&WriteTransaction);

fn remove_three(transaction: &WriteTransaction, table: redb::TableDefinition<'static, ThreeKeys, ()>) {
    let mut table = transaction.open_table(table).unwrap();
    let (first, _) = table.first().unwrap().unwrap();
    let (one, two, three) = first.value();
    let (one, two, three) = (one.to_owned(), two.to_owned(), three.to_owned());
    drop(first);
    table.remove((one.as_str(), two.as_str(), three.as_str())).unwrap();
}

fn add_three(transaction: &WriteTransaction, table: redb::TableDefinition<'static, ThreeKeys, ()>) {
    let digest = crate::oci::Digest::sha256(b"nothing");
    let key = ("a/b", digest.as_str(), digest.as_str());
    transaction.open_table(table).unwrap().insert(key, ()).unwrap();
}

/// Replaces something in the first row in whose JSON it is.
fn replace_two(
    transaction: &WriteTransaction,
    table: redb::TableDefinition<'static, TwoKeys, Json>,
    this: &str,
    by: &str,
) {
    let mut table = transaction.open_table(table).unwrap();
    let found = table.iter().unwrap().map(Result::unwrap).find_map(|(key, row)| {
        let text = std::str::from_utf8(row.value()).unwrap();
        let (one, two) = key.value();
        text.contains(this).then(|| (one.to_owned(), two.to_owned(), text.replacen(this, by, 1)))
    });
    let (one, two, row) = found.unwrap_or_else(|| panic!("{this} is in no row"));
    table.insert((one.as_str(), two.as_str()), row.as_bytes()).unwrap();
}

fn replace_one(
    transaction: &WriteTransaction,
    table: redb::TableDefinition<'static, OneKey, Json>,
    this: &str,
    by: &str,
) {
    let mut table = transaction.open_table(table).unwrap();
    let found = table.iter().unwrap().map(Result::unwrap).find_map(|(key, row)| {
        let text = std::str::from_utf8(row.value()).unwrap();
        text.contains(this).then(|| (key.value().to_owned(), text.replacen(this, by, 1)))
    });
    let (key, row) = found.unwrap_or_else(|| panic!("{this} is in no row"));
    table.insert(key.as_str(), row.as_bytes()).unwrap();
}

fn set(transaction: &WriteTransaction, key: &str, change: fn(u64) -> u64) {
    let mut meta = transaction.open_table(META).unwrap();
    let now = meta.get(key).unwrap().map_or(0, |number| number.value());
    meta.insert(key, change(now)).unwrap();
}

const DAMAGES: [(&str, FindingKind, Damage); 34] = [
    ("a tag is not found by its manifest", FindingKind::Index, |t| remove_three(t, TAGS_BY_MANIFEST)),
    ("a tag is found that is not there", FindingKind::Index, |t| add_three(t, TAGS_BY_MANIFEST)),
    ("a referrer is not found", FindingKind::Index, |t| remove_three(t, REFERRERS)),
    ("a referrer is found that is none", FindingKind::Index, |t| add_three(t, REFERRERS)),
    ("an index is not found by a child", FindingKind::Index, |t| remove_three(t, CHILDREN)),
    ("an index is found that names none", FindingKind::Index, |t| add_three(t, CHILDREN)),
    ("a flaw is not noted", FindingKind::Flaws, |t| remove_three(t, FLAWS)),
    ("a flaw is noted of what has none", FindingKind::Flaws, |t| add_three(t, FLAWS)),
    ("flaws are counted wrong", FindingKind::Flaws, |t| set(t, flaw_count(Flaw::LostTag), |now| now + 1)),
    ("an event is not found by its repository", FindingKind::Index, |t| {
        t.open_table(EVENTS_BY_REPOSITORY).unwrap().pop_first().unwrap();
    }),
    ("an event is found by another repository", FindingKind::Index, |t| {
        t.open_table(EVENTS_BY_REPOSITORY).unwrap().insert(("else", 3), ()).unwrap();
    }),
    ("the times of a block are wrong", FindingKind::Index, |t| {
        t.open_table(EVENT_TIMES).unwrap().insert(0, (7, 8)).unwrap();
    }),
    ("an event is gone", FindingKind::Index, |t| {
        t.open_table(EVENTS).unwrap().pop_first().unwrap();
    }),
    ("an event of a push is gone, with all that leads to it", FindingKind::Days, |t| {
        let (number, _) =
            t.open_table(EVENTS).unwrap().pop_first().unwrap().map(|(key, _)| (key.value(), ())).unwrap();
        let mut by_repository = t.open_table(EVENTS_BY_REPOSITORY).unwrap();
        by_repository.retain(|(_, of), ()| of != number).unwrap();
    }),
    ("a tag's event is gone", FindingKind::History, |t| {
        t.open_table(EVENTS).unwrap().retain(|number, _| number > 10).unwrap();
    }),
    ("an event is of the future", FindingKind::History, |t| set(t, META_SEQUENCE, |now| now - 1)),
    ("a hint is of the future", FindingKind::History, |t| set(t, META_HINT, |_| 0)),
    ("an event of the gate is of the future", FindingKind::History, |t| set(t, META_AUTH_EVENT, |_| 0)),
    ("an event of the gate is among others", FindingKind::Index, |t| {
        let other = t.open_table(auth_events(AuthEventKind::Token)).unwrap();
        let row = other.first().unwrap().unwrap().1.value().to_vec();
        t.open_table(auth_events(AuthEventKind::Policy)).unwrap().insert(1_000, row.as_slice()).unwrap();
    }),
    ("a day has other counts", FindingKind::Days, |t| {
        let mut days = t.open_table(DAYS).unwrap();
        let (day, row) = days.last().unwrap().map(|(day, row)| (day.value(), row.value().to_vec())).unwrap();
        let mut row: serde_json::Value = serde_json::from_slice(&row).unwrap();
        row["deletions"] = 77.into();
        days.insert(day, row.to_string().as_bytes()).unwrap();
    }),
    ("a day is gone", FindingKind::Days, |t| {
        t.open_table(DAYS).unwrap().pop_last().unwrap();
    }),
    ("a tombstone is not found by its age", FindingKind::Index, |t| {
        t.open_table(TOMBSTONES_BY_AGE).unwrap().pop_first().unwrap();
    }),
    ("a tombstone is found that is not there", FindingKind::Index, |t| {
        t.open_table(TOMBSTONES).unwrap().pop_first().unwrap();
    }),
    ("a deleted manifest has another length", FindingKind::Index, |t| {
        let mut table = t.open_table(DELETED_MANIFESTS_BY_AGE).unwrap();
        let ((at, name, digest), size) = table
            .pop_first()
            .unwrap()
            .map(|(key, size)| {
                let (at, name, digest) = key.value();
                ((at, name.to_owned(), digest.to_owned()), size.value())
            })
            .unwrap();
        table.insert((at, name.as_str(), digest.as_str()), size + 1).unwrap();
    }),
    ("the bytes of all are wrong", FindingKind::RecordSums, |t| set(t, META_BYTES, |now| now + 1)),
    ("the bytes of what was deleted are wrong", FindingKind::RecordSums, |t| {
        set(t, META_DELETED_BYTES, |_| 1)
    }),
    ("what is missing is counted wrong", FindingKind::RecordSums, |t| {
        set(t, META_MISSING_TAGS, |now| now + 1)
    }),
    ("the sums of a repository are wrong", FindingKind::RepositorySums, |t| {
        replace_one(t, REPOSITORIES, "\"tags\":", "\"tags\":9");
    }),
    ("a repository is gone", FindingKind::Orphan, |t| {
        t.open_table(REPOSITORIES).unwrap().remove("many").unwrap();
    }),
    ("a tag says another length", FindingKind::TagRow, |t| replace_two(t, TAGS, "\"bytes\":", "\"bytes\":9")),
    ("a row is no row", FindingKind::Unreadable, |t| replace_two(t, TAGS, "{\"digest", "{\"dugest")),
    ("a blob is counted wrong", FindingKind::BlobCount, |t| {
        replace_two(t, BLOBS, "\"holders\":", "\"holders\":9")
    }),
    ("a blob is gone", FindingKind::BlobCount, |t| {
        t.open_table(BLOBS).unwrap().pop_first().unwrap();
    }),
    ("an image says another platform", FindingKind::Index, |t| {
        let mut images = t.open_table(IMAGES).unwrap();
        let (one, two, row) = images
            .first()
            .unwrap()
            .map(|(key, row)| {
                let (one, two) = key.value();
                (one.to_owned(), two.to_owned(), row.value().1.to_vec())
            })
            .unwrap();
        images.insert((one.as_str(), two.as_str()), ("plan9/mips", row.as_slice())).unwrap();
    }),
];

/// What is found in a copy of the file that was damaged like this.
fn damaged(original: &std::path::Path, damage: impl Fn(&WriteTransaction)) -> Vec<crate::store::Finding> {
    let path = original.with_file_name("damaged.redb");
    std::fs::copy(original, &path).unwrap();
    let database = builder().open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    damage(&transaction);
    transaction.commit().unwrap();
    drop(database);
    findings(RedbStore::whole(&path).unwrap())
}

#[test]
fn each_damage_is_found_and_told_by_its_kind() {
    let (path, _directory) = filled_file();
    for (name, kind, damage) in DAMAGES {
        let found = damaged(&path, damage);
        assert!(found.iter().any(|finding| finding.kind == kind), "{name}: {found:#?}");
    }
}

#[test]
fn a_tag_without_its_manifest_is_told_unless_somebody_is_about_to_ask_about_it() {
    let (path, _directory) = filled_file();
    let lose_manifests = |transaction: &WriteTransaction| {
        transaction.open_table(MANIFESTS).unwrap().retain(|(name, _), _| name != "many").unwrap();
    };
    let dangling = |found: &[crate::store::Finding]| {
        found.iter().filter(|finding| finding.kind == FindingKind::DanglingTag).count()
    };
    let found = damaged(&path, lose_manifests);
    assert!(dangling(&found) > 100, "{found:#?}");
    let found = damaged(&path, |transaction| {
        lose_manifests(transaction);
        let mut hints = transaction.open_table(HINTS).unwrap();
        let row = hints.first().unwrap().unwrap().1.value().to_vec();
        hints.insert(("many", "t0-0"), row.as_slice()).unwrap();
    });
    assert_eq!(dangling(&found), 0);
}

#[test]
fn a_manifest_whose_bytes_are_others_is_told() {
    let (path, _directory) = filled_file();
    let found = damaged(&path, |transaction| {
        let mut manifests = transaction.open_table(MANIFESTS).unwrap();
        let (name, digest, rows) = manifests
            .first()
            .unwrap()
            .map(|(key, rows)| {
                let ((name, digest), (row, document, bytes)) = (key.value(), rows.value());
                (name.to_owned(), digest.to_owned(), [row.to_vec(), document.to_vec(), bytes.to_vec()])
            })
            .unwrap();
        let [row, document, mut bytes] = rows;
        bytes[1] ^= 1;
        manifests
            .insert((name.as_str(), digest.as_str()), (row.as_slice(), document.as_slice(), bytes.as_slice()))
            .unwrap();
    });
    let kinds: Vec<FindingKind> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::AlteredManifest], "{found:#?}");
}
