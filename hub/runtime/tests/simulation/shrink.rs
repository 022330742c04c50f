//! The smallest history that still fails: parts are left out as long as what is left breaks a promise.

use std::collections::BTreeSet;

use crate::history::History;

/// Histories that shrinking tries at most.
const TRIES_MAX: usize = 600;

/// Leaves out parts, large ones first, while `fails` says that the rest still fails.
pub(crate) fn shrink(history: &History, fails: impl Fn(&History) -> bool) -> History {
    let (mut kept, mut tries) = (history.ids(), 0);
    let mut size = kept.len().div_ceil(2);
    while size > 0 && tries < TRIES_MAX {
        let (before, mut at) = (kept.len(), 0);
        while at < kept.len() && tries < TRIES_MAX {
            let without: BTreeSet<usize> =
                kept.iter().enumerate().filter(|(i, _)| !(at..at + size).contains(i)).map(|(_, id)| *id).collect();
            tries += 1;
            match fails(&history.only(&without)) {
                true => kept = without.into_iter().collect(),
                false => at += size,
            }
        }
        // Parts of one size until none can go: what goes may make another one needless.
        size = if size == 1 && kept.len() < before { 1 } else { size / 2 };
    }
    history.only(&kept.into_iter().collect())
}
