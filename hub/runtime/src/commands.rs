//! Commands of people: a durable record for the owner, and the way back for its verdict.

mod told;

pub(crate) use told::{answer, listen};

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Blobs, Commit, Place, Topic};
use hub_failpoint::{Point, at as failpoint};
use hub_life::task::Word;

use crate::Figures;
use crate::batch::Written;
use crate::hub::{Expected, Shared, Verdict};
use crate::operate::{Alarm, Decided, Operate, OperateError, Release, Released, RouteStatus};
use crate::record::{
    InboxRecord, OutboxRecord, RecoveryCommand, RecoveryWord, ReleaseCommand, WaitRecord, encode, owner_of,
};
use crate::recovery::RecoveryReport;
use crate::seen::read_position;

/// How long a caller waits for a verdict.
const VERDICT_WITHIN: Duration = Duration::from_secs(10);
/// How long a caller waits for a verdict once the hub stops.
const STOPPED_WITHIN: Duration = Duration::from_secs(1);
/// How long a reader waits for a view.
const SEEN_WITHIN: Duration = Duration::from_secs(10);

/// The admin API's way into a hub.
pub(crate) struct Operator(pub(crate) Arc<Shared>);

type Build = Box<dyn FnOnce(String) -> Verdict + Send + Sync>;

/// Verdicts that become true with the next commit.
#[derive(Default)]
pub(crate) struct Answers(Vec<Answer>);

/// Which command, the output whose position the verdict carries, and the verdict.
type Answer = (String, Option<(Place, usize)>, Build);

impl Answers {
    /// `mark` names the output whose position the verdict carries.
    pub(crate) fn push(
        &mut self,
        command: String,
        mark: Option<(Place, usize)>,
        build: impl FnOnce(String) -> Verdict + Send + Sync + 'static,
    ) {
        self.0.push((command, mark, Box::new(build)));
    }

    /// Sends the verdicts to those who still wait, here or at the hub that asked.
    pub(crate) fn send(&mut self, shared: &Shared, written: &Written) {
        for (command, mark, build) in self.0.drain(..) {
            answer(shared, &command, build(written.position(mark)));
        }
    }
}

/// The verdict on a release.
pub(crate) fn released(verdict: Result<(), String>, position: String) -> Released {
    Released { done: verdict.is_ok(), reason: verdict.err().unwrap_or_default(), position }
}

impl Operator {
    /// Makes a command durable and waits for its verdict.
    async fn ask(&self, place: Place, mut expected: Expected<'_>, record: Vec<u8>) -> Result<Verdict, OperateError> {
        if place.partition >= self.0.backbone.partitions() {
            return Err(OperateError::Bad("no such thing".into()));
        }
        if self.0.stopping() {
            return Err(OperateError::Stopped("it is stopping".into()));
        }
        let mut commit = Commit::new();
        commit.append(place, expected.command.as_str(), record);
        failpoint(Point::CommandCommit);
        let asked = self.0.backbone.commit(commit).await;
        failpoint(Point::CommandCommitted);
        match asked {
            Ok(_) => self.verdict(&mut expected).await,
            Err(error @ hub_backbone::Error::TooLarge { .. }) => Err(OperateError::Bad(error.to_string())),
            // A store that fails is never tried again: the hub recovers from what is durable.
            Err(error) => {
                self.0.fail(error.clone().into());
                Err(OperateError::Stopped(error.to_string()))
            }
        }
    }

    /// Waits for a verdict; not longer than the hub works, and a moment for what is being judged then.
    async fn verdict(&self, expected: &mut Expected<'_>) -> Result<Verdict, OperateError> {
        let stopped = async {
            self.0.stopped().await;
            tokio::time::sleep(STOPPED_WITHIN).await;
        };
        let gone = || OperateError::Stopped("it stopped before the verdict; the command was recorded".into());
        tokio::select! {
            biased;
            verdict = &mut expected.word => verdict.map_err(|_| gone()),
            () = stopped => Err(gone()),
            () = tokio::time::sleep(VERDICT_WITHIN) => Err(OperateError::Late(VERDICT_WITHIN)),
        }
    }

    async fn recover(&self, place: Place, word: RecoveryWord, by: &str, note: &str) -> Result<Released, OperateError> {
        let expected = self.0.expect_verdict();
        let command =
            RecoveryCommand { command: expected.command.clone(), word, by: by.to_owned(), note: note.to_owned() };
        match self.ask(place, expected, encode(&OutboxRecord::Recovery(command))).await? {
            Verdict::Released(released) => Ok(released),
            _ => Err(other()),
        }
    }
}

/// A verdict that does not fit its command.
fn other() -> OperateError {
    OperateError::Bad("the verdict is about something else".into())
}

/// The lanes that keep a recovery from being ended, in words.
fn held(report: &RecoveryReport) -> Option<String> {
    let held = report.lanes.iter().filter(|lane| lane.released.is_none() && lane.waiting > 0);
    let held: Vec<_> = held.map(|lane| lane.lane.as_str()).take(10).collect();
    (!held.is_empty()).then(|| format!("lanes with messages are not released: {}", held.join(", ")))
}

#[async_trait]
impl Operate for Operator {
    async fn decide(&self, task: &str, word: Word) -> Result<Decided, OperateError> {
        let Some(('w', partition, _)) = owner_of(task) else {
            return Err(OperateError::Bad(format!("`{task}` is not the id of a task")));
        };
        let expected = self.0.expect_verdict();
        let record = encode(&WaitRecord::Word { command: expected.command.clone(), task: task.to_string(), word });
        match self.ask(Place::new(Topic::WAITS, partition), expected, record).await? {
            Verdict::Decided(decided) => Ok(decided),
            _ => Err(other()),
        }
    }

    async fn release(&self, release: Release) -> Result<Released, OperateError> {
        let Some((topic, partition, _)) = owner_of(&release.parked) else {
            return Err(OperateError::Bad(format!("`{}` is not the id of a parked message", release.parked)));
        };
        let expected = self.0.expect_verdict();
        let Release { parked, action, by, entities, note } = release;
        let command =
            ReleaseCommand { command: expected.command.clone(), parked, action: action.into(), by, entities, note };
        let (topic, record) = match topic {
            'i' => (Topic::INBOX, encode(&InboxRecord::Release(command))),
            'o' => (Topic::OUTBOX, encode(&OutboxRecord::Release(command))),
            'w' => (Topic::WAITS, encode(&WaitRecord::Release(command))),
            _ => return Err(OperateError::Bad("no such parked message".into())),
        };
        match self.ask(Place::new(topic, partition), expected, record).await? {
            Verdict::Released(released) => Ok(released),
            _ => Err(other()),
        }
    }

    async fn recovery(&self) -> Result<Option<RecoveryReport>, OperateError> {
        let Some(found) = self.0.recovering.now() else { return Ok(None) };
        let start = (self.0.recovering.since, self.0.clock.now());
        let report = crate::recovery::report(self.0.claims(), found, start).await;
        report.map(Some).map_err(|error| OperateError::Stopped(error.to_string()))
    }

    async fn release_lane(&self, lane: &str, by: &str, note: &str) -> Result<Released, OperateError> {
        let place = Place::of_key(Topic::OUTBOX, lane, self.0.backbone.partitions());
        self.recover(place, RecoveryWord::ReleaseLane(lane.to_owned()), by, note).await
    }

    async fn end_recovery(&self, by: &str, note: &str) -> Result<Released, OperateError> {
        if let Some(held) = self.recovery().await?.and_then(|report| held(&report)) {
            return Ok(released(Err(held), String::new()));
        }
        let mut last = released(Err("the hub is not in recovery".into()), String::new());
        for partition in 0..self.0.backbone.partitions() {
            let ended = self.recover(Place::new(Topic::OUTBOX, partition), RecoveryWord::End, by, note).await?;
            // One that was over before (the hub stopped in the middle of it) refuses: the others count.
            last = if ended.done || !last.done { ended } else { last };
        }
        match self.0.recovering.now() {
            Some(_) if last.done => Ok(released(Err("messages came in between: try again".into()), String::new())),
            _ => Ok(last),
        }
    }

    fn routes(&self) -> Vec<RouteStatus> {
        self.0.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn alarms(&self) -> Vec<Alarm> {
        self.0.alarms()
    }

    async fn figures(&self) -> Result<Figures, OperateError> {
        crate::figures::figures(&self.0).await.map_err(|e| OperateError::Stopped(e.to_string()))
    }

    fn is_ready(&self) -> bool {
        self.0.is_ready()
    }

    async fn wait_until_seen(&self, position: &str) -> Result<(), OperateError> {
        let (slot, offset) = read_position(position)
            .filter(|(slot, _)| *slot < self.0.backbone.partitions())
            .ok_or_else(|| OperateError::Bad(format!("`{position}` is not a position")))?;
        let seen = async {
            if let Some(ledger) = &self.0.seen {
                return ledger.reaches(slot, offset).await.map_err(OperateError::Ledger);
            }
            // A case record is seen when its owner has moved beyond it: the view changes in the same commit.
            let place = Place::new(Topic::CASES, slot);
            while self.0.backbone.position(place).await.map_err(|e| OperateError::Stopped(e.to_string()))? <= offset {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        };
        tokio::time::timeout(SEEN_WITHIN, seen).await.unwrap_or(Err(OperateError::Late(SEEN_WITHIN)))
    }

    fn blobs(&self) -> Arc<dyn Blobs> {
        self.0.blobs.clone()
    }
}
