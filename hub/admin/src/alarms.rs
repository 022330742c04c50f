//! Alarms: what needs somebody, computed in one place.
//!
//! Three witnesses tell what is wrong: the hub and its store ([`hub_runtime::Operate::alarms`]), the hub's figures, and the
//! ledger. `judge` makes alarms of it, a pure function; [`AlarmWatch`] looks every few seconds, notices what is new and what
//! is over, and tells the log, the event stream and whoever asks. `known` lists every name with what to do.
//!
//! Raised and cleared alarms are not written to the journal. The journal is the history of cases, and an alarm is about the
//! machine; the worst ones say that nothing can be written. What an alarm is computed from (a parked message, a doubt) has
//! its own events there. So the history lives in memory, bounded, and in the log, target `alarm`, for those who keep logs;
//! after a restart, what still stands is raised again.

mod feed;
mod judge;
mod known;
mod settings;
mod watch;

pub use known::{KNOWN, Known};
pub use settings::AlarmSettings;
pub use watch::AlarmWatch;

pub(crate) use feed::{Change, Since};
pub(crate) use known::known;
pub(crate) use watch::{Look, Standing};
