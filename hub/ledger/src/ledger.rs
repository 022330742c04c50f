//! The ledger, asked from async code.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::page::{Page, PageRequest};
use crate::query::{self, Attention, CaseDetail, CaseFilter, Counts, MessageFilter, ParkedFilter, StatisticsFilter};
use crate::query::{TaskFilter, Visible};
use crate::rows::{CaseRow, DecisionRow, DocumentRow, EventRow, MessageRow, ParkedRow, StatisticsRow, TaskRow};
use crate::sql::Sql;
use crate::store::{self, Reader};
use crate::{Error, FileReader, digest};

/// The ledger. Cheap to clone. Every answer is bounded; see [`crate::PAGE_MAX`].
#[derive(Clone, Debug)]
pub struct Ledger {
    reader: Arc<dyn Reader>,
}

impl Ledger {
    /// A ledger that is read through `reader`.
    #[must_use]
    pub fn new(reader: Arc<dyn Reader>) -> Self {
        Self { reader }
    }

    /// A ledger in a SQLite file that someone else writes (the embedded backbone's).
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::new(Arc::new(FileReader::new(path)))
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Sql) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        store::ask(&*self.reader, question).await
    }

    /// Cases, newest first.
    ///
    /// # Errors
    /// A bad filter or cursor, or a store that cannot be read; the same for all lists.
    pub async fn cases(&self, filter: CaseFilter) -> Result<Page<CaseRow>, Error> {
        self.ask(move |sql| query::cases(sql, &filter)).await
    }

    /// One case with what belongs to it; `None`: there is none that may be seen.
    ///
    /// # Errors
    /// If the store cannot be read; the same for all that give one thing.
    pub async fn case(&self, id: &str, visible: Visible) -> Result<Option<CaseDetail>, Error> {
        let id = id.to_string();
        self.ask(move |sql| query::case_detail(sql, &id, &visible)).await
    }

    /// The events of a case, oldest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn timeline(
        &self,
        case: &str,
        visible: Visible,
        page: PageRequest,
    ) -> Result<Option<Page<EventRow>>, Error> {
        let id = case.to_string();
        self.ask(move |sql| match query::case(sql, &id, &visible)? {
            None => Ok(None),
            Some(_) => query::timeline(sql, &id, &page).map(Some),
        })
        .await
    }

    /// The documents of a case.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn documents(&self, case: &str, visible: Visible) -> Result<Option<Vec<DocumentRow>>, Error> {
        let id = case.to_string();
        self.ask(move |sql| match query::case(sql, &id, &visible)? {
            None => Ok(None),
            Some(_) => query::documents(sql, &id).map(Some),
        })
        .await
    }

    /// The document of this hash, if a case names it that may be seen.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn document(&self, sha256: &str, visible: Visible) -> Result<Option<DocumentRow>, Error> {
        let sha256 = sha256.to_string();
        self.ask(move |sql| query::document(sql, &sha256, &visible)).await
    }

    /// Tasks, newest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn tasks(&self, filter: TaskFilter) -> Result<Page<TaskRow>, Error> {
        self.ask(move |sql| query::tasks(sql, &filter)).await
    }

    /// One task and what people have said about it.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn task(&self, id: &str, visible: Visible) -> Result<Option<(TaskRow, Vec<DecisionRow>)>, Error> {
        let id = id.to_string();
        self.ask(move |sql| match query::task(sql, &id, &visible)? {
            None => Ok(None),
            Some(task) => query::decisions(sql, &id).map(|decisions| Some((task, decisions))),
        })
        .await
    }

    /// Parked messages, newest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn parked_list(&self, filter: ParkedFilter) -> Result<Page<ParkedRow>, Error> {
        self.ask(move |sql| query::parked_list(sql, &filter)).await
    }

    /// One parked message.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn parked(&self, id: &str, visible: Visible) -> Result<Option<ParkedRow>, Error> {
        let id = id.to_string();
        self.ask(move |sql| query::parked(sql, &id, &visible)).await
    }

    /// Admitted messages, newest first.
    ///
    /// # Errors
    /// As [`Self::cases`].
    pub async fn messages(&self, filter: MessageFilter) -> Result<Page<MessageRow>, Error> {
        self.ask(move |sql| query::messages(sql, &filter)).await
    }

    /// One admitted message.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn message(&self, id: &str, visible: Visible) -> Result<Option<MessageRow>, Error> {
        let id = id.to_string();
        self.ask(move |sql| query::message(sql, &id, &visible)).await
    }

    /// Statistics by entity, month, kind and state.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn statistics(&self, filter: StatisticsFilter) -> Result<Vec<StatisticsRow>, Error> {
        self.ask(move |sql| query::statistics(sql, &filter)).await
    }

    /// What waits for people now.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn counts(&self, visible: Visible) -> Result<Counts, Error> {
        self.ask(move |sql| query::counts(sql, &visible)).await
    }

    /// What needs attention now, over all entities; deadlines before `near` count as near.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn attention(&self, near: Timestamp) -> Result<Attention, Error> {
        self.ask(move |sql| query::attention(sql, near)).await
    }

    /// SHA-256 over all content: equal after a rebuild.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn digest(&self) -> Result<String, Error> {
        self.ask(digest::digest).await
    }

    /// For each message (its id, its case): whether it has come to its end, and nothing of its case is open. A message that
    /// is not known is not over.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn are_over(&self, messages: Vec<(String, String)>) -> Result<Vec<bool>, Error> {
        self.ask(move |sql| messages.iter().map(|(id, case)| query::is_over(sql, id, case)).collect()).await
    }

    /// For each blob: whether it is a document that must be there at `now`: archived and not past its time, or shown to people
    /// or parked at or after `shown_since`.
    ///
    /// # Errors
    /// As [`Self::case`].
    pub async fn are_needed(
        &self,
        blobs: Vec<String>,
        now: Timestamp,
        shown_since: Timestamp,
    ) -> Result<Vec<bool>, Error> {
        self.ask(move |sql| blobs.iter().map(|name| query::is_needed(sql, name, now, shown_since)).collect()).await
    }
}
