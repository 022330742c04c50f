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

    /// Forgets an instant that does not matter any more. What ends long before its deadline must not stay in memory until then.
    pub(crate) fn unset(&mut self, at: Timestamp, key: impl Into<String>) {
        let _ = self.0.remove(&(at, key.into()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_early_leaves_nothing_behind() {
        let (mut timers, at) = (Timers::default(), Timestamp::UNIX_EPOCH);
        timers.set(at, "wait:a");
        timers.set(at, "wait:b");
        timers.unset(at, "wait:a");
        timers.unset(at, "wait:unknown");
        assert_eq!(timers.due(at, 10), ["wait:b"]);
        assert_eq!(timers.next(), None);
    }
}
