//! Cases, their history, documents, tasks, sends, waits, parked messages and statistics: a view of the journal.
//!
//! The journal is the truth. [`project`] turns one event into changes of rows and knows neither SQL nor time; `write` carries
//! them out; the same journal gives the same rows, live or rebuilt, whatever the batches were and whatever database it is.
//! Begin with [`project`], then [`rows`], then the queries of [`Ledger`]. Statements are written once, against [`Sql`].
//!
//! Where the rows stand:
//! - in the file of the embedded backbone ([`LedgerView`]), which hands over the connection of its own transaction;
//! - in a [`Store`] of the ledger's own ([`FileStore`], [`PostgresStore`]), which an [`Applier`] fills from the journal of any
//!   backbone.
//!
//! It is not a judge: whoever owns a case, a task or a send has judged before the event was written.

pub mod rows;
pub mod sqlite;

mod applier;
mod apply;
mod change;
mod digest;
mod error;
mod ledger;
mod marks;
mod money;
mod page;
mod postgres;
mod project;
mod query;
mod rebuild;
mod schema;
mod sql;
mod store;
mod summary;
mod view;
mod write;

pub use applier::{Applier, Watermark};
pub use apply::JournalRecord;
pub use change::RowChange;
pub use error::Error;
pub use ledger::Ledger;
pub use page::{PAGE_MAX, Page, PageRequest};
pub use postgres::{PostgresSettings, PostgresStore, PostgresTls};
pub use project::{At, project};
pub use query::{
    Attention, CaseDetail, CaseFilter, Counts, MessageFilter, ParkedFilter, StatisticsFilter, TaskFilter, Visible,
};
pub use rebuild::{catch_up, empty, rebuild};
pub use sql::{Dialect, Row, Sql, Value};
pub use sqlite::{FileReader, FileStore};
pub use store::{Change, Job, Reader, Store};
pub use summary::{kind_of, summary_of};
pub use view::LedgerView;
