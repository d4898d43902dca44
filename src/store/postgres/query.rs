//! A statement with its values. It is read by the database anew each time: a statement that has a name would be that of one session.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Error, Row};

/// A value that goes with a statement, and its type.
pub(super) type Value = (Box<dyn ToSql + Sync + Send>, Type);

/// A statement with its values.
pub(super) struct Query {
    pub sql: &'static str,
    pub values: Vec<Value>,
}

/// Makes a [`Query`] of a statement and values.
macro_rules! query {
    ($sql:expr $(, $value:expr)* $(,)?) => {
        $crate::store::postgres::query::Query {
            sql: $sql,
            values: vec![$($crate::store::postgres::query::value($value)),*],
        }
    };
}

pub(super) use query;

impl Query {
    /// Asks, or changes something.
    pub(super) async fn ask(&self, client: &Client) -> Result<Vec<Row>, Error> {
        let values: Vec<(&(dyn ToSql + Sync), Type)> =
            self.values.iter().map(|(value, of)| (&**value as &(dyn ToSql + Sync), of.clone())).collect();
        client.query_typed(self.sql, &values).await
    }
}

/// A value with its type.
pub(super) fn value<T: Typed>(value: T) -> Value {
    (Box::new(value), T::TYPE)
}

/// What the database has one type for.
pub(super) trait Typed: ToSql + Sync + Send + 'static {
    const TYPE: Type;
}

/// Types of the database, alone and in lists.
macro_rules! typed {
    ($($rust:ty => $one:ident, $many:ident;)+) => {
        $(
            impl Typed for $rust {
                const TYPE: Type = Type::$one;
            }
            impl Typed for Option<$rust> {
                const TYPE: Type = Type::$one;
            }
            impl Typed for Vec<$rust> {
                const TYPE: Type = Type::$many;
            }
            impl Typed for Vec<Option<$rust>> {
                const TYPE: Type = Type::$many;
            }
        )+
    };
}

typed! {
    bool => BOOL, BOOL_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    String => TEXT, TEXT_ARRAY;
    &'static str => TEXT, TEXT_ARRAY;
    Vec<u8> => BYTEA, BYTEA_ARRAY;
}
