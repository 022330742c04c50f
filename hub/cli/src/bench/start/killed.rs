//! A start after SIGKILL, with a store full of messages and waits.

use std::time::Instant;

use anyhow::{Context, ensure};
use hub_core::Value;
use serde_json::json;

use super::super::Run;
use super::super::process::Process;
use super::super::rest::rest;
use super::super::sender::send_all;
use super::super::site::Site;
use crate::client::Api;

/// Clients at once.
const CLIENTS: usize = 64;

/// Messages run through, or wait for an answer.
const ROUTE: &str = "route: magazzino
from:
  http: { path: /magazzino, auth: none, require_key: true }
steps:
  - choice:
      - when: body.attende
        steps:
          - await: { name: risposta, keys: [string(body.numero)], within: 30d, as: risposta }
      - otherwise:
          - log: \"'passato'\"
";

/// What the start gave.
#[derive(Debug)]
pub(super) struct Killed {
    pub(super) ready_ms: f64,
    pub(super) messages: u64,
    pub(super) waits: u64,
    pub(super) lost: u64,
}

/// Fills a store, kills the hub as soon as the last message was acknowledged, and starts it again.
pub(super) async fn run(run: &Run, messages: u64, waits: u64) -> anyhow::Result<Killed> {
    ensure!(waits <= messages, "more waits than messages");
    let site = Site::make(run.scratch.folder("killed")?, &[("magazzino", ROUTE.into())], &json!({}))?;
    let (hub, _) = site.start().await?;
    let address = site.listener().await?;
    let waiting = |number: u64| format!("{{\"numero\":{number},\"attende\":true}}");
    let passing = |number: u64| format!("{{\"numero\":{number},\"attende\":false}}");
    if waits > 0 {
        send_all(address, "/magazzino", CLIENTS, 1..=waits, waiting).await?;
    }
    rest(&hub).await?;
    if messages > waits {
        send_all(address, "/magazzino", CLIENTS, waits + 1..=messages, passing).await?;
    }
    run.say(&format!("{messages} messages taken, {waits} of them wait; now SIGKILL"));
    hub.kill()?;
    let begun = Instant::now();
    let mut hub = Process::hub(&site.config, &site.log())?;
    let admin = super::until_ready(&mut hub).await?;
    let ready_ms = begun.elapsed().as_secs_f64() * 1000.0;
    run.say(&format!("ready after {ready_ms:.1} ms; the rest is worked off"));
    rest(&hub).await?;
    let known = opened(&site.api(&admin)?).await?;
    hub.end().await?;
    Ok(Killed { ready_ms, messages, waits, lost: messages.saturating_sub(known) })
}

/// How many cases the ledger knows: each message is its own.
async fn opened(api: &Api) -> anyhow::Result<u64> {
    let rows = api.get("statistics", &[]).await?;
    let rows: Vec<&Value> = rows["items"].as_array().context("statistics are a list")?.iter().collect();
    let opened = rows.iter().filter(|row| row["state"] == "");
    Ok(opened.filter_map(|row| row["count"].as_u64()).sum())
}
