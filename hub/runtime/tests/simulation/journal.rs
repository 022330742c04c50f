//! The journal and the ledger, read after each step as anybody could: the chain, each event exactly once, cases only in
//! allowed states, the story of each message, and the ledger equal to a rebuild.

use std::collections::{BTreeMap, VecDeque};

use hub_backbone::rusqlite::{Connection, OpenFlags};
use hub_backbone::{Backbone, Memory, Place, Stored, Topic};
use hub_core::journal::{Event, Parked, Task, What};
use hub_ledger::JournalRecord;
use hub_ledger::sqlite::{apply, clear, digest};

use crate::mutants::Mutant;

/// Which states follow which, as the judge knows it; `config.rs` holds what the hub is told.
const MOVES: [(&str, &[&str]); 5] = [
    ("", &["ricevuta"]),
    ("ricevuta", &["approvata", "inviata", "chiusa", "respinto"]),
    ("approvata", &["inviata", "chiusa"]),
    ("inviata", &["chiusa"]),
    ("chiusa", &[]),
];

/// Room for all statements of the ledger.
const STATEMENTS: usize = 200;

/// What one message has been through.
#[derive(Default)]
struct Story {
    events: u32,
    intents: BTreeMap<String, u32>,
    waits: BTreeMap<String, bool>,
    finished: bool,
}

pub(crate) struct Journal {
    records: Vec<Vec<Stored>>,
    cases: BTreeMap<String, String>,
    stories: BTreeMap<String, Story>,
    pub(crate) tasks: BTreeMap<String, Task>,
    pub(crate) parked: BTreeMap<String, Parked>,
    live: Connection,
    /// Empty tables, in which a rebuild is tried and taken back: to make them anew each time would take most of a history.
    scratch: Connection,
    forgetful: bool,
}

fn sql<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("the ledger fails: {error}"))
}

fn empty() -> Result<Connection, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = sql(Connection::open_in_memory_with_flags(flags))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    sql(clear(&conn))?;
    Ok(conn)
}

impl Journal {
    pub(crate) fn new(partitions: u16, mutant: Option<Mutant>) -> Result<Self, String> {
        Ok(Self {
            records: vec![Vec::new(); usize::from(partitions)],
            cases: BTreeMap::new(),
            stories: BTreeMap::new(),
            tasks: BTreeMap::new(),
            parked: BTreeMap::new(),
            live: empty()?,
            scratch: empty()?,
            forgetful: mutant == Some(Mutant::LedgerForgets),
        })
    }

    /// Reads what is new. `sent`: the events that were sent to the owners of cases and have not been seen here, by partition.
    pub(crate) async fn follow(
        &mut self,
        store: &Memory,
        sent: &mut BTreeMap<u16, VecDeque<Event>>,
    ) -> Result<(), String> {
        for partition in 0..store.partitions() {
            let place = Place::new(Topic::JOURNAL, partition);
            let from = self.records[usize::from(partition)].len() as u64;
            let new = store.read(place, from, usize::MAX, usize::MAX).await.map_err(|error| error.to_string())?;
            if new.is_empty() {
                continue;
            }
            self.write(partition, &new)?;
            for record in &new {
                let event: Event = serde_json::from_slice(&record.bytes).map_err(|error| error.to_string())?;
                expected(&event, sent.entry(partition).or_default())?;
                self.event(event)?;
            }
            self.records[usize::from(partition)].extend(new);
        }
        Ok(())
    }

    /// The ledger as it is kept while events come.
    fn write(&self, partition: u16, new: &[Stored]) -> Result<(), String> {
        sql(self.live.execute_batch("BEGIN"))?;
        for record in new {
            let finished = record.bytes.windows(8).any(|part| part == b"finished");
            let bytes = if self.forgetful && finished { self.without_finish(record)? } else { record.bytes.to_vec() };
            sql(apply(&self.live, [JournalRecord { partition, offset: record.offset, bytes: &bytes }]))?;
        }
        sql(self.live.execute_batch("COMMIT"))
    }

    /// The planted mistake: an event that says nothing.
    fn without_finish(&self, record: &Stored) -> Result<Vec<u8>, String> {
        let mut event: Event = serde_json::from_slice(&record.bytes).map_err(|error| error.to_string())?;
        event.what = What::Logged { text: String::new() };
        serde_json::to_vec(&event).map_err(|error| error.to_string())
    }

    /// The ledger is what a rebuild from the journal gives.
    pub(crate) fn compare(&self) -> Result<(), String> {
        sql(self.scratch.execute_batch("BEGIN"))?;
        for (partition, records) in (0u16..).zip(&self.records) {
            let records =
                records.iter().map(|record| JournalRecord { partition, offset: record.offset, bytes: &record.bytes });
            sql(apply(&self.scratch, records))?;
        }
        let same = sql(digest(&self.live))? == sql(digest(&self.scratch))?;
        sql(self.scratch.execute_batch("ROLLBACK"))?;
        if same { Ok(()) } else { Err("the ledger is not what a rebuild gives".into()) }
    }

    /// The whole journal once more from the beginning: every record still fits its chain.
    pub(crate) async fn verify(&self, store: &Memory) -> Result<(), String> {
        for partition in 0..store.partitions() {
            let place = Place::new(Topic::JOURNAL, partition);
            let all = store.read(place, 0, usize::MAX, usize::MAX).await.map_err(|error| error.to_string())?;
            if all != self.records[usize::from(partition)] {
                return Err(format!("{place} is not what it was"));
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<(), String> {
        self.case(&event)?;
        self.story(&event)?;
        match event.what {
            What::TaskOpened(task) => drop(self.tasks.insert(task.id.clone(), task)),
            What::TaskClosed { task, .. } => drop(self.tasks.remove(&task)),
            What::Parked(parked) => drop(self.parked.insert(parked.id.clone(), parked)),
            What::Released { parked, .. } => drop(self.parked.remove(&parked)),
            _ => {}
        }
        Ok(())
    }

    fn case(&mut self, event: &Event) -> Result<(), String> {
        let What::State { to, from, moved, .. } = &event.what else { return Ok(()) };
        let state = self.cases.entry(event.case.id.clone()).or_default();
        let allowed =
            MOVES.iter().find(|(state, _)| state == from).is_some_and(|(_, next)| next.contains(&to.as_str()));
        if *moved && event.case.kind == "pratica" && !(allowed && from == state) {
            return Err(format!("case {} moves from {from} to {to}, and was {state}", event.case.id));
        }
        if *moved {
            state.clone_from(to);
        }
        Ok(())
    }

    fn story(&mut self, event: &Event) -> Result<(), String> {
        let (case, what) = (&event.case.id, &event.what);
        let begin = matches!(what, What::State { from, .. } if from.is_empty());
        if event.message.is_empty() || begin {
            return Ok(());
        }
        let story = self.stories.entry(event.message.clone()).or_default();
        story.events += 1;
        let right = match what {
            What::Received { .. } => story.events == 1,
            What::SendIntended { outgoing, attempt, .. } => {
                let last = story.intents.insert(outgoing.clone(), *attempt).unwrap_or_default();
                *attempt == last + 1 && !story.finished
            }
            What::SendSettled { outgoing, attempt, .. } => story.intents.get(outgoing) == Some(attempt),
            What::WaitOpened { wait, .. } => story.waits.insert(wait.clone(), false).is_none(),
            What::WaitAnswered { wait, .. } => story.waits.insert(wait.clone(), true) == Some(false),
            What::Finished => {
                story.waits.values().all(|answered| *answered) && !std::mem::replace(&mut story.finished, true)
            }
            _ => story.events > 1,
        };
        if right { Ok(()) } else { Err(format!("the story of case {case} is out of order at {what:?}")) }
    }

    pub(crate) fn has_finished(&self, message: &str) -> bool {
        self.stories.get(message).is_some_and(|story| story.finished)
    }

    pub(crate) fn length(&self) -> usize {
        self.records.iter().map(Vec::len).sum()
    }
}

/// Events come exactly once and in the order in which they were sent; but for the first state of a case, which its owner adds.
fn expected(event: &Event, sent: &mut VecDeque<Event>) -> Result<(), String> {
    if matches!(&event.what, What::State { from, moved: true, to, .. } if from.is_empty() && to == "ricevuta") {
        return Ok(());
    }
    let next = sent.pop_front().ok_or_else(|| format!("nobody sent {:?}", event.what))?;
    let same = match (&event.what, &next.what) {
        (What::State { to, .. }, What::State { to: wanted, .. }) => to == wanted,
        (what, wanted) => what == wanted,
    };
    match same && event.message == next.message && event.at == next.at && event.case == next.case {
        true => Ok(()),
        false => Err(format!("the journal has {:?} where {:?} was sent", event.what, next.what)),
    }
}
