//! Where a ledger is asked and, when it stands in a store of its own, written.

use std::fmt;

use async_trait::async_trait;
use hub_backbone::Embedded;
use tokio::sync::oneshot;

use crate::Error;
use crate::sql::Sql;
use crate::sqlite::Lite;

/// A question: reads on a connection, and keeps the answer itself.
pub type Job = Box<dyn FnOnce(&mut dyn Sql) + Send>;
/// A change: all of it becomes durable, or none when it fails.
pub type Change = Box<dyn FnOnce(&mut dyn Sql) -> Result<(), Error> + Send>;

/// Where questions are answered: a bounded number of reading connections.
#[async_trait]
pub trait Reader: Send + Sync + fmt::Debug {
    /// Runs the job on a connection that sees one consistent state throughout. Dropping the future is safe.
    async fn read(&self, job: Job) -> Result<(), Error>;
}

/// A database of the ledger's own.
#[async_trait]
pub trait Store: Reader {
    /// Which one, for people; no secrets.
    fn at(&self) -> &str;

    /// Runs the change in a transaction. If the future is dropped, or the answer is [`Error::Away`], it may have happened.
    async fn write(&self, change: Change) -> Result<(), Error>;
}

/// Asks, and hands the answer over.
pub(crate) async fn ask<T: Send + 'static>(
    reader: &(impl Reader + ?Sized),
    question: impl FnOnce(&mut dyn Sql) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    reader.read(Box::new(move |sql| drop(answer.send(question(sql))))).await?;
    answered.await.map_err(|_| Error::Store("the reader dropped the question".into()))?
}

/// Changes, and hands over what the change found once it is durable.
pub(crate) async fn change<T: Send + 'static>(
    store: &dyn Store,
    change: impl FnOnce(&mut dyn Sql) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (answer, answered) = oneshot::channel();
    let change = move |sql: &mut dyn Sql| {
        // Nobody waits any more when the caller was dropped: the change stands all the same.
        drop(answer.send(change(sql)?));
        Ok(())
    };
    store.write(Box::new(change)).await?;
    answered.await.map_err(|_| Error::Store("the store dropped the change".into()))
}

#[async_trait]
impl Reader for Embedded {
    async fn read(&self, job: Job) -> Result<(), Error> {
        let asked = self.query(move |conn| {
            job(&mut Lite(conn));
            Ok(())
        });
        Ok(asked.await?)
    }
}
