//! What SIOPE+ saw, compared with what was offered: no order in two flows, none lost; a flow that the simulator took ends
//! delivered without a person; a parked one names the kill or the fault behind it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use raccordo::demo::{Offer, Order, World, WorldSettings, load_orders};
use serde_json::{Value, json};

/// After the last kill, everything has to come to an end within this time.
const END_WITHIN: Duration = Duration::from_secs(240);

/// Cases of parked in-doubt messages: what was decided, and the reason that the hub gave.
pub(crate) type Released = HashMap<String, (&'static str, String)>;

/// A world that answers fast, and whose hub asks about a doubt no longer than `patience`.
pub(crate) async fn quick_world(root: &Path, dir: &Path, seed: u64, patience: Duration) -> World {
    let fast = Duration::from_millis(100);
    let settings = WorldSettings { pace: fast, outcomes: fast, seed, patience, ..WorldSettings::default() };
    World::prepare(root, &dir.join("world"), settings).await.expect("world")
}

/// Many orders made from the good samples: other numbers, each its own.
pub(crate) fn many_orders(root: &Path, prefix: &str, count: usize) -> Vec<Offer> {
    let samples: Vec<Offer> = load_orders(&root.join("examples/mandati")).expect("samples").into_iter().collect();
    let usable =
        |offer: &&Offer| offer.order.as_ref().is_some_and(|o| o.operazione == "INSERIMENTO" && o.tipo == "mandato");
    let samples: Vec<&Offer> = samples.iter().filter(usable).collect();
    (0..count)
        .map(|index| {
            let sample = samples[index % samples.len()];
            let mut value: Value = serde_json::from_slice(&sample.bytes).expect("JSON");
            value["numero"] = json!(100_000 + index);
            Offer {
                name: format!("{prefix}-{index:04}"),
                bytes: value.to_string().into_bytes(),
                order: Order::of(&value),
                path: "/ingest/mandati",
            }
        })
        .collect()
}

pub(crate) async fn api(admin: &str, token: &str, path: &str) -> Option<Value> {
    let response = reqwest::Client::new().get(format!("{admin}/api/v1/{path}")).bearer_auth(token).send().await.ok()?;
    serde_json::from_str(&response.error_for_status().ok()?.text().await.ok()?).ok()
}

pub(crate) async fn release(admin: &str, token: &str, id: &str, action: &str, note: &str) -> bool {
    let body = json!({ "action": action, "note": note }).to_string();
    let request = reqwest::Client::new().post(format!("{admin}/api/v1/parked/{id}/release")).bearer_auth(token);
    let sent = request.header("content-type", "application/json").body(body).send().await;
    sent.is_ok_and(|response| response.status().is_success())
}

/// Deliveries that only the answers proved carry their orders on like all others: to the bank's last word, without a person.
pub(crate) async fn every_taken_order_ends_paid(world: &World, admin: &str, offers: &[Offer], released: &Released) {
    let token = world.team.token("controllore");
    let given_up = |order: &&Order| released.get(&order.case).is_some_and(|(action, _)| *action == "give_up");
    let (begun, orders) = (Instant::now(), offers.iter().filter_map(|offer| offer.order.as_ref()));
    let mut open: Vec<&Order> = orders.filter(|order| !given_up(order)).collect();
    while !open.is_empty() {
        let mut still = Vec::new();
        for order in open {
            let case = api(admin, token, &format!("cases/{}", order.case.replace('/', "%2F"))).await;
            let paid = case.as_ref().is_some_and(|case| case.to_string().contains("\"state\":\"pagato\""));
            if !paid {
                assert!(begun.elapsed() < Duration::from_secs(60), "{} is not paid: {case:?}", order.case);
                still.push(order);
            }
        }
        open = still;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

pub(crate) fn the_ledger_is_what_the_journal_says(config: &Path) {
    let ledger = |what: &str| {
        let run = Command::new(env!("CARGO_BIN_EXE_raccordo")).args(["ledger", what, "--config"]).arg(config).output();
        let run = run.expect("the command runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        String::from_utf8_lossy(&run.stdout).trim().rsplit(' ').next().unwrap_or_default().to_string()
    };
    let (live, rebuilt) = (ledger("digest"), ledger("rebuild"));
    assert_eq!(live, rebuilt, "a rebuild gives the same ledger");
    println!("ledger digest {live}, the same after a rebuild");
}

/// What the bank's clerk on the telephone would say about a parked flow, and what an operator then does.
pub(crate) struct Operator<'a> {
    world: &'a World,
    /// Address of the admin API of the present life.
    pub(crate) admin: String,
    /// Parked in-doubt messages and what was decided.
    pub(crate) released: Released,
    /// Decisions that nobody has confirmed.
    unheard: Released,
}

impl<'a> Operator<'a> {
    pub(crate) fn new(world: &'a World, admin: &str) -> Self {
        Self { world, admin: admin.to_string(), released: Released::new(), unheard: Released::new() }
    }

    /// Decides about flows in doubt that SIOPE+ never took, until every order is at SIOPE+ or given up.
    pub(crate) async fn until_the_end(mut self, offers: &[Offer]) -> Released {
        let begun = Instant::now();
        loop {
            self.decide().await;
            self.look_up_what_was_not_heard().await;
            let open = self.open(offers).await;
            if open.is_empty() {
                return self.released;
            }
            let first = format!("cases/{}", open[0].replace('/', "%2F"));
            let token = self.world.team.token("controllore");
            assert!(
                begun.elapsed() < END_WITHIN,
                "{} orders have not come to an end, for example {:?}: {:?}; parked: {:?}",
                open.len(),
                &open[..open.len().min(5)],
                api(&self.admin, token, &first).await,
                api(&self.admin, self.world.team.token("controllore"), "parked?limit=5").await
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// Decides about the flows in doubt that are parked now.
    pub(crate) async fn decide(&mut self) {
        let token = self.world.team.token("controllore");
        let Some(parked) = api(&self.admin, token, "parked?limit=200").await else { return };
        let taken = taken_by_case(&self.world.ask("flows").await.expect("flows"));
        for parked in parked["items"].as_array().into_iter().flatten() {
            let (case, id) = (parked["case"].as_str().unwrap_or_default(), parked["id"].as_str().unwrap_or_default());
            assert_eq!(parked["kind"], "in_doubt", "only doubt may stop an order here: {parked}");
            let reason = parked["reason"].as_str().unwrap_or_default().to_string();
            assert!(names_a_cause(&reason), "the evidence names no kill and no fault: {parked}");
            if taken.contains_key(case) {
                // SIOPE+ has it: the late ACK must settle it without a person.
                continue;
            }
            let action = if self.released.len().is_multiple_of(2) { "not_delivered" } else { "give_up" };
            let heard = release(&self.admin, token, id, action, "asked SIOPE+ by telephone").await;
            let decided = if heard { &mut self.released } else { &mut self.unheard };
            drop(decided.insert(case.to_string(), (action, reason)));
        }
    }

    /// A hub that died before it could answer may have written a decision down all the same: its history says so.
    async fn look_up_what_was_not_heard(&mut self) {
        for (case, decision) in self.unheard.clone() {
            let path = format!("cases/{}", case.replace('/', "%2F"));
            let told = api(&self.admin, self.world.team.token("controllore"), &path).await;
            let action = format!("\"action\":\"{}\"", decision.0);
            if told.is_some_and(|told| told.to_string().contains(&action)) {
                let _ = self.unheard.remove(&case);
                let _ = self.released.entry(case).or_insert(decision);
            }
        }
    }

    /// Orders that are neither in an accepted flow nor given up.
    async fn open(&self, offers: &[Offer]) -> Vec<String> {
        let taken = taken_by_case(&self.world.ask("flows").await.expect("flows"));
        let token = self.world.team.token("controllore");
        let parked = api(&self.admin, token, "parked?limit=200").await;
        let still_parked = parked.as_ref().and_then(|p| p["items"].as_array()).map_or(1, Vec::len);
        let cases = offers.iter().filter_map(|offer| offer.order.as_ref()).map(|order| order.case.clone());
        let given_up = |case: &String| self.released.get(case).is_some_and(|(action, _)| *action == "give_up");
        let mut open: Vec<String> = cases.filter(|case| !taken.contains_key(case) && !given_up(case)).collect();
        if open.is_empty() && still_parked > 0 {
            open.push(format!("{still_parked} still parked"));
        }
        open
    }
}

fn names_a_cause(reason: &str) -> bool {
    ["life", "ended", "reset", "connection", "closed", "timed out", "no answer", "error sending"]
        .iter()
        .any(|word| reason.contains(word))
}

/// Case -> flows that SIOPE+ took and did not refuse.
pub(crate) fn taken_by_case(flows: &Value) -> BTreeMap<String, Vec<String>> {
    let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for flow in flows.as_array().into_iter().flatten().filter(|flow| flow["result"] == "taken") {
        for line in flow["orders"].as_array().into_iter().flatten() {
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
            let case = format!("{}/{}/{}", text(&flow["ente"]), text(&flow["esercizio"]), text(&line["numero"]));
            taken.entry(case).or_default().push(text(&flow["identificativo_flusso"]));
        }
    }
    taken
}

/// Compares what was offered with what the simulator saw.
pub(crate) async fn judge(world: &World, offers: &[Offer], released: &Released) {
    let taken = taken_by_case(&world.ask("flows").await.expect("flows"));
    let (mut once, mut given_up) = (0, 0);
    for order in offers.iter().filter_map(|offer| offer.order.as_ref()) {
        let is_given_up = released.get(&order.case).is_some_and(|(action, _)| *action == "give_up");
        match taken.get(&order.case).map_or(0, Vec::len) {
            1 => {
                assert!(!is_given_up, "{} was given up and is in a flow: {:?}", order.case, taken[&order.case]);
                once += 1;
            }
            0 => {
                assert!(is_given_up, "lost: {}", order.case);
                given_up += 1;
            }
            more => panic!("{} was sent {more} times: {:?}", order.case, taken[&order.case]),
        }
    }
    for (case, (action, reason)) in released {
        println!("parked {case}, then {action}: {reason}");
    }
    println!("{once} orders in exactly one flow, {given_up} given up by a person with evidence, 0 lost, 0 twice");
    assert_eq!(once + given_up, offers.len());
}
