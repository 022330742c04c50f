//! Waits, answers, tasks and their deadlines. Only names and instants are in memory; the rest is keyed state.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_backbone::{Place, Stored, Topic};
use hub_core::journal::{Decision, Parked, ParkedKind, Task, TaskKind, What};
use hub_core::{MessageId, Receipt, sha256_hex};
use hub_life::task::{self, Outcome, Word};
use hub_life::wait::{self, State as WaitLife};
use jiff::Timestamp;
use serde_json::json;

use crate::Error;
use crate::batch::{Batch, NULL, Written, event_about, event_of};
use crate::commands::{Answers, released};
use crate::hub::{Shared, Verdict};
use crate::interpret::{task_life, wait_key};
use crate::operate::Decided;
use crate::process::may_touch;
use crate::record::{
    ActionName, Answer, OnTimeoutName, OpenTask, OutboxRecord, Partition, ReleaseCommand, Wait, WaitRecord, Work,
    decode, owned_id,
};
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

    // -- waits and answers ------------------------------------------------------------------------------------------

    async fn open(&mut self, batch: &mut Batch<'_>, wait: Wait) -> Result<(), Error> {
        let home = Partition(self.place.partition);
        self.timers.set(wait.life.deadline, format!("wait:{}", wait.id));
        batch.put(self.place, "wait", &wait.id, &wait);
        self.expect(batch, &wait.name, &wait.keys[0], Waiting { home, wait: wait.id.clone() }).await
    }

    /// Registers who waits for a key, and hands over what has already come.
    async fn expect(&mut self, batch: &mut Batch<'_>, name: &str, key: &str, waiting: Waiting) -> Result<(), Error> {
        let at = wait_key(name, key);
        let mut all = batch.get::<Vec<Waiting>>(self.place, "key", &at).await?.unwrap_or_default();
        if !all.contains(&waiting) {
            all.push(waiting.clone());
        }
        batch.put(self.place, "key", &at, &all);
        let mut kept = batch.get::<Vec<Answer>>(self.place, "answer", &at).await?.unwrap_or_default();
        if !kept.is_empty() {
            let first = kept.remove(0);
            self.put_list(batch, "answer", &at, &kept);
            self.hand_over(batch, &waiting, first).await?;
        }
        Ok(())
    }

    /// Writes a list, or removes it when it is empty.
    fn put_list<T: serde::Serialize>(&self, batch: &mut Batch<'_>, space: &'static str, at: &str, list: &[T]) {
        match list.is_empty() {
            true => batch.delete(self.place, space, at),
            false => batch.put(self.place, space, at, &list),
        }
    }

    async fn answered(&mut self, batch: &mut Batch<'_>, answer: Answer) -> Result<(), Error> {
        let at = wait_key(&answer.name, &answer.key);
        self.prove(batch, &at, &answer).await?;
        let waiting = batch.get::<Vec<Waiting>>(self.place, "key", &at).await?.unwrap_or_default();
        if waiting.is_empty() {
            return self.keep(batch, &at, answer).await;
        }
        batch.delete(self.place, "key", &at);
        for waiting in waiting {
            self.hand_over(batch, &waiting, answer.clone()).await?;
        }
        Ok(())
    }

    /// Keeps an answer that nobody awaits, once.
    async fn keep(&mut self, batch: &mut Batch<'_>, at: &str, answer: Answer) -> Result<(), Error> {
        let mut kept = batch.get::<Vec<Answer>>(self.place, "answer", at).await?.unwrap_or_default();
        self.timers.set(answer.at + ANSWER_KEPT, format!("answer:{at}"));
        if !kept.contains(&answer) {
            kept.push(answer);
        }
        let surplus = kept.len().saturating_sub(ANSWERS_MAX);
        drop(kept.drain(..surplus));
        batch.put(self.place, "answer", at, &kept);
        Ok(())
    }

    /// An answer that came back: for whoever waits for the key now, or it is kept.
    async fn unclaimed(&mut self, batch: &mut Batch<'_>, answer: Answer) -> Result<(), Error> {
        let at = wait_key(&answer.name, &answer.key);
        let waiting = batch.get::<Vec<Waiting>>(self.place, "key", &at).await?.unwrap_or_default();
        match waiting.into_iter().next() {
            Some(next) => {
                self.forget_key(batch, &answer.name, &answer.key, &next.wait).await?;
                self.hand_over(batch, &next, answer).await
            }
            None => self.keep(batch, &at, answer).await,
        }
    }

    /// Hands an answer to a wait, here or at its home.
    async fn hand_over(&mut self, batch: &mut Batch<'_>, to: &Waiting, answer: Answer) -> Result<(), Error> {
        if to.home.0 == self.place.partition {
            return match self.wake(batch, &to.wait, &answer).await? {
                true => Ok(()),
                false => self.keep(batch, &wait_key(&answer.name, &answer.key), answer).await,
            };
        }
        let record = WaitRecord::Forwarded { wait: to.wait.clone(), answer };
        batch.wait(Place::new(Topic::WAITS, to.home.0), &to.wait, &record);
        Ok(())
    }

    /// Wakes a message; `false` if it does not wait any more.
    async fn wake(&mut self, batch: &mut Batch<'_>, id: &str, answer: &Answer) -> Result<bool, Error> {
        let Some(mut wait) = batch.get::<Wait>(self.place, "wait", id).await? else { return Ok(false) };
        let now = self.shared.clock.now();
        let overdue = wait.life.state == WaitLife::Overdue;
        let (life, commands) = wait::advance(&wait.life, wait::Event::Answer(answer.by.clone()), now);
        wait.life = life;
        if !commands.contains(&wait::Command::WakeWithAnswer) {
            return Ok(false);
        }
        let (id, name, by) = (wait.id.clone(), wait.name.clone(), answer.by.clone());
        batch.tell(&wait.work, now, What::WaitAnswered { wait: id.clone(), name, by: by.clone() });
        if overdue {
            self.settle_overdue(batch, &wait, &by, now).await?;
        }
        self.forget(batch, &wait).await?;
        let segment = wait.work.segment.clone();
        batch.work(wait.work.at_segment(&segment, now, wait.bind.as_deref(), answer.value.clone()));
        Ok(true)
    }

    /// A late answer makes what people were told obsolete.
    async fn settle_overdue(&self, batch: &mut Batch<'_>, wait: &Wait, by: &str, now: Timestamp) -> Result<(), Error> {
        if let Some(task) = &wait.task {
            return self.task_event(batch, task, task::Event::Withdrawn, now).await.map(drop);
        }
        let note = format!("the answer came with message {by}");
        let (parked, action) = (wait.id.clone(), "settled".to_string());
        batch.tell(&wait.work, now, What::Released { parked, action, by: "raccordo".into(), note });
        Ok(())
    }

    /// Removes a wait and the entries under its keys, here and elsewhere.
    async fn forget(&self, batch: &mut Batch<'_>, wait: &Wait) -> Result<(), Error> {
        batch.delete(self.place, "wait", &wait.id);
        for key in &wait.keys {
            let place = batch.place(Topic::WAITS, &wait_key(&wait.name, key));
            // The alias of a key may still stand before us in our own log: then this record comes behind it.
            let (name, key, id) = (wait.name.clone(), key.clone(), wait.id.clone());
            match key == wait.keys[0] {
                true => self.forget_key(batch, &name, &key, &id).await?,
                false => batch.wait(place, &wait.id, &WaitRecord::Forget { name, key, wait: id }),
            }
        }
        Ok(())
    }

    async fn forget_key(&self, batch: &mut Batch<'_>, name: &str, key: &str, wait: &str) -> Result<(), Error> {
        let at = wait_key(name, key);
        let mut all = batch.get::<Vec<Waiting>>(self.place, "key", &at).await?.unwrap_or_default();
        all.retain(|waiting| waiting.wait != wait);
        self.put_list(batch, "key", &at, &all);
        Ok(())
    }

    async fn wait_due(&mut self, batch: &mut Batch<'_>, id: &str) -> Result<(), Error> {
        let Some(mut wait) = batch.get::<Wait>(self.place, "wait", id).await? else { return Ok(()) };
        let now = self.shared.clock.now();
        let goes_on = matches!(wait.on_timeout, OnTimeoutName::Segment(_));
        let (life, commands) = wait::advance(&wait.life, wait::Event::DeadlineDue { goes_on }, now);
        wait.life = life;
        for command in commands {
            match command {
                wait::Command::WakeAt(at) => self.timers.set(at, format!("wait:{id}")),
                wait::Command::WakeWithAnswer => {}
                wait::Command::WakeWithTimeout => return self.go_on_without(batch, wait, now).await,
                wait::Command::TellPeople => self.tell_people(batch, &mut wait, now).await?,
            }
        }
        batch.put(self.place, "wait", id, &wait);
        Ok(())
    }

    async fn go_on_without(&self, batch: &mut Batch<'_>, wait: Wait, now: Timestamp) -> Result<(), Error> {
        let (id, name) = (wait.id.clone(), wait.name.clone());
        batch.tell(&wait.work, now, What::WaitTimedOut { wait: id, name });
        self.forget(batch, &wait).await?;
        if let OnTimeoutName::Segment(segment) = &wait.on_timeout {
            batch.work(wait.work.clone().at_segment(segment, now, None, NULL));
        }
        Ok(())
    }

    async fn tell_people(&mut self, batch: &mut Batch<'_>, wait: &mut Wait, now: Timestamp) -> Result<(), Error> {
        batch.tell(&wait.work, now, What::WaitTimedOut { wait: wait.id.clone(), name: wait.name.clone() });
        let reason = format!("no answer `{}` for {} within {} ms", wait.name, wait.keys.join(", "), wait.within_ms);
        if let OnTimeoutName::Task(role) = &wait.on_timeout {
            let _ = self.shared.blobs.put(reason.as_bytes()).await?;
            let mut open = note(&wait.work, role, &reason, now, self.place, &format!("{}.late.{now}", wait.id));
            open.about = Some(wait.id.clone());
            wait.task = Some(open.task.id.clone());
            batch.tell(&wait.work, now, What::TaskOpened(open.task.clone()));
            self.put_task(batch, open);
            return Ok(());
        }
        self.park(batch, wait, reason, now).await
    }

    async fn park(&self, batch: &mut Batch<'_>, wait: &Wait, reason: String, now: Timestamp) -> Result<(), Error> {
        let body = self.shared.load_body(&wait.work.body).await?;
        let parked = Parked {
            id: wait.id.clone(),
            kind: ParkedKind::Wait,
            reason,
            evidence: json!({ "name": wait.name, "keys": wait.keys, "deadline": wait.life.deadline }),
            sha256: self.shared.blobs.put(&body.bytes).await?,
            mime: body.media.mime().into(),
        };
        batch.tell(&wait.work, now, What::Parked(parked));
        Ok(())
    }

    async fn release(&mut self, batch: &mut Batch<'_>, command: ReleaseCommand) -> Result<(), Error> {
        let verdict = match batch.get::<Wait>(self.place, "wait", &command.parked).await? {
            None => Err("no such parked message".to_string()),
            Some(wait) if !may_touch(&command, wait.work.case.entity.as_deref()) => {
                Err("it belongs to an entity that is not yours".into())
            }
            Some(wait) => self.carry_out(batch, &command, wait).await?,
        };
        let mark = batch.mark();
        self.answers.push(command.command, mark, move |position| Verdict::Released(released(verdict, position)));
        Ok(())
    }

    async fn carry_out(
        &mut self,
        batch: &mut Batch<'_>,
        command: &ReleaseCommand,
        mut wait: Wait,
    ) -> Result<Result<(), String>, Error> {
        let now = self.shared.clock.now();
        let (event, action) = match command.action {
            ActionName::Retry => (wait::Event::Again(now + Duration::from_millis(wait.within_ms)), "retry"),
            ActionName::GiveUp => (wait::Event::GiveUp, "give_up"),
            _ => return Ok(Err("the action does not fit; possible: retry, give_up".into())),
        };
        if wait.life.state != WaitLife::Overdue {
            return Ok(Err("it is not parked".into()));
        }
        let (life, commands) = wait::advance(&wait.life, event, now);
        if life == wait.life {
            return Ok(Err("it is not parked".into()));
        }
        wait.life = life;
        if let Some(task) = wait.task.take() {
            let _ = self.task_event(batch, &task, task::Event::Withdrawn, now).await?;
        }
        let (parked, by, note) = (wait.id.clone(), command.by.clone(), command.note.clone());
        batch.tell(&wait.work, now, What::Released { parked, action: action.into(), by, note });
        for command in commands {
            if let wait::Command::WakeAt(at) = command {
                self.timers.set(at, format!("wait:{}", wait.id));
            }
        }
        match action {
            "give_up" => self.forget(batch, &wait).await?,
            _ => batch.put(self.place, "wait", &wait.id, &wait),
        }
        Ok(Ok(()))
    }

    // -- proofs of deliveries -------------------------------------------------------------------------------------------

    async fn witness(&self, batch: &mut Batch<'_>, at: &str, witness: Witness) -> Result<(), Error> {
        batch.put(self.place, "witness", at, &witness);
        let kept = batch.get::<Vec<Answer>>(self.place, "answer", at).await?.unwrap_or_default();
        if let Some(first) = kept.first() {
            self.prove(batch, at, first).await?;
        }
        Ok(())
    }

    /// An answer for this key proves that what it answers was delivered.
    async fn prove(&self, batch: &mut Batch<'_>, at: &str, answer: &Answer) -> Result<(), Error> {
        let Some(witness) = batch.get::<Witness>(self.place, "witness", at).await? else { return Ok(()) };
        let reply = json!({ "witness": { "name": answer.name, "key": answer.key, "message": answer.by } });
        let receipt = Receipt { remote_id: None, reply, raw: None };
        let record = OutboxRecord::Witnessed { outgoing: witness.outgoing.clone(), receipt };
        batch.outbox(Place::new(Topic::OUTBOX, witness.home.0), &witness.outgoing, &record);
        batch.delete(self.place, "witness", at);
        Ok(())
    }

    // -- tasks ------------------------------------------------------------------------------------------------------------

    fn put_task(&mut self, batch: &mut Batch<'_>, open: OpenTask) {
        let id = open.task.id.clone();
        self.timers.set(open.life.deadline, format!("deadline:{id}"));
        if let Some((at, _)) = &open.life.escalate {
            self.timers.set(*at, format!("escalate:{id}"));
        }
        batch.put(self.place, "task", &id, &open);
    }

    async fn word(&mut self, batch: &mut Batch<'_>, command: String, id: &str, word: Word) -> Result<(), Error> {
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
    async fn task_event(
        &self,
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
                    self.closed(batch, &open, outcome, now).await?;
                    return Ok(Ok(life));
                }
            }
        }
        batch.put(self.place, "task", id, &open);
        Ok(Ok(life))
    }

    fn decided(&self, batch: &mut Batch<'_>, open: &mut OpenTask, word: &Word, now: Timestamp) {
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
    async fn closed(
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
    async fn nobody_looked(
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
        let reason = format!("no answer `{}` for {}, and nobody of role {} looked", wait.name, wait.keys.join(", "), open.task.role);
        self.park(batch, &wait, reason, now).await
    }

    /// Nobody decided in time: the message is parked as a wait that is overdue.
    fn expired(&self, batch: &mut Batch<'_>, open: &OpenTask, work: Work, now: Timestamp) {
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
    async fn release_expired(&mut self, batch: &mut Batch<'_>, command: &ReleaseCommand) -> Result<bool, Error> {
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
fn note(work: &Work, role: &str, title: &str, now: Timestamp, place: Place, name: &str) -> OpenTask {
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
    let _ = shared.blobs.put(title.as_bytes()).await?;
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

#[async_trait]
impl Worker for WaitWorker {
    type Signal = ();

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

