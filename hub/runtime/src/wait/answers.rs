//! Where waits and answers meet, and what an answer proves about a send.

use hub_backbone::{Place, Topic};
use hub_core::Receipt;
use hub_core::journal::What;
use hub_life::wait::State as WaitLife;
use hub_life::{task, wait};
use jiff::Timestamp;
use serde_json::json;

use super::{ANSWER_KEPT, ANSWERS_MAX, WaitWorker, Waiting, Witness};
use crate::Error;
use crate::batch::Batch;
use crate::interpret::wait_key;
use crate::record::{Answer, OutboxRecord, Partition, Wait, WaitRecord};

impl WaitWorker {
    pub(super) async fn open(&mut self, batch: &mut Batch<'_>, wait: Wait) -> Result<(), Error> {
        let home = Partition(self.place.partition);
        self.timers.set(wait.life.deadline, format!("wait:{}", wait.id));
        batch.put(self.place, "wait", &wait.id, &wait);
        self.expect(batch, &wait.name, &wait.keys[0], Waiting { home, wait: wait.id.clone() }).await
    }

    /// Registers who waits for a key, and hands over what has already come.
    pub(super) async fn expect(
        &mut self,
        batch: &mut Batch<'_>,
        name: &str,
        key: &str,
        waiting: Waiting,
    ) -> Result<(), Error> {
        let at = wait_key(name, key);
        let mut all = batch.get::<Vec<Waiting>>(self.place, "key", &at).await?.unwrap_or_default();
        if !all.contains(&waiting) {
            all.push(waiting.clone());
        }
        batch.put(self.place, "key", &at, &all);
        let mut kept = batch.get::<Vec<Answer>>(self.place, "answer", &at).await?.unwrap_or_default();
        if !kept.is_empty() {
            let first = kept.remove(0);
            self.timers.unset(first.at + ANSWER_KEPT, format!("answer:{at}"));
            if let Some(next) = kept.iter().map(|answer| answer.at).min() {
                self.timers.set(next + ANSWER_KEPT, format!("answer:{at}"));
            }
            self.put_list(batch, "answer", &at, &kept);
            self.hand_over(batch, &waiting, first).await?;
        }
        Ok(())
    }

    /// Writes a list, or removes it when it is empty.
    pub(super) fn put_list<T: serde::Serialize>(
        &self,
        batch: &mut Batch<'_>,
        space: &'static str,
        at: &str,
        list: &[T],
    ) {
        match list.is_empty() {
            true => batch.delete(self.place, space, at),
            false => batch.put(self.place, space, at, &list),
        }
    }

    pub(super) async fn answered(&mut self, batch: &mut Batch<'_>, answer: Answer) -> Result<(), Error> {
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
    pub(super) async fn keep(&mut self, batch: &mut Batch<'_>, at: &str, answer: Answer) -> Result<(), Error> {
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
    pub(super) async fn unclaimed(&mut self, batch: &mut Batch<'_>, answer: Answer) -> Result<(), Error> {
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
    pub(super) async fn hand_over(&mut self, batch: &mut Batch<'_>, to: &Waiting, answer: Answer) -> Result<(), Error> {
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
    pub(super) async fn wake(&mut self, batch: &mut Batch<'_>, id: &str, answer: &Answer) -> Result<bool, Error> {
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
    pub(super) async fn settle_overdue(
        &mut self,
        batch: &mut Batch<'_>,
        wait: &Wait,
        by: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(task) = &wait.task {
            return self.task_event(batch, task, task::Event::Withdrawn, now).await.map(drop);
        }
        let note = format!("the answer came with message {by}");
        let (parked, action) = (wait.id.clone(), "settled".to_string());
        batch.tell(&wait.work, now, What::Released { parked, action, by: "raccordo".into(), note });
        Ok(())
    }

    /// Removes a wait and the entries under its keys, here and elsewhere.
    pub(super) async fn forget(&mut self, batch: &mut Batch<'_>, wait: &Wait) -> Result<(), Error> {
        self.timers.unset(wait.life.deadline, format!("wait:{}", wait.id));
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

    pub(super) async fn forget_key(
        &self,
        batch: &mut Batch<'_>,
        name: &str,
        key: &str,
        wait: &str,
    ) -> Result<(), Error> {
        let at = wait_key(name, key);
        let mut all = batch.get::<Vec<Waiting>>(self.place, "key", &at).await?.unwrap_or_default();
        all.retain(|waiting| waiting.wait != wait);
        self.put_list(batch, "key", &at, &all);
        Ok(())
    }

    pub(super) async fn witness(&self, batch: &mut Batch<'_>, at: &str, witness: Witness) -> Result<(), Error> {
        batch.put(self.place, "witness", at, &witness);
        let kept = batch.get::<Vec<Answer>>(self.place, "answer", at).await?.unwrap_or_default();
        if let Some(first) = kept.first() {
            self.prove(batch, at, first).await?;
        }
        Ok(())
    }

    /// An answer for this key proves that what it answers was delivered.
    pub(super) async fn prove(&self, batch: &mut Batch<'_>, at: &str, answer: &Answer) -> Result<(), Error> {
        let Some(witness) = batch.get::<Witness>(self.place, "witness", at).await? else { return Ok(()) };
        let reply = json!({ "witness": { "name": answer.name, "key": answer.key, "message": answer.by } });
        let receipt = Receipt { remote_id: None, reply, raw: None };
        let record = OutboxRecord::Witnessed { outgoing: witness.outgoing.clone(), receipt };
        batch.outbox(Place::new(Topic::OUTBOX, witness.home.0), &witness.outgoing, &record);
        batch.delete(self.place, "witness", at);
        Ok(())
    }
}
