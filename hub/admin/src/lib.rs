//! The admin API: what people and monitoring see of a running hub, and what they may tell it.
//!
//! - [`AdminSettings`]: where to listen, with which certificate, for whom.
//! - [`serve`]: starts it; the only socket of this crate.
//! - `roles`: who may do what, in one table; `auth`: bearer tokens.
//! - `api`: the calls, one file for each subject. Reads come from the ledger, writes go to [`hub_runtime::Operate`], whose
//!   owners judge them: nothing is decided here.
//! - `problem`: every error is an RFC 9457 problem.
//!
//! `openapi.json` is the published description; a test compares it with the code.

mod api;
mod auth;
mod extract;
mod metrics;
mod openapi;
mod problem;
mod roles;
mod router;
mod serve;
mod settings;

pub use api::{
    AlarmView, CaseQuery, DecisionRequest, DecisionView, MessageQuery, ParkedQuery, ReadyView, ReleaseRequest,
    ReleaseView, RouteView, StatisticsQuery, StatusView, TaskQuery, TaskView,
};
pub use openapi::{OPENAPI, openapi_json};
pub use problem::ProblemBody;
pub use roles::{Act, Role};
pub use router::AdminState;
pub use serve::{Running, ServeError, serve};
pub use settings::{AdminSettings, TlsSettings, TokenSettings};
