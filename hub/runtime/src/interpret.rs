//! Carries out the operations of a segment. Changes nothing but the batch it is handed (and content-addressed blobs).

mod ends;
mod writes;

pub(crate) use writes::{SeenBy, claim_key};

use hub_core::journal::{Task, What};
use hub_core::{Body, Case, Message, Problem, Scope, StepError, Value, decimal_of};
use hub_life::task::TaskState;
use hub_route::expression::{EvalError, Program, Roots};
use hub_route::plan::{Branch, CasePlan, Op, OpKind};
use jiff::Timestamp;
use serde_json::Map;

use crate::Error;
use crate::batch::{Batch, event_of};
use crate::hub::Shared;
use crate::record::{KeyClaim, StoredBody, Work};
use crate::routes::Route;

/// Segments that one message may pass in one go; a plan is a tree, so this is never reached by a right one.
const HOPS_MAX: usize = 1000;
/// Above this, what the children of a split share is kept once.
const SHARED_MIN: usize = 1024;
/// Longest key, in bytes.
const KEY_MAX: usize = 512;
/// Children that one split may make.
const SPLIT_MAX: usize = 10_000;

/// Why a message does not go on.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It is wrong: park it.
    Invalid(Vec<Problem>),
    /// Something is missing for now: try again.
    Unavailable(String),
    /// Another hub has to say whether a key is new: ask its slot.
    Elsewhere(Box<KeyClaim>),
    /// The hub has to stop.
    Fatal(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl From<hub_backbone::Error> for Halt {
    fn from(error: hub_backbone::Error) -> Self {
        Self::Fatal(error.into())
    }
}

/// How the operations of a list ended.
enum Flow {
    Next,
    /// The message ends here.
    Drop(String),
}

/// A message in the middle of a segment.
pub(crate) struct Run<'r> {
    shared: &'r Shared,
    route: &'r Route,
    work: Work,
    message: Message,
    /// Where the body lies already, as long as it is this one: it is named then, not written again.
    stored: Option<StoredBody>,
    entity: Value,
    roots: Option<Roots>,
    now: Timestamp,
}

/// Runs a message from its segment to the next durable line.
pub(crate) async fn run(shared: &Shared, route: &Route, mut work: Work, batch: &mut Batch<'_>) -> Result<(), Halt> {
    if let Some(base) = work.base.take() {
        work.bound = on_base(shared, &base, work.bound).await?;
    }
    let message = shared.message(&work).await?;
    let entity = shared.entity(work.case.entity.as_deref());
    let now = shared.clock.now();
    let stored = Some(work.body.clone()).filter(|body| matches!(body, StoredBody::Blob(..)));
    let mut run = Run { shared, route, work, message, stored, entity, roots: None, now };
    for _ in 0..HOPS_MAX {
        let Some(segment) = route.plan.segments.get(&run.work.segment) else {
            return Err(invalid("route.segment", "", format!("the route has no segment `{}`", run.work.segment)));
        };
        match run.ops(&segment.ops, run.work.skip, batch).await? {
            Flow::Drop(reason) => {
                run.tell(batch, What::Dropped { reason });
                return Ok(());
            }
            Flow::Next => run.work.skip = 0,
        }
        match run.end(segment, batch).await? {
            Some(next) => run.work.segment = next,
            None => return Ok(()),
        }
    }
    Err(invalid("route.endless", "", "the route does not come to an end".into()))
}

/// What a child has of its own, on top of what its parent had bound.
async fn on_base(shared: &Shared, base: &str, own: Value) -> Result<Value, Halt> {
    let missing = || crate::error::missing_blob(base);
    let bytes = shared.blobs.get(base).await?.ok_or_else(missing)?;
    let mut bound: Value =
        serde_json::from_slice(&bytes).map_err(|e| Error::Format(format!("blob {base} cannot be read: {e}")))?;
    if let (Value::Object(bound), Value::Object(own)) = (&mut bound, own) {
        bound.extend(own);
    }
    Ok(bound)
}

fn invalid(code: &str, field: &str, detail: String) -> Halt {
    Halt::Invalid(vec![Problem::at(code, field, detail)])
}

impl Run<'_> {
    fn tell(&self, batch: &mut Batch<'_>, what: What) {
        batch.event(event_of(&self.work, self.now, what));
    }

    fn roots(&mut self) -> &Roots {
        let (message, entity, work) = (&self.message, &self.entity, &self.work);
        self.roots.get_or_insert_with(|| Roots::new(message, entity, &work.bound, work.at))
    }

    fn eval(&mut self, place: &str, program: &Program) -> Result<Value, Halt> {
        program.eval(self.roots()).map_err(|e| wrong(place, &e))
    }

    fn text(&mut self, place: &str, program: &Program) -> Result<String, Halt> {
        text_of(place, &program.text, self.eval(place, program)?)
    }

    /// A text that names something: within limits.
    fn key(&mut self, place: &str, program: &Program) -> Result<String, Halt> {
        let key = self.text(place, program)?;
        match key.len() <= KEY_MAX {
            true => Ok(key),
            false => Err(invalid(
                "expression",
                place,
                format!("`{}` gave a key of {} bytes, at most {KEY_MAX} are allowed", program.text, key.len()),
            )),
        }
    }

    fn holds(&mut self, place: &str, program: &Program) -> Result<bool, Halt> {
        match self.eval(place, program)? {
            Value::Bool(holds) => Ok(holds),
            other => Err(invalid("expression", place, format!("`{}` gave {other}, not true or false", program.text))),
        }
    }

    fn bind(&mut self, name: Option<&str>, value: Value) {
        if let (Some(name), Value::Object(bound)) = (name, &mut self.work.bound) {
            let _ = bound.insert(name.to_string(), value);
            self.roots = None;
        }
    }

    fn params(&mut self, place: &str, params: &[(String, Program)]) -> Result<Value, Halt> {
        let mut values = Map::new();
        for (name, program) in params {
            let _ = values.insert(name.clone(), self.eval(place, program)?);
        }
        Ok(Value::Object(values))
    }

    async fn ops(&mut self, ops: &[Op], skip: usize, batch: &mut Batch<'_>) -> Result<Flow, Halt> {
        for op in ops.iter().skip(skip) {
            if let Flow::Drop(reason) = Box::pin(self.op(op, batch)).await? {
                return Ok(Flow::Drop(reason));
            }
        }
        Ok(Flow::Next)
    }

    async fn op(&mut self, op: &Op, batch: &mut Batch<'_>) -> Result<Flow, Halt> {
        let place = op.place.as_str();
        match &op.what {
            OpKind::Step { params, bind, .. } => self.step(place, params, bind.as_deref()).await?,
            OpKind::Set(values) => {
                for (name, mapping) in values {
                    let value = mapping.eval(self.roots()).map_err(|e| wrong(place, &e))?;
                    self.set(name, value);
                }
            }
            OpKind::Map(mapping) => {
                let value = mapping.eval(self.roots()).map_err(|e| wrong(place, &e))?;
                self.message.body = Body::json(&value);
                (self.stored, self.roots) = (None, None);
            }
            OpKind::Filter(condition) => {
                if !self.holds(place, condition)? {
                    return Ok(Flow::Drop(format!("filter at step {place}: `{}` is false", condition.text)));
                }
            }
            OpKind::Log(program) => {
                let text = self.text(place, program)?;
                self.tell(batch, What::Logged { text });
            }
            OpKind::State { to, case, entity, kind } => {
                self.state(place, to, (case.as_ref(), entity.as_ref(), kind.as_deref()), batch)?;
            }
            OpKind::Archive { class, name, retain } => {
                let name = name.as_ref().map(|name| self.text(place, name)).transpose()?;
                self.archive(class, name, retain.0, batch).await?;
            }
            OpKind::Resume { name, key, answer } => {
                let key = self.key(place, key)?;
                let value = match answer {
                    Some(mapping) => mapping.eval(self.roots()).map_err(|e| wrong(place, &e))?,
                    None => self.roots().body().map_err(|e| invalid("expression", place, e))?,
                };
                self.answer(name, key, value, batch);
            }
            OpKind::Idempotent(plan) => {
                let key = self.key(place, &plan.key)?;
                if self.seen(place, key, plan.remember.0, batch).await? {
                    return Ok(Flow::Drop(format!("idempotent at step {place}: the key was seen before")));
                }
            }
            OpKind::Choice(branches) => {
                if let Some(branch) = self.choose(place, branches)? {
                    return self.ops(&branch.then, 0, batch).await;
                }
            }
        }
        Ok(Flow::Next)
    }

    async fn step(&mut self, place: &str, params: &[(String, Program)], bind: Option<&str>) -> Result<(), Halt> {
        let params = self.params(place, params)?;
        let step = self.route.step(place).cloned();
        let step = step.ok_or_else(|| invalid("route.step", place, "the step is not open".into()))?;
        let scope = Scope { now: self.work.at, entity: &self.entity, params: &params, bound: &self.work.bound };
        let limit = self.shared.limits.step;
        let applied = tokio::time::timeout(limit, step.apply(self.message.clone(), &scope)).await;
        let applied = applied.map_err(|_| Halt::Unavailable(format!("step {place}: no result within {limit:?}")))?;
        let applied = applied.map_err(|e| match e {
            StepError::Invalid(problems) => Halt::Invalid(problems),
            StepError::Unavailable(cause) => Halt::Unavailable(format!("step {place}: {cause}")),
        })?;
        if applied.message.body != self.message.body {
            (self.stored, self.roots) = (None, None);
        }
        if applied.message.headers != self.message.headers {
            self.roots = None;
        }
        // Identity, order and case are the runtime's.
        (self.message.headers, self.message.body) = (applied.message.headers, applied.message.body);
        self.work.headers.clone_from(&self.message.headers);
        self.bind(bind, applied.result);
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Value::Object(bound) = &mut self.work.bound {
            let vars = bound.entry("vars").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(vars) = vars {
                let _ = vars.insert(name.to_string(), value);
            }
        }
        self.roots = None;
    }

    fn choose<'b, T>(&mut self, place: &str, branches: &'b [Branch<T>]) -> Result<Option<&'b Branch<T>>, Halt> {
        for branch in branches {
            match &branch.when {
                Some(condition) if !self.holds(place, condition)? => {}
                _ => return Ok(Some(branch)),
            }
        }
        Ok(None)
    }
}

/// The life of a new task.
pub(crate) fn task_life(task: &Task, entity: Option<String>, escalate: Option<(Timestamp, String)>) -> TaskState {
    TaskState {
        kind: task.kind,
        role: task.role.clone(),
        people: task.people,
        requester: task.requester.clone(),
        entity: entity.unwrap_or_default(),
        sha256: task.sha256.clone(),
        deadline: task.deadline,
        escalate,
        escalated: false,
        approvals: Vec::new(),
        outcome: None,
    }
}

/// Where a wait and its answer meet.
pub(crate) fn wait_key(name: &str, key: &str) -> String {
    format!("{name}\u{1f}{key}")
}

fn wrong(place: &str, error: &EvalError) -> Halt {
    invalid("expression", &format!("step {place}"), error.to_string())
}

fn text_of(place: &str, expression: &str, value: Value) -> Result<String, Halt> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        other => Err(invalid("expression", place, format!("`{expression}` gave {other}, not text"))),
    }
}

/// The case that a plan finds for a message.
pub(crate) fn case_of(plan: &CasePlan, roots: &Roots) -> Result<Case, EvalError> {
    let text = |program: &Program| {
        text_of("", &program.text, program.eval(roots)?)
            .map_err(|_| EvalError { expression: program.text.clone(), detail: "gave no text".into() })
    };
    let id = text(&plan.id)?;
    if id.is_empty() {
        return Err(EvalError { expression: plan.id.text.clone(), detail: "gave an empty text".into() });
    }
    let entity = plan.entity.as_ref().map(text).transpose()?;
    let amount = match &plan.amount {
        Some(program) => {
            let value = program.eval(roots)?;
            let no_amount =
                || EvalError { expression: program.text.clone(), detail: format!("gave {value}, not an amount") };
            Some(decimal_of(&value).ok_or_else(no_amount)?)
        }
        None => None,
    };
    Ok(Case { kind: plan.kind.clone(), id, entity, amount })
}
