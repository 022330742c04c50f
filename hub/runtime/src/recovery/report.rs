//! Collects what a person has to know before they release a lane.

use std::collections::BTreeMap;

use hub_backbone::{Backbone, Place, Topic};
use hub_core::Value;
use hub_core::journal::ParkedKind;
use hub_life::outbound::{LOST, State};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::told::{LaneReport, LaneWord, MessageReport, RecoveryReport, Settled, Unclaimed};
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

/// Collects a report. `start`: the times to tell as long as no partition has begun; then, too, nothing is sent.
pub(crate) async fn report(
    claims: Claims<'_>,
    found: &super::Recovery,
    start: (Timestamp, Timestamp),
) -> Result<RecoveryReport, Error> {
    let (since, began) = first_open(claims.backbone, &found.id).await?.map_or(start, |era| (era.since, era.began));
    let mut report = RecoveryReport {
        id: found.id.clone(),
        reason: found.reason.clone(),
        gaps: found.gaps.clone(),
        since,
        began,
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
    Ok(report)
}

async fn first_open(backbone: &dyn Backbone, id: &str) -> Result<Option<Era>, Error> {
    for partition in 0..backbone.partitions() {
        let era = era(backbone, Place::new(Topic::OUTBOX, partition)).await?;
        if let Some(era) = era.filter(|era| era.id == id && era.ended.is_none()) {
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
