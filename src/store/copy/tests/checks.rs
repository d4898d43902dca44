//! What a look at a record finds.

use std::ops::ControlFlow;

use super::super::check::check_remembering;
use super::{filled_file, whole};
use crate::store::{CheckNews, Finding, FindingKind, StoreError, WholeRecord, check_record};

/// What is found.
pub(in crate::store) fn findings(mut record: WholeRecord) -> Vec<Finding> {
    let mut found = Vec::new();
    let checked = check_record(&mut record, &mut |news| {
        if let CheckNews::Found(finding) = news {
            found.push(finding);
        }
        ControlFlow::Continue(())
    });
    // Of very much not all is told.
    assert_eq!(checked.unwrap().findings.min(1_000), found.len() as u64);
    found
}

/// Nothing is found.
pub(in crate::store) fn assert_agrees(record: WholeRecord) {
    assert_eq!(findings(record), []);
}

#[test]
fn everything_agrees_in_a_record_with_something_of_everything_however_little_is_remembered_at_a_time() {
    let (path, _directory) = filled_file();
    for remembered in [1, 2, 100_000] {
        let mut found = Vec::new();
        let checked = check_remembering(remembered, &mut whole(&path), &mut |news| {
            found.extend(matches!(&news, CheckNews::Found(_)).then_some(format!("{news:?}")));
            ControlFlow::Continue(())
        });
        assert_eq!(found, [""; 0]);
        assert!(checked.unwrap().rows > 1_000);
    }
}

#[test]
fn a_look_ends_when_nobody_waits_for_it_any_more() {
    let (path, _directory) = filled_file();
    let mut news = 0;
    let ended = check_record(&mut whole(&path), &mut |_| {
        news += 1;
        ControlFlow::Break(())
    });
    assert!(matches!(ended, Err(StoreError::Closed)), "{ended:?}");
    assert_eq!(news, 1);
}

#[test]
fn every_kind_has_its_name_and_says_what_to_do() {
    for kind in
        [FindingKind::Unreadable, FindingKind::DanglingTag, FindingKind::RecordSums, FindingKind::Days]
    {
        assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        assert!(kind.remedy().len() > 20);
    }
}
