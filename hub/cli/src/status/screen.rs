//! The answers of the admin API as at most 24 lines of 80 characters. Pure: text from values.

use hub_core::Value;
use jiff::Timestamp;

const WIDTH: usize = 80;
/// One less than a screen has: the prompt follows.
const HEIGHT: usize = 23;
/// Lines above routes and alarms.
const HEAD: usize = 6;
/// Alarms that are shown when there are too many of everything; each takes two lines.
const ALARMS_KEPT: usize = 4;
/// Beside the items of a list: its heading, and a line that says how many are left out.
const LIST_EXTRA: usize = 2;

/// The screen.
pub(super) fn screen(status: &Value, routes: &[Value], alarms: &[Value]) -> Vec<String> {
    let now = instant(&status["flow"]["now"]);
    let mut lines = vec![first(status, now)];
    lines.extend([store(status), inward(status, now), outward(status, now), people(status, now), String::new()]);
    let room = HEIGHT - HEAD - 2 * LIST_EXTRA;
    // Alarms matter more than routes that run; routes get what alarms leave, and alarms what routes do not need.
    let routes_room = room.saturating_sub(2 * alarms.len().min(ALARMS_KEPT));
    let shown = routes.len().min(routes_room);
    list_routes(&mut lines, routes, shown, now);
    list_alarms(&mut lines, alarms, (room - shown) / 2, now);
    lines.into_iter().map(|line| cut(&line)).collect()
}

fn first(status: &Value, now: Option<Timestamp>) -> String {
    let (version, flow) = (text(&status["version"]), &status["flow"]);
    let ready = if status["ready"] == true { "ready" } else { "NOT READY" };
    let mode = if status["recovery"] == true { "  RECOVERY: nothing is sent" } else { "" };
    let since =
        instant(&flow["since"]).map_or_else(String::new, |at| format!(", since {} ({})", short(at), age(at, now)));
    format!("raccordo {version}  {ready}{mode}{since}  life {}", text(&flow["epoch"]))
}

fn store(status: &Value) -> String {
    let (store, rate) = (&status["store"], &status["flow"]["commits_per_s"]);
    let rate = rate.as_f64().map_or_else(|| "-".into(), |rate| format!("{rate:.1}"));
    let (bytes, free) = (size(&store["bytes"]), size(&store["disk_free"]));
    format!("store   {bytes}, {free} free on its disk   commits {rate}/s, {} in all", text(&store["commits"]))
}

fn inward(status: &Value, now: Option<Timestamp>) -> String {
    let flow = &status["flow"];
    let (backlog, limit, held) = (text(&flow["backlog"]), text(&flow["backlog_limit"]), text(&flow["held"]));
    format!(
        "in      backlog {backlog} (429 at {limit} a partition)   held {held}   last {}",
        ago(&flow["last_taken"], now)
    )
}

fn outward(status: &Value, now: Option<Timestamp>) -> String {
    let flow = &status["flow"];
    let oldest = instant(&flow["oldest_unsent"]).map_or_else(|| "-".into(), |at| age(at, now));
    format!(
        "out     unsent {}, the oldest {oldest}   last receipt {}",
        text(&flow["unsent"]),
        ago(&flow["last_sent"], now)
    )
}

fn people(status: &Value, now: Option<Timestamp>) -> String {
    let (counts, attention) = (&status["counts"], &status["attention"]);
    let (tasks, parked, doubt) = (text(&counts["open_tasks"]), text(&counts["parked"]), text(&counts["in_doubt"]));
    let waiting = text(&attention["waiting"]);
    let next = instant(&attention["next_deadline"]).map_or_else(|| "-".into(), |at| until(at, now));
    format!("open    in doubt {doubt}   parked {parked}   tasks {tasks}   waiting {waiting}   next deadline {next}")
}

fn list_routes(lines: &mut Vec<String>, routes: &[Value], shown: usize, now: Option<Timestamp>) {
    let running = routes.iter().filter(|route| route["state"] == "running").count();
    lines.push(format!("ROUTES  {running} of {} running", routes.len()));
    let mut sorted: Vec<&Value> = routes.iter().collect();
    // Those that do not run first; the order is kept otherwise.
    sorted.sort_by_key(|route| route["state"] == "running");
    for route in sorted.iter().take(shown) {
        let (name, state, source) = (text(&route["name"]), text(&route["state"]), text(&route["source"]));
        let error =
            route["error"].as_str().map_or_else(|| format!("last {}", ago(&route["last_taken"], now)), one_line);
        lines.push(format!("  {name:<24} {state:<8} {source:<16} {error}"));
    }
    left_out(lines, routes.len() - shown.min(routes.len()), "/api/v1/routes");
}

fn list_alarms(lines: &mut Vec<String>, alarms: &[Value], room: usize, now: Option<Timestamp>) {
    if alarms.is_empty() {
        lines.push("ALARMS  none".into());
        return;
    }
    lines.push(format!("ALARMS  {}", alarms.len()));
    for alarm in alarms.iter().take(room) {
        let since = instant(&alarm["since"]).map_or_else(String::new, |at| format!(" ({})", age(at, now)));
        lines.push(format!("! {}{since}: {}", text(&alarm["name"]), one_line(text(&alarm["detail"]))));
        lines.push(format!("    {}; {}", text(&alarm["first"]), text(&alarm["runbook"])));
    }
    left_out(lines, alarms.len().saturating_sub(room), "/api/v1/alarms");
}

fn left_out(lines: &mut Vec<String>, count: usize, whole: &str) {
    if count > 0 {
        lines.push(format!("  and {count} more: {whole}"));
    }
}

fn one_line(text: impl AsRef<str>) -> String {
    text.as_ref().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// No longer than a line, and no control characters: an error may hold what a stranger has sent.
fn cut(line: &str) -> String {
    let mut line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = line.char_indices().nth(WIDTH - 1).filter(|_| line.chars().count() > WIDTH) {
        line.truncate(end);
        line.push('…');
    }
    line.trim_end().to_string()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn short(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn ago(value: &Value, now: Option<Timestamp>) -> String {
    instant(value).map_or_else(|| "-".into(), |at| format!("{} ago", age(at, now)))
}

fn until(at: Timestamp, now: Option<Timestamp>) -> String {
    match now {
        Some(now) if at >= now => format!("in {}", spell(at.duration_since(now).as_secs())),
        Some(_) => "passed".into(),
        None => short(at),
    }
}

fn age(at: Timestamp, now: Option<Timestamp>) -> String {
    now.map_or_else(|| short(at), |now| spell(now.duration_since(at).as_secs()))
}

fn spell(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", s / 60),
        s @ 7_200..172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

fn size(value: &Value) -> String {
    let Some(bytes) = value.as_u64() else { return "-".into() };
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let bytes = bytes as f64;
    match bytes {
        b if b < 1024.0 * 1024.0 => format!("{:.0} KiB", b / 1024.0),
        b if b < 1024.0 * 1024.0 * 1024.0 => format!("{:.1} MiB", b / (1024.0 * 1024.0)),
        b => format!("{:.1} GiB", b / (1024.0 * 1024.0 * 1024.0)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "version": "0.1.0", "ready": true, "recovery": false, "alarms": 0,
            "counts": { "parked": 1, "in_doubt": 2, "open_tasks": 3 },
            "attention": { "waiting": 40, "next_deadline": "2026-03-02T09:30:00Z" },
            "flow": {
                "since": "2026-03-01T09:00:00Z", "epoch": "7", "now": "2026-03-02T09:00:00Z", "backlog": 5,
                "backlog_limit": 50_000, "held": 0, "unsent": 9, "oldest_unsent": "2026-03-02T08:59:00Z",
                "last_taken": "2026-03-02T08:59:57Z", "last_sent": null, "commits_per_s": 12.34
            },
            "store": { "bytes": 3_221_225_472_u64, "disk_free": 10_485_760, "commits": 77 },
        })
    }

    fn route(n: usize, state: &str) -> Value {
        json!({ "name": format!("route-{n}"), "state": state, "source": "http", "error": null, "last_taken": null })
    }

    fn alarm(name: &str) -> Value {
        json!({ "name": name, "subject": "s", "detail": "x".repeat(200), "since": "2026-03-02T08:00:00Z",
            "first": "do this", "runbook": format!("docs/runbook.md#{name}") })
    }

    #[test]
    fn everything_that_an_operator_asks_stands_on_it() {
        let lines = screen(&status(), &[route(1, "running"), route(2, "waiting")], &[alarm("parked")]);
        let whole = lines.join("\n");
        for words in [
            "raccordo 0.1.0  ready, since 2026-03-01 09:00:00Z (24 h)  life 7",
            "3.0 GiB, 10.0 MiB free",
            "commits 12.3/s, 77 in all",
            "backlog 5 (429 at 50000 a partition)",
            "last 3 s ago",
            "unsent 9, the oldest 60 s",
            "last receipt -",
            "in doubt 2   parked 1   tasks 3   waiting 40   next deadline in 30 min",
            "ROUTES  1 of 2 running",
            "ALARMS  1",
            "! parked (60 min): xxx",
            "do this; docs/runbook.md#parked",
        ] {
            assert!(whole.contains(words), "{words} is missing in\n{whole}");
        }
        let at = |words: &str| lines.iter().position(|line| line.contains(words));
        assert!(at("route-2") < at("route-1"), "what does not run comes first");
    }

    #[test]
    fn it_fits_one_screen_whatever_there_is() {
        for routes in [0, 1, 5, 12, 400] {
            for alarms in [0, 1, 3, 9, 14, 300] {
                let routes: Vec<_> = (0..routes).map(|n| route(n, "running")).collect();
                let alarms: Vec<_> = (0..alarms).map(|_| alarm("in-doubt")).collect();
                let lines = screen(&status(), &routes, &alarms);
                assert!(lines.len() <= HEIGHT, "{} lines with {} routes", lines.len(), routes.len());
                assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:#?}");
                let shown = lines.iter().filter(|line| line.starts_with('!')).count();
                assert!(shown >= alarms.len().min(ALARMS_KEPT), "{shown} of {} alarms", alarms.len());
            }
        }
    }

    #[test]
    fn a_hub_that_knows_little_is_shown_all_the_same() {
        let lines = screen(&json!({ "version": "0.1.0", "ready": false }), &[], &[]);
        assert!(lines[0].starts_with("raccordo 0.1.0  NOT READY  life -"), "{lines:#?}");
    }

    #[test]
    fn nothing_from_outside_moves_the_cursor() {
        let bad = json!({ "name": "r", "state": "waiting", "source": "http", "error": "a\u{1b}[2Jb\nc" });
        let lines = screen(&status(), &[bad], &[]);
        assert!(lines.iter().all(|line| !line.chars().any(char::is_control)), "{lines:?}");
    }
}
