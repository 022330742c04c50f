//! The source `timer`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{ConfigError, OpenCx, OpenError, SourceConfig};
use hub_core::{Body, Clock, Headers, Incoming, Intake, MessageId, Source, SourceError, Span, Value, Verdict, header};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;

/// The shortest interval: below it a timer is a busy loop.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// Brings a message at every multiple of an interval: `every: 1h` at each full hour (UTC).
///
/// The body is `{"fired_at": "2026-03-02T09:00:00Z"}`, the instant that was due. Instants that passed while the hub was
/// stopped, or while an earlier message waited, count as one: the latest.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// The interval, counted from 1970-01-01T00:00:00Z; at least `100ms`.
    every: Span,
}

#[async_trait]
impl SourceConfig for Timer {
    const KIND: &'static str = "timer";

    fn check(&self) -> Vec<ConfigError> {
        let short = || ConfigError::at("/every", format!("`{}` is too short; write at least `100ms`", self.every));
        (self.every.0 < EVERY_MIN).then(short).into_iter().collect()
    }

    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        let every_ms = i64::try_from(self.every.0.as_millis()).unwrap_or(i64::MAX).max(1);
        let last = match &cx.cursor {
            Value::Null => None,
            Value::String(text) => Some(text.parse().map_err(|e| OpenError(format!("timer: cursor `{text}`: {e}")))?),
            other => return Err(OpenError(format!("timer: cursor `{other}` is not an instant"))),
        };
        let last = last.unwrap_or_else(|| latest_tick(cx.clock.now(), every_ms));
        Ok(Box::new(Ticks { clock: cx.clock.clone(), route: cx.route.clone(), every_ms, last, offered: None }))
    }
}

/// The latest multiple of the interval that is not after `now`.
fn latest_tick(now: Timestamp, every_ms: i64) -> Timestamp {
    let ms = now.as_millisecond();
    Timestamp::from_millisecond(ms - ms.rem_euclid(every_ms)).unwrap_or(now)
}

struct Ticks {
    clock: Arc<dyn Clock>,
    route: String,
    every_ms: i64,
    /// The last instant that was taken (or the one before the timer was first opened).
    last: Timestamp,
    offered: Option<Timestamp>,
}

impl Ticks {
    fn message(&self, tick: Timestamp) -> Incoming {
        let fired_at = tick.to_string();
        let mut headers = Headers::new();
        let _ = headers.insert(header::ORIGIN.into(), "timer".into());
        Incoming {
            id: MessageId::derive(&["timer", &self.route, &fired_at]),
            key: None,
            headers,
            body: Body::json(&serde_json::json!({ "fired_at": fired_at })),
            answerable: false,
        }
    }
}

#[async_trait]
impl Source for Ticks {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        loop {
            let tick = latest_tick(self.clock.now(), self.every_ms);
            if tick > self.last {
                self.offered = Some(tick);
                let cursor = Some(Value::String(tick.to_string()));
                return Ok(Some(Intake { messages: vec![self.message(tick)], cursor }));
            }
            // `last` may lie in the future after the wall clock was set back: then nothing fires a second time.
            self.clock.sleep_until(self.last + Duration::from_millis(self.every_ms.unsigned_abs())).await;
        }
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        let busy = verdicts.iter().find_map(|verdict| match verdict {
            Verdict::Busy { retry_after } => Some(retry_after.0),
            _ => None,
        });
        match (busy, self.offered) {
            (Some(pause), _) => self.clock.sleep_until(self.clock.now() + pause).await,
            (None, Some(tick)) => self.last = tick,
            (None, None) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hub_testkit::{ManualClock, bench, source_contract, stored};
    use serde_json::json;

    use super::*;

    async fn open(clock: &Arc<ManualClock>, cursor: Value) -> Box<dyn Source> {
        let mut cx = bench::open_cx(clock.clone(), std::path::Path::new("."));
        cx.cursor = cursor;
        Timer { every: "1h".parse().unwrap() }.open(&cx).await.unwrap()
    }

    async fn fired(source: &mut Box<dyn Source>, clock: &ManualClock) -> (String, Value) {
        let intake = clock.run(source.next()).await.unwrap().unwrap();
        let body: Value = serde_json::from_slice(&intake.messages[0].body.bytes).unwrap();
        source.settle(stored(&intake.messages)).await.unwrap();
        (body["fired_at"].as_str().unwrap().to_string(), intake.cursor.unwrap())
    }

    #[tokio::test]
    async fn it_fires_at_each_full_hour() {
        let clock = Arc::new(ManualClock::at("2026-03-02T09:20:00Z".parse().unwrap()));
        let mut source = open(&clock, Value::Null).await;
        assert_eq!(fired(&mut source, &clock).await.0, "2026-03-02T10:00:00Z");
        assert_eq!(fired(&mut source, &clock).await.0, "2026-03-02T11:00:00Z");
    }

    #[tokio::test]
    async fn missed_instants_are_one() {
        let clock = Arc::new(ManualClock::at("2026-03-02T09:20:00Z".parse().unwrap()));
        let mut source = open(&clock, json!("2026-02-27T09:00:00Z")).await;
        let (first, cursor) = fired(&mut source, &clock).await;
        assert_eq!((first.as_str(), cursor.as_str()), ("2026-03-02T09:00:00Z", Some("2026-03-02T09:00:00Z")));
        assert_eq!(fired(&mut source, &clock).await.0, "2026-03-02T10:00:00Z");
    }

    #[tokio::test]
    async fn a_wall_clock_set_back_fires_nothing_twice() {
        let clock = Arc::new(ManualClock::at("2026-03-02T07:30:00Z".parse().unwrap()));
        let mut source = open(&clock, json!("2026-03-02T09:00:00Z")).await;
        assert_eq!(fired(&mut source, &clock).await.0, "2026-03-02T10:00:00Z");
    }

    #[tokio::test]
    async fn a_full_hub_is_asked_again_with_the_same_message() {
        let clock = Arc::new(ManualClock::at("2026-03-02T09:20:00Z".parse().unwrap()));
        let mut source = open(&clock, json!("2026-03-02T08:00:00Z")).await;
        let first = source.next().await.unwrap().unwrap().messages.remove(0).id;
        let busy = vec![Verdict::Busy { retry_after: "5s".parse().unwrap() }];
        clock.run(source.settle(busy)).await.unwrap();
        assert_eq!(source.next().await.unwrap().unwrap().messages[0].id, first);
    }

    #[tokio::test]
    async fn it_keeps_the_contract_of_sources() {
        let clock = Arc::new(ManualClock::at("2026-03-02T09:20:00Z".parse().unwrap()));
        let next = async |source: &mut Box<dyn Source>| source.next().await.unwrap().unwrap();
        source_contract(|| open(&clock, json!("2026-03-02T08:00:00Z")), next, || ()).await;
    }

    #[test]
    fn the_configuration_is_checked() {
        assert!(serde_json::from_value::<Timer>(json!({ "every": "1h", "at": 3 })).is_err());
        assert_eq!(serde_json::from_value::<Timer>(json!({ "every": "1ms" })).unwrap().check()[0].field, "/every");
        assert_eq!(PLUGIN_KINDS, ["timer"]);
    }

    const PLUGIN_KINDS: [&str; 1] = [crate::PLUGIN.sources[0].kind];
}
