//! What was raised and cleared, in order: a bounded memory that many readers follow, each at their own pace.
//!
//! A reader owns nothing here but a number. One that is too slow finds that its place is gone and begins anew with what
//! stands now; nobody waits for it, and it costs nothing.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use hub_runtime::Alarm;
use jiff::Timestamp;
use tokio::sync::watch;

/// Changes that are kept.
const KEPT_MAX: usize = 1_000;
/// Changes that one look at the feed gives.
const PAGE_MAX: usize = 100;

/// An alarm was raised, or is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Its number in this life of the hub, from 1.
    pub(crate) n: u64,
    pub(crate) at: Timestamp,
    pub(crate) raised: bool,
    pub(crate) alarm: Alarm,
}

/// What came behind a number.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// These, the oldest first; perhaps none.
    Changes(Vec<Change>),
    /// Nobody knows: it is of another life, or too long ago.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Feed {
    /// Tells lives apart: numbers begin anew with each.
    life: String,
    kept: Mutex<VecDeque<Change>>,
    last: watch::Sender<u64>,
}

impl Feed {
    pub(super) fn new(begun: Timestamp) -> Self {
        let life = format!("{:x}", begun.as_microsecond());
        Self { life, kept: Mutex::default(), last: watch::Sender::new(0) }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, VecDeque<Change>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, at: Timestamp, raised: bool, alarm: Alarm) {
        let mut kept = self.kept();
        let n = *self.last.borrow() + 1;
        kept.push_back(Change { n, at, raised, alarm });
        if kept.len() > KEPT_MAX {
            let _ = kept.pop_front();
        }
        drop(kept);
        let _ = self.last.send_replace(n);
    }

    /// The newest changes, the newest first.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Change> {
        self.kept().iter().rev().take(limit).cloned().collect()
    }

    /// The number of the last change.
    pub(crate) fn last(&self) -> u64 {
        *self.last.borrow()
    }

    /// What came behind a number of this life, at most one page.
    pub(crate) fn since(&self, n: u64) -> Since {
        let kept = self.kept();
        let first = kept.front().map_or(self.last() + 1, |change| change.n);
        if n > self.last() || n + 1 < first {
            return Since::Gone;
        }
        Since::Changes(kept.iter().skip_while(|change| change.n <= n).take(PAGE_MAX).cloned().collect())
    }

    /// Completes when there is a change behind a number.
    pub(crate) async fn beyond(&self, n: u64) {
        drop(self.last.subscribe().wait_for(|last| *last > n).await);
    }

    /// A change's id, as readers see it.
    pub(crate) fn id(&self, n: u64) -> String {
        format!("{}-{n}", self.life)
    }

    /// The number in an id of this life.
    pub(crate) fn number(&self, id: &str) -> Option<u64> {
        let (life, n) = id.rsplit_once('-')?;
        (life == self.life).then(|| n.parse().ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(changes: u64) -> Feed {
        let feed = Feed::new(Timestamp::UNIX_EPOCH);
        let alarm = Alarm { name: "clock".into(), subject: "s".into(), detail: "d".into() };
        (0..changes).for_each(|_| feed.push(Timestamp::UNIX_EPOCH, true, alarm.clone()));
        feed
    }

    fn numbers(since: Since) -> Vec<u64> {
        match since {
            Since::Changes(changes) => changes.iter().map(|change| change.n).collect(),
            Since::Gone => panic!("the place is gone"),
        }
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_one_that_is_too_slow_begins_anew() {
        let feed = feed(1_500);
        assert_eq!(numbers(feed.since(1_498)), [1_499, 1_500]);
        assert_eq!(numbers(feed.since(1_500)), [0; 0]);
        assert_eq!(numbers(feed.since(500)).len(), PAGE_MAX);
        assert_eq!(feed.since(499), Since::Gone, "change 500 is not kept any more");
        assert_eq!(feed.since(1_501), Since::Gone, "a number that was never given");
        assert_eq!(feed.newest(2).iter().map(|change| change.n).collect::<Vec<_>>(), [1_500, 1_499]);
    }

    #[test]
    fn a_feed_without_changes_has_a_place_to_begin() {
        assert_eq!(numbers(feed(0).since(0)), [0; 0]);
    }

    #[test]
    fn ids_of_another_life_are_not_taken_for_ours() {
        let (feed, other) = (feed(3), Feed::new(Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(1)));
        assert_eq!(feed.number(&feed.id(2)), Some(2));
        assert_eq!(feed.number(&other.id(2)), None);
        assert_eq!(feed.number("nonsense"), None);
        assert_eq!(feed.number(""), None);
    }
}
