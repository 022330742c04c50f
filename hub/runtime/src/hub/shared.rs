//! What all loops share: the store, the clock, the routes, and how the hub is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hub_backbone::{Backbone, Blobs, Term, Terms};
use hub_core::{Body, Clock, Entities, Message, Value};
use hub_route::CaseModel;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::claim::Claims;
use crate::clock::ClockGuard;
use crate::error::missing_blob;
use crate::figures::Gauges;
use crate::flag::Flag;
use crate::operate::Alarm;
use crate::record::{StoredBody, Work};
use crate::recovery::Recovering;
use crate::routes::Routes;
use crate::seen::Seen;
use crate::tenure::{Tenure, Tenures};
use crate::{Error, RouteStatus, RuntimeLimits};

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) backbone: Arc<dyn Backbone>,
    pub(crate) seen: Option<Arc<dyn Seen>>,
    pub(crate) blobs: Arc<dyn Blobs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entities: Arc<Entities>,
    pub(crate) cases: Arc<CaseModel>,
    pub(crate) routes: Routes,
    pub(crate) limits: RuntimeLimits,
    /// Terms of this life, for those who find attempts of one.
    pub(crate) tenures: Tenures,
    /// The terms in which this hub works on slots now.
    pub(super) owned: Mutex<BTreeMap<u16, Arc<Tenure>>>,
    pub(crate) verdicts: Mutex<HashMap<String, oneshot::Sender<Verdict>>>,
    pub(crate) status: Mutex<Vec<RouteStatus>>,
    /// Taken by batches that look at hub-wide keys (of admission, of `idempotent`); see [`crate::batch::Batch::lock_keys`].
    pub(crate) keys: Arc<tokio::sync::Mutex<()>>,
    /// Numbers the commands of people.
    pub(crate) commands: AtomicU64,
    pub(crate) gauges: Gauges,
    /// Whether the store was put back.
    pub(crate) recovering: Recovering,
    pub(super) guard: ClockGuard,
    pub(super) stop: Flag,
    pub(super) abort: Flag,
    pub(super) failure: Mutex<Option<Error>>,
    pub(super) ready: AtomicBool,
    /// Why retention keeps failing, if it does.
    pub(crate) retention: Mutex<Option<String>>,
}

/// What the owner of a thing says to a command; see `commands.rs`.
pub(crate) enum Verdict {
    Decided(crate::Decided),
    Released(crate::Released),
    /// About a message whose keys it owns.
    Admitted(hub_core::Verdict),
}

/// Somebody who waits for the verdict on a command. Nobody does any more when it is dropped.
pub(crate) struct Expected<'a> {
    pub(crate) command: String,
    pub(crate) word: oneshot::Receiver<Verdict>,
    shared: &'a Shared,
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let _ = self.shared.verdicts.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.command);
    }
}

impl Shared {
    pub(crate) fn stopping(&self) -> bool {
        self.stop.is_raised()
    }

    /// A name for a command, and the way on which its verdict comes.
    pub(crate) fn expect_verdict(&self) -> Expected<'_> {
        let (sender, word) = oneshot::channel();
        let command = format!("{}-{}", self.backbone.epoch(), self.commands.fetch_add(1, Ordering::Relaxed));
        let _ = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).insert(command.clone(), sender);
        Expected { command, word, shared: self }
    }

    /// Hands a verdict to whoever waits for it in this hub. They may have given up; it stands all the same.
    pub(crate) fn hear_verdict(&self, command: &str, verdict: Verdict) {
        let waiting = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner).remove(command);
        if let Some(sender) = waiting {
            drop(sender.send(verdict));
        }
    }

    /// Completes when the hub begins to stop.
    pub(crate) async fn stopped(&self) {
        self.stop.raised().await;
    }

    /// Completes when sends that are under way have to end.
    pub(crate) async fn aborted(&self) {
        self.abort.raised().await;
    }

    /// Completes at an instant, or never.
    pub(crate) async fn until(&self, at: Option<Timestamp>) {
        match at {
            Some(_) if !self.clock_agrees() => tokio::time::sleep(Duration::from_secs(1)).await,
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// Whether the wall clock can be believed: if not, nothing expires.
    pub(crate) fn clock_agrees(&self) -> bool {
        self.guard.off(self.clock.now()).is_none()
    }

    /// Whether the boot clock watches the wall clock.
    pub(crate) fn watches_clock(&self) -> bool {
        self.limits.clock_off_max < Duration::MAX
    }

    /// The term in which this hub owns a slot, when it does; waits for it.
    pub(crate) async fn until_owned(&self, slot: u16) -> Result<Term, Error> {
        let mut terms = Terms::new();
        loop {
            if let Some(term) = terms.get(usize::from(slot)).copied().flatten() {
                return Ok(term);
            }
            terms = self.backbone.terms_beyond(&terms).await?;
        }
    }

    /// Completes when the slot is not this hub's in this term any more.
    pub(crate) async fn until_lost(&self, slot: u16, term: Term) -> Result<(), Error> {
        let mut terms = Terms::new();
        loop {
            terms = self.backbone.terms_beyond(&terms).await?;
            if terms.get(usize::from(slot)).copied().flatten() != Some(term) {
                return Ok(());
            }
        }
    }

    /// The slots that this hub works on.
    pub(crate) fn slots(&self) -> Vec<u16> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Notes that work on a slot begins.
    pub(super) fn own(&self, tenure: &Arc<Tenure>) {
        let _ = self.owned.lock().unwrap_or_else(PoisonError::into_inner).insert(tenure.slot, tenure.clone());
    }

    /// Notes that work on a slot ends.
    pub(super) fn disown(&self, tenure: &Tenure) {
        let _ = self.owned.lock().unwrap_or_else(PoisonError::into_inner).remove(&tenure.slot);
        self.gauges.of(tenure.slot).forget();
    }

    /// Whether this life may still act on the outside world.
    pub(crate) fn may_act(&self) -> Result<(), String> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(format!("this hub has lost its store: {error}")),
            None => Ok(()),
        }
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst) && self.failure().is_none() && !self.stopping()
    }

    /// What records and values of any size go through.
    pub(crate) fn claims(&self) -> Claims<'_> {
        Claims { backbone: &*self.backbone, blobs: &*self.blobs }
    }

    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(%error, "the hub stops");
        let _ = self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.stop.raise();
        self.abort.raise();
    }

    pub(crate) async fn load_body(&self, stored: &StoredBody) -> Result<Body, Error> {
        match stored {
            StoredBody::Text(media, text) => Ok(Body::new(*media, text.clone().into_bytes())),
            StoredBody::Hex(media, text) => {
                let bytes = hex::decode(text).map_err(|e| Error::Format(format!("a body cannot be read: {e}")))?;
                Ok(Body::new(*media, bytes))
            }
            StoredBody::Blob(media, sha256) => match self.blobs.get(sha256).await? {
                Some(bytes) => Ok(Body::new(*media, bytes)),
                None => Err(missing_blob(sha256)),
            },
        }
    }

    pub(crate) async fn message(&self, work: &Work) -> Result<Message, Error> {
        Ok(Message {
            id: work.id.clone(),
            lane: hub_core::Lane(work.lane.clone()),
            case: work.case.clone(),
            headers: work.headers.clone(),
            body: self.load_body(&work.body).await?,
        })
    }

    pub(crate) fn entity(&self, code: Option<&str>) -> Value {
        code.and_then(|code| self.entities.get(code)).cloned().unwrap_or(Value::Null)
    }

    pub(crate) fn set_status(&self, route: &str, state: &str, error: Option<String>) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = status.iter_mut().find(|status| status.name == route) {
            (status.state, status.error) = (state.to_string(), error);
        }
    }

    /// Notes that messages of a route were admitted.
    pub(crate) fn taken(&self, route: &str, at: Timestamp) {
        self.gauges.last_taken.set(Some(at));
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(status) = status.iter_mut().find(|status| status.name == route) {
            status.last_taken = Some(at);
        }
    }

    /// The versions that take new messages, as `route@version`.
    pub(crate) fn current_versions(&self) -> BTreeSet<String> {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.iter().map(|status| format!("{}@{}", status.name, status.version)).collect()
    }

    /// The longest time that a loaded route or the sender's own keys ask for.
    pub(crate) fn longest_remember(&self) -> Duration {
        self.routes.longest_remember().max(self.limits.transport_keys)
    }

    /// What an operator should look at.
    pub(crate) fn alarms(&self) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        let mut alarm = |name: &str, subject: &str, detail: String| {
            alarms.push(Alarm { name: name.into(), subject: subject.into(), detail });
        };
        if let Some(off) = self.guard.off(self.clock.now()) {
            alarm("clock", "wall clock", format!("it is {off:?} off the boot clock; nothing expires until they agree"));
        }
        if let Some(found) = self.recovering.now() {
            let detail =
                format!("{}; nothing is sent in lanes that nobody has released: `raccordo recover`", found.reason);
            alarm("recovery", &found.id, detail);
        }
        if let Some(error) = self.failure() {
            alarm("store", "backbone", error.to_string());
        }
        if let Some(detail) = self.retention.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            alarm("retention", "store", detail);
        }
        for status in self.status.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(error) = &status.error {
                alarm("source", &status.name, error.clone());
            }
        }
        alarms
    }
}
