//! Why a database cannot be used.

/// Why a record in PostgreSQL cannot be opened. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// The address cannot be read. Its text may have a password in it and is not repeated.
    #[error(
        "`store.url` is no address of a PostgreSQL database: {cause}; write it as \"postgres://user@host/database\""
    )]
    Address {
        /// What is wrong with it.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It says of encryption what is not taken.
    #[error(
        "`store.url` has sslmode={found}; write verify-full, verify-ca, require or disable: what falls back to a connection \
         without encryption is not taken"
    )]
    Mode {
        /// What it says.
        found: String,
    },
    /// It names a file for TLS.
    #[error("`store.url` has {parameter}; name that file in `{key}`")]
    TlsFile {
        /// The parameter.
        parameter: &'static str,
        /// Where its value belongs.
        key: &'static str,
    },
    /// No door has made the tables yet.
    #[error("the database has no tables of a record: a door makes them when it starts")]
    Absent,
    /// A record is being imported there.
    #[error(
        "the record in the database is imported only in part: run `portreeve store import` or `restore` again with the same \
         file, which goes on where it has ended, or begin anew in an empty database"
    )]
    HalfImported,
    /// A record is imported only where there is none.
    #[error(
        "the database has a record already: a record is imported where there is none yet; give an empty database"
    )]
    NotEmpty,
    /// An earlier version of this program has made the tables, and no door of this one was started since.
    #[error(
        "the tables have version {found}, and this program makes {known} of them when a door starts: start one, or use the \
         version that made them"
    )]
    Older {
        /// The version of the tables.
        found: i32,
        /// The one that this program makes of them.
        known: i32,
    },
    /// The database does not do what is needed of it.
    #[error("cannot {attempted} the database: {cause}")]
    Unusable {
        /// What was attempted.
        attempted: &'static str,
        /// The cause, with its own words.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A later version of this program has changed the tables.
    #[error(
        "the tables have version {found}, and this program knows {known}: start the version that made them, or a later one"
    )]
    Newer {
        /// The version of the tables.
        found: i32,
        /// The latest one that this program knows.
        known: i32,
    },
}

impl PostgresOpenError {
    pub(super) fn unusable(attempted: &'static str, cause: tokio_postgres::Error) -> Self {
        Self::Unusable { attempted, cause: super::failure::explained(cause) }
    }
}
