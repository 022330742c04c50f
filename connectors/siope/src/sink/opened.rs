//! What was read of answers already, so that a repeated search costs one list and not a thousand downloads.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use crate::listing::{Item, Kind};
use crate::office::Office;
use crate::reference::Answer;

/// Answers remembered; the oldest are forgotten first.
const OPENED_MAX: usize = 20_000;

type Key = (Kind, Office, String, String);
/// An answer, or why it cannot be read.
pub(crate) type Reading = Arc<Result<Answer, String>>;

/// Answers that were opened.
#[derive(Default)]
pub(crate) struct Opened(Mutex<Memory>);

#[derive(Default)]
struct Memory {
    readings: HashMap<Key, Reading>,
    order: VecDeque<Key>,
}

impl Opened {
    pub(crate) fn get(&self, kind: Kind, office: &Office, item: &Item) -> Option<Reading> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.readings.get(&key(kind, office, item)).cloned()
    }

    pub(crate) fn put(&self, kind: Kind, office: &Office, item: &Item, reading: Reading) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(kind, office, item);
        if memory.readings.insert(key.clone(), reading).is_none() {
            memory.order.push_back(key);
        }
        if memory.order.len() > OPENED_MAX
            && let Some(oldest) = memory.order.pop_front()
        {
            let _ = memory.readings.remove(&oldest);
        }
    }
}

fn key(kind: Kind, office: &Office, item: &Item) -> Key {
    (kind, office.clone(), item.prog.clone(), item.data.clone())
}
