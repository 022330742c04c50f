//! What became of the orders: at the simulator, and in the ledger.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context;
use hub_core::Value;
use jiff::Timestamp;

use super::orders::Offer;
use super::place::{Hub, Place, Simulator};
use crate::bench::Run;
use crate::bench::percentiles::Times;

/// Pause between two looks at the ledger.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Looks between two lines for people.
const LOOKS_PER_LINE: usize = 20;
/// The state in which a payment order's case is closed.
const CLOSED: &str = "pagato";

/// Waits until so many cases are closed, or time is over; gives how many are.
pub(super) async fn wait_until_closed(
    run: &Run,
    place: &Place,
    hub: &Hub,
    orders: usize,
    within: Duration,
) -> anyhow::Result<usize> {
    let (api, begun) = (place.api(hub)?, Instant::now());
    for look in 0usize.. {
        let rows = api.get("statistics", &[("kind", "mandato".into())]).await?;
        let closed = count(&rows, CLOSED);
        if look.is_multiple_of(LOOKS_PER_LINE) {
            run.say(&format!("sent {}, closed {closed}", count(&rows, "trasmesso")));
        }
        if closed >= orders || begun.elapsed() > within {
            return Ok(closed);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(0)
}

/// How many cases came into a state.
fn count(rows: &Value, state: &str) -> usize {
    let of_state = rows["items"].as_array().into_iter().flatten().filter(|row| row["state"] == state);
    of_state.filter_map(|row| row["count"].as_u64()).filter_map(|count| usize::try_from(count).ok()).sum()
}

/// Orders in no flow, and in more than one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) lost: usize,
    pub(super) duplicates: usize,
}

/// Counts the flows that the simulator took, by order.
pub(super) async fn compare(offers: &[Offer], simulator: &Simulator) -> anyhow::Result<Verdict> {
    let flows = simulator.ask("flows").await?;
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    for flow in flows.as_array().into_iter().flatten().filter(|flow| flow["result"] == "taken") {
        for line in flow["orders"].as_array().into_iter().flatten() {
            *seen.entry((text(&flow["ente"]), text(&line["numero"]))).or_default() += 1;
        }
    }
    let key = |offer: &Offer| (offer.order.ente.clone(), offer.order.numero.clone());
    let flows_of: Vec<usize> = offers.iter().map(|offer| seen.get(&key(offer)).copied().unwrap_or(0)).collect();
    Ok(Verdict {
        lost: flows_of.iter().filter(|flows| **flows == 0).count(),
        duplicates: flows_of.iter().filter(|flows| **flows > 1).count(),
    })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// From the first to the last event of each case.
pub(super) async fn latencies(place: &Place, hub: &Hub) -> anyhow::Result<Times> {
    let api = place.api(hub)?;
    let mut all = Times::default();
    let mut cursor: Option<String> = None;
    loop {
        let mut query = vec![("kind", "mandato".to_string()), ("limit", "200".to_string())];
        query.extend(cursor.map(|cursor| ("cursor", cursor)));
        let page = api.get("cases", &query).await?;
        for case in page["items"].as_array().into_iter().flatten() {
            all.add(lasted(case)?);
        }
        cursor = page["next"].as_str().map(str::to_string);
        if cursor.is_none() {
            return Ok(all);
        }
    }
}

fn lasted(case: &Value) -> anyhow::Result<Duration> {
    let at = |name: &str| -> anyhow::Result<Timestamp> {
        Ok(case[name].as_str().with_context(|| format!("a case has no {name}"))?.parse()?)
    };
    Ok(Duration::try_from(at("changed_at")?.duration_since(at("opened_at")?)).unwrap_or_default())
}
