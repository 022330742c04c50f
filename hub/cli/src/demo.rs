//! The demo: a hub, its outside world, its senders and its people, all on loopback; then a look at what happened.
//!
//! What is counted comes from comparing what was offered with what the SIOPE+ simulator saw, never from the hub's counters.

mod judge;
mod orders;
mod people;
mod sender;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;

pub use judge::{Report, Seen, judge};
pub use orders::{Offer, Order, load_orders};
pub use people::{People, Team};
pub use sender::{Answer, Sender};
pub use world::{World, WorldSettings, repository};
pub(crate) use world::{copy_tree, make_key, siope_settings};

use crate::app::App;

/// How long the demo may take to come to an end.
const WITHIN: Duration = Duration::from_secs(45);
/// Pause between two looks at the simulator.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// `raccordo demo`
#[derive(Args, Debug, Clone)]
pub struct Options {
    /// Ends by itself when all orders have come to an end
    #[arg(long)]
    once: bool,
    /// Prints one JSON object on the last line
    #[arg(long)]
    json: bool,
    /// Folder for everything that the demo makes; an earlier demo's folder is made anew
    #[arg(long, default_value = "demo-data")]
    dir: PathBuf,
}

/// Runs the demo; exit code 1 when an order was lost, sent twice, or did not come to an end.
pub(crate) async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    let say = |text: String| {
        if !options.json {
            println!("[{:5.1} s] {text}", begun.elapsed().as_secs_f32());
        }
    };
    let root = repository()?;
    let offers = load_orders(&root.join("examples/mandati"))?;
    let world = World::prepare(&root, &options.dir, WorldSettings::default()).await?;
    say(format!("SIOPE+ simulator at https://{}, what it saw at {}/flows", world.siope.addr, world.control()));
    let app = App::start(&world.config).await.context("the hub cannot start")?;
    let admin = app.admin.as_ref().map(|admin| admin.url()).context("the demo configuration has an admin API")?;
    say(format!("hub ready, admin API at {admin}"));

    let people = People::start(&admin, world.team.clone())?;
    let sender = Sender::new(&world).await?;
    let offered = offer(&sender, &world, offers, &say).await?;
    let seen = wait_for_the_end(&world, &admin, &offered, &say).await?;
    people.stop().await;
    let report = judge(&offered, &seen, begun.elapsed());
    tell(&report, &offered, &seen, &world, &admin, &options);
    if !options.once {
        println!("the hub keeps running; stop it with Ctrl-C");
        let people = People::start(&admin, world.team.clone())?;
        crate::app::asked_to_stop().await;
        people.stop().await;
    }
    app.stop().await?;
    world.siope.shutdown().await;
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Offers all orders through both doors; a cancellation follows as soon as what it cancels has been accepted.
async fn offer(
    sender: &Sender,
    world: &World,
    offers: Vec<Offer>,
    say: &impl Fn(String),
) -> anyhow::Result<Vec<(Offer, Answer)>> {
    let (cancellations, orders): (Vec<_>, Vec<_>) = offers.into_iter().partition(Offer::is_cancellation);
    let cancelled = |offer: &Offer| cancellations.iter().find(|c| offer.order.as_ref() == Some(&c.cancels()));
    let by_folder =
        |(index, offer): &(usize, Offer)| offer.fits_folder() && cancelled(offer).is_none() && index % 8 == 3;
    let (files, requests): (Vec<_>, Vec<_>) = orders.into_iter().enumerate().partition(by_folder);
    for (_, offer) in &files {
        sender.drop_file(offer).await?;
    }
    let mut offered = Vec::new();
    for (_, offer) in requests {
        let answer = sender.post(&offer).await?;
        let cancellation = cancelled(&offer).cloned();
        offered.push((offer, answer));
        if let Some(cancellation) = cancellation {
            world.wait_until_accepted(&cancellation.cancels(), WITHIN).await?;
            let answer = sender.post(&cancellation).await?;
            offered.push((cancellation, answer));
        }
    }
    for (_, offer) in files {
        let answer = sender.swallowed(&offer).await?;
        offered.push((offer, answer));
    }
    offered.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    let taken = offered.iter().filter(|(_, answer)| answer.is_taken()).count();
    say(format!("{} orders offered, {taken} taken, the others refused with their reasons", offered.len()));
    Ok(offered)
}

async fn wait_for_the_end(
    world: &World,
    admin: &str,
    offered: &[(Offer, Answer)],
    say: &impl Fn(String),
) -> anyhow::Result<Seen> {
    let begun = Instant::now();
    let mut shown = (0, 0);
    loop {
        let seen = Seen::look(world, admin).await?;
        let report = judge(offered, &seen, begun.elapsed());
        if (report.flows_sent, report.orders_paid) != shown {
            shown = (report.flows_sent, report.orders_paid);
            say(format!("{} flows sent, {} ACKs, {} orders paid", shown.0, report.acks_ok + report.acks_ko, shown.1));
        }
        if report.is_finished() || begun.elapsed() > WITHIN {
            return Ok(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn tell(report: &Report, offered: &[(Offer, Answer)], seen: &Seen, world: &World, admin: &str, options: &Options) {
    if options.json {
        return;
    }
    for (offer, answer) in offered {
        println!("  {:<44} {}", offer.name, seen.fate_of(offer, answer));
    }
    println!();
    println!("accepted {}  refused {}  flows {}", report.orders_accepted, report.orders_refused, report.flows_sent);
    println!("ACK OK {}  ACK KO {}  paid {}", report.acks_ok, report.acks_ko, report.orders_paid);
    println!(
        "in doubt {}  parked {}  duplicates {}  lost {}",
        report.in_doubt, report.parked, report.duplicates, report.lost
    );
    println!("{:.1} s", report.seconds);
    println!();
    println!("look around:");
    println!("  admin API   {admin}/api/v1/cases   (token in {})", world.dir.join("token-controllore").display());
    println!("  SIOPE+      {}/flows", world.control());
    println!("  documents   {}", world.dir.join("data/blobs").display());
    println!("  from the terminal:");
    println!("    export RACCORDO_API={admin} RACCORDO_TOKEN_FILE={}", world.dir.join("token-controllore").display());
    println!("    target/release/raccordo cases list --kind mandato");
}
