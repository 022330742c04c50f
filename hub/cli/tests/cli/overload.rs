//! The real hub under more than it can do at once. Memory is what the system says of the process (`/proc/PID/status`).
//!
//! `RACCORDO_LONG=1` takes the numbers of the manual (100,000 files, 10,000 cases); without it they are smaller, so that the
//! whole suite stays within its time.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

use crate::life::{Life, appears};

const TOKEN: &str = "a-token-of-everybody-0123456789";
/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);

fn long() -> bool {
    std::env::var_os("RACCORDO_LONG").is_some()
}

/// A hub with these routes and these lines more in its configuration.
fn configure(dir: &Path, routes: &[(&str, String)], more: &str) -> std::path::PathBuf {
    std::fs::create_dir_all(dir.join("routes")).expect("folder");
    for (name, route) in routes {
        std::fs::write(dir.join("routes").join(format!("{name}.yaml")), route).expect("writable");
    }
    let hub = format!(
        "data: data\nroutes: routes\ncases: cases.yaml\n\
         listeners: {{ default: {{ bind: \"127.0.0.1:0\", address_file: http.address }} }}\n\
         admin: {{ bind: \"127.0.0.1:0\", tokens: [{{ token: {TOKEN}, person: anna, roles: [operatore, approvatore] }}] }}\n\
         {more}\n"
    );
    let cases = "pratica:\n  initial: [ricevuta]\n  states: { ricevuta: [chiusa, respinto], chiusa: [], respinto: [] }\n\
        \x20 final: [chiusa, respinto]\n";
    std::fs::write(dir.join("cases.yaml"), cases).expect("writable");
    std::fs::write(dir.join("hub.yaml"), hub).expect("writable");
    dir.join("hub.yaml")
}

/// Asks the admin API.
async fn api(life: &Life, path: &str) -> Value {
    let request = Client::new().get(format!("{}/api/v1/{path}", life.admin)).bearer_auth(TOKEN);
    let text = request.send().await.expect("an answer").text().await.expect("text");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}: {text}"))
}

/// All rows of a list, page by page.
async fn all(life: &Life, list: &str) -> Vec<Value> {
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api(life, &format!("{list}limit=200{cursor}")).await;
        rows.extend(page["items"].as_array().expect("items").clone());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return rows,
        }
    }
}

/// Waits until the hub's answer fits.
async fn until(life: &Life, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let answer = api(life, path).await;
        if fits(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {answer}");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// Posts bodies with some clients at once; each must be taken.
async fn post_all(url: &str, bodies: Vec<Value>) {
    let bodies = Arc::new(std::sync::Mutex::new(bodies));
    let mut clients = Vec::new();
    for _ in 0..16 {
        let (url, bodies, client) = (url.to_string(), bodies.clone(), Client::new());
        clients.push(tokio::spawn(async move {
            loop {
                let Some(body) = bodies.lock().expect("no panic").pop() else { return };
                let request = client.post(&url).header("content-type", "application/json").body(body.to_string());
                let status = request.send().await.expect("an answer").status();
                assert_eq!(status, StatusCode::ACCEPTED, "{body}");
            }
        }));
    }
    for client in clients {
        client.await.expect("all are taken");
    }
}

fn told(what: &str, life: &Life, before: u64, begun: Instant) {
    let (now, peak) = (life.memory_kb("VmRSS"), life.memory_kb("VmHWM"));
    println!("{what}: {:.1} s; {before} kB before, {now} kB now, {peak} kB at most", begun.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_files_is_taken_at_the_hubs_own_pace() {
    let files: u64 = if long() { 100_000 } else { 30_000 };
    let dir = tempfile::tempdir().expect("folder");
    let inbox = dir.path().join("dentro");
    std::fs::create_dir(&inbox).expect("folder");
    for n in 0..files {
        std::fs::write(inbox.join(format!("{n:06}.json")), format!("{{\"n\":{n}}}")).expect("writable");
    }
    let route = "route: consegne\nfrom: { file: { folder: dentro, pattern: '*.json', stable_for: 10ms, every: 50ms } }\n\
        case: { kind: pratica, id: string(body.n) }\nsteps:\n  - state: ricevuta\n  - state: chiusa\n";
    let config = configure(dir.path(), &[("consegne", route.to_string())], "");
    let life = Life::begin(&config);
    let (before, begun) = (life.memory_kb("VmRSS"), Instant::now());
    let left =
        || std::fs::read_dir(&inbox).expect("folder").filter(|e| e.as_ref().is_ok_and(|e| e.path().is_file())).count();
    let mut settled = 0;
    while left() > 0 {
        // By then every cache has its size.
        if settled == 0 && left() as u64 <= files - 20_000 {
            settled = life.memory_kb("VmRSS");
        }
        assert!(begun.elapsed() < PATIENCE, "{} files are left", left());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let ended = |rows: &[Value]| rows.iter().map(|row| row["count"].as_u64().unwrap_or(0)).sum::<u64>();
    let closed = |answer: &Value| {
        let rows = answer["items"].as_array().cloned().unwrap_or_default();
        ended(&rows.into_iter().filter(|row| row["state"] == "chiusa").collect::<Vec<_>>()) >= files
    };
    let _ = until(&life, "statistics", closed).await;
    told(&format!("{files} files"), &life, before, begun);
    let peak = life.memory_kb("VmHWM");

    let messages = all(&life, "messages?").await;
    let cases: HashSet<&str> = messages.iter().filter_map(|row| row["case"].as_str()).collect();
    assert_eq!((messages.len() as u64, cases.len() as u64), (files, files), "each once");
    assert!(messages.iter().all(|row| row["state"] == "finished"), "all are done");
    let done = std::fs::read_dir(inbox.join(".done")).expect("folder").count();
    assert_eq!(done as u64, files);
    assert!(
        settled > 0 && peak < settled + 12 * 1024,
        "memory stays flat: {settled} kB after 20,000, {peak} kB at most"
    );
    assert!(peak < 160 * 1024, "{before} kB at first, {peak} kB at most");
    life.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_cases_wait_in_little_memory_and_all_wake() {
    let cases = if long() { 10_000 } else { 2_000 };
    let dir = tempfile::tempdir().expect("folder");
    let orders = "route: ordini\nfrom: { http: { path: /ordini, auth: none } }\n\
        case: { kind: pratica, id: string(body.n) }\nsteps:\n  - state: ricevuta\n\
        \x20 - approve: { role: approvatore, people: 1, within: 4h, title: \"'ordine'\" }\n\
        \x20 - await: { name: esito, keys: [\"'k' + string(body.n)\"], within: 5d, as: esito }\n  - state: chiusa\n";
    let answers = "route: esiti\nfrom: { http: { path: /esiti, auth: none } }\n\
        steps: [ { resume: { name: esito, key: body.chiave, answer: body } } ]\n";
    let config = configure(dir.path(), &[("ordini", orders.to_string()), ("esiti", answers.to_string())], "");
    let life = Life::begin(&config);
    let address = appears(&dir.path().join("http.address")).await.trim().to_string();
    // A first one warms up what every hub needs: connections, statements, caches.
    post_all(&format!("http://{address}/ordini"), (0..50).map(|n| json!({ "n": n })).collect()).await;
    let _ = until(&life, "status", |status| status["counts"]["open_tasks"] == 50).await;
    let (before, begun) = (life.memory_kb("VmRSS"), Instant::now());

    post_all(&format!("http://{address}/ordini"), (50..cases).map(|n| json!({ "n": n })).collect()).await;
    let _ = until(&life, "status", |status| status["counts"]["open_tasks"] == cases).await;
    told(&format!("{cases} cases wait for people"), &life, before, begun);
    let with_tasks = life.memory_kb("VmRSS");

    approve_all(&life, &all(&life, "tasks?").await).await;
    let _ = until(&life, "status", |status| status["attention"]["waiting"] == cases).await;
    told(&format!("{cases} cases wait for answers"), &life, before, begun);
    let with_waits = life.memory_kb("VmRSS");
    assert!(with_tasks.max(with_waits) < before + 50 * 1024, "{before} kB before, {with_tasks} and {with_waits} kB");

    let begun = Instant::now();
    post_all(&format!("http://{address}/esiti"), (0..cases).map(|n| json!({ "chiave": format!("k{n}") })).collect())
        .await;
    let _ = until(&life, "status", |status| status["attention"]["waiting"] == 0).await;
    told("all have their answers", &life, before, begun);
    let ended = |answer: &Value| {
        let rows = answer["items"].as_array().cloned().unwrap_or_default();
        rows.iter().any(|row| row["state"] == "chiusa" && row["count"] == cases)
    };
    let _ = until(&life, "statistics", ended).await;
    life.end();
}

async fn approve_all(life: &Life, tasks: &[Value]) {
    let client = Client::new();
    for chunk in tasks.chunks(32) {
        let say = |task: &Value| {
            let id = task["id"].as_str().expect("an id").to_string();
            let request = client.post(format!("{}/api/v1/tasks/{id}/decision", life.admin)).bearer_auth(TOKEN);
            let body = json!({ "decision": "approve", "sha256": task["sha256"] }).to_string();
            tokio::spawn(request.header("content-type", "application/json").body(body).send())
        };
        for said in chunk.iter().map(say).collect::<Vec<_>>() {
            assert_eq!(said.await.expect("no panic").expect("an answer").status(), StatusCode::OK);
        }
    }
}

/// What a receiver took: lane and number, in order.
type Taken = Arc<std::sync::Mutex<Vec<(u64, u64)>>>;

/// A receiver that remembers what it took, in order; it can be away.
struct Receiver {
    url: String,
    away: Arc<AtomicBool>,
    taken: Taken,
    work: tokio::task::JoinHandle<()>,
}

impl Receiver {
    async fn open() -> Self {
        use axum::extract::State;
        let (away, taken) = (Arc::new(AtomicBool::new(true)), Taken::default());
        let take = async |State((away, taken)): State<(Arc<AtomicBool>, Taken)>, body: String| {
            if away.load(Ordering::SeqCst) {
                return StatusCode::TOO_MANY_REQUESTS;
            }
            let body: Value = serde_json::from_str(&body).expect("JSON");
            taken.lock().expect("no panic").push((body["l"].as_u64().expect("l"), body["n"].as_u64().expect("n")));
            StatusCode::OK
        };
        let app = axum::Router::new().route("/in", axum::routing::post(take)).with_state((away.clone(), taken.clone()));
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", socket.local_addr().expect("an address"));
        let work = tokio::spawn(async move { drop(axum::serve(socket, app).await) });
        Self { url, away, taken, work }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.work.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_hear_429_when_a_receiver_is_away_for_too_long_and_all_drains_in_order() {
    let limit: u64 = if long() { 5_000 } else { 1_000 };
    let receiver = Receiver::open().await;
    let dir = tempfile::tempdir().expect("folder");
    let route = format!(
        "route: ordini\nfrom: {{ http: {{ path: /ordini, auth: none }} }}\n\
         case: {{ kind: pratica, id: string(body.n) }}\nlane: string(body.l)\nsteps:\n\
         \x20 - to: {{ http: {{ url: \"{}/in\" }} }}\n\
         on_failure: {{ retry: {{ times: 100, min: 200ms, max: 1s }}, then: park }}\n",
        receiver.url
    );
    let more = format!("limits: {{ unsent: {limit} }}\nalarms: {{ every: 1s }}");
    let config = configure(dir.path(), &[("ordini", route)], &more);
    let life = Life::begin(&config);
    let address = appears(&dir.path().join("http.address")).await.trim().to_string();
    let url = format!("http://{address}/ordini");
    let (before, begun, client) = (life.memory_kb("VmRSS"), Instant::now(), Client::new());
    let mut taken = 0_u64;
    let refused = loop {
        let request = client.post(&url).header("content-type", "application/json");
        let response = request.body(json!({ "n": taken, "l": taken % 7 }).to_string()).send().await.expect("an answer");
        match response.status() {
            StatusCode::ACCEPTED => taken += 1,
            StatusCode::TOO_MANY_REQUESTS => break response,
            other => panic!("{other}"),
        }
        assert!(taken < 40 * limit, "admission has no end");
    };
    let after: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    assert!(after >= 1);
    let alarms = until(&life, "alarms", |alarms| alarms.to_string().contains("answered 429")).await;
    assert_eq!(alarms["items"][0]["name"], "backlog", "{alarms}");
    told(&format!("{taken} wait to be sent"), &life, before, begun);
    assert!(life.memory_kb("VmHWM") < before + 64 * 1024);

    receiver.away.store(false, Ordering::SeqCst);
    let _ = until(&life, "status", |status| status["flow"]["unsent"] == 0).await;
    let response = client.post(&url).header("content-type", "application/json");
    let body = json!({ "n": taken, "l": taken % 7 }).to_string();
    assert_eq!(response.body(body).send().await.expect("an answer").status(), StatusCode::ACCEPTED);
    taken += 1;
    while (receiver.taken.lock().expect("no panic").len() as u64) < taken {
        assert!(begun.elapsed() < PATIENCE, "the last one does not come");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut lanes: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (lane, n) in receiver.taken.lock().expect("no panic").iter() {
        lanes.entry(*lane).or_default().push(*n);
    }
    for (lane, numbers) in &lanes {
        assert_eq!(numbers, &(0..taken).filter(|n| n % 7 == *lane).collect::<Vec<_>>(), "lane {lane}");
    }
    assert_eq!(lanes.len(), 7);
    life.end();
}
