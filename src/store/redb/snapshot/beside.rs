//! What is kept beside the record: hints, accounts, what happened at the gate, and clocks.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::{ReadOnlyTable, TableError};

use super::super::failure::Failure;
use super::super::tables::{
    ACCOUNTS, HINTS, META, META_CLOCK_AT, META_CLOCK_BOUND, META_CLOCK_OFFSET, META_TIME, auth_events,
    decode, decode_hint, number, stored_name, stored_reference,
};
use super::Snapshot;
use super::page::Filling;
use crate::clock::{Estimate, Timestamp};
use crate::store::{
    Account, AccountKind, AuthEvent, AuthEventKind, Hint, HintedReference, Page, PageRequest, Sequence,
};

impl Snapshot {
    pub(crate) fn hints(
        &self,
        page: &PageRequest<HintedReference>,
    ) -> Result<Page<Hint, HintedReference>, Failure> {
        let table = self.0.open_table(HINTS)?;
        let after = page.after.as_ref().map(|after| (after.repository.as_str(), after.reference.as_str()));
        let after = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut filling = Filling::new(page);
        for entry in table.range::<(&str, &str)>((after, Bound::Unbounded))? {
            let (key, row) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let (repository, reference) = key.value();
            let about = HintedReference {
                repository: stored_name(repository)?,
                reference: stored_reference(reference)?,
            };
            let row = decode_hint(repository, reference, row.value())?;
            filling.push(about.clone(), row.into_hint(about));
        }
        Ok(filling.end())
    }

    pub(crate) fn account(&self, kind: AccountKind, key: &str) -> Result<Option<Vec<u8>>, Failure> {
        let table = self.0.open_table(ACCOUNTS)?;
        Ok(table.get((kind.as_str(), key))?.map(|content| content.value().to_vec()))
    }

    pub(crate) fn accounts(
        &self,
        kind: AccountKind,
        page: &PageRequest<String>,
    ) -> Result<Page<Account, String>, Failure> {
        let table = self.0.open_table(ACCOUNTS)?;
        let kind = kind.as_str();
        let after = page.after.as_deref();
        let after = after.map_or(Bound::Included((kind, "")), |after| Bound::Excluded((kind, after)));
        let mut filling = Filling::new(page);
        for entry in table.range::<(&str, &str)>((after, Bound::Unbounded))? {
            let (key, content) = entry?;
            let (found, key) = key.value();
            if found != kind {
                break;
            }
            if filling.is_full() {
                return Ok(filling.part());
            }
            let account = Account { key: key.to_owned(), content: content.value().to_vec() };
            filling.push(account.key.clone(), account);
        }
        Ok(filling.end())
    }

    /// What happened of one kind. A file of an earlier program has no table for a kind that is newer, before one is written.
    fn auth_events_of(
        &self,
        kind: AuthEventKind,
    ) -> Result<Option<ReadOnlyTable<u64, &'static [u8]>>, Failure> {
        match self.0.open_table(auth_events(kind)) {
            Ok(table) => Ok(Some(table)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn auth_events(
        &self,
        page: &PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, Failure> {
        let from = page.after.map_or(0, |after| after.get().saturating_add(1));
        let mut filling = Filling::new(page);
        // As many of each kind as there is room for, and one more, which tells whether there is more than that.
        let mut rows = BTreeMap::new();
        for kind in AuthEventKind::ALL {
            let Some(table) = self.auth_events_of(kind)? else { continue };
            for entry in table.range(from..)?.take(filling.limit + 1) {
                let (number, row) = entry?;
                rows.insert(number.value(), row.value().to_vec());
            }
        }
        for (number, row) in rows {
            if filling.is_full() {
                return Ok(filling.part());
            }
            let number = Sequence::new(number);
            let event = decode(|| format!("event {number} of the gate"), &row)?;
            filling.push(number, (number, event));
        }
        Ok(filling.end())
    }

    pub(crate) fn latest_auth_events(
        &self,
        kind: AuthEventKind,
        page: &PageRequest<Sequence>,
    ) -> Result<Page<(Sequence, AuthEvent), Sequence>, Failure> {
        let before = page.after.map_or(u64::MAX, Sequence::get);
        let mut filling = Filling::new(page);
        let Some(table) = self.auth_events_of(kind)? else { return Ok(filling.end()) };
        for entry in table.range(..before)?.rev() {
            let (number, row) = entry?;
            if filling.is_full() {
                return Ok(filling.part());
            }
            let number = Sequence::new(number.value());
            let event = decode(|| format!("event {number} of the gate"), row.value())?;
            filling.push(number, (number, event));
        }
        Ok(filling.end())
    }

    pub(crate) fn kept_clock(&self) -> Result<Option<Estimate>, Failure> {
        let meta = self.0.open_table(META)?;
        let at = number(&meta, META_CLOCK_AT)?;
        // Nothing was known in 1970.
        if at == 0 {
            return Ok(None);
        }
        Ok(Some(Estimate {
            offset: number(&meta, META_CLOCK_OFFSET)?.cast_signed(),
            bound: number(&meta, META_CLOCK_BOUND)?,
            at: Timestamp::from_milliseconds(at),
        }))
    }

    pub(crate) fn kept_time(&self) -> Result<Option<Timestamp>, Failure> {
        let time = self.0.open_table(META)?.get(META_TIME)?.map(|time| time.value());
        Ok(time.map(Timestamp::from_milliseconds))
    }
}
