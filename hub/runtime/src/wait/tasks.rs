//! Tasks: the words of people, deadlines, escalation.

use std::time::Duration;

use hub_backbone::{Place, Topic};
use hub_core::journal::{Decision, Parked, ParkedKind, Task, TaskKind, What};
use hub_core::{MessageId, sha256_hex};
use hub_life::task;
use hub_life::task::{Outcome, Word};
use hub_life::wait::State as WaitLife;
use jiff::Timestamp;
use serde_json::json;

use super::{NOTE_WITHIN, WaitWorker};
use crate::Error;
use crate::batch::{Batch, event_about, event_of};
use crate::commands::released;
use crate::hub::{Shared, Verdict};
use crate::interpret::task_life;
use crate::operate::Decided;
use crate::process::may_touch;
use crate::record::{ActionName, OpenTask, ReleaseCommand, Wait, WaitRecord, Work, owned_id};

impl WaitWorker {
    pub(super) fn put_task(&mut self, batch: &mut Batch<'_>, open: OpenTask) {
        let id = open.task.id.clone();
        self.timers.set(open.life.deadline, format!("deadline:{id}"));
        if let Some((at, _)) = &open.life.escalate {
            self.timers.set(*at, format!("escalate:{id}"));
        }
        batch.put(self.place, "task", &id, &open);
    }

    pub(super) async fn word(
        &mut self,
        batch: &mut Batch<'_>,
        command: String,
        id: &str,
        word: Word,
    ) -> Result<(), Error> {
        let now = self.shared.clock.now();
        let people = batch.get::<OpenTask>(self.place, "task", id).await?.map_or(0, |open| open.life.people);
        let result = self.task_event(batch, id, task::Event::Said(word), now).await?;
        let mark = batch.mark();
        let decided = match result {
            Ok(life) => Decided {
                refused: None,
                approvals: u32::try_from(life.approvals.len()).unwrap_or(u32::MAX),
                people,
                outcome: life.outcome.map(|outcome| outcome_name(outcome).to_string()),
                position: String::new(),
            },
            Err(refusal) => {
                Decided { refused: Some(refusal), approvals: 0, people, outcome: None, position: String::new() }
            }
        };
        self.answers.push(command, mark, move |position| Verdict::Decided(Decided { position, ..decided }));
        Ok(())
    }

    /// Something happened to a task; gives its new life, or why it does not count.
    pub(super) async fn task_event(
        &mut self,
        batch: &mut Batch<'_>,
        id: &str,
        event: task::Event,
        now: Timestamp,
    ) -> Result<Result<task::TaskState, task::Refusal>, Error> {
        let Some(mut open) = batch.get::<OpenTask>(self.place, "task", id).await? else {
            return Ok(Err(task::Refusal::Unknown));
        };
        let (life, commands) = match task::advance(&open.life, event.clone(), now) {
            Ok(advanced) => advanced,
            Err(refusal) => return Ok(Err(refusal)),
        };
        open.life = life.clone();
        for command in commands {
            match (command, &event) {
                (task::Command::Decided, task::Event::Said(word)) => self.decided(batch, &mut open, word, now),
                (task::Command::Decided, _) => {}
                (task::Command::Escalated(to), _) => {
                    let what = What::TaskEscalated { task: id.to_string(), to };
                    batch.event(task_happening(&open, now, what));
                }
                (task::Command::Closed(outcome), _) => {
                    self.timers.unset(life.deadline, format!("deadline:{id}"));
                    if let Some((at, _)) = &life.escalate {
                        self.timers.unset(*at, format!("escalate:{id}"));
                    }
                    self.closed(batch, &open, outcome, now).await?;
                    return Ok(Ok(life));
                }
            }
        }
        batch.put(self.place, "task", id, &open);
        Ok(Ok(life))
    }

    pub(super) fn decided(&self, batch: &mut Batch<'_>, open: &mut OpenTask, word: &Word, now: Timestamp) {
        let decision = match word.decision {
            Decision::Approve => "approve",
            Decision::Reject => "reject",
            Decision::Done => "done",
        };
        open.words.push(json!({ "person": word.person, "decision": decision, "comment": word.comment, "at": now }));
        let what = What::TaskDecided {
            task: open.task.id.clone(),
            person: word.person.clone(),
            decision: word.decision,
            comment: word.comment.clone(),
            sha256: word.sha256.clone(),
            approvals: u32::try_from(open.life.approvals.len()).unwrap_or(u32::MAX),
        };
        batch.event(task_happening(open, now, what));
    }

    /// The task is over: whoever waits for it goes on.
    pub(super) async fn closed(
        &self,
        batch: &mut Batch<'_>,
        open: &OpenTask,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), Error> {
        let name = outcome_name(outcome);
        let what = What::TaskClosed { task: open.task.id.clone(), outcome: name.into() };
        batch.event(task_happening(open, now, what));
        batch.delete(self.place, "task", &open.task.id);
        if let (Some(wait), Outcome::Expired) = (&open.about, outcome) {
            return self.nobody_looked(batch, open, wait, now).await;
        }
        let Some(work) = open.work.clone() else { return Ok(()) };
        let result = json!({ "esito": name, "outcome": name, "words": open.words });
        let next = match outcome {
            Outcome::Approved | Outcome::Done => Some(work.segment.clone()),
            Outcome::Rejected => open.on_reject.clone(),
            Outcome::Expired | Outcome::Withdrawn => None,
        };
        match (next, outcome) {
            (Some(segment), _) => batch.work(work.at_segment(&segment, now, open.bind.as_deref(), result)),
            (None, Outcome::Rejected) => {
                let to = "respinto".to_string();
                batch.tell(&work, now, What::State { to, from: String::new(), moved: false, note: String::new() });
                batch.tell(&work, now, What::Dropped { reason: format!("task {} was rejected", open.task.id) });
            }
            (None, _) => self.expired(batch, open, work, now),
        }
        Ok(())
    }

    /// An overdue wait whose task nobody did: it must not wait unseen for ever, so it is parked.
    pub(super) async fn nobody_looked(
        &self,
        batch: &mut Batch<'_>,
        open: &OpenTask,
        wait: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let Some(mut wait) = batch.get::<Wait>(self.place, "wait", wait).await? else { return Ok(()) };
        if wait.life.state != WaitLife::Overdue || wait.task.as_ref() != Some(&open.task.id) {
            return Ok(());
        }
        wait.task = None;
        batch.put(self.place, "wait", &wait.id, &wait);
        let reason = format!(
            "no answer `{}` for {}, and nobody of role {} looked",
            wait.name,
            wait.keys.join(", "),
            open.task.role
        );
        self.park(batch, &wait, reason, now).await
    }

    /// Nobody decided in time: the message is parked as a wait that is overdue.
    pub(super) fn expired(&self, batch: &mut Batch<'_>, open: &OpenTask, work: Work, now: Timestamp) {
        let id = owned_id(self.place, &format!("{}.expired", work.id));
        let parked = Parked {
            id: id.clone(),
            kind: ParkedKind::Wait,
            reason: format!("nobody of role {} decided task {} in time", open.task.role, open.task.id),
            evidence: json!({ "task": open.task.id, "deadline": open.task.deadline, "words": open.words }),
            sha256: open.task.sha256.clone(),
            mime: open.task.mime.clone(),
        };
        batch.tell(&work, now, What::Parked(parked));
        batch.put(self.place, "expired", &id, open);
    }

    /// A person wants the task again, or gives it up.
    pub(super) async fn release_expired(
        &mut self,
        batch: &mut Batch<'_>,
        command: &ReleaseCommand,
    ) -> Result<bool, Error> {
        let Some(mut open) = batch.get::<OpenTask>(self.place, "expired", &command.parked).await? else {
            return Ok(false);
        };
        let now = self.shared.clock.now();
        let entity = open.case.entity.as_deref();
        let verdict = match command.action {
            _ if !may_touch(command, entity) => Err("it belongs to an entity that is not yours".to_string()),
            ActionName::Retry => Ok("retry"),
            ActionName::GiveUp => Ok("give_up"),
            _ => Err("the action does not fit; possible: retry, give_up".into()),
        };
        if let Ok(action) = verdict {
            let (parked, by, note) = (command.parked.clone(), command.by.clone(), command.note.clone());
            let what = What::Released { parked, action: action.into(), by, note };
            batch.event(task_happening(&open, now, what));
            batch.delete(self.place, "expired", &command.parked);
            if action == "retry" {
                // A new round: a new task, nobody has said anything yet, and it escalates as late as the first one.
                open.task.id = format!("{}.again", open.task.id);
                open.words.clear();
                let began = open.task.deadline - Duration::from_millis(open.within_ms);
                let escalate = open.life.escalate.take().map(|(at, to)| (now + at.duration_since(began), to));
                open.task.deadline = now + Duration::from_millis(open.within_ms);
                open.life = task_life(&open.task, open.case.entity.clone(), escalate);
                batch.event(task_happening(&open, now, What::TaskOpened(open.task.clone())));
                self.put_task(batch, open);
            }
        }
        let verdict = verdict.map(drop);
        let mark = batch.mark();
        let id = command.command.clone();
        self.answers.push(id, mark, move |position| Verdict::Released(released(verdict, position)));
        Ok(true)
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Approved => "approved",
        Outcome::Rejected => "rejected",
        Outcome::Done => "done",
        Outcome::Expired => "expired",
        Outcome::Withdrawn => "withdrawn",
    }
}

fn task_happening(open: &OpenTask, now: Timestamp, what: What) -> hub_core::journal::Event {
    match &open.work {
        Some(work) => event_of(work, now, what),
        None => event_about(&open.case, now, what),
    }
}

/// A task that only tells people something; no message waits for it.
pub(super) fn note(work: &Work, role: &str, title: &str, now: Timestamp, place: Place, name: &str) -> OpenTask {
    let task = Task {
        id: owned_id(place, MessageId::derive(&[name]).as_str()),
        kind: TaskKind::Todo,
        role: role.to_string(),
        people: 1,
        title: title.to_string(),
        requester: String::new(),
        sha256: sha256_hex(title.as_bytes()),
        mime: "text/plain".into(),
        deadline: now + NOTE_WITHIN,
    };
    let life = task_life(&task, work.case.entity.clone(), None);
    OpenTask {
        task,
        life,
        case: work.case.clone(),
        work: None,
        bind: None,
        on_reject: None,
        within_ms: u64::try_from(NOTE_WITHIN.as_millis()).unwrap_or(u64::MAX),
        about: None,
        words: Vec::new(),
    }
}

/// Opens a task that only tells people something about a message.
pub(crate) async fn open_note(
    shared: &Shared,
    batch: &mut Batch<'_>,
    work: &Work,
    role: &str,
    title: &str,
) -> Result<(), Error> {
    let _ = batch.keep(&title.to_owned().into_bytes().into()).await?;
    let now = shared.clock.now();
    // With its time: a message that is parked again needs another task.
    let name = format!("{}.{}.note.{now}", work.id, work.segment);
    let place = batch.place(Topic::WAITS, &name);
    let open = note(work, role, title, now, place, &name);
    batch.tell(work, now, What::TaskOpened(open.task.clone()));
    let id = open.task.id.clone();
    batch.wait(place, &id, &WaitRecord::OpenTask(Box::new(open)));
    Ok(())
}
