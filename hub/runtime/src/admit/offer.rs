//! A judged message on its way to the owner of its keys.
//!
//! Two keys decide whether a message is taken: the sender's own (transport) and the business operation's. Each belongs to the
//! slot of its hash, and only the hub that owns a slot may say whether a key is new. Where one hub owns both, the message is
//! taken at once. Otherwise its offer goes through the log: to the owner of the transport key, which notes the key as pending
//! and passes the offer on to the owner of the business key, which decides and sends word back. Each step is one commit and
//! happens once, so that a death anywhere only delays the verdict. A sender that asks meanwhile is told to come again.

use std::time::Duration;

use bytes::Bytes;
use hub_backbone::Topic;
use hub_core::{Case, Headers, MessageId, Problem, Span, Verdict, header};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::judge::{Admitted, Judged};
use super::take::{Decision, take};
use crate::Error;
use crate::batch::Batch;
use crate::hub::{Expected, Shared, Verdict as Word};
use crate::record::{InboxRecord, StoredBody};
use crate::routes::Route;

/// How long a source waits for the verdict of another hub before its sender is asked to come again.
const VERDICT_WITHIN: Duration = Duration::from_secs(10);
const COME_AGAIN: Span = Span(Duration::from_secs(5));

/// A message as it was judged, with all that the owner of its keys has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Offer {
    pub(crate) id: MessageId,
    pub(crate) route: String,
    pub(crate) version: String,
    /// Kind and origin of the source.
    pub(crate) source: String,
    pub(crate) sender: String,
    /// The sender's key, scoped.
    pub(crate) transport: String,
    /// How long the keys are remembered, at least: the sender's, and the operation's.
    pub(crate) remember_ms: (u64, u64),
    /// Whether the sender hears the verdict.
    pub(crate) answerable: bool,
    pub(crate) headers: Headers,
    pub(crate) body: StoredBody,
    pub(crate) sha256: String,
    pub(crate) mime: String,
    pub(crate) bytes: u64,
    pub(crate) at: Timestamp,
    pub(crate) era: String,
    pub(crate) result: Result<Admitted, Vec<Problem>>,
    /// Whether the owner of the transport key has passed it on.
    #[serde(default)]
    pub(crate) passed: bool,
    /// What is parked, byte for byte, if its sender cannot be told; a blob already where the offer came from another hub.
    #[serde(skip)]
    pub(crate) raw: Option<Bytes>,
}

/// An offer and the command under which its verdict is awaited.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Offered {
    pub(crate) command: String,
    pub(crate) offer: Offer,
}

impl Offer {
    pub(super) async fn new(
        shared: &Shared,
        route: &Route,
        judged: Judged,
        at: Timestamp,
        batch: &mut Batch<'_>,
    ) -> Result<Self, Error> {
        let Judged { incoming, sha256, result } = judged;
        let (plan, headers) = (&route.plan, incoming.headers.clone());
        let origin = headers.get(header::ORIGIN).cloned().unwrap_or_default();
        let business = plan.idempotent.as_ref().map_or(Duration::ZERO, |plan| plan.remember.0);
        Ok(Self {
            transport: transport_key(&plan.route, &incoming),
            id: incoming.id,
            route: plan.route.clone(),
            version: plan.version.clone(),
            source: format!("{} {origin}", plan.source.kind).trim().to_string(),
            sender: headers.get(header::SENDER).cloned().unwrap_or_default(),
            remember_ms: (millis(business.max(shared.limits.transport_keys)), millis(business)),
            answerable: incoming.answerable,
            body: match &result {
                // nothing of it is kept
                Err(_) if incoming.answerable => StoredBody::Text(incoming.body.media, String::new()),
                _ => batch.store_body(&incoming.body).await?,
            },
            mime: incoming.body.media.mime().to_string(),
            bytes: incoming.body.bytes.len() as u64,
            headers,
            sha256,
            at,
            era: shared.recovering.era.clone(),
            raw: (!incoming.answerable).then(|| incoming.body.bytes.clone()),
            result,
            passed: false,
        })
    }

    /// The slot of the sender's key.
    pub(super) fn home(&self, batch: &Batch<'_>) -> u16 {
        batch.place(Topic::INBOX, &self.transport).partition
    }

    /// The slot of the operation's key, if it has one.
    pub(super) fn business_home(&self, batch: &Batch<'_>) -> Option<u16> {
        let key = self.result.as_ref().ok()?.business.as_ref()?;
        Some(batch.place(Topic::INBOX, key).partition)
    }

    pub(super) fn case(&self) -> Case {
        self.result.as_ref().map_or_else(|_| Case::of_message(&self.id), |admitted| admitted.case.clone())
    }
}

/// What a delivery is known by: the sender's key, or the message's own identity.
fn transport_key(route: &str, incoming: &hub_core::Incoming) -> String {
    match &incoming.key {
        Some(key) => format!("{route}\u{1f}key\u{1f}{}\u{1f}{}", key.sender, key.key),
        None => format!("{route}\u{1f}id\u{1f}{}", incoming.id),
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Whether this hub owns all keys of an offer.
fn is_near(batch: &Batch<'_>, offer: &Offer) -> bool {
    batch.owns(offer.home(batch)) && offer.business_home(batch).is_none_or(|slot| batch.owns(slot))
}

/// A verdict, or the way on which it comes.
pub(super) enum Said<'a> {
    Now(Verdict),
    Later(Expected<'a>),
}

/// Takes a message if all of its keys are this hub's; otherwise sends it to the owner of the first.
pub(super) async fn put<'a>(shared: &'a Shared, batch: &mut Batch<'_>, offer: Offer) -> Result<Said<'a>, Error> {
    let (slot, passed) = match is_near(batch, &offer) {
        false => (offer.home(batch), false),
        true => match take(batch, &offer).await? {
            Decision::Made(verdict) => return Ok(Said::Now(verdict)),
            // the second slot has just gone to another hub
            Decision::Passed(slot) => (slot, true),
        },
    };
    // Whoever decides may park it, and has only the log and the blobs.
    if let Some(raw) = &offer.raw {
        let _ = batch.keep(raw).await?;
    }
    let expected = shared.expect_verdict();
    batch.offer(slot, Offered { command: expected.command.clone(), offer: Offer { passed, ..offer } });
    Ok(Said::Later(expected))
}

/// The verdicts on a batch, in order. One that does not come in time is "come again": the message is durable, and the same
/// key gets the true answer then.
pub(super) async fn verdicts(shared: &Shared, said: Vec<Said<'_>>) -> Vec<Verdict> {
    let end = tokio::time::Instant::now() + VERDICT_WITHIN;
    let mut verdicts = Vec::with_capacity(said.len());
    for said in said {
        verdicts.push(match said {
            Said::Now(verdict) => verdict,
            Said::Later(expected) => wait(shared, expected, end).await,
        });
    }
    verdicts
}

async fn wait(shared: &Shared, mut expected: Expected<'_>, end: tokio::time::Instant) -> Verdict {
    let word = tokio::select! {
        biased;
        word = &mut expected.word => word.ok(),
        () = shared.stopped() => None,
        () = tokio::time::sleep_until(end) => None,
    };
    match word {
        Some(Word::Admitted(verdict)) => verdict,
        _ => come_again(),
    }
}

/// Nothing can be said yet.
pub(super) fn come_again() -> Verdict {
    Verdict::Busy { retry_after: COME_AGAIN }
}

impl Batch<'_> {
    /// Sends an offer to the slot that decides next.
    pub(crate) fn offer(&mut self, slot: u16, offered: Offered) {
        let key = offered.offer.id.to_string();
        self.inbox(slot, &key, &InboxRecord::Offered(Box::new(offered)));
    }
}
