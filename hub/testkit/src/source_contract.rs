//! The contract of sources, as far as it can be run against any of them.

use std::future::Future;

use hub_core::{Body, Headers, Incoming, Intake, MessageId, Source, Verdict};

/// `Stored` for each message of a batch.
#[must_use]
pub fn stored(messages: &[Incoming]) -> Vec<Verdict> {
    let verdict = |m: &Incoming| Verdict::Stored { id: m.id.clone(), case: m.id.to_string(), again: false };
    messages.iter().map(verdict).collect()
}

/// Runs the contract of a source that can be read again (files, polled services; not HTTP, whose senders wait).
///
/// - `open` opens the source anew, as after a crash; it must find at least one message, and turn its own clock.
/// - `outside` takes a picture of the outside world, which may only change in `settle`.
///
/// # Panics
/// If the source changes something before `settle`, does not bring the same messages under the same ids again, or
/// cannot bear a repeated `settle`.
pub async fn source_contract<P: PartialEq + std::fmt::Debug>(
    open: impl AsyncFn() -> Box<dyn Source>,
    next: impl AsyncFn(&mut Box<dyn Source>) -> Intake,
    outside: impl Fn() -> P,
) {
    let before = outside();
    let first = read(&open, &next).await.1;
    assert!(!first.messages.is_empty(), "the source brought nothing: prepare at least one message");
    assert_eq!(outside(), before, "`next` changed the outside world");
    let (mut source, second) = read(&open, &next).await;
    assert_eq!(picture(&first), picture(&second), "a message that was not settled must come again, the same");
    let verdicts = stored(&second.messages);
    source.settle(verdicts.clone()).await.expect("settle works");
    source.settle(verdicts).await.expect("settle bears being repeated");
}

async fn read(
    open: &impl AsyncFn() -> Box<dyn Source>,
    next: &impl AsyncFn(&mut Box<dyn Source>) -> Intake,
) -> (Box<dyn Source>, Intake) {
    let mut source = open().await;
    dropped_early(source.next()).await;
    let intake = next(&mut source).await;
    (source, intake)
}

/// Polls once and drops: a graceful stop at the first await point.
async fn dropped_early(next: impl Future) {
    tokio::select! {
        biased;
        _ = next => {}
        () = std::future::ready(()) => {}
    }
}

fn picture(intake: &Intake) -> Vec<(MessageId, Headers, Body)> {
    intake.messages.iter().map(|m| (m.id.clone(), m.headers.clone(), m.body.clone())).collect()
}
