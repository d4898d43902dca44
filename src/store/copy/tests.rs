//! Records that are copied, as every backend copies them; and what is refused of files.

mod beside;
mod checks;
pub(in crate::store) mod filled;

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use self::filled::fill;
use super::import::{Batch, import_by};
use super::*;
use crate::store::{OpenError, RedbStore, Store, StoreError};

pub(in crate::store) use self::checks::{assert_agrees, findings};

/// Small ones, so that an import has many.
const BATCH: Batch = Batch { rows: 40, bytes: 1_000_000 };

/// Runs what has to be awaited.
pub(in crate::store) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(future)
}

/// A file that has something of everything.
pub(in crate::store) fn filled_file() -> (PathBuf, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("filled.redb");
    run(async {
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(&path).unwrap());
        fill(&store).await;
        store.close();
    });
    (path, directory)
}

pub(in crate::store) fn exported(mut record: WholeRecord) -> (Vec<u8>, Copied) {
    let mut file = Vec::new();
    let copied = export_record(&mut record, &[], &mut file, &mut |_, _| {}).unwrap();
    (file, copied)
}

pub(in crate::store) fn imported(file: &[u8], mut record: NewRecord) -> Result<Copied, ImportError> {
    import_record(&mut Cursor::new(file), &mut record, None, &mut |_, _, _| {})
}

/// Adds so many batches, and fails then.
struct Failing {
    record: Box<dyn RowDestination>,
    left: u64,
}

impl RowDestination for Failing {
    fn layout(&self) -> u64 {
        self.record.layout()
    }

    fn state(&self) -> Option<&ImportState> {
        self.record.state()
    }

    fn begin(&mut self, state: ImportState) -> Result<(), StoreError> {
        self.record.begin(state)
    }

    fn add(&mut self, rows: &[Row], state: ImportState) -> Result<(), StoreError> {
        self.left = self.left.checked_sub(1).ok_or(StoreError::Closed)?;
        self.record.add(rows, state)
    }

    fn source(&mut self) -> Result<Box<dyn RowSource + '_>, StoreError> {
        self.record.source()
    }

    fn finish(&mut self, tally: &Tally) -> Result<(), StoreError> {
        self.left = self.left.checked_sub(1).ok_or(StoreError::Closed)?;
        self.record.finish(tally)
    }
}

/// Imports a file, which fails again and again, each time a few batches further. `between` looks what is there then.
pub(in crate::store) fn imported_by_pieces(
    file: &[u8],
    open: impl Fn() -> NewRecord,
    between: impl Fn(),
) -> Copied {
    for cuts in 0..1_000 {
        let mut failing = Failing { record: open().0, left: cuts % 4 };
        let done = import_by(BATCH, &mut Cursor::new(file), &mut failing, None, &mut |_, _, _| {});
        drop(failing);
        match done {
            Ok(copied) => {
                assert!(cuts > 8, "it was cut {cuts} times only");
                return copied;
            }
            Err(ImportError::Store(StoreError::Closed)) => between(),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("it comes to no end");
}

fn whole(path: &Path) -> WholeRecord {
    RedbStore::whole(path).unwrap()
}

#[test]
fn a_copy_of_a_file_has_the_same_rows_and_answers_the_same() {
    let (path, directory) = filled_file();
    let before = std::fs::read(&path).unwrap();
    let (file, copied) = exported(whole(&path));
    assert_eq!(std::fs::read(&path).unwrap(), before, "it is only read");
    for part in Part::ALL {
        let name = serde_json::to_string(&part).unwrap();
        let text = String::from_utf8_lossy(&file);
        assert!(text.lines().last().unwrap().contains(&format!("{name}:")), "{name} is missing");
    }
    let again = directory.path().join("again.redb");
    assert_eq!(imported(&file, RedbStore::to_import(&again).unwrap()).unwrap(), copied);
    assert_eq!(exported(whole(&again)).0, file);
    run(async {
        let stores = [&path, &again].map(|path| Arc::new(RedbStore::open(path).unwrap()) as Arc<dyn Store>);
        assert_eq!(filled::told(&stores[0]).await, filled::told(&stores[1]).await);
        filled::go_on(&stores[1]).await;
    });
    // The digest is what other tools make of it.
    let end = file[..file.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let sha256 = crate::oci::Digest::sha256(&file[..end]);
    assert_eq!(sha256.to_string(), format!("sha256:{}", copied.sha256));
}

#[test]
fn an_import_that_was_cut_goes_on_where_it_has_ended_and_no_door_opens_what_is_there_till_then() {
    let (path, directory) = filled_file();
    let (file, copied) = exported(whole(&path));
    let again = directory.path().join("again.redb");
    let other = directory.path().join("other.redb");
    run(async { RedbStore::open(&other).unwrap().close() });
    let another = exported(whole(&other)).0;
    let pieces = imported_by_pieces(
        &file,
        || RedbStore::to_import(&again).unwrap(),
        || {
            for refused in [RedbStore::open(&again).map(|_| ()), RedbStore::open_to_read(&again).map(|_| ())]
            {
                let error = refused.unwrap_err();
                assert!(matches!(error, OpenError::HalfImported { .. }), "{error}");
                assert!(error.to_string().contains("portreeve store import"), "{error}");
            }
            assert!(matches!(RedbStore::whole(&again), Err(OpenError::HalfImported { .. })));
            let refused = imported(&another, RedbStore::to_import(&again).unwrap());
            assert!(matches!(refused, Err(ImportError::AnotherFile { .. })), "{refused:?}");
        },
    );
    assert_eq!(pieces, copied);
    assert_eq!(exported(whole(&again)).0, file);
}

#[test]
fn nothing_is_imported_over_a_record() {
    let (path, _directory) = filled_file();
    assert!(matches!(RedbStore::to_import(&path), Err(OpenError::NotEmpty { .. })));
}

/// What is refused of this file. Nothing is made of it.
fn refused(file: &[u8]) -> FormError {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store.redb");
    match imported(file, RedbStore::to_import(&path).unwrap()) {
        Err(ImportError::Form(error)) => {
            assert!(!path.exists(), "{error}");
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused_as_a_whole() {
    let (path, _directory) = filled_file();
    let (file, _) = exported(whole(&path));
    assert!(matches!(refused(b""), FormError::Foreign));
    let first = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // The last line's end is part of it.
    for length in (first..file.len()).step_by(997).chain([file.len() - 2, file.len() - 1]) {
        let error = refused(&file[..length]);
        let is_cut = matches!(error, FormError::Truncated { .. });
        assert!(is_cut, "cut to {length} of {} bytes: {error}", file.len());
    }
}

#[test]
fn a_file_that_was_altered_anywhere_is_refused_as_a_whole() {
    let (path, _directory) = filled_file();
    let (file, _) = exported(whole(&path));
    for place in (0..file.len()).step_by(1_499) {
        let mut altered = file.clone();
        altered[place] = if altered[place] == b'1' { b'2' } else { b'1' };
        refused(&altered);
    }
    let text = String::from_utf8(file.clone()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| format!("{}\n", lines.join("\n")).into_bytes();
    assert_eq!(joined(&lines), file);
    let mut without = lines.clone();
    without.remove(7);
    assert!(matches!(refused(&joined(&without)), FormError::Altered { .. }));
    let mut twice = lines.clone();
    twice.insert(7, twice[7]);
    assert!(matches!(refused(&joined(&twice)), FormError::Line { line: 8 | 9, .. }));
    lines.swap(7, 8);
    assert!(matches!(refused(&joined(&lines)), FormError::Line { line: 9, .. }));
    assert!(matches!(refused(&[&file[..], b"x"].concat()), FormError::Altered { .. }));
}

#[test]
fn what_a_later_version_has_written_is_refused_by_name() {
    let (path, _directory) = filled_file();
    let (file, _) = exported(whole(&path));
    let text = String::from_utf8(file).unwrap();
    let later = text.replacen("{\"portreeve_record\":1}", "{\"portreeve_record\":2}", 1);
    let error = refused(later.as_bytes());
    assert!(matches!(error, FormError::Newer { found: 2 }), "{error}");
    assert!(matches!(refused(b"{\"something\":1}\n"), FormError::Foreign));
    // A member that this version does not know would be lost.
    let more = text.replacen("\"pulls\":", "\"more\":1,\"pulls\":", 1);
    assert_ne!(more, text);
    let error = refused(more.as_bytes());
    assert!(error.to_string().contains("a later version has written it"), "{error}");
}
