//! A connection as the ledger sees it, whichever database is behind it: every statement is written once.
//!
//! Statements are SQL that both databases understand, with `?` or `?1` for values; the few words that differ come from
//! [`Dialect`]. Values are whole numbers and texts; nothing else stands in a ledger.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::Error;

/// What goes into a statement, or comes back in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// Nothing.
    Null,
    /// A whole number: counts, offsets, cents, microseconds since 1970.
    Int(i64),
    /// A text. It holds no NUL: PostgreSQL could not keep it.
    Text(Cow<'v, str>),
}

impl Value<'_> {
    /// The same, owning its text.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Int(n) => Value::Int(n),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }
}

impl<'v> From<&'v str> for Value<'v> {
    /// A NUL becomes U+FFFD, in what is written and in what is asked for, and in every database.
    fn from(text: &'v str) -> Self {
        if text.contains('\0') {
            return Self::Text(Cow::Owned(text.replace('\0', "\u{FFFD}")));
        }
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'v> From<&'v String> for Value<'v> {
    fn from(text: &'v String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::from(text.as_str()).into_owned()
    }
}

impl From<i64> for Value<'_> {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

impl From<u16> for Value<'_> {
    fn from(n: u16) -> Self {
        Self::Int(n.into())
    }
}

impl From<u32> for Value<'_> {
    fn from(n: u32) -> Self {
        Self::Int(n.into())
    }
}

impl From<u64> for Value<'_> {
    fn from(n: u64) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(n: usize) -> Self {
        Self::Int(i64::try_from(n).unwrap_or(i64::MAX))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(at: Timestamp) -> Self {
        Self::Int(at.as_microsecond())
    }
}

impl<'v, T: Into<Value<'v>>> From<Option<T>> for Value<'v> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// Values of several types in one list.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::sql::Value::from($value)),*] };
}
pub(crate) use values;

/// One row of an answer, by column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Vec<Value<'static>>);

impl Row {
    pub(crate) fn new(values: Vec<Value<'static>>) -> Self {
        Self(values)
    }

    /// All of it.
    pub(crate) fn values(&self) -> &[Value<'static>] {
        &self.0
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, Error> {
        self.text_if(column)?.ok_or_else(|| unreadable(column, "it is empty"))
    }

    pub(crate) fn text_if(&self, column: usize) -> Result<Option<String>, Error> {
        match self.0.get(column) {
            Some(Value::Text(text)) => Ok(Some(text.clone().into_owned())),
            Some(Value::Null) => Ok(None),
            _ => Err(unreadable(column, "it is not a text")),
        }
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, Error> {
        self.int_if(column)?.ok_or_else(|| unreadable(column, "it is empty"))
    }

    pub(crate) fn int_if(&self, column: usize) -> Result<Option<i64>, Error> {
        match self.0.get(column) {
            Some(Value::Int(n)) => Ok(Some(*n)),
            Some(Value::Null) => Ok(None),
            _ => Err(unreadable(column, "it is not a number")),
        }
    }

    /// A count or an offset.
    pub(crate) fn count<T: TryFrom<i64>>(&self, column: usize) -> Result<T, Error> {
        T::try_from(self.int(column)?).map_err(|_| unreadable(column, "the number is out of bounds"))
    }
}

/// What stands in a column cannot be what was written there.
pub(crate) fn unreadable(column: usize, detail: impl std::fmt::Display) -> Error {
    Error::Unreadable(format!("column {column}: {detail}"))
}

/// Where the two databases speak differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Definitions of tables, written for SQLite. PostgreSQL compares texts by their bytes here, as SQLite does: pages of
    /// lists and digests come in the same order.
    pub(crate) fn tables(self, sql: &str) -> String {
        match self {
            Self::Sqlite => sql.to_owned(),
            Self::Postgres => {
                let sql = sql.replace(" TEXT", " TEXT COLLATE \"C\"").replace(" INTEGER", " BIGINT");
                sql.replace(" WITHOUT ROWID", "")
            }
        }
    }

    /// Whether the id has `?` in it, in upper or lower case.
    pub(crate) fn id_contains(self) -> &'static str {
        match self {
            Self::Sqlite => "instr(lower(id), lower(?)) > 0",
            Self::Postgres => "strpos(lower(id), lower(?)) > 0",
        }
    }

    /// Ends a query whose row nobody else may change before this transaction ends.
    pub(crate) fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " FOR UPDATE",
        }
    }

    /// Lets two hubs that start at once look at the tables one after the other.
    pub(crate) fn alone(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "SELECT pg_advisory_xact_lock(7020617263636)",
        }
    }
}

/// A connection in a transaction of its caller. Only this crate's stores are one.
pub trait Sql {
    /// How it wants to be spoken to.
    fn dialect(&self) -> Dialect;

    /// Runs a statement that gives nothing back. It may wait to be sent with the next question, and a refusal comes then.
    ///
    /// # Errors
    /// What the database says.
    fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<(), Error>;

    /// Runs several statements without values.
    ///
    /// # Errors
    /// What the database says.
    fn script(&mut self, sql: &str) -> Result<(), Error>;

    /// Hands over the rows of an answer one by one.
    ///
    /// # Errors
    /// What the database says, or `row` does.
    fn each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        row: &mut dyn FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error>;
}

impl dyn Sql + '_ {
    /// All rows of an answer.
    pub(crate) fn rows<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut rows = Vec::new();
        self.each(sql, values, &mut |row| {
            rows.push(read(&row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row of an answer, if there is one.
    pub(crate) fn first<T>(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        read: impl Fn(&Row) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        Ok(self.rows(sql, values, read)?.into_iter().next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_nul_is_kept_and_one_with_it_is_the_same_everywhere() {
        assert_eq!(Value::from("è\u{1}"), Value::Text("è\u{1}".into()));
        assert_eq!(Value::from("a\0b".to_owned()), Value::from("a\u{FFFD}b"));
    }

    #[test]
    fn a_row_says_which_column_is_wrong() {
        let row = Row::new(vec![Value::Int(-1), Value::Null]);
        let error = row.count::<u64>(0).unwrap_err().to_string();
        assert!(error.contains("column 0") && error.contains("out of bounds"), "{error}");
        assert!(row.text(1).unwrap_err().to_string().contains("column 1"));
        assert_eq!(row.int_if(1).unwrap(), None);
    }
}
