//! Records in our topics that no hub wrote.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// How many are remembered one by one; all are counted.
const REMEMBERED: usize = 1_000;

/// A record that no hub wrote. It stays where it is, and nothing is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The topic, by its name on the cluster.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where it stands, in Kafka's numbering.
    pub offset: i64,
    /// Why it is none of ours.
    pub reason: String,
}

#[derive(Debug, Default)]
pub(crate) struct Quarantine(Mutex<Met>);

#[derive(Debug, Default)]
struct Met {
    count: u64,
    newest: VecDeque<Quarantined>,
}

impl Quarantine {
    /// Remembers a record, once, and says so in the log.
    pub(crate) fn put(&self, one: Quarantined) {
        let mut met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if met.newest.contains(&one) {
            return;
        }
        tracing::warn!(
            target: "kafka", topic = one.topic, partition = one.partition, offset = one.offset,
            "a record that no hub wrote is skipped: {}", one.reason
        );
        met.count += 1;
        if met.newest.len() == REMEMBERED {
            let _ = met.newest.pop_front();
        }
        met.newest.push_back(one);
    }

    pub(crate) fn list(&self) -> (u64, Vec<Quarantined>) {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (met.count, met.newest.iter().cloned().collect())
    }
}
