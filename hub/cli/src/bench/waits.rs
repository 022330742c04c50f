//! `bench waits`: cases that wait for an answer, what they cost in memory, and how fast answers wake them all.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::process::{Process, Usage};
use super::receiver::Receiver;
use super::rest::rest;
use super::sender::send_all;
use super::site::Site;
use super::{Common, Run, Sheet};

/// How long it may take until all are awake.
const AWAKE_WITHIN: Duration = Duration::from_secs(600);
/// Clients at once.
const CLIENTS: usize = 16;

/// `raccordo bench waits`
#[derive(Args, Debug)]
pub(super) struct Options {
    #[command(flatten)]
    common: Common,
    /// Cases that wait
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    waits: u32,
}

/// One route waits, the other brings the answers; who is awake is sent to the receiver.
fn routes(receiver: &Receiver) -> [(&'static str, String); 2] {
    let attese = format!(
        "route: attese
from:
  http: {{ path: /attese, auth: none, require_key: true }}
steps:
  - await: {{ name: risposta, keys: [string(body.numero)], within: 30d, as: risposta }}
  - map: {{ numero: body.numero, risposta: risposta.testo }}
  - to: {{ http: {{ url: \"{}\" }} }}
",
        receiver.url()
    );
    let risposte = "route: risposte
from:
  http: { path: /risposte, auth: none, require_key: true }
steps:
  - resume: { name: risposta, key: string(body.numero) }
";
    [("attese", attese), ("risposte", risposte.to_string())]
}

pub(super) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let run = Run::begin("waits", &options.common)?;
    let receiver = Receiver::start(Duration::ZERO).await?;
    let site = Site::make(run.scratch.folder("hub")?, &routes(&receiver), &json!({}))?;
    let (hub, _) = site.start().await?;
    let address = site.listener().await?;
    let (waits, body) =
        (u64::from(options.waits), |number: u64| format!("{{\"numero\":{number},\"testo\":\"attesa\"}}"));
    // Whatever a first message makes the hub load is not the price of a wait.
    let warm = (waits + 1)..=(waits + 64);
    send_all(address, "/attese", CLIENTS, warm.clone(), body).await?;
    send_all(address, "/risposte", CLIENTS, warm.clone(), body).await?;
    let _took = receiver.has(64, Instant::now(), AWAKE_WITHIN).await.context("the first waits were not woken")?;
    let before = rested(&hub).await?;
    run.say(&format!("at rest without waits: {:.1} MiB", before.rss_mib));

    send_all(address, "/attese", CLIENTS, 1..=waits, body).await?;
    let waiting = rested(&hub).await?;
    run.say(&format!("at rest with {waits} waits: {:.1} MiB, peak {:.1} MiB", waiting.rss_mib, waiting.peak_rss_mib));
    anyhow::ensure!(receiver.distinct() == 64, "a case went on without its answer");

    let begun = Instant::now();
    let all = usize::try_from(waits)? + 64;
    let answers = send_all(address, "/risposte", CLIENTS, 1..=waits, body);
    let (sent, awake) = tokio::join!(answers, receiver.has(all, begun, AWAKE_WITHIN));
    sent?;
    let awake = awake.with_context(|| format!("only {} of {all} woke up:\n{}", receiver.distinct(), hub.log_end()))?;
    let after = hub.usage()?;
    hub.end().await?;
    let mut sheet = Sheet::default();
    sheet.add("waits", waits, "cases that waited for an answer");
    sheet.number("added_rss_mib", waiting.rss_mib - before.rss_mib, 1, "more memory at rest; goal: under 50");
    sheet.number("wake_all_s", awake.as_secs_f64(), 2, "from the first answer until the receiver had heard of all");
    sheet.number("rss_before_mib", before.rss_mib, 1, "at rest, before");
    sheet.number(
        "added_peak_rss_mib",
        waiting.peak_rss_mib - before.rss_mib,
        1,
        "more at the worst moment of taking them",
    );
    sheet.number("peak_rss_mib", after.peak_rss_mib, 1, "at the worst moment of all, waking included");
    sheet.add("twice", receiver.twice(), "heard of more than once; goal: 0");
    let kept = receiver.twice() == 0;
    Ok(run.end(sheet, kept))
}

async fn rested(hub: &Process) -> anyhow::Result<Usage> {
    rest(hub).await?;
    hub.usage()
}
