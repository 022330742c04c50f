//! The control plane: what truly happened, and trouble on demand. Plain HTTP, loopback only, for tests and demos.
//!
//! | call | does |
//! |---|---|
//! | `GET /_sim/health` | address of the API, counts |
//! | `GET /_sim/flows`, `GET /_sim/flows/{n}/zip` | every upload seen, oldest first; the bytes of the n-th, if taken |
//! | `GET /_sim/orders` | each order that an accepted flow named |
//! | `GET`, `POST`, `DELETE /_sim/faults` | what is set and left; sets some; clears all |
//! | `GET`, `POST /_sim/settings` | delays in milliseconds; they hold for what is scheduled from then on |
//! | `POST /_sim/tick` | produces everything that is pending, whatever its delay |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::engine::Pace;
use super::flow::{Flow, Ordine};
use super::ledger::{Delays, Ledger, Shared};
use super::world::{Ending, FlowState, Order, OrderKey, Upload, World};

/// Longest delay that can be set.
const DELAY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most turns of one tick; a flow has four stages.
const TURNS_MAX: usize = 10_000;

#[derive(Clone)]
struct Control {
    shared: Arc<Shared>,
    api: SocketAddr,
}

/// Serves until `stop` changes.
pub(crate) async fn listen(
    shared: Arc<Shared>,
    listener: TcpListener,
    api: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let routes = Router::new()
        .route("/_sim/health", get(health))
        .route("/_sim/flows", get(flows))
        .route("/_sim/flows/{n}/zip", get(zip))
        .route("/_sim/orders", get(orders))
        .route("/_sim/faults", get(faults).post(set_faults).delete(clear_faults))
        .route("/_sim/settings", get(settings).post(set_settings))
        .route("/_sim/tick", axum::routing::post(tick))
        .with_state(Control { shared, api });
    let served = async { axum::serve(listener, routes).await };
    tokio::select! {
        ended = served => if let Err(why) = ended {
            tracing::error!(%why, "the control plane ended");
        },
        _ = stop.changed() => {}
    }
}

async fn health(State(control): State<Control>) -> Response {
    let api = control.api.to_string();
    ask(&control, move |ledger| {
        let (uploads, pending) = (ledger.world.uploads.len(), ledger.world.agenda.len());
        json!({ "status": if ledger.broken.is_some() { "broken" } else { "ok" }, "broken": ledger.broken,
                "api": api, "uploads": uploads, "flows": ledger.world.flows.len(), "pending": pending })
    })
    .await
}

async fn flows(State(control): State<Control>) -> Response {
    ask(&control, |ledger| {
        let world = &ledger.world;
        let shown = world.uploads.iter().enumerate().map(|(n, upload)| show_upload(world, n, upload));
        Value::Array(shown.collect())
    })
    .await
}

async fn zip(State(control): State<Control>, Path(n): Path<usize>) -> Response {
    let found = control.shared.with(move |_, ledger| {
        let taken = ledger.world.uploads.get(n)?.taken.as_ref()?;
        BASE64.decode(&taken.zip).ok()
    });
    match found.await.flatten() {
        Some(zip) => ([(header::CONTENT_TYPE, "application/zip")], zip).into_response(),
        None => (StatusCode::NOT_FOUND, "no such upload, or it was not taken").into_response(),
    }
}

async fn orders(State(control): State<Control>) -> Response {
    ask(&control, |ledger| {
        Value::Array(ledger.world.orders.iter().map(|(key, order)| show_order(key, order)).collect())
    })
    .await
}

async fn faults(State(control): State<Control>) -> Response {
    ask(&control, |ledger| ledger.faults.show()).await
}

async fn set_faults(State(control): State<Control>, body: Bytes) -> Response {
    change(&control, body, |ledger, rules| ledger.faults.set(rules).map(|()| ledger.faults.show())).await
}

async fn clear_faults(State(control): State<Control>) -> Response {
    ask(&control, |ledger| {
        ledger.faults.clear();
        ledger.faults.show()
    })
    .await
}

async fn settings(State(control): State<Control>) -> Response {
    ask(&control, |ledger| show_delays(&ledger.delays)).await
}

async fn set_settings(State(control): State<Control>, body: Bytes) -> Response {
    change(&control, body, |ledger, wanted| {
        ledger.delays = with_delays(ledger.delays, wanted)?;
        Ok(show_delays(&ledger.delays))
    })
    .await
}

async fn tick(State(control): State<Control>) -> Response {
    let done = control.shared.with(|shared, ledger| {
        let mut steps = 0;
        for _ in 0..TURNS_MAX {
            let done = ledger.advance(&shared.clock, Pace::Everything)?;
            steps += done;
            if done == 0 {
                break;
            }
        }
        Ok::<_, String>(steps)
    });
    match done.await {
        Some(Ok(steps)) => axum::Json(json!({ "steps": steps })).into_response(),
        Some(Err(why)) => (StatusCode::INTERNAL_SERVER_ERROR, why).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn ask(control: &Control, question: impl FnOnce(&mut Ledger) -> Value + Send + 'static) -> Response {
    match control.shared.with(move |_, ledger| question(ledger)).await {
        Some(answer) => axum::Json(answer).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Applies a JSON body; 400 with the reason when it is not right.
async fn change<F>(control: &Control, body: Bytes, apply: F) -> Response
where
    F: FnOnce(&mut Ledger, &Value) -> Result<Value, String> + Send + 'static,
{
    let wanted: Value = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(why) => return (StatusCode::BAD_REQUEST, format!("not JSON: {why}")).into_response(),
    };
    match control.shared.with(move |_, ledger| apply(ledger, &wanted)).await {
        Some(Ok(now)) => axum::Json(now).into_response(),
        Some(Err(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn show_delays(delays: &Delays) -> Value {
    let ms = |delay: Duration| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    json!({
        "ack_after_ms": ms(delays.ack_after),
        "esito_flusso_after_ms": ms(delays.esito_flusso_after),
        "esiti_after_ms": ms(delays.esiti_after),
        "late_by_ms": ms(delays.late_by),
    })
}

fn with_delays(mut delays: Delays, wanted: &Value) -> Result<Delays, String> {
    for (name, value) in wanted.as_object().ok_or("a JSON object is expected, such as {\"ack_after_ms\": 300}")? {
        let delay = value.as_u64().map(Duration::from_millis).filter(|delay| *delay <= DELAY_MAX);
        let delay = delay.ok_or_else(|| format!("{name} must be whole milliseconds, at most a day"))?;
        match name.as_str() {
            "ack_after_ms" => delays.ack_after = delay,
            "esito_flusso_after_ms" => delays.esito_flusso_after = delay,
            "esiti_after_ms" => delays.esiti_after = delay,
            "late_by_ms" => delays.late_by = delay,
            other => return Err(format!("setting {other:?} is not known")),
        }
    }
    Ok(delays)
}

fn show_upload(world: &World, n: usize, upload: &Upload) -> Value {
    let prog = upload.taken.as_ref().map(|taken| taken.prog);
    let state = prog.and_then(|prog| world.flows.get(&prog));
    let flow = upload.flow.as_ref();
    json!({
        "n": n,
        "time": upload.time,
        "id_a2a": upload.id_a2a,
        "ente": upload.ente,
        "identificativo_flusso": flow.map(|f| &f.identificativo),
        "esercizio": flow.map(|f| &f.esercizio),
        "sha256": upload.sha256,
        "sha256_zip": upload.sha256_zip,
        "progFlusso": prog.map(|prog| prog.to_string()),
        "result": match upload.ending {
            Ending::Taken => "taken",
            Ending::Refused => "refused",
            Ending::Cut => "cut",
        },
        "status": upload.status,
        "reason": upload.reason,
        "fault": upload.fault,
        "ack_state": state.map(ack_state),
        "ack_codes": state.and_then(|s| s.ack.as_ref()).map(|ack| ack.errors.iter().map(|e| e.codice).collect::<Vec<_>>()),
        "esito_flusso": state.and_then(|s| s.bank.as_ref()).map(|b| if b.accepted { "ricezione" } else { "rifiuto" }),
        "orders": flow.map_or_else(Vec::new, |f| f.ordini.iter().map(|o| show_line(world, prog, f, o)).collect()),
    })
}

fn ack_state(state: &FlowState) -> &'static str {
    match &state.ack {
        None => "pending",
        Some(ack) if ack.errors.is_empty() => "OK",
        Some(_) => "KO",
    }
}

/// An order of a flow; `paid` only where this very flow inserted it.
fn show_line(world: &World, prog: Option<u64>, flow: &Flow, ordine: &Ordine) -> Value {
    let order = world.orders.get(&World::key(flow, ordine.tipo, ordine.numero));
    let ours = order.filter(|o| prog.is_some() && o.inserted_by == prog);
    json!({
        "tipo": ordine.tipo,
        "numero": ordine.numero,
        "importo": format!("{:.2}", ordine.importo),
        "tipo_operazione": ordine.operazione,
        "paid": ours.is_some_and(|o| o.paid),
        "non_eseguibile": ours.is_some_and(|o| o.not_executable),
        "annulled": order.is_some_and(|o| o.annulled),
    })
}

fn show_order(key: &OrderKey, order: &Order) -> Value {
    let standing = |e: &&super::world::Entry| e.operazione.inserts() && !e.refused_by_bank;
    let flows = order.entries.iter().map(|entry| {
        json!({
            "identificativo_flusso": entry.identificativo,
            "progFlusso": entry.prog.to_string(),
            "tipo_operazione": entry.operazione,
            "refused_by_bank": entry.refused_by_bank,
        })
    });
    json!({
        "ente": key.ente,
        "esercizio": key.esercizio,
        "tipo": key.tipo,
        "numero": key.numero,
        "importo": order.content.as_ref().map(|o| format!("{:.2}", o.importo)),
        "flows": flows.collect::<Vec<_>>(),
        "insertions": order.entries.iter().filter(standing).count(),
        "in_force": order.inserted_by.is_some(),
        "paid": order.paid,
        "non_eseguibile": order.not_executable,
        "annulled": order.annulled,
    })
}
