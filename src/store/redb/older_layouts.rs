//! Stores that an earlier version wrote, and how they become ones of today when they are opened: all or nothing.

use std::collections::{BTreeMap, BTreeSet};

use redb::{Database, ReadableTable, Table, TableDefinition, TableError, TableHandle, WriteTransaction};

use super::failure::Failure;
use super::layout::{BoxError, LAYOUT, identify};
use super::snapshot::NotThere;
use super::tables::{
    ACCOUNTS, CHILDREN, DAYS, DELETED_MANIFESTS, DELETED_MANIFESTS_BY_AGE, EPOCHS, EVENT_TIMES, FLAWS, HINTS,
    IMAGES, Json, MANIFESTS, META, META_AUTH_EVENT, META_BYTES, META_LAYOUT, OneKey, REPOSITORIES, SWEEP,
    TOMBSTONES, TOMBSTONES_BY_AGE, TwoKeys, auth_events, decode, encode, flaw_count,
};
use super::transaction::find_flaws;
use crate::store::row::{HintRow, RepositoryRow};
use crate::store::{AccountKind, AuthEvent, AuthEventKind, Flaw, NameMask, Retry};

/// Layout 1 lacks hints and `SWEEP`, 1 and 2 lack `ACCOUNTS` and `AUTH_EVENTS`. Up to 4 they keep what a manifest says
/// once for each digest beside `ROWS`: up to 3 in three tables, 4 in one. Up to 5 they lack `TOMBSTONES`, `EPOCHS` and an
/// identity, and up to 6 all kinds of what happened at the gate are in one table. Up to 7 they keep of a hint its number alone,
/// up to 8 they lack `IMAGES`, up to 9 what numbers and flaws are kept in, and up to 10 `DELETED_MANIFESTS`. Layout 10 has a
/// table for each kind of flaw.
pub(super) const KNOWN: [u64; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/// From this layout on, a repository's manifests are whole in `MANIFESTS`.
const WITH_WHOLE_MANIFESTS: u64 = 5;
/// From this layout on, a store has an identity.
const WITH_IDENTITY: u64 = 6;
/// From this layout on, each kind of what happened at the gate has a table.
const WITH_PARTED_AUTH_EVENTS: u64 = 7;
/// From this layout on, hints have rows.
const WITH_HINT_ROWS: u64 = 8;
/// From this layout on, flaws and numbers are kept up.
const WITH_NUMBERS: u64 = 10;

/// Repository, and tag, digest or nothing, of what has this flaw.
pub(super) fn flaws_of_kind(flaw: Flaw) -> String {
    format!("flaws {}", flaw.as_str())
}

/// `AuthEvent` by its own number, of all kinds.
pub(super) const AUTH_EVENTS: TableDefinition<'_, u64, Json> = TableDefinition::new("auth_events");

/// The number of a hint by repository and reference.
pub(super) const HINT_NUMBERS: TableDefinition<'_, TwoKeys, u64> = TableDefinition::new("hints");

/// `ManifestRow` by repository and digest.
pub(super) const ROWS: TableDefinition<'_, TwoKeys, Json> = TableDefinition::new("manifests");
/// `Document` by digest.
pub(super) const DOCUMENTS: TableDefinition<'_, OneKey, Json> = TableDefinition::new("documents");
/// The exact bytes of a manifest by digest.
pub(super) const BYTES: TableDefinition<'_, OneKey, &'static [u8]> = TableDefinition::new("contents");
/// How many repositories have a manifest, by digest.
pub(super) const HOLDERS: TableDefinition<'_, OneKey, u64> = TableDefinition::new("content_holders");
/// Holders, `Document` and bytes by digest.
pub(super) const CONTENTS: TableDefinition<'_, OneKey, (u64, Json, &'static [u8])> =
    TableDefinition::new("manifest_contents");

/// Makes a store of this known older layout one of today's.
pub(super) fn bring_up_to_date(database: &Database, layout: u64) -> Result<(), BoxError> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    transaction.open_table(META)?.insert(META_LAYOUT, LAYOUT)?;
    transaction.open_table(SWEEP)?;
    transaction.open_table(ACCOUNTS)?;
    transaction.open_table(TOMBSTONES)?;
    transaction.open_table(TOMBSTONES_BY_AGE)?;
    transaction.open_table(EPOCHS)?;
    transaction.open_table(EVENT_TIMES)?;
    transaction.open_table(DELETED_MANIFESTS)?;
    transaction.open_table(DELETED_MANIFESTS_BY_AGE)?;
    // Images are read from the beginning of the history on.
    transaction.open_table(IMAGES)?;
    if layout < WITH_IDENTITY {
        identify(&transaction)?;
    }
    if layout < WITH_PARTED_AUTH_EVENTS {
        part_auth_events(&transaction)?;
    }
    if layout < WITH_HINT_ROWS {
        fill_hint_rows(&transaction)?;
    }
    if layout < WITH_WHOLE_MANIFESTS {
        join_manifests(&transaction)?;
    }
    transaction.open_table(FLAWS)?;
    if layout < WITH_NUMBERS {
        transaction.open_table(DAYS)?;
        transaction.open_table(CHILDREN)?;
        find_flaws(&transaction).map_err(Failure::into_cause)?;
        sum_bytes(&transaction)?;
    } else {
        join_flaws(&transaction)?;
    }
    transaction.commit()?;
    Ok(())
}

/// Puts what has flaws into one table, and counts it.
fn join_flaws(transaction: &WriteTransaction) -> Result<(), BoxError> {
    for flaw in Flaw::ALL {
        let name = flaws_of_kind(flaw);
        let old: TableDefinition<'_, TwoKeys, ()> = TableDefinition::new(&name);
        let mut count: u64 = 0;
        {
            let (old, mut flaws) = (transaction.open_table(old)?, transaction.open_table(FLAWS)?);
            for entry in old.iter()? {
                let (key, ()) = (entry?.0, ());
                let (repository, reference) = key.value();
                flaws.insert((flaw.as_str(), repository, reference), ())?;
                count += 1;
            }
        }
        transaction.open_table(META)?.insert(flaw_count(flaw), count)?;
        transaction.delete_table(old)?;
    }
    Ok(())
}

/// Sums up the bytes of all repositories.
fn sum_bytes(transaction: &WriteTransaction) -> Result<(), BoxError> {
    let mut sum: u64 = 0;
    for entry in transaction.open_table(REPOSITORIES)?.iter()? {
        let (name, row) = entry?;
        let what = || format!("repository row of `{}`", name.value());
        let row: RepositoryRow = decode(what, row.value()).map_err(Failure::into_cause)?;
        sum = sum.wrapping_add(row.bytes);
    }
    transaction.open_table(META)?.insert(META_BYTES, sum)?;
    Ok(())
}

/// Makes rows of hints of which only the numbers are known: each is due at once.
fn fill_hint_rows(transaction: &WriteTransaction) -> Result<(), BoxError> {
    {
        let numbers = transaction.open_table(HINT_NUMBERS)?;
        let mut hints = transaction.open_table(HINTS)?;
        for entry in numbers.iter()? {
            let (key, number) = entry?;
            let row = HintRow { number: number.value(), is_second_look: false, retry: Retry::FIRST };
            let row = encode("hint", &row).map_err(Failure::into_cause)?;
            hints.insert(key.value(), row.as_slice())?;
        }
    }
    transaction.delete_table(HINT_NUMBERS)?;
    Ok(())
}

/// Where an older layout keeps what a manifest says.
enum Contents<'txn> {
    Joined(Table<'txn, OneKey, (u64, Json, &'static [u8])>),
    Parted { documents: Table<'txn, OneKey, Json>, bytes: Table<'txn, OneKey, &'static [u8]> },
}

impl<'txn> Contents<'txn> {
    fn open(transaction: &'txn WriteTransaction) -> Result<Self, TableError> {
        let is_joined = transaction.list_tables()?.any(|table| table.name() == CONTENTS.name());
        Ok(if is_joined {
            Self::Joined(transaction.open_table(CONTENTS)?)
        } else {
            let (documents, bytes) = (transaction.open_table(DOCUMENTS)?, transaction.open_table(BYTES)?);
            Self::Parted { documents, bytes }
        })
    }

    /// A document and the bytes that it was read from.
    fn of(&self, digest: &str) -> Result<(Vec<u8>, Vec<u8>), BoxError> {
        let found = match self {
            Self::Joined(contents) => contents.get(digest)?.map(|content| {
                let (_, document, bytes) = content.value();
                (document.to_vec(), bytes.to_vec())
            }),
            Self::Parted { documents, bytes } => documents
                .get(digest)?
                .zip(bytes.get(digest)?)
                .map(|(document, bytes)| (document.value().to_vec(), bytes.value().to_vec())),
        };
        Ok(found.ok_or_else(|| Failure::corrupt(format!("content of `{digest}`"), NotThere).into_cause())?)
    }
}

/// Gives each kind of what happened at the gate its table. What strangers have written goes: repositories that they asked for,
/// and names of failed logins that no account is known to have, which may be passwords.
fn part_auth_events(transaction: &WriteTransaction) -> Result<(), BoxError> {
    {
        let old = transaction.open_table(AUTH_EVENTS)?;
        let mut tables = BTreeMap::new();
        for kind in AuthEventKind::ALL {
            tables.insert(kind, transaction.open_table(auth_events(kind))?);
        }
        let known = known_names(transaction, &old)?;
        let mask = NameMask::default();
        let mut last = 0;
        for entry in old.iter()? {
            let (number, row) = entry?;
            last = number.value();
            let what = || format!("event {last} of the gate");
            let mut event: AuthEvent = decode(what, row.value()).map_err(Failure::into_cause)?;
            match (event.kind, &event.user) {
                (AuthEventKind::LoginFailed, Some(name)) if !known.contains(name) => {
                    event.user = Some(mask.mask(name));
                }
                (AuthEventKind::Refused, None) => {
                    if let Some((_, actions)) =
                        event.about.strip_prefix("repository:").and_then(|rest| rest.rsplit_once(':'))
                    {
                        event.about = format!("{actions} of a repository");
                    }
                }
                _ => {}
            }
            let row = encode("event of the gate", &event).map_err(Failure::into_cause)?;
            if let Some(table) = tables.get_mut(&event.kind) {
                table.insert(last, row.as_slice())?;
            }
        }
        transaction.open_table(META)?.insert(META_AUTH_EVENT, last)?;
    }
    transaction.delete_table(AUTH_EVENTS)?;
    Ok(())
}

/// Names of users of the store and of bearers of access tokens, and of all who have ever logged in.
fn known_names(
    transaction: &WriteTransaction,
    events: &impl ReadableTable<u64, Json>,
) -> Result<BTreeSet<String>, BoxError> {
    let mut known = BTreeSet::new();
    for entry in transaction.open_table(ACCOUNTS)?.iter()? {
        let (key, content) = entry?;
        let (kind, name) = key.value();
        if kind == AccountKind::User.as_str() {
            known.insert(name.to_owned());
        } else if kind == AccountKind::AccessToken.as_str()
            && let Ok(serde_json::Value::Object(token)) = serde_json::from_slice(content.value())
        {
            known.extend(token.get("name").and_then(|name| name.as_str()).map(str::to_owned));
        }
    }
    for entry in events.iter()? {
        let (number, row) = entry?;
        let what = || format!("event {} of the gate", number.value());
        let event: AuthEvent = decode(what, row.value()).map_err(Failure::into_cause)?;
        match event.kind {
            AuthEventKind::Token | AuthEventKind::Login => known.extend(event.user),
            AuthEventKind::LoginFailed
            | AuthEventKind::Refused
            | AuthEventKind::Account
            | AuthEventKind::Policy
            | AuthEventKind::SignedOut => {}
        }
    }
    Ok(known)
}

fn join_manifests(transaction: &WriteTransaction) -> Result<(), BoxError> {
    {
        let (rows, contents) = (transaction.open_table(ROWS)?, Contents::open(transaction)?);
        let mut manifests = transaction.open_table(MANIFESTS)?;
        for entry in rows.iter()? {
            let (key, row) = entry?;
            let (document, bytes) = contents.of(key.value().1)?;
            manifests.insert(key.value(), (row.value(), document.as_slice(), bytes.as_slice()))?;
        }
    }
    transaction.delete_table(ROWS)?;
    transaction.delete_table(DOCUMENTS)?;
    transaction.delete_table(BYTES)?;
    transaction.delete_table(HOLDERS)?;
    transaction.delete_table(CONTENTS)?;
    Ok(())
}
