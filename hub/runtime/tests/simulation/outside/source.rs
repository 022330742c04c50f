//! Senders: a queue that outlives the processes. What was not answered is offered again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hub_core::plugin::{OpenCx, OpenError, SourceConfig};
use hub_core::{Body, Incoming, Intake, Media, MessageId, Source, SourceError, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Link;
use crate::world::{Feed, World};

/// Messages of one batch.
const BATCH_MAX: usize = 3;

/// How long a sender waits that is told to come again.
const COME_AGAIN: Duration = Duration::from_secs(5);

/// Messages that the history feeds.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimSource {
    /// Which queue.
    name: String,
}

struct Fed {
    name: String,
    link: Arc<Link>,
    batch: Vec<Feed>,
}

#[async_trait]
impl SourceConfig for SimSource {
    const KIND: &'static str = "sim";
    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        Ok(Box::new(Fed { name: self.name.clone(), link: Link::of(&cx.shared), batch: Vec::new() }))
    }
}

/// The same at a door that every hub has: several take from one queue.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SimDoor {
    /// Which queue.
    name: String,
}

#[async_trait]
impl SourceConfig for SimDoor {
    const KIND: &'static str = "sim.door";
    const EVERYWHERE: bool = true;
    async fn open(&self, cx: &OpenCx) -> Result<Box<dyn Source>, OpenError> {
        Ok(Box::new(Fed { name: self.name.clone(), link: Link::of(&cx.shared), batch: Vec::new() }))
    }
}

impl Fed {
    /// The first messages that nobody has settled.
    fn front(&self, world: &World) -> Vec<Feed> {
        let inner = world.inner();
        let queue = inner.queues.get(self.name.as_str());
        queue.map(|queue| queue.iter().take(BATCH_MAX).cloned().collect()).unwrap_or_default()
    }
}

#[async_trait]
impl Source for Fed {
    async fn next(&mut self) -> Result<Option<Intake>, SourceError> {
        let process = self.link.get().clone();
        loop {
            let fed = process.world.fed.notified();
            self.batch = self.front(&process.world);
            if !self.batch.is_empty() {
                let _ = process.point("next").await;
                return Ok(Some(Intake { messages: self.batch.iter().map(incoming).collect(), cursor: None }));
            }
            fed.await;
            process.gate().await;
        }
    }

    async fn settle(&mut self, verdicts: Vec<Verdict>) -> Result<(), SourceError> {
        let process = self.link.get().clone();
        let _ = process.point("before a verdict").await;
        let busy = verdicts.iter().any(|verdict| matches!(verdict, Verdict::Busy { .. }));
        for (feed, verdict) in std::mem::take(&mut self.batch).iter().zip(&verdicts) {
            // An owner of keys is away: what is not taken stays in the queue, and comes again.
            if matches!(verdict, Verdict::Busy { .. }) && process.world.many {
                continue;
            }
            process.world.judged(|inner| {
                if let Some(queue) = inner.queues.get_mut(self.name.as_str()) {
                    queue.retain(|waiting| waiting != feed);
                }
                match verdict {
                    Verdict::Stored { id, .. } => inner.custody.told(id.as_str()),
                    other => Err(format!("{} was not taken: {other:?}", feed.id)),
                }
            });
        }
        let _ = process.point("after a verdict").await;
        if busy {
            tokio::time::sleep(COME_AGAIN).await;
        }
        Ok(())
    }
}

/// The identity of a message that is fed.
pub(crate) fn message_id(feed: &str) -> MessageId {
    MessageId::derive(&["sim", feed])
}

fn incoming(feed: &Feed) -> Incoming {
    Incoming {
        id: message_id(&feed.id),
        key: None,
        headers: [("origin".to_string(), feed.id.clone())].into(),
        body: Body::new(Media::Json, feed.body.clone()),
        answerable: true,
    }
}
