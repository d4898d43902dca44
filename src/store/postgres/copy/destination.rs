//! Makes tables of rows.

use std::sync::Arc;

use super::super::PostgresAddress;
use super::super::failure::{Failure, NotThere, decode, encode};
use super::super::migrations::{IMPORTING, STEPS, TICKET, VERSION};
use super::super::open_error::PostgresOpenError;
use super::super::query::query;
use super::super::ticket::Sums;
use super::super::transaction::JUDGE_ALL;
use super::inserts::inserts;
use super::session::{Session, unusable};
use super::source::Rows;
use crate::store::StoreError;
use crate::store::copy::{ImportState, Part, Row, RowDestination, RowSource, Tally, Telling};

/// What a failing step answers that it attempted.
const IMPORT_ROWS: &str = "take what is imported";

/// How far an import is: a table of its own, which goes with its end.
const STATE: &str =
    "CREATE TABLE import (is_state boolean PRIMARY KEY CHECK (is_state), content bytea NOT NULL)";

const COUNT_FLAWS: &str = "
UPDATE flaw_counts c SET count = (SELECT count(*) FROM flaws f WHERE f.kind = c.kind)";

/// Tables that are being made.
pub(super) struct NewTables {
    session: Session,
    /// Absent while there are no tables.
    state: Option<ImportState>,
}

/// What is there is not what this import has left.
#[derive(Debug, thiserror::Error)]
#[error("another import goes on there")]
struct AnotherImport;

impl NewTables {
    /// Looks what is there.
    pub(super) fn open(address: &PostgresAddress) -> Result<Self, PostgresOpenError> {
        let session = Session::open(address)?;
        let state = match session.version()? {
            None => None,
            Some(IMPORTING) => {
                Some(state_of(&session, "SELECT content FROM import").map_err(|f| unusable("read", f))?)
            }
            Some(_) => return Err(PostgresOpenError::NotEmpty),
        };
        Ok(Self { session, state })
    }

    /// Does something in a transaction, if this import is where it was left.
    fn go_on(
        &mut self,
        state: ImportState,
        work: impl FnOnce(&Session) -> Result<(), Failure>,
    ) -> Result<(), StoreError> {
        let (session, before) = (&self.session, self.state.as_ref());
        let done = session.transact(|| {
            let found = state_of(session, "SELECT content FROM import FOR UPDATE")?;
            if Some(&found) != before {
                return Err(Failure::medium(AnotherImport));
            }
            work(session)
        });
        done.map_err(|failure| failure.into_error(IMPORT_ROWS))?;
        self.state = Some(state);
        Ok(())
    }
}

impl RowDestination for NewTables {
    fn layout(&self) -> u64 {
        VERSION.unsigned_abs().into()
    }

    fn state(&self) -> Option<&ImportState> {
        self.state.as_ref()
    }

    fn begin(&mut self, state: ImportState) -> Result<(), StoreError> {
        let session = &self.session;
        // A door that starts meanwhile has made the row of the ticket, or waits for this one and refuses it.
        let made = session.transact(|| {
            session.run(TICKET)?;
            let no_identity = [0_u8; 16].to_vec();
            session.ask(&query!(
                "INSERT INTO ledger VALUES (true, $1, $2, 0, '{}')",
                IMPORTING,
                no_identity
            ))?;
            for step in STEPS {
                session.run(step)?;
            }
            session.run(STATE)?;
            session.ask(&query!("INSERT INTO import VALUES (true, $1)", encode("import", &state)?))?;
            Ok(())
        });
        made.map_err(|failure| failure.into_error(IMPORT_ROWS))?;
        self.state = Some(state);
        Ok(())
    }

    fn add(&mut self, rows: &[Row], state: ImportState) -> Result<(), StoreError> {
        let mut queries = Vec::new();
        for part in rows.chunk_by(|one, other| one.part() == other.part()) {
            queries.extend(inserts(part).map_err(|failure| failure.into_error(IMPORT_ROWS))?);
        }
        let content = encode("import", &state).map_err(|failure| failure.into_error(IMPORT_ROWS))?;
        queries.push(query!("UPDATE import SET content = $1", content));
        self.go_on(state, |session| queries.iter().try_for_each(|query| session.ask(query).map(|_| ())))
    }

    fn source(&mut self) -> Result<Box<dyn RowSource + '_>, StoreError> {
        let begun = self.session.begin_snapshot();
        begun.map_err(|failure| failure.into_error(IMPORT_ROWS))?;
        Ok(Box::new(Reading(Rows::of(&self.session), &self.session)))
    }

    fn finish(&mut self, tally: &Tally) -> Result<(), StoreError> {
        // What was added is not known to whoever plans the next statement.
        self.session.run("ANALYZE").map_err(|failure| failure.into_error(IMPORT_ROWS))?;
        let state = self
            .state
            .clone()
            .ok_or_else(|| StoreError::Unavailable { attempted: IMPORT_ROWS, cause: Arc::new(NotThere) })?;
        self.go_on(state, |session| {
            session.run(JUDGE_ALL)?;
            session.run(COUNT_FLAWS)?;
            let rows = session.ask(&query!("SELECT content FROM ledger FOR UPDATE"))?;
            let row = rows.first().ok_or_else(|| Failure::corrupt("ticket", NotThere))?;
            let sums: Sums = decode(|| "ticket".into(), row.try_get(0)?)?;
            let sums = encode("ticket", &with_tally(sums, tally))?;
            session.ask(&query!("UPDATE ledger SET version = $1, content = $2", VERSION, sums))?;
            session.run("DROP TABLE import")
        })
    }
}

/// Reads in a transaction that ends with this.
struct Reading<'a>(Rows<&'a Session>, &'a Session);

impl RowSource for Reading<'_> {
    fn rows(&mut self, part: Part, behind: Option<&Row>) -> Result<Vec<Row>, StoreError> {
        self.0.rows(part, behind)
    }

    fn expected(&mut self) -> Result<u64, StoreError> {
        self.0.expected()
    }

    fn check_derived(&mut self, tally: &Tally, telling: &mut Telling<'_>) -> Result<(), StoreError> {
        self.0.check_derived(tally, telling)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        // A connection that is lost does that by itself.
        let _ = self.1.run("ROLLBACK");
    }
}

fn state_of(session: &Session, sql: &'static str) -> Result<ImportState, Failure> {
    let rows = session.ask(&query!(sql))?;
    let row = rows.first().ok_or_else(|| Failure::corrupt("import", NotThere))?;
    decode(|| "import".into(), row.try_get(0)?)
}

fn with_tally(sums: Sums, tally: &Tally) -> Sums {
    Sums {
        totals: tally.totals,
        empty_repositories: tally.empty_repositories,
        missing: tally.missing,
        open_intents: tally.of(Part::Intents),
        events: tally.of(Part::Events),
        tombstones: tally.of(Part::Tombstones),
        deleted: tally.deleted,
        hints: tally.of(Part::Hints),
        auth_events: tally.auth_events.clone(),
        ..sums
    }
}
