//! Calls of the sink: sends and questions, each in a task of its own.

use std::sync::Arc;

use hub_core::{Attempt, Crossing, Outgoing, Resolution, SendError};
use hub_failpoint::{Point, at as failpoint};
use hub_life::outbound::{Answer, Ended, State};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinError;

use super::{ANSWER_FACTOR, DeliverWorker, Effect, Signal};
use crate::Error;
use crate::hub::Shared;
use crate::record::{Outbound, decode};
use crate::routes::SinkSlot;

impl DeliverWorker {
    pub(super) async fn outgoing(&self, id: &str) -> Result<Option<(Outgoing, Outbound)>, Error> {
        let Some(bytes) = self.shared.claims().get(self.place, "outbound", id).await? else { return Ok(None) };
        let out: Outbound = decode("outbound message", &bytes)?;
        let body = self.shared.load_body(&out.work.body).await?;
        let outgoing = Outgoing {
            id: hub_core::MessageId::from_text(out.id.clone()),
            message: out.work.id.clone(),
            case: out.work.case.clone(),
            headers: out.work.headers.clone(),
            body,
            params: out.params.clone(),
            bound: out.work.bound.clone(),
        };
        Ok(Some((outgoing, out)))
    }

    pub(super) fn attempt(&self, id: &str, not_after: Option<Timestamp>) -> Option<(Attempt, Arc<SinkSlot>)> {
        let pending = self.pending.get(id)?;
        let now = self.shared.clock.now();
        let at = match &pending.life.state {
            State::Sending { at, .. } => *at,
            _ => now,
        };
        let (shared, tenure) = (self.shared.clone(), self.tenure.clone());
        let crossing = Crossing::new(move || {
            shared.may_act()?;
            tenure.may_act()?;
            match not_after {
                Some(end) if shared.clock.now() > end => Err(format!("the attempt was allowed to cross until {end}")),
                _ => Ok(()),
            }
        });
        let first_at = pending.life.known_from().unwrap_or(at);
        let attempt = Attempt { key: id.to_string(), number: pending.life.attempts, first_at, at, crossing };
        Some((attempt, pending.slot.clone()))
    }

    pub(super) async fn carry_out(&mut self, effect: Effect) -> Result<(), Error> {
        match effect {
            Effect::Place(id) => {
                let Some(pending) = self.pending.get(&id) else { return Ok(()) };
                let (places, sender) = (pending.slot.places.clone(), self.sender.clone());
                drop(tokio::spawn(async move {
                    if let Ok(place) = places.acquire_owned().await {
                        // The worker is gone only when the hub has stopped.
                        drop(sender.send(Signal::Place(id, place)).await);
                    }
                }));
            }
            Effect::Send(id, place) => {
                failpoint(Point::IntentCommitted);
                self.send(id, place).await?;
            }
            Effect::Settled(id) => {
                failpoint(Point::OutcomeCommitted);
                tracing::debug!(id, "the outcome of the attempt is durable");
            }
            Effect::Ask(id) => self.ask(id).await?,
        }
        Ok(())
    }

    pub(super) async fn send(&mut self, id: String, place: OwnedSemaphorePermit) -> Result<(), Error> {
        let not_after = match self.pending.get(&id).map(|pending| &pending.life.state) {
            Some(State::Sending { not_after, .. }) => *not_after,
            _ => return Ok(()),
        };
        let Some((outgoing, _)) = self.outgoing(&id).await? else { return Ok(()) };
        let Some((attempt, slot)) = self.attempt(&id, Some(not_after)) else { return Ok(()) };
        let (sender, shared) = (self.sender.clone(), self.shared.clone());
        self.under_way += 1;
        drop(tokio::spawn(async move {
            // In a task of its own: a sink that panics has ended its attempt, too.
            let task = (shared, slot, outgoing, attempt.clone());
            let ended = tokio::spawn(async move { send_once(&task.0, &task.1, &task.2, &task.3).await }).await;
            let ended = ended.unwrap_or_else(|error| ended_of(attempt.failed(failure(error))));
            drop(place);
            drop(sender.send(Signal::Ended(id, ended)).await);
        }));
        Ok(())
    }

    pub(super) async fn ask(&mut self, id: String) -> Result<(), Error> {
        let Some((outgoing, _)) = self.outgoing(&id).await? else { return Ok(()) };
        let Some((attempt, slot)) = self.attempt(&id, None) else { return Ok(()) };
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.fence.ask();
        }
        let (sender, shared) = (self.sender.clone(), self.shared.clone());
        self.under_way += 1;
        drop(tokio::spawn(async move {
            let asked = tokio::spawn(async move {
                let limit = slot.policy.attempt * ANSWER_FACTOR;
                // Questions take places, too: after an outage many are asked at once.
                let ask = async {
                    let _place = slot.places.acquire().await;
                    tokio::time::timeout(limit, slot.sink.resolve(&outgoing, &attempt)).await
                };
                tokio::select! {
                    biased;
                    () = shared.aborted() => Answer::CouldNotAsk("the hub is stopping".into()),
                    asked = ask => answer_of(asked),
                }
            });
            let answer = asked.await.unwrap_or_else(|error| Answer::CouldNotAsk(failure(error)));
            drop(sender.send(Signal::Asked(id, answer)).await);
        }));
        Ok(())
    }
}

/// Calls the sink once; judges a send that takes too long, or that the hub's stop ends, by whether it has crossed.
async fn send_once(shared: &Shared, slot: &SinkSlot, outgoing: &Outgoing, attempt: &Attempt) -> Ended {
    let limit = slot.policy.attempt * ANSWER_FACTOR;
    let result = tokio::select! {
        biased;
        () = shared.aborted() => Err(attempt.failed("the hub is stopping")),
        sent = tokio::time::timeout(limit, slot.sink.send(outgoing, attempt)) => {
            sent.unwrap_or_else(|_| Err(attempt.failed(format!("no answer within {limit:?}"))))
        }
    };
    tracing::debug!(id = attempt.key, sink = slot.kind, attempt = attempt.number, ok = result.is_ok(), "attempt ended");
    result.map_or_else(ended_of, Ended::Receipt)
}

/// What a sink that panicked said. Without the number of its task, which says nothing and differs from run to run.
fn failure(error: JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else { return "the sink was cut off".into() };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    format!("the sink failed: {}", text.unwrap_or("it panicked"))
}

fn ended_of(error: SendError) -> Ended {
    match error {
        SendError::NotSent { retry_after, cause } => {
            Ended::NotSent { retry_after: retry_after.map(|span| span.0), cause: cause.to_string() }
        }
        SendError::Rejected { code, cause } => Ended::Rejected { code, cause: cause.to_string() },
        SendError::InDoubt { cause } => Ended::InDoubt { cause: cause.to_string() },
    }
}

fn answer_of(asked: Result<Result<Resolution, SendError>, tokio::time::error::Elapsed>) -> Answer {
    match asked {
        Err(_) => Answer::CouldNotAsk("no answer in time".into()),
        Ok(Err(error)) => Answer::CouldNotAsk(error.to_string()),
        Ok(Ok(Resolution::Delivered(receipt))) => Answer::Delivered(receipt),
        Ok(Ok(Resolution::NotDelivered { evidence })) => Answer::NotDelivered(evidence),
        Ok(Ok(Resolution::Unknown { evidence })) => Answer::Unknown(evidence),
    }
}
