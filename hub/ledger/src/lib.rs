//! Cases, their history, documents, tasks, sends, waits, parked messages and statistics: a view of the journal.
//!
//! The journal is the truth. [`project`] turns one event into changes of rows and knows neither SQL nor time; [`sqlite`]
//! carries them out; the same journal gives the same rows, live or rebuilt, whatever the batches were. Begin with
//! [`project`], then [`rows`], then the queries of [`Ledger`].
//!
//! It is not: a store of its own (the embedded backbone hands it the connection of its own transaction), nor a judge
//! (whoever owns a case, a task or a send has judged before the event was written).

pub mod rows;
pub mod sqlite;

mod change;
mod error;
mod ledger;
mod page;
mod project;
mod query;
mod rebuild;
mod schema;
mod summary;
mod view;

pub use change::RowChange;
pub use error::Error;
pub use ledger::{FileReader, Job, Ledger, Reader};
pub use page::{PAGE_MAX, Page, PageRequest};
pub use project::{At, project};
pub use query::{
    Attention, CaseDetail, CaseFilter, Counts, MessageFilter, ParkedFilter, StatisticsFilter, TaskFilter, Visible,
};
pub use rebuild::{catch_up, rebuild};
pub use sqlite::JournalRecord;
pub use summary::{kind_of, summary_of};
pub use view::LedgerView;
