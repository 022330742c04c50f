//! Receivers, and the network before them. What they really got is the judge's knowledge alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{OpenCx, OpenError, SinkConfig};
use hub_core::{Attempt, Clock, Expr, Limits, Outgoing, Receipt, Repeat, Resolution, SendError, Sink};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{Link, number};
use crate::history::{Act, Says};
use crate::mutants::Mutant;
use crate::process::Process;
use crate::sends::Truth;

/// What repeating means to the receiver.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Means {
    Harmless,
    Keyed,
    Askable,
    Forbidden,
}

/// A receiver.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimSink {
    /// Its name, as an expression: the judge finds it in the record.
    #[expect(dead_code, reason = "the runtime evaluates it")]
    to: Expr<String>,
    /// What repeating means.
    repeat: Means,
    /// Its own lane for all messages.
    lane: Option<String>,
    /// Whether a doubt holds the lane.
    #[serde(default)]
    holds: bool,
}

struct Receiver {
    config: SimSink,
    link: Arc<Link>,
    mutant: Option<Mutant>,
}

#[async_trait]
impl SinkConfig for SimSink {
    const KIND: &'static str = "sim.sink";
    fn repeat(&self) -> Repeat {
        match self.repeat {
            Means::Harmless => Repeat::Harmless,
            Means::Keyed => Repeat::Keyed,
            Means::Askable => Repeat::Askable,
            Means::Forbidden => Repeat::Forbidden,
        }
    }
    async fn open(&self, cx: &OpenCx) -> Result<Arc<dyn Sink>, OpenError> {
        Ok(Arc::new(Receiver { config: self.clone(), link: Link::of(&cx.shared), mutant: Mutant::named(&cx.named) }))
    }
}

/// One call of the sink; when it ends, by whatever way, the judge hears of it.
struct Call {
    process: Arc<Process>,
    key: String,
    number: u32,
}

impl Call {
    fn begin(process: Arc<Process>, attempt: &Attempt) -> Self {
        let call = Self { process, key: attempt.key.clone(), number: attempt.number };
        call.process.world.judged(|inner| inner.sends.begin(call.process.number, &call.key, call.number));
        call
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.process.world.mutant == Some(mutant)
    }

    /// The crossing point: the hub's leave, and the judge's opinion of it.
    fn cross(&self, attempt: &Attempt) -> Result<(), SendError> {
        let (world, process) = (&self.process.world, self.process.number);
        if let Err(refused) = attempt.cross() {
            world.fated("crossings refused");
            if !self.is(Mutant::IgnoresTheFence) {
                return Err(refused);
            }
        }
        let now = world.clock.now();
        world.note(|| format!("p{process} crosses with {} #{}", self.key, self.number));
        world.judged(|inner| inner.sends.cross(process, &self.key, self.number, now));
        Ok(())
    }

    /// Hands the bytes to the network, which does not die with the process.
    fn fly(&self, arrives: Option<u64>) {
        let (world, process) = (self.process.world.clone(), self.process.number);
        world.judged(|inner| inner.sends.fly(process, &self.key, self.number, arrives.is_some()));
        let (Some(ms), key, number) = (arrives, self.key.clone(), self.number) else { return };
        drop(tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            world.note(|| format!("{key} #{number} of p{process} arrives"));
            world.judged(|inner| inner.sends.arrive(process, &key, number));
            let (n, order) = {
                let inner = world.inner();
                let n = inner.sends.order_of(&key);
                (n, inner.orders.get(&n).cloned())
            };
            for (index, after) in order.map(|order| order.answers).unwrap_or_default().into_iter().enumerate() {
                tokio::time::sleep(Duration::from_millis(after)).await;
                world.answer(n, &format!("{index}"));
            }
        }));
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.process.world.inner().sends.end(self.process.number, &self.key, self.number);
    }
}

async fn after(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

fn receipt(attempt: &Attempt) -> Receipt {
    let id = format!("r-{}", attempt.key);
    Receipt { remote_id: Some(id.clone()), reply: json!({ "id": id, "n": attempt.number }), raw: None }
}

impl Receiver {
    /// Crosses, and gives the bytes to the network.
    async fn hand_over(&self, call: &Call, attempt: &Attempt, arrives: Option<u64>) -> Result<(), SendError> {
        call.cross(attempt)?;
        // Frozen or killed right behind the crossing: the bytes are still in the process.
        let _ = call.process.point("behind a crossing").await;
        call.fly(arrives);
        Ok(())
    }

    async fn act(&self, call: &Call, attempt: &Attempt, act: Act) -> Result<Receipt, SendError> {
        match act {
            Act::NotSent => return Err(SendError::NotSent { retry_after: None, cause: "refused at the door".into() }),
            Act::Panic { crossed: false, .. } => std::panic::resume_unwind(Box::new("the sink panics")),
            Act::Slow { before } => {
                after(before).await;
                self.hand_over(call, attempt, Some(1)).await?;
                after(2).await;
            }
            Act::Take { transit, answer } => {
                self.hand_over(call, attempt, Some(transit)).await?;
                after(transit + answer + 1).await;
            }
            Act::Frozen { ms, usurped, transit } => {
                call.cross(attempt)?;
                call.process.world.fated("freezes behind a crossing");
                call.process.freeze_for(ms, usurped);
                call.process.gate().await;
                call.fly(Some(transit));
                after(transit + 1).await;
            }
            Act::Rejected => {
                self.hand_over(call, attempt, None).await?;
                after(1).await;
                return Err(SendError::Rejected { code: "E7".into(), cause: "unknown account".into() });
            }
            Act::Reset { arrives } => {
                self.hand_over(call, attempt, arrives).await?;
                return match call.is(Mutant::RepeatsDoubts) {
                    true => Err(SendError::NotSent { retry_after: None, cause: "connection reset".into() }),
                    false => Err(attempt.failed("connection reset")),
                };
            }
            Act::Silent { arrives } => {
                self.hand_over(call, attempt, arrives).await?;
                std::future::pending::<()>().await;
            }
            Act::Panic { arrives, .. } => {
                self.hand_over(call, attempt, arrives).await?;
                std::panic::resume_unwind(Box::new("the sink panics"));
            }
        }
        let _ = call.process.point("an answer").await;
        Ok(receipt(attempt))
    }

    fn name<'a>(&self, out: &'a Outgoing) -> &'a str {
        out.params["to"].as_str().unwrap_or_default()
    }

    fn view(&self, process: &Process, attempt: &Attempt) -> Resolution {
        match process.world.inner().sends.truth(&attempt.key) {
            Truth::Arrived => Resolution::Delivered(receipt(attempt)),
            _ => Resolution::NotDelivered { evidence: json!("not in the list") },
        }
    }
}

#[async_trait]
impl Sink for Receiver {
    async fn send(&self, out: &Outgoing, attempt: &Attempt) -> Result<Receipt, SendError> {
        let process = self.link.get().clone();
        process.gate().await;
        let call = Call::begin(process, attempt);
        let _ = call.process.point("a send").await;
        let act = call.process.world.act(number(&out.body.bytes), self.name(out), attempt.number);
        self.act(&call, attempt, act).await
    }

    async fn resolve(&self, out: &Outgoing, attempt: &Attempt) -> Result<Resolution, SendError> {
        let process = self.link.get().clone();
        let _ = process.point("a question").await;
        let says = process.world.says(number(&out.body.bytes));
        process.world.fated("questions");
        let seen = self.view(&process, attempt);
        match says {
            None => {}
            Some(Says::Unknown) => return Ok(Resolution::Unknown { evidence: json!("nothing to see") }),
            Some(Says::Busy) => return Err(SendError::NotSent { retry_after: None, cause: "busy".into() }),
            Some(Says::Late { ms }) => after(ms).await,
            Some(Says::Never) => std::future::pending().await,
            Some(Says::Panic) => std::panic::resume_unwind(Box::new("the sink panics")),
        }
        let _ = process.point("an answer to a question").await;
        Ok(seen)
    }

    fn repeat(&self) -> Repeat {
        SinkConfig::repeat(&self.config)
    }

    fn settles_after(&self) -> Duration {
        match self.mutant {
            Some(Mutant::BelievesTooSoon) => Duration::ZERO,
            _ => Duration::from_secs(60),
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            in_flight: 2,
            attempt: Duration::from_secs(20),
            doubt_holds_lane: self.config.holds && self.mutant != Some(Mutant::ReleasesTheLane),
            patience: Duration::from_secs(120),
            ..Limits::default()
        }
    }

    fn lane(&self, _: &Outgoing) -> Option<String> {
        self.config.lane.clone().filter(|_| self.mutant != Some(Mutant::ForgetsItsLane))
    }
}
