//! Orders made from the good samples: each with a number of its own, spread over the bodies.

use std::path::Path;

use anyhow::{Context, ensure};
use hub_core::Value;
use serde_json::json;

use crate::demo::{Order, load_orders};

/// An order that is offered.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) order: Order,
}

/// Makes so many orders, body after body.
pub(super) fn make(root: &Path, entities: &[String], count: usize) -> anyhow::Result<Vec<Offer>> {
    let samples = samples(root)?;
    (0..count)
        .map(|index| {
            let mut value = samples[index % samples.len()].clone();
            value["ente"] = json!(entities[index % entities.len()]);
            value["numero"] = json!(1_000_000 + index);
            let order = Order::of(&value).context("a sample is an order")?;
            Ok(Offer { key: format!("month-{index:06}"), bytes: value.to_string().into_bytes(), order })
        })
        .collect()
}

fn samples(root: &Path) -> anyhow::Result<Vec<Value>> {
    let all = load_orders(&root.join("examples/mandati"))?;
    let usable = all.iter().filter(|offer| {
        offer.order.as_ref().is_some_and(|order| order.operazione == "INSERIMENTO" && order.tipo == "mandato")
    });
    let samples: Vec<Value> = usable.map(|offer| serde_json::from_slice(&offer.bytes)).collect::<Result<_, _>>()?;
    ensure!(!samples.is_empty(), "examples/mandati holds no payment order");
    Ok(samples)
}
