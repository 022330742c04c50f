//! The keys of a message, judged by their owner; and what becomes of it.

use std::time::Duration;

use hub_backbone::{Place, Topic};
use hub_core::journal::{Parked, ParkedKind, What};
use hub_core::{Case, MessageId, Problem, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::judge::Admitted;
use super::offer::{Offer, come_again};
use crate::Error;
use crate::batch::{Batch, event_of};
use crate::interpret::SeenBy;
use crate::process::refusal_evidence;
use crate::record::{InboxRecord, ParkedWork, Work, decode, owned_id};

/// What is remembered about a transport key, or about a business operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Taken {
    id: MessageId,
    case: String,
    sha256: String,
    at: Timestamp,
    /// The key may be forgotten then, if the message is over.
    #[serde(default)]
    until: Option<Timestamp>,
    /// The owner of the operation's key has not decided yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pending: bool,
}

impl Taken {
    fn new(offer: &Offer, remember_ms: u64) -> Self {
        let until = offer.at.checked_add(Duration::from_millis(remember_ms)).unwrap_or(Timestamp::MAX);
        Self {
            id: offer.id.clone(),
            case: offer.case().id,
            sha256: offer.sha256.clone(),
            at: offer.at,
            until: Some(until),
            pending: false,
        }
    }
}

/// Any key that is remembered: the message it stands for, and until when.
pub(crate) struct Remembered {
    pub(crate) message: String,
    pub(crate) case: String,
    pub(crate) at: Timestamp,
    pub(crate) until: Option<Timestamp>,
}

/// Reads a remembered key of one of the spaces `transport`, `business` and `seen`; `None`: it has no term.
pub(crate) fn remembered(space: &str, key: &str, bytes: &[u8]) -> Result<Option<Remembered>, Error> {
    let what = format!("{space} {key}");
    if space == "seen" {
        return Ok(match decode(&what, bytes)? {
            SeenBy::Term { by, case, at, until } => Some(Remembered { message: by, case, at, until: Some(until) }),
            SeenBy::Message(_) => None,
        });
    }
    let Taken { id, case, at, until, .. } = decode(&what, bytes)?;
    Ok(Some(Remembered { message: id.to_string(), case, at, until }))
}

/// What the owner of a key says.
pub(crate) enum Decision {
    /// This.
    Made(Verdict),
    /// The owner of the operation's key decides: its slot.
    Passed(u16),
}

/// Judges the keys of an offer that this hub owns: both, or the one that it came for. What is taken is in the batch then.
/// The caller holds the lock of keys until the batch is committed.
pub(crate) async fn take(batch: &mut Batch<'_>, offer: &Offer) -> Result<Decision, Error> {
    if !offer.passed
        && let Some(verdict) = known(batch, offer).await?
    {
        return Ok(Decision::Made(verdict));
    }
    let admitted = match &offer.result {
        Ok(admitted) => admitted,
        Err(problems) if offer.answerable => {
            return Ok(Decision::Made(Verdict::Refused { problems: problems.clone() }));
        }
        Err(problems) => return park(batch, offer, problems).await.map(Decision::Made),
    };
    match offer.business_home(batch) {
        Some(slot) if !batch.owns(slot) => {
            hold_key(batch, offer);
            return Ok(Decision::Passed(slot));
        }
        _ => {}
    }
    let verdict = decide(batch, offer, admitted).await?;
    if offer.passed {
        let keep = matches!(verdict, Verdict::Stored { .. });
        let key = InboxRecord::Keyed { transport: offer.transport.clone(), message: offer.id.to_string(), keep };
        batch.inbox(offer.home(batch), offer.id.as_str(), &key);
    }
    Ok(Decision::Made(verdict))
}

/// The answer to a repetition of a delivery that was taken already.
async fn known(batch: &mut Batch<'_>, offer: &Offer) -> Result<Option<Verdict>, Error> {
    let home = Place::new(Topic::INBOX, offer.home(batch));
    let Some(taken) = batch.get::<Taken>(home, "transport", &offer.transport).await? else { return Ok(None) };
    Ok(Some(match again(&taken, offer) {
        Verdict::Conflict { detail } if !offer.answerable => {
            park(batch, offer, &[Problem::at("admission.conflict", "", detail)]).await?
        }
        verdict => verdict,
    }))
}

/// Judges the operation's key, and takes the message.
async fn decide(batch: &mut Batch<'_>, offer: &Offer, admitted: &Admitted) -> Result<Verdict, Error> {
    if let Some(key) = &admitted.business {
        let place = batch.place(Topic::INBOX, key);
        match batch.get::<Taken>(place, "business", key).await? {
            Some(first) if offer.answerable => return Ok(collision(key, &first)),
            Some(first) => {
                let problem = Problem::at("admission.duplicate", "", collision_text(key, &first));
                return park(batch, offer, &[problem]).await;
            }
            None => batch.put(place, "business", key, &Taken::new(offer, offer.remember_ms.1)),
        }
    }
    if !offer.passed {
        put_key(batch, offer, false);
    }
    let work = work_of(offer, admitted.case.clone(), admitted.lane.clone());
    batch.event(event_of(
        &work,
        offer.at,
        What::Received {
            source: offer.source.clone(),
            sender: offer.sender.clone(),
            sha256: offer.sha256.clone(),
            bytes: offer.bytes,
        },
    ));
    batch.work(Work { skip: admitted.judged, ..work });
    Ok(Verdict::Stored { id: offer.id.clone(), case: admitted.case.id.clone(), again: false })
}

fn hold_key(batch: &mut Batch<'_>, offer: &Offer) {
    put_key(batch, offer, true);
}

fn put_key(batch: &mut Batch<'_>, offer: &Offer, pending: bool) {
    let home = Place::new(Topic::INBOX, offer.home(batch));
    let taken = Taken { pending, ..Taken::new(offer, offer.remember_ms.0) };
    batch.put(home, "transport", &offer.transport, &taken);
}

/// The owner of the operation's key has decided about a message whose transport key was held.
pub(crate) async fn settle_key(
    batch: &mut Batch<'_>,
    home: Place,
    (transport, message): (&str, &str),
    keep: bool,
) -> Result<(), Error> {
    match batch.get::<Taken>(home, "transport", transport).await? {
        Some(taken) if taken.pending && taken.id.as_str() == message => match keep {
            true => batch.put(home, "transport", transport, &Taken { pending: false, ..taken }),
            false => batch.delete(home, "transport", transport),
        },
        _ => {}
    }
    Ok(())
}

fn again(taken: &Taken, offer: &Offer) -> Verdict {
    match (taken.sha256 == offer.sha256, taken.pending) {
        (true, true) => come_again(),
        (true, false) => Verdict::Stored { id: taken.id.clone(), case: taken.case.clone(), again: true },
        (false, _) => Verdict::Conflict {
            detail: format!("this key was used at {} with other content (message {})", taken.at, taken.id),
        },
    }
}

fn collision(key: &str, first: &Taken) -> Verdict {
    Verdict::Conflict { detail: collision_text(key, first) }
}

fn collision_text(key: &str, first: &Taken) -> String {
    format!(
        "operation `{key}` was taken at {} as message {} (case {}); send a new revision if it is meant to change",
        first.at, first.id, first.case
    )
}

fn work_of(offer: &Offer, case: Case, lane: String) -> Work {
    Work {
        id: offer.id.clone(),
        route: offer.route.clone(),
        version: offer.version.clone(),
        segment: String::new(),
        skip: 0,
        at: offer.at,
        lane,
        case,
        headers: offer.headers.clone(),
        body: offer.body.clone(),
        bound: Value::Object(Map::new()),
        base: None,
        failures: 0,
        era: offer.era.clone(),
        admitted: (!offer.era.is_empty()).then_some(offer.at),
    }
}

/// Keeps a message that is not admitted and whose sender cannot be told: raw bytes and all reasons, for a person. It stands
/// in the slot of whoever decides.
async fn park(batch: &mut Batch<'_>, offer: &Offer, problems: &[Problem]) -> Result<Verdict, Error> {
    let case = Case::of_message(&offer.id);
    let lane = case.id.clone();
    let here = offer.business_home(batch).filter(|_| offer.passed).unwrap_or_else(|| offer.home(batch));
    let place = Place::new(Topic::INBOX, here);
    // With its content: one file may be refused, be mended, and be refused again.
    let short = offer.sha256.get(..8).unwrap_or_default();
    let id = owned_id(place, &format!("{}.{short}.refused", offer.id));
    if batch.get::<ParkedWork>(place, "parked", &id).await?.is_some() {
        return Ok(Verdict::Parked { id: offer.id.clone() });
    }
    if let Some(raw) = &offer.raw {
        let _ = batch.keep(raw).await?;
    }
    let work = work_of(offer, case, lane);
    let mut evidence = refusal_evidence(problems);
    evidence["headers"] = json!(offer.headers);
    let parked = Parked {
        id: id.clone(),
        kind: ParkedKind::Refused,
        reason: problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        evidence,
        sha256: offer.sha256.clone(),
        mime: offer.mime.clone(),
    };
    batch.tell(&work, offer.at, What::Parked(parked));
    batch.put(place, "parked", &id, &ParkedWork { kind: ParkedKind::Refused, work });
    Ok(Verdict::Parked { id: offer.id.clone() })
}
