//! What happened, as one number (equal histories give equal numbers) and, if somebody reads it, as a story.

use std::hash::{DefaultHasher, Hash, Hasher};

use hub_backbone::{Commit, Offset};
use jiff::Timestamp;

/// Lines of a story; a history that goes round in circles is cut.
const LINES_MAX: usize = 20_000;

#[derive(Default)]
pub(crate) struct Trace {
    hash: DefaultHasher,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(told: bool) -> Self {
        Self { hash: DefaultHasher::new(), lines: told.then(Vec::new) }
    }

    pub(crate) fn commit(&mut self, commit: &Commit, offsets: &[Offset]) {
        for ((place, record), offset) in commit.outputs.iter().zip(offsets) {
            (place, offset, &record.key, &record.bytes).hash(&mut self.hash);
        }
        for change in &commit.state {
            (change.place, change.space, &change.key, &change.value).hash(&mut self.hash);
        }
        commit.positions.hash(&mut self.hash);
    }

    pub(crate) fn tell(&mut self, now: Timestamp, what: impl FnOnce() -> String) {
        if let Some(lines) = self.lines.as_mut().filter(|lines| lines.len() < LINES_MAX) {
            lines.push(format!("{now:.3} {}", what()));
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.clone().finish()
    }

    pub(crate) fn story(&self) -> String {
        self.lines.as_ref().map(|lines| lines.join("\n")).unwrap_or_default()
    }
}
