//! `raccordo status`: the hub on one screen.

mod screen;

use std::io::ErrorKind;
use std::process::ExitCode;

use hub_core::Value;
use serde_json::json;

use crate::client::{Api, Target};

/// Alarms stand, or the hub is not ready.
const TROUBLE: u8 = 1;

/// Asks the hub, shows the answer. Exit code 0: all is well; 1: alarms stand, or it is not ready; 2 (an error): it cannot be
/// asked.
pub(crate) async fn status(target: &Target) -> anyhow::Result<ExitCode> {
    let api = Api::of(target)?;
    let (status, routes, alarms) =
        tokio::try_join!(api.get("status", &[]), api.get("routes", &[]), api.get("alarms", &[]))?;
    let well = status["ready"] == true && alarms["items"].as_array().is_some_and(Vec::is_empty);
    let text = match target.json() {
        true => json!({ "status": status, "routes": routes["items"], "alarms": alarms["items"] }).to_string(),
        false => screen::screen(&status, items(&routes), items(&alarms)).join("\n"),
    };
    show(&text)?;
    Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(TROUBLE) })
}

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().map_or(&[], Vec::as_slice)
}

/// Prints; a reader that has gone away (`| head`) is no trouble of the hub.
fn show(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
