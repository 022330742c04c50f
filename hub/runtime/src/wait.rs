//! Waits, answers, tasks and their deadlines. Only names and instants are in memory; the rest is keyed state.

mod answers;
mod overdue;
mod tasks;

pub(crate) use tasks::open_note;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Place, Stored, Topic};
use hub_failpoint::Point;
use hub_life::task;
use hub_life::wait::State as WaitLife;

use crate::Error;
use crate::batch::{Batch, Written};
use crate::commands::Answers;
use crate::hub::Shared;
use crate::interpret::wait_key;
use crate::record::{Answer, OpenTask, Partition, Wait, WaitRecord, decode};
use crate::timers::Timers;
use crate::worker::Worker;

/// How long an answer that nobody awaits is kept.
const ANSWER_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Answers kept for one key; more are dropped, oldest first.
const ANSWERS_MAX: usize = 20;
/// How long people have for a task that only tells.
const NOTE_WITHIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who waits for a key.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Waiting {
    home: Partition,
    wait: String,
}

/// A send whose delivery an answer would prove.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Witness {
    home: Partition,
    outgoing: String,
}

/// One partition of the waits.
pub(crate) struct WaitWorker {
    place: Place,
    shared: Arc<Shared>,
    timers: Timers,
    answers: Answers,
}

impl WaitWorker {
    pub(crate) fn new(place: Place, shared: Arc<Shared>) -> Self {
        Self { place, shared, timers: Timers::default(), answers: Answers::default() }
    }
}

#[async_trait]
impl Worker for WaitWorker {
    type Signal = ();
    const FAILPOINTS: [Point; 2] = [Point::WaitCommit, Point::WaitCommitted];

    fn place(&self) -> Place {
        self.place
    }

    fn timers(&mut self) -> &mut Timers {
        &mut self.timers
    }

    async fn restore(&mut self, _batch: &mut Batch<'_>) -> Result<(), Error> {
        for (space, prefix) in [("wait", "wait"), ("task", "task"), ("answer", "answer")] {
            let mut after: Option<String> = None;
            loop {
                let page = self.shared.backbone.scan(self.place, space, after.as_deref(), 500).await?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                for (key, bytes) in page {
                    self.restore_one(prefix, &key, &self.shared.claims().whole(bytes).await?)?;
                }
            }
        }
        Ok(())
    }

    async fn record(&mut self, batch: &mut Batch<'_>, record: Stored) -> Result<(), Error> {
        match decode(&format!("{} offset {}", self.place, record.offset), &record.bytes)? {
            WaitRecord::Open(wait) => self.open(batch, *wait).await,
            WaitRecord::Alias { name, key, home, wait } => {
                self.expect(batch, &name, &key, Waiting { home, wait }).await
            }
            WaitRecord::Answer(answer) => self.answered(batch, answer).await,
            WaitRecord::Forwarded { wait, answer } => {
                if !self.wake(batch, &wait, &answer).await? {
                    let at = batch.place(Topic::WAITS, &wait_key(&answer.name, &answer.key));
                    batch.wait(at, &wait, &WaitRecord::Unclaimed(answer));
                }
                Ok(())
            }
            WaitRecord::Unclaimed(answer) => self.unclaimed(batch, answer).await,
            WaitRecord::Forget { name, key, wait } => self.forget_key(batch, &name, &key, &wait).await,
            WaitRecord::Witness { name, key, home, outgoing } => {
                self.witness(batch, &wait_key(&name, &key), Witness { home, outgoing }).await
            }
            WaitRecord::OpenTask(open) => {
                self.put_task(batch, *open);
                Ok(())
            }
            WaitRecord::Word { command, task, word } => self.word(batch, command, &task, word).await,
            WaitRecord::Release(command) => {
                if self.release_expired(batch, &command).await? {
                    return Ok(());
                }
                self.release(batch, command).await
            }
        }
    }

    async fn due(&mut self, batch: &mut Batch<'_>, key: String) -> Result<(), Error> {
        let now = self.shared.clock.now();
        match key.split_once(':') {
            Some(("wait", id)) => self.wait_due(batch, id).await,
            Some(("deadline", id)) => self.task_event(batch, id, task::Event::DeadlineDue, now).await.map(drop),
            Some(("escalate", id)) => self.task_event(batch, id, task::Event::EscalationDue, now).await.map(drop),
            Some(("answer", at)) => {
                let mut kept = batch.get::<Vec<Answer>>(self.place, "answer", at).await?.unwrap_or_default();
                kept.retain(|answer| answer.at + ANSWER_KEPT > now);
                if let Some(next) = kept.iter().map(|answer| answer.at).min() {
                    self.timers.set(next + ANSWER_KEPT, format!("answer:{at}"));
                }
                self.put_list(batch, "answer", at, &kept);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn committed(&mut self, written: Written) -> Result<(), Error> {
        self.answers.send(&self.shared, &written);
        Ok(())
    }
}

impl WaitWorker {
    /// Sets the timers of what an earlier life left.
    fn restore_one(&mut self, space: &str, key: &str, bytes: &[u8]) -> Result<(), Error> {
        match space {
            "wait" => {
                let wait: Wait = decode("wait", bytes)?;
                if wait.life.state == WaitLife::Open {
                    self.timers.set(wait.life.deadline, format!("wait:{key}"));
                }
            }
            "task" => {
                let open: OpenTask = decode("task", bytes)?;
                self.timers.set(open.life.deadline, format!("deadline:{key}"));
                if let (Some((at, _)), false) = (&open.life.escalate, open.life.escalated) {
                    self.timers.set(*at, format!("escalate:{key}"));
                }
            }
            _ => {
                let kept: Vec<Answer> = decode("kept answers", bytes)?;
                if let Some(first) = kept.iter().map(|answer| answer.at).min() {
                    self.timers.set(first + ANSWER_KEPT, format!("answer:{key}"));
                }
            }
        }
        Ok(())
    }
}
