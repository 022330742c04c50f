//! What a person has to know before they release a lane.

use std::collections::BTreeMap;

use hub_backbone::{Backbone, Place, Topic};
use hub_core::Value;
use hub_core::journal::ParkedKind;
use hub_life::outbound::{LOST, State};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Era, LANE, LaneRelease, SETTLED, SPACE, SettledByProof, era};
use crate::Error;
use crate::claim::Claims;
use crate::deliver::Life;
use crate::record::{Answer, Outbound, decode};

/// Rows of keyed state that one page takes.
const PAGE: usize = 500;
/// Messages that are listed for one lane; all are counted.
const MESSAGES_MAX: usize = 200;
/// Proofs and answers that are listed; all are counted.
const LISTED_MAX: usize = 500;

/// What is known about a recovery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecoveryReport {
    /// Which recovery.
    pub id: String,
    /// What the store's opening found.
    pub reason: String,
    /// What is missing, as far as the anchor tells.
    pub gaps: Vec<String>,
    /// From when on a lost life of the hub may have sent something.
    pub since: Timestamp,
    /// When the store was opened.
    pub began: Timestamp,
    /// The lanes that have messages or were released.
    pub lanes: Vec<LaneReport>,
    /// Messages that a proof of the receiver has settled since, in all.
    pub settled_count: u64,
    /// The first of them.
    pub settled: Vec<Settled>,
    /// Answers that came since and that nobody awaits, in all: most are about messages that the store has lost.
    pub unclaimed_count: u64,
    /// The first of them.
    pub unclaimed: Vec<Unclaimed>,
}

/// A sending lane.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneReport {
    /// The lane, for example `siope/UFAAAA`.
    pub lane: String,
    /// Who released it; `None`: nothing of it is sent.
    pub released: Option<LaneWord>,
    /// Messages that are not sent.
    pub waiting: u64,
    /// Those that a release sends, unless the receiver shows them after all.
    pub proposed: u64,
    /// Those that a person has to decide one by one.
    pub to_decide: u64,
    /// The first of them all.
    pub messages: Vec<MessageReport>,
}

/// A person's word about a lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LaneWord {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why.
    pub note: String,
}

/// A message that is not sent.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MessageReport {
    /// Identity; decisions about a parked one name it.
    pub id: String,
    /// The case.
    pub case: String,
    /// The entity.
    pub entity: Option<String>,
    /// The route.
    pub route: String,
    /// Kind of the sink.
    pub sink: String,
    /// `ready`, `in_doubt`, `parked`, `sending`.
    pub state: String,
    /// How often the receiver was asked.
    pub asked: u32,
    /// What the last answer looked at, or why it is parked.
    pub evidence: Value,
    /// `wait` (it is being asked about), `release` (the receiver does not show it: the lane's release sends it), `decide` (a
    /// person has to say what became of it).
    pub proposal: &'static str,
}

/// A message that a proof has settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Identity.
    pub id: String,
    /// Its lane.
    pub lane: String,
    /// Its case.
    pub case: String,
    /// The entity.
    pub entity: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// An answer that nobody awaits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unclaimed {
    /// What for, for example `siope-ack`.
    pub name: String,
    /// What it is about, for example the identity of a flow.
    pub key: String,
    /// The message that brought it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Collects a report; `None`: no recovery is under way.
pub(crate) async fn report(claims: Claims<'_>, found: &super::Recovery) -> Result<Option<RecoveryReport>, Error> {
    let Some(first) = first_open(claims.backbone).await? else { return Ok(None) };
    let mut report = RecoveryReport {
        id: found.id.clone(),
        reason: found.reason.clone(),
        gaps: found.gaps.clone(),
        since: first.since,
        began: first.began,
        lanes: Vec::new(),
        settled_count: 0,
        settled: Vec::new(),
        unclaimed_count: 0,
        unclaimed: Vec::new(),
    };
    let mut lanes = BTreeMap::new();
    for partition in 0..claims.backbone.partitions() {
        let outbox = Place::new(Topic::OUTBOX, partition);
        releases(claims, outbox, &found.id, &mut lanes).await?;
        messages(claims, outbox, &mut lanes).await?;
        settled(claims, outbox, &mut report).await?;
        unclaimed(claims, Place::new(Topic::WAITS, partition), &mut report).await?;
    }
    report.lanes = lanes.into_values().collect();
    Ok(Some(report))
}

async fn first_open(backbone: &dyn Backbone) -> Result<Option<Era>, Error> {
    for partition in 0..backbone.partitions() {
        let era = era(backbone, Place::new(Topic::OUTBOX, partition)).await?;
        if let Some(era) = era.filter(|era| era.ended.is_none()) {
            return Ok(Some(era));
        }
    }
    Ok(None)
}

type Lanes = BTreeMap<String, LaneReport>;

fn lane<'l>(lanes: &'l mut Lanes, name: &str) -> &'l mut LaneReport {
    lanes.entry(name.to_owned()).or_insert_with(|| LaneReport {
        lane: name.to_owned(),
        released: None,
        waiting: 0,
        proposed: 0,
        to_decide: 0,
        messages: Vec::new(),
    })
}

/// Goes through a space of keyed state, page by page.
struct Pages<'a> {
    claims: Claims<'a>,
    place: Place,
    space: &'static str,
    after: Option<String>,
}

impl<'a> Pages<'a> {
    fn of(claims: Claims<'a>, place: Place, space: &'static str) -> Self {
        Self { claims, place, space, after: None }
    }

    /// The next page; empty: there is no more.
    async fn next<T: DeserializeOwned>(&mut self) -> Result<Vec<(String, T)>, Error> {
        let rows = self.claims.backbone.scan(self.place, self.space, self.after.as_deref(), PAGE).await?;
        let mut page = Vec::with_capacity(rows.len());
        for (key, bytes) in rows {
            let what = format!("{} state {}/{key}", self.place, self.space);
            page.push((key, decode(&what, &self.claims.whole(bytes).await?)?));
        }
        self.after = page.last().map(|(key, _)| key.clone()).or(self.after.take());
        Ok(page)
    }
}

async fn releases(claims: Claims<'_>, place: Place, era: &str, lanes: &mut Lanes) -> Result<(), Error> {
    let mut pages = Pages::of(claims, place, SPACE);
    loop {
        let page = pages.next::<Value>().await?;
        if page.is_empty() {
            return Ok(());
        }
        for (key, value) in page {
            let release = serde_json::from_value::<LaneRelease>(value).ok().filter(|release| release.era == era);
            if let (Some(name), Some(LaneRelease { at, by, note, .. })) = (key.strip_prefix(LANE), release) {
                lane(lanes, name).released = Some(LaneWord { at, by, note });
            }
        }
    }
}

async fn messages(claims: Claims<'_>, place: Place, lanes: &mut Lanes) -> Result<(), Error> {
    let mut pages = Pages::of(claims, place, "life");
    loop {
        let page = pages.next::<Life>().await?;
        if page.is_empty() {
            return Ok(());
        }
        for (id, life) in page.into_iter().filter(|(_, life)| !life.life.is_final()) {
            let lane = lane(lanes, &life.lane);
            let proposal = proposal(&life);
            lane.waiting += 1;
            lane.proposed += u64::from(proposal == "release");
            lane.to_decide += u64::from(proposal == "decide");
            if lane.messages.len() < MESSAGES_MAX {
                let out = claims.get(place, "outbound", &id).await?;
                let out = out.map(|bytes| decode::<Outbound>("outbound message", &bytes)).transpose()?;
                lane.messages.extend(out.map(|out| message(id, &life, out, proposal)));
            }
        }
    }
}

/// What the hub proposes to do with a message.
fn proposal(life: &Life) -> &'static str {
    let only = life.life.lost.is_some_and(|lost| lost.only);
    match &life.life.state {
        State::InDoubt { epoch, asked, .. } if epoch == LOST && only && *asked > 0 => "release",
        State::Parked { kind: ParkedKind::InDoubt, .. } if only && life.askable => "release",
        State::Parked { .. } => "decide",
        State::Ready { .. } => "release",
        _ => "wait",
    }
}

fn message(id: String, life: &Life, out: Outbound, proposal: &'static str) -> MessageReport {
    let (state, asked, evidence) = match &life.life.state {
        State::Ready { .. } => ("ready", 0, Value::Null),
        State::Sending { .. } => ("sending", 0, Value::Null),
        State::InDoubt { asked, evidence, .. } => ("in_doubt", *asked, evidence.clone()),
        State::Parked { reason, .. } => ("parked", 0, Value::from(reason.clone())),
        State::Delivered | State::GivenUp => ("over", 0, Value::Null),
    };
    MessageReport {
        id,
        case: out.work.case.id,
        entity: out.work.case.entity,
        route: out.work.route,
        sink: out.sink,
        state: state.into(),
        asked,
        evidence,
        proposal,
    }
}

async fn settled(claims: Claims<'_>, place: Place, report: &mut RecoveryReport) -> Result<(), Error> {
    let mut pages = Pages::of(claims, place, SETTLED);
    loop {
        let page = pages.next::<SettledByProof>().await?;
        if page.is_empty() {
            return Ok(());
        }
        for (id, proof) in page.into_iter().filter(|(_, proof)| proof.at >= report.began) {
            report.settled_count += 1;
            if report.settled.len() < LISTED_MAX {
                let SettledByProof { lane, case, entity, at } = proof;
                report.settled.push(Settled { id, lane, case, entity, at });
            }
        }
    }
}

async fn unclaimed(claims: Claims<'_>, place: Place, report: &mut RecoveryReport) -> Result<(), Error> {
    let mut pages = Pages::of(claims, place, "answer");
    loop {
        let page = pages.next::<Vec<Answer>>().await?;
        if page.is_empty() {
            return Ok(());
        }
        let answers = page.into_iter().flat_map(|(_, kept)| kept).filter(|answer| answer.at >= report.began);
        for Answer { name, key, by, at, .. } in answers.collect::<Vec<_>>() {
            report.unclaimed_count += 1;
            if report.unclaimed.len() < LISTED_MAX {
                report.unclaimed.push(Unclaimed { name, key, by, at });
            }
        }
    }
}
