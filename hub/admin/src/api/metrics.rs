//! Metrics in Prometheus's text format.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use hub_ledger::Attention;
use hub_runtime::{Figures, PartitionFigures, RouteStatus, StoreFigures};
use jiff::Timestamp;

use crate::Right;
use crate::alarms::{KNOWN, Look};
use crate::problem::Problem;
use crate::prometheus::{Kind, Text, labels};
use crate::staff::Person;
use crate::state::Desk;

/// The text format's own type.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the process has counted, how the hub is, and what waits for people now.
///
/// `raccordo_alarm{name="..."}` is 1 while an alarm of that name stands and 0 otherwise, for every name there is. A figure that
/// cannot be read is left out, so that a monitor tells "absent" from zero.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "health", responses(
    (status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
    (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(crate) async fn metrics(
    State(desk): State<Arc<Desk>>,
    person: Option<Extension<Arc<Person>>>,
) -> Result<impl IntoResponse, Problem> {
    match person {
        Some(Extension(person)) if !desk.metrics_open => person.must(Right::Metrics)?,
        None if !desk.metrics_open => return Err(Problem::unauthorized()),
        _ => {}
    }
    let mut text = Text::after(desk.metrics.as_ref().map(|handle| handle.render()).unwrap_or_default());
    let look = desk.watch.fresh().await;
    of_alarms(&mut text, &look);
    of_routes(&mut text, &desk.operate.routes());
    let ready = u8::from(desk.operate.is_ready());
    text.one(Kind::Gauge, "raccordo_ready", "1: all routes have been opened and the store works.", ready);
    look.attention.iter().for_each(|attention| of_people(&mut text, attention));
    look.figures.iter().for_each(|figures| of_hub(&mut text, figures));
    Ok(([(CONTENT_TYPE, TEXT)], text.into_text()))
}

fn of_alarms(text: &mut Text, look: &Look) {
    let standing = |name: &str| look.alarms.iter().filter(|standing| standing.alarm.name == name).count();
    let values = KNOWN.iter().map(|known| (labels(&[("name", known.name)]), u8::from(standing(known.name) > 0)));
    text.family(Kind::Gauge, "raccordo_alarm", "1 while an alarm of this name stands.", values);
    text.one(Kind::Gauge, "raccordo_alarms", "Things an operator should look at.", look.alarms.len());
}

fn of_routes(text: &mut Text, routes: &[RouteStatus]) {
    let running = routes.iter().filter(|route| route.state == "running").count();
    text.one(Kind::Gauge, "raccordo_routes", "Routes.", routes.len());
    text.one(Kind::Gauge, "raccordo_routes_running", "Routes that run.", running);
    let one = |route: &RouteStatus| (labels(&[("route", &route.name)]), u8::from(route.state == "running"));
    text.family(Kind::Gauge, "raccordo_route_running", "1 while this route takes messages.", routes.iter().map(one));
    let taken = |route: &RouteStatus| Some((labels(&[("route", &route.name)]), unix(route.last_taken?)));
    let help = "When the route admitted a message last, in this life of the hub.";
    text.family(Kind::Gauge, "raccordo_route_last_taken_timestamp_seconds", help, routes.iter().filter_map(taken));
}

fn of_people(text: &mut Text, seen: &Attention) {
    let mut gauge = |name: &str, help: &str, value: u64| text.one(Kind::Gauge, name, help, value);
    gauge("raccordo_parked", "Parked messages that wait for a person.", seen.parked);
    gauge("raccordo_in_doubt", "Sends of which nobody knows whether they happened.", seen.in_doubt);
    gauge("raccordo_open_tasks", "Tasks that wait for people.", seen.open_tasks);
    gauge("raccordo_waiting", "Messages that wait for an answer from outside.", seen.waiting);
    gauge("raccordo_deadline_near", "Tasks and waits that end within `alarms.deadline_near`.", seen.deadline_near);
    let help = "The earliest deadline of all open tasks and waits.";
    text.maybe(Kind::Gauge, "raccordo_next_deadline_timestamp_seconds", help, seen.next_deadline.map(unix));
}

fn of_hub(text: &mut Text, seen: &Figures) {
    let parts = |of: fn(&PartitionFigures) -> u64| {
        let value = move |(n, part): (usize, &PartitionFigures)| (labels(&[("partition", &n.to_string())]), of(part));
        seen.partitions.iter().enumerate().map(value).collect::<Vec<_>>()
    };
    let mut family = |name: &str, help: &str, values| text.family(Kind::Gauge, name, help, values);
    family("raccordo_backlog", "Messages that wait for a segment of their route.", parts(|p| p.inbox));
    family("raccordo_held", "Messages in lanes whose step is not available.", parts(|p| p.held));
    family("raccordo_unsent", "Outbound messages without a receipt.", parts(|p| p.outbox + p.unsent));
    let mut gauge = |name: &str, help: &str, value: u64| text.one(Kind::Gauge, name, help, value);
    gauge("raccordo_backlog_limit", "Backlog of one partition at which senders are answered 429.", seen.backlog_max);
    gauge("raccordo_unsent_limit", "Unsent of one partition at which senders are answered 429.", seen.unsent_max);
    let oldest = seen.oldest_unsent.map_or(0, |at| seen.now.duration_since(at).as_secs().max(0));
    let help = "Age of the oldest outbound message without a receipt.";
    text.one(Kind::Gauge, "raccordo_oldest_unsent_seconds", help, oldest);
    text.maybe(
        Kind::Gauge,
        "raccordo_last_sent_timestamp_seconds",
        "When a receipt was recorded last, in this life of the hub.",
        seen.last_sent.map(unix),
    );
    let help = "When this life of the hub began.";
    text.one(Kind::Gauge, "raccordo_start_timestamp_seconds", help, unix(seen.since));
    seen.store.iter().for_each(|store| of_store(text, store));
}

fn of_store(text: &mut Text, store: &StoreFigures) {
    let help = "Bytes that are free on the disk of the store.";
    text.maybe(Kind::Gauge, "raccordo_disk_free_bytes", help, store.disk_free);
    text.one(Kind::Gauge, "raccordo_store_bytes", "Bytes of the store's files, without blobs.", store.bytes);
    let mut counter = |name: &str, help: &str, value: u64| text.one(Kind::Counter, name, help, value);
    counter("raccordo_commits_total", "Commits of this life of the hub.", store.commits);
    counter("raccordo_records_total", "Records in them.", store.records);
    counter("raccordo_transactions_total", "Transactions that they took, each with one fsync.", store.transactions);
}

fn unix(at: Timestamp) -> i64 {
    at.as_second()
}
