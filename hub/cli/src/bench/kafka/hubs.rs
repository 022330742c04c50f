//! Hubs in processes of their own that work off one inbox.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;

use super::load::{ROUTE, Seen, body, fill};
use super::store::Store;
use super::tools::Tools;
use crate::bench::Run;
use crate::bench::http::Wire;
use crate::bench::process::{Process, Usage};
use crate::bench::rest::rest;
use crate::bench::site::Site;
use crate::client::Api;

/// Between two looks at the hubs.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long everything may take: so much, and so much more for each message.
const WITHIN: Duration = Duration::from_secs(120);
const MESSAGE_WITHIN: Duration = Duration::from_millis(20);

/// What one run says.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) seen: Seen,
    /// Of the first hub that lived to the end.
    pub(super) usage: Usage,
    /// From SIGKILL of a hub until the others owned all of its slots.
    pub(super) takeover: Option<Duration>,
}

/// One hub, and how to ask it.
pub(super) struct Hub {
    pub(super) process: Process,
    api: Api,
}

/// Its folder and settings.
pub(super) fn site(run: &Run, store: &Store, name: &str) -> anyhow::Result<Site> {
    let folder = run.scratch.folder(&store.topic(name))?;
    Site::make(folder, &[("ordini", ROUTE.to_string())], &json!({ "backbone": store.backbone(name) }))
}

/// Starts hubs together: none shall work alone while the next one starts.
async fn start(sites: &[Site]) -> anyhow::Result<Vec<Hub>> {
    let begun: anyhow::Result<Vec<_>> = sites.iter().map(|site| Process::hub(&site.config, &site.log())).collect();
    let mut hubs = Vec::new();
    for (mut process, site) in begun?.into_iter().zip(sites) {
        let admin = process.hub_ready().await?;
        hubs.push(Hub { process, api: site.api(&admin)? });
    }
    Ok(hubs)
}

/// A first message by HTTP: the record of it is what the others are copies of.
async fn first_message(site: &Site) -> anyhow::Result<()> {
    let (hub, _) = site.start().await?;
    let mut wire = Wire::connect(site.listener().await?).await?;
    let reply = wire.post("/ordini", "idempotency-key: 0\r\n", body(0).as_bytes()).await?;
    ensure!(reply.status == 202, "the hub did not take a message: {}", String::from_utf8_lossy(&reply.body));
    hub.end().await
}

/// Lets so many hubs work off so many messages. With `kill`, the first one is killed when half of them are left.
///
/// # Errors
/// When a hub does not start, ends by itself, or does not come to an end.
pub(super) async fn work(
    run: &Run,
    tools: &Tools,
    store: &Store,
    messages: u32,
    (count, kill): (u16, bool),
) -> anyhow::Result<Outcome> {
    let sites: Vec<Site> =
        (1..=count).map(|number| site(run, store, &format!("hub{number}"))).collect::<anyhow::Result<_>>()?;
    first_message(sites.first().context("at least one hub is asked for")?).await?;
    fill(store, messages).await?;
    run.say(&format!("{messages} messages are in the inbox; {count} hubs begin"));
    let within = WITHIN + MESSAGE_WITHIN * messages;
    let mut hubs = start(&sites).await?;
    let takeover = if kill { Some(take_over(&mut hubs, store.partitions, messages, within).await?) } else { None };
    until(&hubs, within, "the inbox is not worked off", |slots, backlog| {
        slots == u64::from(store.partitions) && backlog == 0
    })
    .await?;
    for hub in &hubs {
        rest(&hub.process).await?;
    }
    let usage = hubs.first().context("one hub is left")?.process.usage()?;
    for hub in hubs {
        hub.process.end().await?;
    }
    let seen = Seen::read(tools.follow(&store.topic("journal"), true)?, messages).await?;
    Ok(Outcome { seen, usage, takeover })
}

/// Kills the first hub under load; how long until the others own everything.
async fn take_over(hubs: &mut Vec<Hub>, slots: u16, messages: u32, within: Duration) -> anyhow::Result<Duration> {
    let half = u64::from(messages) / 2;
    until(hubs, within, "the hubs do not share the slots", |owned, backlog| {
        owned == u64::from(slots) && backlog <= half
    })
    .await?;
    hubs.remove(0).process.kill()?;
    until(hubs, within, "the slots are not taken over", |owned, _| owned == u64::from(slots)).await
}

/// Waits until slots and backlog of all hubs together are as they should be; how long it took.
async fn until(hubs: &[Hub], within: Duration, what: &str, is: impl Fn(u64, u64) -> bool) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    loop {
        let (mut slots, mut backlog) = (0, 0);
        for hub in hubs {
            let status = hub.api.get("status", &[]).await;
            let status = status.with_context(|| hub.process.log_end())?;
            slots += status["flow"]["slots"].as_u64().unwrap_or_default();
            backlog += status["flow"]["backlog"].as_u64().unwrap_or_default();
        }
        if is(slots, backlog) {
            return Ok(begun.elapsed());
        }
        ensure!(
            begun.elapsed() < within,
            "{what} after {within:?}: {slots} slots have owners, {backlog} messages wait"
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
