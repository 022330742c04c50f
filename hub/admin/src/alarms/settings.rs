//! `alarms` in `config/hub.yaml`.

use std::time::Duration;

use hub_core::{Bytesize, Span};
use serde::Deserialize;

/// When to raise alarms.
///
/// ```yaml
/// alarms: { every: 5s, deadline_near: 30m, disk_free: 1GiB, unsent_after: 30m, clear_after: 15s }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmSettings {
    /// How often the hub looks, at least `1s`.
    pub every: Span,
    /// `deadline`: an open task or wait ends within this time.
    pub deadline_near: Span,
    /// `disk-low`: less than this is free on the disk of the store.
    pub disk_free: Bytesize,
    /// `backlog`: so many records wait in one inbox partition. Left out: four fifths of `limits.backlog`.
    pub backlog: Option<u64>,
    /// `backlog`: the oldest message that waits to be sent is older than this.
    pub unsent_after: Span,
    /// How long an alarm must be gone before it counts as over, so that one that comes and goes does not flood.
    pub clear_after: Span,
}

impl Default for AlarmSettings {
    fn default() -> Self {
        Self {
            every: Span(Duration::from_secs(5)),
            deadline_near: Span(Duration::from_secs(30 * 60)),
            disk_free: Bytesize(1 << 30),
            backlog: None,
            unsent_after: Span(Duration::from_secs(30 * 60)),
            clear_after: Span(Duration::from_secs(15)),
        }
    }
}

impl AlarmSettings {
    /// How often to look, whatever the configuration says.
    pub(crate) fn pause(&self) -> Duration {
        self.every.0.max(Duration::from_secs(1))
    }
}
