//! One connection, spoken to from a thread that may block.

use std::collections::HashMap;
use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::join;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked};
use tokio_postgres::{Client, Connection, RowStream, Statement};

use super::settings::Target;
use crate::Error;
use crate::sql::{Dialect, Row, Sql, Value, unreadable};
use crate::store::Change;

/// Statements that are sent without waiting for an answer, at most.
const WAITING_MAX: usize = 64;
/// Prepared statements that a connection keeps: more than the writing ones are, so that these stay.
const STATEMENTS_MAX: usize = 200;
/// Rows that are taken from the line at once.
const ROWS_AT_ONCE: usize = 256;

type PgError = tokio_postgres::Error;
type Sent<'l> = Pin<Box<dyn Future<Output = Result<(), PgError>> + Send + 'l>>;

/// A connection with its prepared statements.
pub(super) struct Link {
    client: Client,
    statements: HashMap<String, Statement>,
    /// It did not answer: what comes later may be the answer to something else.
    broken: bool,
}

impl Link {
    /// Takes a new connection; its line is served until the client is dropped.
    pub(super) fn new<S, T>(client: Client, line: Connection<S, T>) -> Self
    where
        Connection<S, T>: Future<Output = Result<(), PgError>> + Send + 'static,
    {
        // Whoever asks next hears of an end; nobody waits for this one.
        drop(tokio::spawn(line));
        Self { client, statements: HashMap::new(), broken: false }
    }

    pub(super) fn stands(&self) -> bool {
        !self.broken && !self.client.is_closed()
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, PgError> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(&numbered(sql)).await?;
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let _ = self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

/// A transaction on a connection.
pub(super) struct Pg<'l> {
    link: &'l mut Link,
    target: &'l Target,
    handle: Handle,
    /// Statements that nobody waits for yet.
    waiting: Vec<(String, Vec<Value<'static>>)>,
}

impl<'l> Pg<'l> {
    pub(super) fn new(link: &'l mut Link, target: &'l Target, handle: Handle) -> Self {
        Self { link, target, handle, waiting: Vec::new() }
    }

    /// Runs the change between `begin` and the commit.
    pub(super) fn transact(mut self, begin: &str, change: Change) -> Result<(), Error> {
        self.script(begin)?;
        match change(&mut self).and_then(|()| self.flush()) {
            Ok(()) => self.script("COMMIT"),
            Err(error) => {
                self.waiting.clear();
                // A connection that cannot even do this is not used again.
                self.link.broken |= self.script("ROLLBACK").is_err();
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let link = &mut *self.link;
        let sent = wait(&self.handle, self.target.within, send(link, &waiting));
        self.heard(sent)
    }

    fn heard<T>(&mut self, answer: Option<Result<T, PgError>>) -> Result<T, Error> {
        match answer {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(match is_away(&error) {
                true => self.target.away(&words(&error)),
                false => Error::Refused(words(&error)),
            }),
            None => {
                self.link.broken = true;
                Err(self.target.away(&format!("no answer within {:?}", self.target.within)))
            }
        }
    }
}

/// Waits for an answer, not longer than `within`.
fn wait<T>(handle: &Handle, within: Duration, work: impl Future<Output = T>) -> Option<T> {
    handle.block_on(async { timeout(within, work).await.ok() })
}

/// Sends statements one behind the other, and waits for all answers. The first that is refused makes the rest fail.
async fn send(link: &mut Link, waiting: &[(String, Vec<Value<'static>>)]) -> Result<(), PgError> {
    let mut prepared = Vec::with_capacity(waiting.len());
    for (sql, values) in waiting {
        prepared.push((link.prepare(sql).await?, values));
    }
    in_order(sends(&link.client, prepared)).await
}

fn sends<'l>(client: &'l Client, prepared: Vec<(Statement, &'l Vec<Value<'static>>)>) -> Vec<Sent<'l>> {
    let send = |(statement, values): (Statement, &'l Vec<Value<'static>>)| -> Sent<'l> {
        Box::pin(async move { client.execute_raw(&statement, parameters(values)).await.map(drop) })
    };
    prepared.into_iter().map(send).collect()
}

/// Polls all in order, so that they are sent in order; gives the first error.
async fn in_order(mut sent: Vec<Sent<'_>>) -> Result<(), PgError> {
    let mut refused = None;
    poll_fn(|cx| {
        sent.retain_mut(|one| match one.as_mut().poll(cx) {
            Poll::Ready(Ok(())) => false,
            Poll::Ready(Err(error)) => {
                let _ = refused.get_or_insert(error);
                false
            }
            Poll::Pending => true,
        });
        if sent.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    refused.map_or(Ok(()), Err)
}

/// Sends what waits and a question behind it.
async fn ask(
    link: &mut Link,
    waiting: &[(String, Vec<Value<'static>>)],
    (sql, values): (&str, &[Value<'_>]),
) -> Result<RowStream, PgError> {
    let mut prepared = Vec::with_capacity(waiting.len());
    for (sql, values) in waiting {
        prepared.push((link.prepare(sql).await?, values));
    }
    let question = link.prepare(sql).await?;
    let sent = in_order(sends(&link.client, prepared));
    let (sent, answer) = join(sent, link.client.query_raw(&question, parameters(values))).await;
    sent?;
    answer
}

fn parameters<'v>(values: &'v [Value<'_>]) -> impl ExactSizeIterator<Item = &'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync))
}

impl Sql for Pg<'_> {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn run(&mut self, sql: &str, values: &[Value<'_>]) -> Result<(), Error> {
        self.waiting.push((sql.to_owned(), values.iter().cloned().map(Value::into_owned).collect()));
        if self.waiting.len() >= WAITING_MAX { self.flush() } else { Ok(()) }
    }

    fn script(&mut self, sql: &str) -> Result<(), Error> {
        self.flush()?;
        let done = wait(&self.handle, self.target.within, self.link.client.batch_execute(sql));
        self.heard(done)
    }

    fn each(
        &mut self,
        sql: &str,
        values: &[Value<'_>],
        row: &mut dyn FnMut(Row) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let asked = wait(&self.handle, self.target.within, ask(self.link, &waiting, (sql, values)));
        let mut rows = pin!(self.heard(asked)?);
        loop {
            let some = wait(&self.handle, self.target.within, next_rows(rows.as_mut()));
            let some = self.heard(some)?;
            some.iter().try_for_each(|found| row(row_of(found)?))?;
            // A stream that has ended must not be asked again.
            if some.len() < ROWS_AT_ONCE {
                return Ok(());
            }
        }
    }
}

/// The next rows; fewer than [`ROWS_AT_ONCE`] are the last.
async fn next_rows(mut rows: Pin<&mut RowStream>) -> Result<Vec<tokio_postgres::Row>, PgError> {
    let mut some = Vec::new();
    while some.len() < ROWS_AT_ONCE {
        match rows.try_next().await? {
            Some(row) => some.push(row),
            None => break,
        }
    }
    Ok(some)
}

fn row_of(row: &tokio_postgres::Row) -> Result<Row, Error> {
    let value = |(at, column): (usize, &tokio_postgres::Column)| {
        let value = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(at).map(Value::from),
            Type::INT4 => row.try_get::<_, Option<i32>>(at).map(|n| n.map(i64::from).into()),
            _ => row.try_get::<_, Option<String>>(at).map(Value::from),
        };
        value.map_err(|error| unreadable(at, error))
    };
    row.columns().iter().enumerate().map(value).collect::<Result<_, Error>>().map(Row::new)
}

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(n) if *ty == Type::INT8 => n.to_sql(ty, out),
            Self::Text(text) if <&str as ToSql>::accepts(ty) => (&**text).to_sql(ty, out),
            Self::Int(_) | Self::Text(_) => Err(format!("a value of the ledger does not fit {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// `?` and `?2` as `$1` and `$2`. There are no other question marks in our statements.
fn numbered(sql: &str) -> String {
    let mut parts = sql.split('?');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for (n, part) in (1..).zip(parts) {
        text.push('$');
        if !part.starts_with(|c: char| c.is_ascii_digit()) {
            text.push_str(&n.to_string());
        }
        text.push_str(part);
    }
    text
}

/// What went wrong, without values of rows.
pub(super) fn words(error: &PgError) -> String {
    match error.as_db_error() {
        Some(refusal) => format!("{} ({})", refusal.message(), refusal.code().code()),
        None => error.source().map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
    }
}

/// Whether the database may do the same thing later: it is stopping, starting, or short of something; or a lock was in the way.
fn is_away(error: &PgError) -> bool {
    error.code().is_none_or(|code| ["57", "53", "40", "55", "08"].iter().any(|class| code.code().starts_with(class)))
}

/// Refuses a database that cannot keep every text.
pub(super) fn is_usable(sql: &mut dyn Sql) -> Result<(), Error> {
    let encoding = sql.first("SELECT current_setting('server_encoding')", &[], |row| row.text(0))?.unwrap_or_default();
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::Refused(format!("the database has the encoding {encoding}; make one with ENCODING 'UTF8'")))
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn question_marks_become_numbers() {
        assert_eq!(numbered("SELECT 1"), "SELECT 1");
        assert_eq!(numbered("a = ? AND (b, c) < (?, ?)"), "a = $1 AND (b, c) < ($2, $3)");
        assert_eq!(numbered("a = ?2 AND b = ?1, ?11"), "a = $2 AND b = $1, $11");
    }
}
