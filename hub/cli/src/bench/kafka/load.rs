//! The messages: what they are, how they get into the inbox before the clock runs, and what must come of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use hub_backbone::{Backbone, Commit, Place, Topic};
use hub_core::{MessageId, Value};
use hub_kafka::Kafka;
use serde_json::json;
use tokio::task::JoinSet;

use super::store::Store;
use super::tools::Follower;

/// Size of a message's body.
pub(super) const BYTES: usize = 500;
/// Messages of one case, one after the other.
const PER_CASE: u32 = 30;
/// Records that one commit brings into the inbox, and such commits at once.
const CHUNK: u32 = 500;
const AT_ONCE: usize = 8;
/// Results that come after the last one that is missing come within this: they would be duplicates.
const MOMENT: Duration = Duration::from_secs(3);

/// Takes an order, makes another document of it, and writes that into the history of its case: the journal is the output.
pub(super) const ROUTE: &str = "route: ordini
from:
  http: { path: /ordini, auth: none, require_key: true }
lane: body.caso
steps:
  - map: { ordine: body.numero, testo: body.testo }
  - log: string(body.ordine) + \" \" + body.testo
";

fn case(number: u32) -> String {
    format!("caso-{}", number / PER_CASE)
}

/// A text of its own for each number, as long as it takes.
fn text(number: u32) -> String {
    let bare = json!({ "caso": case(number), "numero": number, "testo": "" }).to_string().len();
    format!("{number:0>width$}", width = BYTES.saturating_sub(bare))
}

/// The body with this number: JSON of [`BYTES`] bytes.
pub(super) fn body(number: u32) -> String {
    json!({ "caso": case(number), "numero": number, "testo": text(number) }).to_string()
}

/// Puts messages `1..=messages` into the inbox while no hub runs. Each is a copy of the record that a hub made of one message
/// that came in by HTTP, with id, lane, case and body of its own: what admission costs is not measured.
///
/// # Errors
/// When the store cannot be written, or no hub has taken a message before.
pub(super) async fn fill(store: &Store, messages: u32) -> anyhow::Result<()> {
    let kafka = Arc::new(Kafka::open(store.settings("filler")?).await?);
    let template = Arc::new(template(&kafka).await?);
    let mut all = JoinSet::new();
    for first in (1..=messages).step_by(CHUNK as usize) {
        if all.len() >= AT_ONCE {
            all.join_next().await.context("invariant: some are under way")???;
        }
        let (kafka, template) = (kafka.clone(), template.clone());
        let last = first.saturating_add(CHUNK - 1).min(messages);
        let _handle = all.spawn(async move {
            kafka.commit(chunk(&template, first..=last, kafka.partitions())?).await.map_err(anyhow::Error::from)
        });
    }
    while let Some(done) = all.join_next().await {
        let _offsets = done??;
    }
    kafka.close().await;
    Ok(())
}

/// The record of a message that a hub has taken.
async fn template(kafka: &Kafka) -> anyhow::Result<Value> {
    for partition in 0..kafka.partitions() {
        for record in kafka.read(Place::new(Topic::INBOX, partition), 0, 10, 1 << 20).await? {
            let value: Value = serde_json::from_slice(&record.bytes)?;
            if value["r"]["work"].is_object() {
                return Ok(value);
            }
        }
    }
    anyhow::bail!("the inbox has no message that a hub has taken: there is nothing to copy")
}

fn chunk(template: &Value, numbers: std::ops::RangeInclusive<u32>, partitions: u16) -> anyhow::Result<Commit> {
    let mut commit = Commit::new();
    for number in numbers {
        let id = MessageId::derive(&["bench", &number.to_string()]).to_string();
        let mut record = template.clone();
        let work = &mut record["r"]["work"];
        ensure!(work["body"]["text"][1].is_string(), "the record of a message has another form than this bench knows");
        work["id"] = json!(id);
        work["lane"] = json!(case(number));
        work["case"]["id"] = json!(case(number));
        work["body"]["text"][1] = json!(body(number));
        commit.append(Place::of_key(Topic::INBOX, &case(number), partitions), id, serde_json::to_vec(&record)?);
    }
    Ok(commit)
}

/// What stands in the journal.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// How often the right text stands there, by number.
    outputs: HashMap<u32, u32>,
    /// Times of the first and the last record, in milliseconds since 1970.
    span: Option<(i64, i64)>,
}

impl Seen {
    /// Reads what is committed until a result of each of so many messages was seen and nothing has come for a moment, or
    /// until the consumer gives up.
    ///
    /// # Errors
    /// When the consumer breaks off, or has seen nothing at all.
    pub(super) async fn read(mut follower: Follower, messages: u32) -> anyhow::Result<Self> {
        let mut seen = Self::default();
        loop {
            let next = match seen.lost(messages) {
                0 => tokio::time::timeout(MOMENT, follower.next()).await.unwrap_or(Ok(None)),
                _ => follower.next().await,
            };
            match next? {
                Some((at, value)) => seen.add(at, &value),
                None => break,
            }
        }
        ensure!(seen.span.is_some(), "Kafka's consumer saw no result in the journal: are the brokers up?");
        Ok(seen)
    }

    fn add(&mut self, at: i64, value: &str) {
        // number 0 is the message that the others are copies of
        if let Some(number) = number(value).filter(|number| *number > 0) {
            *self.outputs.entry(number).or_default() += 1;
            let (first, last) = self.span.unwrap_or((at, at));
            self.span = Some((first.min(at), last.max(at)));
        }
    }

    /// Messages of which nothing came, or something else than should.
    pub(super) fn lost(&self, messages: u32) -> usize {
        (messages as usize).saturating_sub(self.outputs.len())
    }

    /// Results that are there more than once.
    pub(super) fn duplicates(&self) -> u32 {
        self.outputs.values().map(|times| times - 1).sum()
    }

    /// From the first result to the last one, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.span.map_or(0.0, |(first, last)| (last - first).max(1) as f64 / 1000.0)
    }
}

/// Which message an event of the journal is the right result of, if any.
pub(super) fn number(event: &str) -> Option<u32> {
    let event: Value = serde_json::from_str(event).ok()?;
    let (number, rest) = event["what"]["logged"]["text"].as_str()?.split_once(' ')?;
    let number = number.parse().ok()?;
    (rest == text(number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_their_size_and_results_are_recognised() {
        assert_eq!([1, 29, 30, 299_999].map(|number| body(number).len()), [BYTES; 4]);
        let event = |text: String| json!({ "what": { "logged": { "text": text } } }).to_string();
        assert_eq!(number(&event(format!("7 {}", text(7)))), Some(7));
        assert_eq!(number(&event(format!("7 {}", text(8)))), None, "another one's text");
        assert_eq!(number(r#"{"what":"finished"}"#), None);
    }

    #[test]
    fn what_is_missing_or_there_twice_is_counted() {
        let mut seen = Seen::default();
        for (at, which) in [(1_000, 1), (2_500, 3), (2_000, 3)] {
            seen.add(at, &json!({ "what": { "logged": { "text": format!("{which} {}", text(which)) } } }).to_string());
        }
        assert_eq!((seen.lost(4), seen.duplicates(), seen.seconds()), (2, 1, 1.5));
    }
}
