//! Looks whether what the file keeps beside its rows follows from them: what rows are found by, sums, and what is noted to be wrong.
//!
//! Each row is looked for where it has to be found. Only where there is more than that, everything there is looked at as well.

mod held;
mod look;
mod past;

use redb::ReadTransaction;

use self::look::Look;
use super::super::failure::Failure;
use super::super::snapshot::missing;
use super::super::tables::{META, META_BYTES, META_DELETED_BYTES, number};
use crate::store::copy::{FindingKind, Tally, Telling};

/// Looks at one state of the file, whose rows come to this tally.
pub(super) fn check_derived(
    read: &ReadTransaction,
    tally: &Tally,
    telling: &mut Telling<'_>,
) -> Result<(), Failure> {
    let mut look = Look { read, telling };
    look.held()?;
    look.past()?;
    sums(read, tally, telling)
}

fn sums(read: &ReadTransaction, tally: &Tally, telling: &mut Telling<'_>) -> Result<(), Failure> {
    let meta = read.open_table(META)?;
    let missing = missing(&meta)?;
    for (name, kept, found) in [
        ("bytes of all repositories", number(&meta, META_BYTES)?, tally.totals.bytes),
        ("bytes of deleted manifests", number(&meta, META_DELETED_BYTES)?, tally.deleted.bytes),
        ("tags that the registry denies", missing.tags, tally.missing.tags),
        ("manifests that the registry denies", missing.manifests, tally.missing.manifests),
    ] {
        let compared = telling.compare(FindingKind::RecordSums, "the record", name, kept, found);
        compared.map_err(Failure::Refused)?;
    }
    Ok(())
}
