//! Deadlines of waits, and what people do about overdue ones.

use std::time::Duration;

use hub_core::journal::{Parked, ParkedKind, What};
use hub_life::wait::State as WaitLife;
use hub_life::{task, wait};
use jiff::Timestamp;
use serde_json::json;

use super::WaitWorker;
use super::tasks::note;
use crate::Error;
use crate::batch::{Batch, NULL};
use crate::commands::released;
use crate::hub::Verdict;
use crate::process::may_touch;
use crate::record::{ActionName, OnTimeoutName, ReleaseCommand, Wait};

impl WaitWorker {
    pub(super) async fn wait_due(&mut self, batch: &mut Batch<'_>, id: &str) -> Result<(), Error> {
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

    pub(super) async fn go_on_without(
        &mut self,
        batch: &mut Batch<'_>,
        wait: Wait,
        now: Timestamp,
    ) -> Result<(), Error> {
        let (id, name) = (wait.id.clone(), wait.name.clone());
        batch.tell(&wait.work, now, What::WaitTimedOut { wait: id, name });
        self.forget(batch, &wait).await?;
        if let OnTimeoutName::Segment(segment) = &wait.on_timeout {
            batch.work(wait.work.clone().at_segment(segment, now, None, NULL));
        }
        Ok(())
    }

    pub(super) async fn tell_people(
        &mut self,
        batch: &mut Batch<'_>,
        wait: &mut Wait,
        now: Timestamp,
    ) -> Result<(), Error> {
        batch.tell(&wait.work, now, What::WaitTimedOut { wait: wait.id.clone(), name: wait.name.clone() });
        let reason = format!("no answer `{}` for {} within {} ms", wait.name, wait.keys.join(", "), wait.within_ms);
        if let OnTimeoutName::Task(role) = &wait.on_timeout {
            let _ = batch.keep(&reason.clone().into_bytes().into()).await?;
            let mut open = note(&wait.work, role, &reason, now, self.place, &format!("{}.late.{now}", wait.id));
            open.about = Some(wait.id.clone());
            wait.task = Some(open.task.id.clone());
            batch.tell(&wait.work, now, What::TaskOpened(open.task.clone()));
            self.put_task(batch, open);
            return Ok(());
        }
        self.park(batch, wait, reason, now).await
    }

    pub(super) async fn park(
        &self,
        batch: &mut Batch<'_>,
        wait: &Wait,
        reason: String,
        now: Timestamp,
    ) -> Result<(), Error> {
        let body = self.shared.load_body(&wait.work.body).await?;
        let parked = Parked {
            id: wait.id.clone(),
            kind: ParkedKind::Wait,
            reason,
            evidence: json!({ "name": wait.name, "keys": wait.keys, "deadline": wait.life.deadline }),
            sha256: batch.keep(&body.bytes).await?,
            mime: body.media.mime().into(),
        };
        batch.tell(&wait.work, now, What::Parked(parked));
        Ok(())
    }

    pub(super) async fn release(&mut self, batch: &mut Batch<'_>, command: ReleaseCommand) -> Result<(), Error> {
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

    pub(super) async fn carry_out(
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
            // A task that was done already is not there any more.
            drop(self.task_event(batch, &task, task::Event::Withdrawn, now).await?);
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
}
