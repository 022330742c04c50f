//! What ends a segment: sends, waits, tasks, forks.

use hub_backbone::Topic;
use hub_core::journal::{Task, What};
use hub_core::{MessageId, Outgoing, Value};
use hub_life::wait::{State as WaitLife, WaitState};
use hub_route::expression::{Program, Roots};
use hub_route::plan::{CasePlan, End, OnTimeout, Segment, SegmentId, SendPlan, TaskPlan};
use jiff::Timestamp;
use serde_json::Map;

use super::{Halt, Run, SHARED_MIN, SPLIT_MAX, case_of, invalid, task_life, wait_key, wrong};
use crate::batch::{Batch, NULL};
use crate::record::{
    OnTimeoutName, OpenTask, Outbound, OutboxRecord, Partition, StoredBody, Wait, WaitRecord, Work, owned_id,
};

impl Run<'_> {
    /// Ends the segment; gives the segment that follows at once, if one does.
    pub(super) async fn end(&mut self, segment: &Segment, batch: &mut Batch<'_>) -> Result<Option<SegmentId>, Halt> {
        match &segment.end {
            End::Finish => {
                self.tell(batch, What::Finished);
                Ok(None)
            }
            End::Goto(next) => Ok(Some(next.clone())),
            End::Choice { branches, next } => {
                let branch = self.choose(&segment.id, branches)?;
                Ok(Some(branch.map_or_else(|| next.clone(), |branch| branch.then.clone())))
            }
            End::Split { each, bind, case, item, next } => {
                self.split(segment, (each, bind, case.as_ref(), item), batch).await?;
                Ok(Some(next.clone()))
            }
            End::To(send) => self.send(segment, send, batch).await.map(|()| None),
            End::Await { name, keys, within, bind, on_timeout, next } => {
                let keys = self.wait_keys(&segment.id, keys)?;
                let work = self.work_at(next, self.now, batch).await?;
                let wait = Wait {
                    id: MessageId::derive(&[self.work.id.as_str(), "await", &segment.id]).to_string(),
                    name: name.clone(),
                    keys,
                    work,
                    bind: bind.clone(),
                    within_ms: u64::try_from(within.0.as_millis()).unwrap_or(u64::MAX),
                    on_timeout: match on_timeout {
                        OnTimeout::Park => OnTimeoutName::Park,
                        OnTimeout::Task(role) => OnTimeoutName::Task(role.clone()),
                        OnTimeout::Segment(segment) => OnTimeoutName::Segment(segment.clone()),
                    },
                    life: WaitState { deadline: self.now + within.0, state: WaitLife::Open },
                    task: None,
                };
                self.open_wait(wait, batch);
                Ok(None)
            }
            End::Approve(plan) => self.open_task(segment, plan, batch).await.map(|()| None),
        }
    }

    /// The message as it is now, pointed at a segment.
    pub(super) async fn work_at(&self, segment: &str, at: Timestamp, batch: &mut Batch<'_>) -> Result<Work, Halt> {
        let mut work = self.work.clone().at_segment(segment, at, None, NULL);
        work.body = match &self.stored {
            Some(stored) => stored.clone(),
            None => batch.store_body(&self.message.body).await?,
        };
        Ok(work)
    }

    /// What the children of a split have in common. Large parts lie in the blob store once, not in each child.
    pub(super) async fn template(&self, item: &str, batch: &mut Batch<'_>) -> Result<Work, Halt> {
        let mut template = self.work_at(item, self.now, batch).await?;
        let body = &self.message.body;
        if body.bytes.len() > SHARED_MIN && self.stored.is_none() {
            template.body = StoredBody::Blob(body.media, batch.keep(&body.bytes).await?);
        }
        let bound = template.bound.to_string();
        if bound.len() > SHARED_MIN {
            template.base = Some(batch.keep(&bound.into_bytes().into()).await?);
            template.bound = Value::Object(Map::new());
        }
        Ok(template)
    }

    pub(super) async fn split(
        &mut self,
        segment: &Segment,
        (each, bind, case, item): (&Program, &str, Option<&CasePlan>, &SegmentId),
        batch: &mut Batch<'_>,
    ) -> Result<(), Halt> {
        let list = match self.eval(&segment.id, each)? {
            Value::Array(list) if list.len() <= SPLIT_MAX => list,
            Value::Array(list) => {
                let detail = format!("split makes {} messages, at most {SPLIT_MAX} are allowed", list.len());
                return Err(invalid("split.too-many", &segment.id, detail));
            }
            other => {
                return Err(invalid("split.no-list", &segment.id, format!("`{}` gave {other}, not a list", each.text)));
            }
        };
        let template = self.template(item, batch).await?;
        for (index, element) in list.into_iter().enumerate() {
            let mut child = template.clone().at_segment(item, self.now, Some(bind), element);
            child.id = self.work.id.child(&segment.id, index);
            if let Some(plan) = case {
                let mut bound = self.work.bound.clone();
                if let (Value::Object(bound), Some(element)) = (&mut bound, child.bound.get(bind)) {
                    let _ = bound.insert(bind.to_string(), element.clone());
                }
                let roots = Roots::new(&self.message, &self.entity, &bound, child.at);
                child.case = case_of(plan, &roots).map_err(|e| wrong(&segment.id, &e))?;
                child.lane.clone_from(&child.case.id);
            }
            batch.work(child);
        }
        Ok(())
    }

    pub(super) async fn send(&mut self, segment: &Segment, plan: &SendPlan, batch: &mut Batch<'_>) -> Result<(), Halt> {
        let params = self.params(&plan.place, &plan.params)?;
        let witness = match &plan.witnesses {
            Some((name, keys)) if !keys.is_empty() => Some((name.clone(), self.wait_keys(&plan.place, keys)?)),
            _ => None,
        };
        let slot = self.route.sink(&segment.id).cloned();
        let slot = slot.ok_or_else(|| invalid("route.sink", &plan.place, "the sink is not open".into()))?;
        let id = MessageId::derive(&[self.work.id.as_str(), "to", &segment.id]);
        let outgoing = Outgoing {
            id: id.clone(),
            message: self.work.id.clone(),
            case: self.work.case.clone(),
            headers: self.work.headers.clone(),
            body: self.message.body.clone(),
            params,
            bound: self.work.bound.clone(),
        };
        let lane = slot.sink.lane(&outgoing).unwrap_or_else(|| self.work.lane.clone());
        let place = batch.place(Topic::OUTBOX, &lane);
        let id = owned_id(place, id.as_str());
        let outbound = Outbound {
            id: id.clone(),
            work: self.work_at(&plan.next, self.work.at, batch).await?,
            from: segment.id.clone(),
            sink: plan.kind.to_string(),
            lane,
            params: outgoing.params,
            bind: plan.bind.clone(),
            witness,
            sha256: self.message.body.sha256(),
        };
        batch.outbox(place, &id, &OutboxRecord::Send(Box::new(outbound)));
        Ok(())
    }

    /// The keys of a wait; those that have no value (a receipt's field after a delivery proved by a witness) are left
    /// out as long as one is there.
    pub(super) fn wait_keys(&mut self, place: &str, keys: &[Program]) -> Result<Vec<String>, Halt> {
        let mut found = Vec::new();
        let mut failed = None;
        for key in keys {
            match self.key(place, key) {
                Ok(key) if !key.is_empty() && !found.contains(&key) => found.push(key),
                Ok(_) => {}
                Err(halt) => failed = failed.or(Some(halt)),
            }
        }
        match (found.is_empty(), failed) {
            (false, _) => Ok(found),
            (true, Some(halt)) => Err(halt),
            (true, None) => Err(invalid("await.keys", place, "all keys are empty".into())),
        }
    }

    pub(super) fn open_wait(&self, mut wait: Wait, batch: &mut Batch<'_>) {
        let home = batch.place(Topic::WAITS, &wait_key(&wait.name, &wait.keys[0]));
        wait.id = owned_id(home, &wait.id);
        self.tell(
            batch,
            What::WaitOpened {
                wait: wait.id.clone(),
                name: wait.name.clone(),
                keys: wait.keys.clone(),
                deadline: wait.life.deadline,
            },
        );
        // The wait before its other keys: one of them may be of the same partition, and its answer may be there already.
        let (id, name, keys) = (wait.id.clone(), wait.name.clone(), wait.keys.clone());
        batch.wait(home, &id, &WaitRecord::Open(Box::new(wait)));
        for key in keys.into_iter().skip(1) {
            let place = batch.place(Topic::WAITS, &wait_key(&name, &key));
            let (name, home, wait) = (name.clone(), Partition(home.partition), id.clone());
            batch.wait(place, &id, &WaitRecord::Alias { name, key, home, wait });
        }
    }

    pub(super) async fn open_task(
        &mut self,
        segment: &Segment,
        plan: &TaskPlan,
        batch: &mut Batch<'_>,
    ) -> Result<(), Halt> {
        let title = plan.title.as_ref().map(|title| self.text(&plan.place, title)).transpose()?;
        let requester = plan.requester.as_ref().map(|who| self.text(&plan.place, who)).transpose()?;
        let id = MessageId::derive(&[self.work.id.as_str(), "task", &segment.id]).to_string();
        let place = batch.place(Topic::WAITS, &id);
        let task = Task {
            id: owned_id(place, &id),
            kind: plan.kind,
            role: plan.role.clone(),
            people: plan.people,
            title: title.unwrap_or_else(|| format!("{} {}", self.work.case.kind, self.work.case.id)),
            requester: requester.unwrap_or_default(),
            sha256: batch.keep(&self.message.body.bytes).await?,
            mime: self.message.body.media.mime().to_string(),
            deadline: self.now + plan.within.0,
        };
        let escalate = plan.escalate.as_ref().map(|(after, to)| (self.now + after.0, to.clone()));
        let open = OpenTask {
            life: task_life(&task, self.work.case.entity.clone(), escalate),
            task,
            case: self.work.case.clone(),
            work: Some(self.work_at(&plan.next, self.now, batch).await?),
            bind: plan.bind.clone(),
            on_reject: plan.on_reject.clone(),
            within_ms: u64::try_from(plan.within.0.as_millis()).unwrap_or(u64::MAX),
            about: None,
            words: Vec::new(),
        };
        self.tell(batch, What::TaskOpened(open.task.clone()));
        let id = open.task.id.clone();
        batch.wait(place, &id, &WaitRecord::OpenTask(Box::new(open)));
        Ok(())
    }
}
