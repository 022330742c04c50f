//! One loop for each source: open, `next`, admit, `settle`; after an error, a pause and a new beginning.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hub_backbone::{Error as LogError, Term};
use hub_core::plugin::OpenCx;
use hub_core::{Source, SourceError, Value, Verdict};
use hub_failpoint::{Point, at as failpoint};

use crate::Error;
use crate::admit::{Cursor, admit, busy, cursor, cursor_place, is_full};
use crate::hub::Shared;
use crate::routes::Route;

/// Pauses between two openings of a source that fails.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause before a full hub is asked again on behalf of a source that cannot answer.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// Why one life of a source is over.
enum Over {
    /// It has ended, or the hub stops.
    Done,
    /// It failed; it is opened again.
    Failed { error: String, wait: Option<Duration>, worked: bool },
    /// The hub has failed.
    Hub(Error),
    /// The slot that owns the source went to another hub.
    Elsewhere,
}

/// Runs a route's source until the hub stops, whenever it is this hub's.
pub(crate) async fn run(shared: Arc<Shared>, route: Arc<Route>, cx: OpenCx) {
    let name = route.plan.route.as_str();
    let mut pause = PAUSE_MIN;
    while !shared.stopping() {
        let life = AssertUnwindSafe(one_life(&shared, &route, &cx)).catch_unwind().await;
        let over =
            life.unwrap_or_else(|_| Over::Failed { error: "the source panicked".into(), wait: None, worked: false });
        let (error, wait) = match over {
            Over::Done => break,
            Over::Hub(error) => {
                shared.fail(error);
                break;
            }
            Over::Failed { error, wait, worked } => {
                pause = if worked { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
                (error, wait.unwrap_or(pause).min(PAUSE_MAX * 10))
            }
            Over::Elsewhere => continue,
        };
        tracing::warn!(route = name, error, "the source is opened again after a pause");
        shared.set_status(name, "waiting", Some(error));
        tokio::select! {
            biased;
            () = shared.stopped() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    shared.set_status(name, "stopped", None);
}

/// A source as long as it is this hub's: a listener is every hub's, one that polls belongs to the owner of its slot.
async fn one_life(shared: &Shared, route: &Arc<Route>, cx: &OpenCx) -> Over {
    let slot = cursor_place(shared, &route.plan.route).partition;
    if route.plan.source.everywhere {
        return open_and_take(shared, route, cx, None).await;
    }
    if shared.backbone.term(slot).is_none() {
        shared.set_status(&route.plan.route, "elsewhere", None);
    }
    let owned = tokio::select! {
        biased;
        () = shared.stopped() => return Over::Done,
        owned = shared.until_owned(slot) => owned,
    };
    let term = match owned {
        Ok(term) => term,
        Err(error) => return Over::Hub(error),
    };
    tokio::select! {
        biased;
        over = open_and_take(shared, route, cx, Some(term)) => over,
        lost = shared.until_lost(slot, term) => lost.map_or_else(Over::Hub, |()| Over::Elsewhere),
    }
}

async fn open_and_take(shared: &Shared, route: &Arc<Route>, cx: &OpenCx, term: Option<Term>) -> Over {
    let cursor = match term {
        None => Ok(Value::Null),
        Some(_) => cursor(shared, &route.plan.route).await,
    };
    let cursor = match cursor {
        Ok(cursor) => cursor,
        Err(Error::Backbone(LogError::Lost { .. })) => return Over::Elsewhere,
        Err(error) => return Over::Hub(error),
    };
    let cx = OpenCx { cursor, ..cx.clone() };
    let opened = tokio::select! {
        biased;
        () = shared.stopped() => return Over::Done,
        opened = route.plan.source.opens.open(&cx) => opened,
    };
    let mut source = match opened {
        Ok(source) => source,
        Err(error) => return Over::Failed { error: error.to_string(), wait: None, worked: false },
    };
    shared.set_status(&route.plan.route, "running", None);
    let mut worked = false;
    loop {
        match round(shared, route, &mut *source, term).await {
            Round::Again => worked = true,
            Round::Over(Over::Failed { error, wait, .. }) => return Over::Failed { error, wait, worked },
            Round::Over(over) => return over,
        }
    }
}

enum Round {
    Again,
    Over(Over),
}

/// `next`, admit, `settle`, once.
async fn round(shared: &Shared, route: &Arc<Route>, source: &mut dyn Source, term: Option<Term>) -> Round {
    let intake = tokio::select! {
        biased;
        () = shared.stopped() => return Round::Over(Over::Done),
        intake = source.next() => intake,
    };
    let intake = match intake {
        Ok(Some(intake)) => intake,
        Ok(None) => return Round::Over(Over::Done),
        Err(error) => return Round::Over(failed(error)),
    };
    let answerable = intake.messages.iter().all(|message| message.answerable);
    let count = intake.messages.len();
    loop {
        match is_full(shared, route).await {
            Ok(false) => break,
            Ok(true) if answerable => {
                return match source.settle(busy(count)).await {
                    Ok(()) => Round::Again,
                    Err(error) => Round::Over(failed(error)),
                };
            }
            // Files and mails wait where they are.
            Ok(true) => tokio::select! {
                biased;
                () = shared.stopped() => return Round::Over(Over::Done),
                () = tokio::time::sleep(FULL_PAUSE) => {}
            },
            Err(error) => return Round::Over(Over::Hub(error)),
        }
    }
    let cursor = intake.cursor.zip(term).map(|(value, term)| Cursor { value, term });
    let verdicts = match admit(shared, route, intake.messages, cursor).await {
        Ok(verdicts) => verdicts,
        Err(error) => return Round::Over(Over::Hub(error)),
    };
    if verdicts.iter().any(|verdict| matches!(verdict, Verdict::Stored { again: false, .. })) {
        shared.taken(&route.plan.route, shared.clock.now());
    }
    metrics::counter!("raccordo_admitted_batches_total", "route" => route.plan.route.clone()).increment(1);
    match source.settle(verdicts).await {
        Ok(()) => {
            failpoint(Point::SourceSettled);
            Round::Again
        }
        Err(error) => Round::Over(failed(error)),
    }
}

fn failed(error: SourceError) -> Over {
    let wait = match &error {
        SourceError::Unavailable { retry_after, .. } => retry_after.map(|span| span.0),
        SourceError::Broken { .. } => Some(PAUSE_MAX),
    };
    Over::Failed { error: error.to_string(), wait, worked: false }
}
