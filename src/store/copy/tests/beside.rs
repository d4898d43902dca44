//! Files beside a record: they come with it, and go where somebody puts them.

use std::io::Cursor;

use super::{BATCH, filled_file, whole};
use crate::store::copy::import::import_by;
use crate::store::copy::{
    Beside, BesideError, Copied, FileBeside, FormError, ImportError, check_exported, export_record,
};
use crate::store::{OpenError, RedbStore};

/// A place that remembers what was asked of it.
#[derive(Default)]
struct Place {
    asked: Vec<&'static str>,
    files: Vec<FileBeside>,
    refuses: bool,
    /// Files become others.
    garbles: bool,
}

impl Beside for Place {
    fn check(&mut self, _: &[FileBeside]) -> Result<(), BesideError> {
        self.asked.push("check");
        if self.refuses { Err("occupied".into()) } else { Ok(()) }
    }

    fn put(&mut self, files: &[FileBeside]) -> Result<(), BesideError> {
        self.asked.push("put");
        self.files = files.to_vec();
        Ok(())
    }

    fn read(&mut self) -> Result<Vec<FileBeside>, BesideError> {
        self.asked.push("read");
        let garbled = |file: &FileBeside| FileBeside::new(file.name.clone(), b"other".to_vec());
        Ok(if self.garbles { self.files.iter().map(garbled).collect() } else { self.files.clone() })
    }
}

fn files() -> Vec<FileBeside> {
    [("a.key", &b"secret"[..]), ("b.jwk", b"\xff\x00")]
        .map(|(name, content)| FileBeside::new(name.to_owned(), content.to_vec()))
        .to_vec()
}

fn backed_up(files: &[FileBeside]) -> (Vec<u8>, Copied) {
    let (path, _directory) = filled_file();
    let mut file = Vec::new();
    let copied = export_record(&mut whole(&path), files, &mut file, &mut |_, _| {}).unwrap();
    (file, copied)
}

#[test]
fn files_come_behind_the_rows_and_are_put_before_a_door_can_open_the_record() {
    let (file, copied) = backed_up(&files());
    assert_eq!(copied.files, 2);
    assert_eq!(check_exported(&file[..], &mut |_| {}).unwrap(), copied);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("again.redb");
    let mut place = Place::default();
    let mut record = RedbStore::to_import(&path).unwrap();
    let restored =
        import_by(BATCH, &mut Cursor::new(&file), &mut *record.0, Some(&mut place), &mut |_, _, _| {});
    assert_eq!(restored.unwrap(), copied);
    assert_eq!((place.files, place.asked), (files(), vec!["check", "put", "read"]));
    drop(record);
    RedbStore::open(&path).unwrap();
    assert_eq!(format!("{:?}", files()[0]), "FileBeside { name: \"a.key\", .. }", "a secret is not shown");
}

#[test]
fn nothing_is_made_of_a_backup_where_its_files_have_no_place() {
    let (file, _) = backed_up(&files());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("again.redb");
    let attempt = |place: Option<&mut dyn Beside>| {
        let mut record = RedbStore::to_import(&path).unwrap();
        import_by(BATCH, &mut Cursor::new(&file), &mut *record.0, place, &mut |_, _, _| {}).unwrap_err()
    };
    let error = attempt(None);
    assert!(matches!(error, ImportError::IsBackup), "{error}");
    let mut occupied = Place { refuses: true, ..Place::default() };
    let error = attempt(Some(&mut occupied));
    assert!(matches!(error, ImportError::Beside(_)), "{error}");
    assert_eq!(occupied.asked, ["check"]);
    assert!(!path.exists());
    // What is read back is not what was put.
    let mut garbling = Place { garbles: true, ..Place::default() };
    let error = attempt(Some(&mut garbling));
    assert!(matches!(error, ImportError::Differs { .. }), "{error}");
    let opened = RedbStore::open(&path).map(|_| ());
    assert!(matches!(opened, Err(OpenError::HalfImported { .. })), "{opened:?}");
}

#[test]
fn a_backup_whose_files_were_altered_is_none() {
    let (file, _) = backed_up(&files());
    let text = String::from_utf8(file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let refused = |lines: &[&str]| {
        let file = format!("{}\n", lines.join("\n"));
        check_exported(file.as_bytes(), &mut |_| {}).unwrap_err()
    };
    let count = lines.len();
    let mut without = lines.clone();
    without.remove(count - 2);
    assert!(matches!(refused(&without), FormError::Altered { .. }));
    let mut swapped = lines.clone();
    swapped.swap(count - 2, count - 3);
    assert!(matches!(refused(&swapped), FormError::Line { .. }));
    let mut between = lines.clone();
    between.swap(count - 3, count - 4);
    assert!(matches!(refused(&between), FormError::Line { .. }), "a row behind a file");
    let altered = lines[count - 3].replace("secret", "sacret");
    let mut altered_lines = lines.clone();
    altered_lines[count - 3] = &altered;
    assert!(matches!(refused(&altered_lines), FormError::Altered { .. }));
}
