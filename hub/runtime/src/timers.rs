//! Instants at which a loop has to come back to something. Rebuilt from keyed state at start; keeps only names in memory.

use std::collections::BTreeSet;

use jiff::Timestamp;

/// What is due when.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(Timestamp, String)>);

impl Timers {
    pub(crate) fn set(&mut self, at: Timestamp, key: impl Into<String>) {
        let _ = self.0.insert((at, key.into()));
    }

    /// The next instant.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.0.first().map(|(at, _)| *at)
    }

    /// Takes what is due, at most `limit`.
    pub(crate) fn due(&mut self, now: Timestamp, limit: usize) -> Vec<String> {
        let mut due = Vec::new();
        while due.len() < limit && self.0.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.0.pop_first().map(|(_, key)| key));
        }
        due
    }
}
