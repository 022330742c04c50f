//! The admin API: what a person, a console, a script or a monitor may ask of a running hub, over HTTP.
//!
//! Reads come from the [`hub_ledger::Ledger`]; writes are handed to [`hub_runtime::Operate`], whose owner judges them. The
//! API itself decides only who is asking ([`settings`](AdminSettings): tokens bound to a person, roles and entities) and
//! whether that person may ask at all ([`Role`], [`Right`]: one table).
//!
//! What needs somebody is found out in `alarms/`, in one place for metrics, events, status and log.
//!
//! It is not: a judge of tasks or parked messages, nor a second store. Begin with [`serve`], then `router.rs` (every
//! address), then `api/` (one file for each subject). `openapi.json` beside this crate is the description for clients.

mod alarms;
mod api;
mod ask;
mod error;
mod guard;
mod openapi;
mod problem;
mod prometheus;
mod roles;
mod router;
mod server;
mod settings;
mod staff;
mod state;
mod tls;

pub use alarms::{AlarmSettings, AlarmWatch, KNOWN as ALARMS, Known as KnownAlarm};
pub use error::Error;
pub use openapi::openapi_json;
pub use roles::{Right, Role};
pub use server::{Running, serve};
pub use settings::{AdminSettings, TlsSettings, TokenSettings};
pub use state::AdminState;
