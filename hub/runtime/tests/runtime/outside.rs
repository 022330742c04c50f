//! The outside world of a test: it outlives the hub. Plug-ins `test`, `test.step`, `test.judge` and `test.sink` reach it
//! through a link in [`OpenCx::shared`], which each life of the hub gets anew.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{
    OpenCx, OpenError, Plugin, Registry, SinkConfig, SinkDef, SourceConfig, SourceDef, StepConfig, StepDef,
};
use hub_core::{
    Applied, Attempt, Body, Expr, Incoming, Intake, Limits, Media, Message, MessageId, Outgoing, Receipt, Repeat,
    Resolution, Scope, SendError, Sink, Source, SourceError, Span, Step, StepError, TransportKey, Value, Verdict,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Notify, watch};

/// What the sink does with one send.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Takes it.
    Receipt,
    /// Surely nothing happened.
    NotSent,
    /// Refuses it.
    Rejected,
    /// Nobody knows; `arrived` is the truth.
    Doubt { arrived: bool },
    /// Panics; before or after the effect.
    Panic { arrived: bool },
    /// Takes it when [`Outside::release`] is called; before it crosses.
    Gate,
    /// Takes it, but the answer comes only when [`Outside::release`] is called.
    SlowAnswer,
    /// Never ends.
    Hang { arrived: bool },
    /// It crosses, nothing arrives, and it never ends.
    Vanish,
}

/// What the sink says when it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Says {
    Truth,
    Unknown,
    Busy,
    /// Answers only when [`Outside::release`] is called, with the truth.
    Gate,
}

/// What a step does with one message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Does {
    Work,
    Unavailable,
    Invalid,
    Panic,
    Hang,
}

/// One call of the sink.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) sink: String,
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) case: String,
    pub(crate) number: u32,
    pub(crate) body: Value,
    pub(crate) to: Value,
    /// Whether the effect took place.
    pub(crate) arrived: bool,
}

/// A message of a test, as it comes in.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) id: String,
    pub(crate) key: Option<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) answerable: bool,
}

impl Feed {
    pub(crate) fn new(id: &str, body: Value) -> Self {
        Self { id: id.into(), key: None, body: body.to_string().into_bytes(), answerable: true }
    }
    pub(crate) fn with_key(mut self, sender: &str, key: &str) -> Self {
        self.key = Some((sender.into(), key.into()));
        self
    }
    pub(crate) fn silent(mut self) -> Self {
        self.answerable = false;
        self
    }
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<String, VecDeque<Vec<Feed>>>,
    cursors: HashMap<String, Vec<Value>>,
    opened: HashMap<String, u32>,
    source_errors: u32,
    settle_errors: u32,
    verdicts: Vec<Vec<Verdict>>,
    acts: VecDeque<Act>,
    usually: Option<Act>,
    says: VecDeque<Says>,
    usually_says: Option<Says>,
    does: HashMap<String, VecDeque<Does>>,
    worked: Vec<(String, String)>,
    calls: Vec<Call>,
    asked: u32,
    under_way: HashMap<String, u32>,
    most_under_way: u32,
}

/// The outside world.
#[derive(Default)]
pub(crate) struct Outside {
    inner: Mutex<Inner>,
    fed: Notify,
    released: watch::Sender<u32>,
}

impl Outside {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a batch before a source.
    pub(crate) fn feed(&self, source: &str, batch: Vec<Feed>) {
        self.inner().waiting.entry(source.into()).or_default().push_back(batch);
        self.fed.notify_waiters();
    }
    /// Batches that no source has settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.inner().waiting.values().map(VecDeque::len).sum()
    }
    pub(crate) fn verdicts(&self) -> Vec<Vec<Verdict>> {
        self.inner().verdicts.clone()
    }
    /// The cursors that a source was opened with.
    pub(crate) fn cursors(&self, source: &str) -> Vec<Value> {
        self.inner().cursors.get(source).cloned().unwrap_or_default()
    }
    pub(crate) fn opened(&self, source: &str) -> u32 {
        self.inner().opened.get(source).copied().unwrap_or_default()
    }
    /// The next calls of `next` (and of `settle`) fail.
    pub(crate) fn fail_sources(&self, next: u32, settle: u32) {
        let mut inner = self.inner();
        (inner.source_errors, inner.settle_errors) = (next, settle);
    }
    pub(crate) fn script(&self, acts: &[Act]) {
        self.inner().acts.extend(acts.iter().cloned());
    }
    /// What the receiver does when no act is scripted; `None`: it takes what comes.
    pub(crate) fn usually(&self, act: Option<Act>) {
        self.inner().usually = act;
    }
    pub(crate) fn says(&self, says: &[Says]) {
        self.inner().says.extend(says.iter().cloned());
    }
    pub(crate) fn usually_says(&self, says: Says) {
        self.inner().usually_says = Some(says);
    }
    pub(crate) fn does(&self, step: &str, does: &[Does]) {
        self.inner().does.entry(step.into()).or_default().extend(does.iter().cloned());
    }
    /// Messages that a step has finished, in order: step, body's `n`.
    pub(crate) fn worked(&self, step: &str) -> Vec<String> {
        self.inner().worked.iter().filter(|(name, _)| name == step).map(|(_, n)| n.clone()).collect()
    }
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.inner().calls.clone()
    }
    /// Bodies' `n`, in the order in which their effects took place.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let inner = self.inner();
        inner.calls.iter().filter(|call| call.arrived).map(|call| call.body["n"].to_string()).collect()
    }
    pub(crate) fn asked(&self) -> u32 {
        self.inner().asked
    }
    /// The largest number of sends of one lane that were under way at once.
    pub(crate) fn most_under_way(&self) -> u32 {
        self.inner().most_under_way
    }
    /// Opens all gates, present and future ones too.
    pub(crate) fn release(&self) {
        let _ = self.released.send_replace(1);
    }
    /// Closes gates again.
    pub(crate) fn close(&self) {
        let _ = self.released.send_replace(0);
    }
    async fn gate(&self) {
        drop(self.released.subscribe().wait_for(|released| *released > 0).await);
    }

    fn settle(&self, source: &str, verdicts: Vec<Verdict>, busy: bool) -> Result<(), SourceError> {
        let mut inner = self.inner();
        if inner.settle_errors > 0 {
            inner.settle_errors -= 1;
            return Err(SourceError::unavailable("the folder went away"));
        }
        if !busy {
            let _ = inner.waiting.get_mut(source).and_then(VecDeque::pop_front);
        }
        inner.verdicts.push(verdicts);
        Ok(())
    }

    fn act(&self) -> Act {
        let mut inner = self.inner();
        let usually = inner.usually.clone().unwrap_or(Act::Receipt);
        inner.acts.pop_front().unwrap_or(usually)
    }
    fn next_does(&self, step: &str) -> Does {
        self.inner().does.get_mut(step).and_then(VecDeque::pop_front).unwrap_or(Does::Work)
    }
    fn has_arrived(&self, key: &str) -> bool {
        self.inner().calls.iter().any(|call| call.key == key && call.arrived)
    }
}

/// Where plug-ins find the outside world, and the name of their hub in it; empty until the hub has started.
pub(crate) struct Link(watch::Sender<Option<(Arc<Outside>, String)>>);

impl Link {
    pub(crate) fn of(shared: &hub_core::plugin::Shared) -> Arc<Self> {
        shared.get_or_make("link", || Ok(Self(watch::Sender::new(None)))).expect("a link can always be made")
    }
    pub(crate) fn set(&self, outside: Arc<Outside>) {
        self.set_for(outside, "");
    }
    /// The same where several hubs live in one world.
    pub(crate) fn set_for(&self, outside: Arc<Outside>, hub: &str) {
        let _ = self.0.send_replace(Some((outside, hub.into())));
    }
    async fn known(&self) -> (Arc<Outside>, String) {
        let mut seen = self.0.subscribe();
        let known = seen.wait_for(Option::is_some).await.expect("the sender is in self").clone();
        known.expect("it was just some")
    }
    async fn get(&self) -> Arc<Outside> {
        self.known().await.0
    }
}

/// Messages that a test feeds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestSource {
    /// Which queue.
    name: String,
}

/// A door that every hub has: what comes to the door `NAME@HUB` is for that hub.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestDoor {
    /// Which queue.
    name: String,
}

#[async_trait]
impl SourceConfig for TestDoor {
    const KIND: &'static str = "test.door";
    const EVERYWHERE: bool = true;
    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        let link = Link::of(&cx.shared);
        let (_, hub) = link.known().await;
        Ok(Box::new(Fed { name: format!("{}@{hub}", self.name), link, cursor: 0 }))
    }
}

struct Fed {
    name: String,
    link: Arc<Link>,
    cursor: u64,
}

#[async_trait]
impl SourceConfig for TestSource {
    const KIND: &'static str = "test";
    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        let link = Link::of(&cx.shared);
        let outside = link.get().await;
        let mut inner = outside.inner();
        *inner.opened.entry(self.name.clone()).or_default() += 1;
        inner.cursors.entry(self.name.clone()).or_default().push(cx.cursor.clone());
        drop(inner);
        let cursor = cx.cursor.as_u64().unwrap_or_default();
        Ok(Box::new(Fed { name: self.name.clone(), link, cursor }))
    }
}

#[async_trait]
impl Source for Fed {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        let outside = self.link.get().await;
        loop {
            let fed = outside.fed.notified();
            tokio::pin!(fed);
            let _ = fed.as_mut().enable();
            let next = {
                let mut inner = outside.inner();
                if inner.source_errors > 0 {
                    inner.source_errors -= 1;
                    return Err(SourceError::unavailable("the folder is away"));
                }
                inner.waiting.get(&self.name).and_then(|queue| queue.front().cloned())
            };
            match next {
                Some(batch) => {
                    self.cursor += 1;
                    let messages = batch.iter().map(incoming).collect();
                    return Ok(Some(Intake { messages, cursor: Some(json!(self.cursor)) }));
                }
                None => fed.await,
            }
        }
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        let outside = self.link.get().await;
        let busy = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Busy { .. }));
        outside.settle(&self.name, verdicts, busy)?;
        if busy {
            // The sender waits before it comes again.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

fn incoming(feed: &Feed) -> Incoming {
    Incoming {
        id: MessageId::derive(&["test", &feed.id]),
        key: feed.key.clone().map(|(sender, key)| TransportKey { sender, key }),
        headers: [("origin".to_string(), feed.id.clone())].into(),
        body: Body::new(Media::Json, feed.body.clone()),
        answerable: feed.answerable,
    }
}

/// A step that does what a test says.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestStep {
    /// Which script.
    name: String,
}

/// A judge that does what a test says, and refuses bodies with `bad`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestJudge {
    /// Which script.
    name: String,
}

struct Scripted {
    name: String,
    link: Arc<Link>,
}

#[async_trait]
impl StepConfig for TestStep {
    const KIND: &'static str = "test.step";
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        Ok(Arc::new(Scripted { name: self.name.clone(), link: Link::of(&cx.shared) }))
    }
}

#[async_trait]
impl StepConfig for TestJudge {
    const KIND: &'static str = "test.judge";
    const JUDGES: bool = true;
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Step>, OpenError> {
        Ok(Arc::new(Scripted { name: self.name.clone(), link: Link::of(&cx.shared) }))
    }
}

#[async_trait]
impl Step for Scripted {
    async fn apply(&self, message: Message, _: &Scope<'_>) -> Result<Applied, StepError> {
        let outside = self.link.get().await;
        let body: Value = serde_json::from_slice(&message.body.bytes).unwrap_or(Value::Null);
        if !body["bad"].is_null() {
            return Err(StepError::invalid("test.bad", "/bad", "it is bad"));
        }
        match outside.next_does(&self.name) {
            Does::Work => {}
            Does::Unavailable => return Err(StepError::Unavailable("the device is off".into())),
            Does::Invalid => return Err(StepError::invalid("test.invalid", "/n", "it is wrong")),
            Does::Panic => panic!("the step panics, as the test wants"),
            Does::Hang => std::future::pending::<()>().await,
        }
        outside.inner().worked.push((self.name.clone(), body["n"].to_string()));
        Ok(Applied { message, result: json!({ "by": self.name }) })
    }
}

/// What repeating means to the receiver.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Means {
    Harmless,
    Askable,
    Forbidden,
}

/// A receiver that does what a test says.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TestSink {
    /// Its name.
    name: String,
    /// What repeating means.
    repeat: Means,
    /// A value to send along; it comes back as a parameter.
    #[expect(dead_code, reason = "the runtime evaluates it")]
    to: Option<Expr<String>>,
    /// Its own lane for all messages.
    lane: Option<String>,
    /// Whether a doubt holds the lane.
    #[serde(default)]
    holds: bool,
    /// Sends at once.
    in_flight: Option<usize>,
    /// How long an attempt may take.
    attempt: Option<Span>,
    /// How long it is asked.
    patience: Option<Span>,
}

struct Receiver {
    config: TestSink,
    link: Arc<Link>,
}

#[async_trait]
impl SinkConfig for TestSink {
    const KIND: &'static str = "test.sink";
    fn repeat(&self) -> Repeat {
        means(self.repeat)
    }
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> {
        Ok(Arc::new(Receiver { config: self.clone(), link: Link::of(&cx.shared) }))
    }
}

fn means(means: Means) -> Repeat {
    match means {
        Means::Harmless => Repeat::Harmless,
        Means::Askable => Repeat::Askable,
        Means::Forbidden => Repeat::Forbidden,
    }
}

impl Receiver {
    /// The effect: from here on the receiver has it.
    fn take(&self, outside: &Outside, out: &Outgoing, attempt: &Attempt, arrives: bool) -> Result<(), SendError> {
        // One step without an await: no crash comes between the crossing and the effect.
        let mut inner = outside.inner();
        let crossed = attempt.cross();
        let arrived = arrives && crossed.is_ok();
        inner.calls.push(Call {
            sink: self.config.name.clone(),
            key: attempt.key.clone(),
            message: out.message.to_string(),
            case: out.case.id.clone(),
            number: attempt.number,
            body: serde_json::from_slice(&out.body.bytes).unwrap_or(Value::Null),
            to: out.params["to"].clone(),
            arrived,
        });
        crossed
    }

    async fn act(&self, outside: &Outside, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let not_sent = || SendError::NotSent { retry_after: None, cause: "refused at the door".into() };
        match outside.act() {
            Act::Receipt => self.take(outside, out, attempt, true)?,
            Act::NotSent => {
                self.take(outside, out, attempt, false)?;
                return Err(not_sent());
            }
            Act::Rejected => {
                self.take(outside, out, attempt, false)?;
                return Err(SendError::Rejected { code: "E7".into(), cause: "unknown account".into() });
            }
            Act::Doubt { arrived } => {
                self.take(outside, out, attempt, arrived)?;
                return Err(attempt.failed("connection reset"));
            }
            Act::Panic { arrived } => {
                self.take(outside, out, attempt, arrived)?;
                panic!("the sink panics, as the test wants");
            }
            Act::Gate => {
                outside.gate().await;
                self.take(outside, out, attempt, true)?;
            }
            Act::SlowAnswer => {
                self.take(outside, out, attempt, true)?;
                outside.gate().await;
            }
            Act::Vanish => {
                self.take(outside, out, attempt, false)?;
                std::future::pending::<()>().await;
            }
            Act::Hang { arrived } => {
                if arrived {
                    self.take(outside, out, attempt, true)?;
                }
                std::future::pending::<()>().await;
            }
        }
        let reply = json!({ "id": format!("r-{}", attempt.key), "n": attempt.number });
        Ok(Receipt { remote_id: Some(format!("r-{}", attempt.key)), reply, raw: None })
    }
}

/// Counts the sends of one lane that are under way, dropped ones included.
struct UnderWay<'a>(&'a Outside, String);

impl<'a> UnderWay<'a> {
    fn new(outside: &'a Outside, lane: String) -> Self {
        let mut inner = outside.inner();
        let count = inner.under_way.entry(lane.clone()).or_default();
        *count += 1;
        let count = *count;
        inner.most_under_way = inner.most_under_way.max(count);
        drop(inner);
        Self(outside, lane)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.0.inner().under_way.get_mut(&self.1) {
            *count = count.saturating_sub(1);
        }
    }
}

#[async_trait]
impl Sink for Receiver {
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let outside = self.link.get().await;
        let body: Value = serde_json::from_slice(&out.body.bytes).unwrap_or(Value::Null);
        let lane = self.config.lane.clone().unwrap_or_else(|| body["corsia"].to_string());
        let _under_way = UnderWay::new(&outside, lane);
        self.act(&outside, out, attempt).await
    }

    async fn resolve(&self, _: &Outgoing, attempt: &Attempt) -> Result<Resolution, SendError> {
        let outside = self.link.get().await;
        let says = {
            let mut inner = outside.inner();
            inner.asked += 1;
            let usually = inner.usually_says.clone().unwrap_or(Says::Truth);
            inner.says.pop_front().unwrap_or(usually)
        };
        if says == Says::Gate {
            outside.gate().await;
        }
        match says {
            Says::Busy => Err(SendError::NotSent { retry_after: None, cause: "busy".into() }),
            Says::Unknown => Ok(Resolution::Unknown { evidence: json!("nothing to see") }),
            Says::Truth | Says::Gate if outside.has_arrived(&attempt.key) => {
                let reply = json!({ "id": format!("r-{}", attempt.key), "resolved": true });
                Ok(Resolution::Delivered(Receipt { remote_id: Some(attempt.key.clone()), reply, raw: None }))
            }
            Says::Truth | Says::Gate => Ok(Resolution::NotDelivered { evidence: json!("not in the list") }),
        }
    }

    fn repeat(&self) -> Repeat {
        means(self.config.repeat)
    }

    fn settles_after(&self) -> Duration {
        Duration::from_secs(60)
    }

    fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            in_flight: self.config.in_flight.unwrap_or(usual.in_flight),
            attempt: self.config.attempt.map_or(usual.attempt, |span| span.0),
            doubt_holds_lane: self.config.holds,
            patience: self.config.patience.map_or(usual.patience, |span| span.0),
            ..usual
        }
    }

    fn lane(&self, _: &Outgoing) -> Option<String> {
        self.config.lane.clone()
    }
}

const SOURCES: &[SourceDef] = &[SourceDef::of::<TestSource>(), SourceDef::of::<TestDoor>()];
const STEPS: &[StepDef] = &[StepDef::of::<TestStep>(), StepDef::of::<TestJudge>()];
const SINKS: &[SinkDef] = &[SinkDef::of::<TestSink>()];
const PLUGINS: &[Plugin] = &[Plugin { name: "test", sources: SOURCES, steps: STEPS, sinks: SINKS }];

/// All plug-ins of these tests.
pub(crate) const REGISTRY: Registry = Registry(PLUGINS);
