//! Records that move between a file and the database.

use std::sync::Arc;

use super::postgres::Database;
use super::{address, open};
use crate::store::contract::push;
use crate::store::copy::tests::filled::{fill, go_on, told};
use crate::store::copy::tests::{
    assert_agrees, exported, filled_file, findings, imported, imported_by_pieces, run,
};
use crate::store::sample::image;
use crate::store::{FindingKind, NewRecord, PostgresOpenError, PostgresStore, RedbStore, Store, WholeRecord};

fn whole(database: &Database) -> WholeRecord {
    PostgresStore::whole(&address(database)).unwrap()
}

fn to_import(database: &Database) -> NewRecord {
    PostgresStore::to_import(&address(database)).unwrap()
}

fn opened(database: &Database) -> Result<(), PostgresOpenError> {
    PostgresStore::open(&address(database)).map(|_| ())
}

#[test]
fn a_record_is_the_same_after_it_went_from_a_file_to_the_database_and_back() {
    let (path, directory) = filled_file();
    let (file, copied) = exported(RedbStore::whole(&path).unwrap());
    let database = Database::create();
    assert_eq!(imported(&file, to_import(&database)).unwrap(), copied);
    assert_eq!(exported(whole(&database)), (file.clone(), copied.clone()));
    let back = directory.path().join("back.redb");
    assert_eq!(imported(&file, RedbStore::to_import(&back).unwrap()).unwrap(), copied);
    assert_eq!(exported(RedbStore::whole(&back).unwrap()).0, file);

    run(async {
        let of_file = |path| Arc::new(RedbStore::open(path).unwrap()) as Arc<dyn Store>;
        let (before, between, after) = (of_file(&path), open(&database), of_file(&back));
        let answers = told(&before).await;
        let same = |(name, answer): (&&str, &String), others: &std::collections::BTreeMap<&str, String>| {
            assert_eq!(Some(answer), others.get(name), "{name}");
        };
        let others = told(&between).await;
        answers.iter().for_each(|answer| same(answer, &others));
        let others = told(&after).await;
        answers.iter().for_each(|answer| same(answer, &others));
        go_on(&between).await;
        go_on(&after).await;
    });
    assert!(exported(whole(&database)).0 != file, "it went on");
}

#[test]
fn a_record_that_began_in_the_database_is_the_same_in_a_file() {
    let database = Database::create();
    run(async {
        let store = open(&database);
        fill(&store).await;
        store.close();
    });
    let (file, copied) = exported(whole(&database));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    assert_eq!(imported(&file, RedbStore::to_import(&path).unwrap()).unwrap(), copied);
    assert_eq!(exported(RedbStore::whole(&path).unwrap()).0, file);
    run(async {
        let (before, after) = (open(&database), Arc::new(RedbStore::open(&path).unwrap()) as Arc<dyn Store>);
        let (before, others) = (told(&before).await, told(&after).await);
        for (name, answer) in &before {
            assert_eq!(Some(answer), others.get(name), "{name}");
        }
        go_on(&after).await;
    });
}

#[test]
fn an_import_that_was_cut_goes_on_in_the_database_and_no_door_opens_what_is_there_till_then() {
    let (path, _directory) = filled_file();
    let (file, copied) = exported(RedbStore::whole(&path).unwrap());
    let database = Database::create();
    let pieces = imported_by_pieces(
        &file,
        || to_import(&database),
        || {
            let error = opened(&database).unwrap_err();
            assert!(matches!(error, PostgresOpenError::HalfImported), "{error}");
            assert!(error.to_string().contains("portreeve store import"), "{error}");
            let refused = PostgresStore::whole(&address(&database)).map(|_| ());
            assert!(matches!(refused, Err(PostgresOpenError::HalfImported)), "{refused:?}");
        },
    );
    assert_eq!(pieces, copied);
    assert_eq!(exported(whole(&database)).0, file);
    opened(&database).unwrap();
}

#[test]
fn nothing_is_imported_where_a_door_has_made_a_record() {
    let database = Database::create();
    opened(&database).unwrap();
    let refused = PostgresStore::to_import(&address(&database)).map(|_| ());
    assert!(matches!(refused, Err(PostgresOpenError::NotEmpty)), "{refused:?}");
    let absent = PostgresStore::whole(&address(&Database::create())).map(|_| ());
    assert!(matches!(absent, Err(PostgresOpenError::Absent)), "{absent:?}");
}

#[test]
fn two_imports_into_one_database_do_not_mix() {
    let (path, _directory) = filled_file();
    let (file, copied) = exported(RedbStore::whole(&path).unwrap());
    let database = Database::create();
    let (first, second) = (to_import(&database), to_import(&database));
    assert_eq!(imported(&file, first).unwrap(), copied);
    let refused = imported(&file, second).unwrap_err().to_string();
    assert!(refused.contains("already exists") || refused.contains("duplicate key"), "{refused}");
    assert_eq!(exported(whole(&database)).0, file);
}

#[test]
fn an_export_tells_of_one_moment_while_doors_go_on() {
    let database = Database::create();
    let store = run(async {
        let store = open(&database);
        fill(&store).await;
        store
    });
    let before = exported(whole(&database)).0;
    let record = whole(&database);
    run(async {
        push(&store, "a/b", &image("later", &[]), &["later"], 95_000_000).await;
    });
    assert_eq!(exported(record).0, before);
    assert_ne!(exported(whole(&database)).0, before);
    run(async { store.close() });
}

/// Each is found by the kind of what it does not agree with.
const DAMAGES: [(FindingKind, &str); 24] = [
    (FindingKind::Index, "UPDATE tags SET digest = digest || '0' WHERE tag = 'latest'"),
    (FindingKind::Index, "UPDATE tags SET is_missing = NOT is_missing WHERE tag = 'latest'"),
    (FindingKind::Index, "UPDATE repositories SET is_empty = NOT is_empty WHERE name = 'many'"),
    (FindingKind::Index, "UPDATE repositories SET is_missing = NOT is_missing WHERE name = 'many'"),
    (FindingKind::Index, "UPDATE manifests SET subject = NULL WHERE subject IS NOT NULL"),
    (
        FindingKind::Index,
        "UPDATE events SET repository = 'else' WHERE sequence = (SELECT min(sequence) FROM events)",
    ),
    (
        FindingKind::Index,
        "UPDATE events SET time = time + 1 WHERE sequence = (SELECT min(sequence) FROM events)",
    ),
    (FindingKind::Index, "UPDATE intents SET repository = 'else'"),
    (FindingKind::Index, "UPDATE hints SET number = number + 100"),
    (FindingKind::Index, "UPDATE tombstones SET at = at + 1"),
    (FindingKind::Index, "UPDATE tombstones SET digest = NULL WHERE digest IS NOT NULL"),
    (FindingKind::Index, "UPDATE deleted_manifests SET size = size + 1"),
    (FindingKind::Index, "UPDATE auth_events SET kind = 'policy'"),
    (FindingKind::Index, "UPDATE images SET platform = 'plan9/mips'"),
    (FindingKind::Index, "DELETE FROM children WHERE parent = (SELECT min(parent) FROM children)"),
    (FindingKind::Index, "INSERT INTO children SELECT repository, parent, child, 0 FROM children"),
    (FindingKind::Flaws, "DELETE FROM flaws"),
    (FindingKind::Flaws, "INSERT INTO flaws VALUES ('untagged', 'many', 'sha256:0')"),
    (FindingKind::Flaws, "UPDATE flaw_counts SET count = count + 1"),
    (
        FindingKind::RecordSums,
        "UPDATE ledger SET content = replace(convert_from(content, 'UTF8'), '\"tags\":', '\"tags\":9')::bytea",
    ),
    (FindingKind::RecordSums, "DELETE FROM auth_events"),
    (FindingKind::Days, "DELETE FROM events WHERE sequence = (SELECT min(sequence) FROM events)"),
    (FindingKind::DanglingTag, "DELETE FROM manifests WHERE repository = 'many'"),
    (FindingKind::BlobCount, "DELETE FROM blobs WHERE repository = 'a/b'"),
];

#[test]
fn each_damage_in_the_database_is_found_and_told_by_its_kind() {
    let (path, _directory) = filled_file();
    let (file, _) = exported(RedbStore::whole(&path).unwrap());
    let database = Database::create();
    imported(&file, to_import(&database)).unwrap();
    assert_agrees(whole(&database));
    for (kind, sql) in DAMAGES {
        database.run("CREATE SCHEMA kept");
        for table in tables(&database) {
            database.run(&format!("CREATE TABLE kept.{table} AS TABLE public.{table}"));
        }
        database.run(sql);
        let found = findings(whole(&database));
        assert!(found.iter().any(|finding| finding.kind == kind), "{sql}: {found:#?}");
        for table in tables(&database) {
            database.run(&format!("TRUNCATE public.{table}; INSERT INTO public.{table} TABLE kept.{table}"));
        }
        database.run("DROP SCHEMA kept CASCADE");
        assert_agrees(whole(&database));
    }
}

/// The tables of the record.
fn tables(database: &Database) -> Vec<String> {
    let told = database.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename");
    told.lines().map(str::to_owned).collect()
}
