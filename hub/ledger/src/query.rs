//! What one may ask the ledger, on a connection. Every question is written once, for
//! both databases. [`crate::Ledger`] asks the same from async code.

mod attention;
mod cases;
mod kept;
mod list;
mod money;
mod parked;
mod read;
mod tasks;

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::page::PageRequest;
use crate::rows::{CaseRow, DocumentRow, EventRow, ParkedRow, SendRow, TaskRow, WaitRow};

pub use attention::Attention;
pub(crate) use attention::attention;
pub(crate) use cases::{case, case_detail, cases, document, documents, timeline};
pub(crate) use kept::{is_needed, is_over};
pub(crate) use money::{counts, statistics};
pub(crate) use parked::{message, messages, parked, parked_list};
pub(crate) use tasks::{decisions, task, tasks};

/// Whose rows a person may see. What belongs to no known entity is for those who see all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// All entities, and what belongs to none.
    All,
    /// These only.
    Only(Vec<String>),
}

impl Visible {
    /// Whether rows of this entity may be seen.
    #[must_use]
    pub fn allows(&self, entity: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(entities) => !entity.is_empty() && entities.iter().any(|known| known == entity),
        }
    }

    /// The entities to look at when one is asked for (`None`: no restriction).
    fn narrowed(&self, entity: Option<&str>) -> Option<Vec<String>> {
        match (self, entity) {
            (Self::All, None) => None,
            (Self::Only(entities), None) => Some(entities.iter().filter(|e| self.allows(e)).cloned().collect()),
            (_, Some(entity)) if self.allows(entity) => Some(vec![entity.to_string()]),
            (_, Some(_)) => Some(Vec::new()),
        }
    }
}

/// Which cases.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseFilter {
    /// Whose.
    pub visible: Visible,
    /// Of this kind.
    pub kind: Option<String>,
    /// In this state; the empty text: before the first.
    pub state: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// With this text in their id, upper or lower case.
    pub text: Option<String>,
    /// Opened at or after.
    pub from: Option<Timestamp>,
    /// Opened before.
    pub to: Option<Timestamp>,
    /// Of at least this amount, in euro.
    pub amount_min: Option<Decimal>,
    /// Of at most this amount, in euro.
    pub amount_max: Option<Decimal>,
    /// Which page.
    pub page: PageRequest,
}

/// Which tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskFilter {
    /// Whose.
    pub visible: Visible,
    /// For any of these roles (escalated ones included); `None`: all.
    pub roles: Option<Vec<String>>,
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this case.
    pub case: Option<String>,
    /// Open or closed ones; `None`: both.
    pub open: Option<bool>,
    /// Which page.
    pub page: PageRequest,
}

/// Which parked messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedFilter {
    /// Whose.
    pub visible: Visible,
    /// Of this kind.
    pub kind: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// Waiting (`true`) or released ones; `None`: both.
    pub open: Option<bool>,
    /// Which page.
    pub page: PageRequest,
}

/// Which admitted messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageFilter {
    /// Whose.
    pub visible: Visible,
    /// Taken by this route.
    pub route: Option<String>,
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this case.
    pub case: Option<String>,
    /// In this state.
    pub state: Option<String>,
    /// Which page.
    pub page: PageRequest,
}

/// Which statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatisticsFilter {
    /// Whose.
    pub visible: Visible,
    /// Of this entity.
    pub entity: Option<String>,
    /// Of this kind of case.
    pub kind: Option<String>,
    /// From this month on, `2026-01`.
    pub from: Option<String>,
    /// Up to this month, itself included.
    pub to: Option<String>,
}

impl CaseFilter {
    /// All that may be seen, first page.
    #[must_use]
    pub fn of(visible: Visible) -> Self {
        Self {
            visible,
            kind: None,
            state: None,
            entity: None,
            text: None,
            from: None,
            to: None,
            amount_min: None,
            amount_max: None,
            page: PageRequest::default(),
        }
    }
}

impl TaskFilter {
    /// All that may be seen, first page.
    #[must_use]
    pub fn of(visible: Visible) -> Self {
        Self { visible, roles: None, entity: None, case: None, open: None, page: PageRequest::default() }
    }
}

impl ParkedFilter {
    /// All that may be seen, first page.
    #[must_use]
    pub fn of(visible: Visible) -> Self {
        Self { visible, kind: None, entity: None, open: None, page: PageRequest::default() }
    }
}

impl MessageFilter {
    /// All that may be seen, first page.
    #[must_use]
    pub fn of(visible: Visible) -> Self {
        Self { visible, route: None, entity: None, case: None, state: None, page: PageRequest::default() }
    }
}

impl StatisticsFilter {
    /// All that may be seen.
    #[must_use]
    pub fn of(visible: Visible) -> Self {
        Self { visible, entity: None, kind: None, from: None, to: None }
    }
}

/// A case with what belongs to it; of each list the first 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CaseDetail {
    /// The case.
    pub case: CaseRow,
    /// What happened, oldest first.
    pub timeline: Vec<EventRow>,
    /// What was kept.
    pub documents: Vec<DocumentRow>,
    /// What people were asked.
    pub tasks: Vec<TaskRow>,
    /// What was sent.
    pub sends: Vec<SendRow>,
    /// What it waited for.
    pub waits: Vec<WaitRow>,
    /// What stopped.
    pub parked: Vec<ParkedRow>,
}

/// What waits for people now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Counts {
    /// Parked messages.
    pub parked: u64,
    /// Sends of which nobody knows whether they happened.
    pub in_doubt: u64,
    /// Open tasks.
    pub open_tasks: u64,
}
